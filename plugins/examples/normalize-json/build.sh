#!/usr/bin/env bash
# Builds normalize-json.wasm. Takes Python 3.10 or later with venv; componentize-py comes from PyPI into .venv (or LONGSHORE_GUEST_VENV).
set -euo pipefail
cd "$(dirname "$0")"

# The interface and the SDK, which a project of `longshore plugin new` has beside its app.py.
if [ -d ../../guest/wit ]; then
    cp -r ../../guest/wit ../../guest/python/longshore ../../guest/python/longshore_testing.py .
fi
version=0.25.1
venv=${LONGSHORE_GUEST_VENV:-.venv}
if ! "$venv/bin/componentize-py" --version 2>/dev/null | grep -q "$version"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "componentize-py==$version"
fi
"$venv/bin/componentize-py" -d wit -w transform componentize app -o normalize-json.wasm
echo "normalize-json.wasm is built: longshore plugin check normalize-json.wasm"
