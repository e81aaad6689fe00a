#!/usr/bin/env bash
# Builds enrich-http.wasm. Takes Node 20 or later with npm; componentize-js comes from npm into node_modules.
set -euo pipefail
cd "$(dirname "$0")"

# The interface and the SDK, which a project of `longshore plugin new` has beside its app.js.
if [ -d ../../guest/wit ]; then
    cp -r ../../guest/wit ../../guest/js/longshore.js ../../guest/js/longshore .
fi
if ! node --input-type=module -e 'import "@bytecodealliance/componentize-js"' 2>/dev/null; then
    npm install --silent --no-audit --no-fund
fi
node build.mjs
echo "enrich-http.wasm is built: longshore plugin check enrich-http.wasm"
