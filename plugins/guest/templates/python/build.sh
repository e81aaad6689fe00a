#!/usr/bin/env bash
# Builds {name}.wasm. Takes Python 3.10 or later with venv; componentize-py comes from PyPI into .venv (or LONGSHORE_GUEST_VENV).
set -euo pipefail
cd "$(dirname "$0")"

version=0.25.1
venv=${LONGSHORE_GUEST_VENV:-.venv}
if ! "$venv/bin/componentize-py" --version 2>/dev/null | grep -q "$version"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "componentize-py==$version"
fi
"$venv/bin/componentize-py" -d wit -w {kind} componentize app -o {name}.wasm
echo "{name}.wasm is built: longshore plugin check {name}.wasm"
