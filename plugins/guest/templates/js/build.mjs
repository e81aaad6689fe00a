// Builds {name}.wasm out of app.js; build.sh calls it.
import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const { component } = await componentize({
  sourcePath: "app.js",
  witPath: "wit",
  worldName: "{kind}",
  // Addresses are reached by the host's http, which knows what is granted; fetch is not there.
  disableFeatures: ["http", "fetch-event"],
});
await writeFile("{name}.wasm", component);
