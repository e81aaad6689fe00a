#!/usr/bin/env bash
# Builds {name}.wasm. Takes Node 20 or later with npm; componentize-js comes from npm into node_modules.
set -euo pipefail
cd "$(dirname "$0")"

if ! node --input-type=module -e 'import "@bytecodealliance/componentize-js"' 2>/dev/null; then
    npm install --silent --no-audit --no-fund
fi
node build.mjs
echo "{name}.wasm is built: longshore plugin check {name}.wasm"
