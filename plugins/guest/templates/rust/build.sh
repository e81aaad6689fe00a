#!/usr/bin/env bash
# Builds {name}.wasm. Takes Rust with the target wasm32-wasip2 (rustup target add wasm32-wasip2); on Debian without it, longshore-guest/build.sh
# fetches what is missing. Unit tests run natively: cargo test.
set -euo pipefail
cd "$(dirname "$0")"

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}"
bash longshore-guest/build.sh "$@"
cp "$CARGO_TARGET_DIR/wasm32-wasip2/release/{crate}.wasm" "{name}.wasm"
echo "{name}.wasm is built: longshore plugin check {name}.wasm"
