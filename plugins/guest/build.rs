//! Puts the text of the ABI into the macros that plugins are exported by: they expand in the plugin's crate, which has no path to it.

use std::{env, fs, path::Path};

const WIT: &str = "wit/connector.wit";

fn main() {
    println!("cargo::rerun-if-changed={WIT}");
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let wit = fs::read_to_string(Path::new(&root).join(WIT)).expect("the ABI stands in wit/");
    let worlds = ["source", "sink", "transform"].map(|world| {
        format!(
            "#[doc(hidden)]\n#[macro_export]\nmacro_rules! __bindings_of_{world} {{ () => {{ ::longshore_guest::wit_bindgen::generate!({{\n\
             inline: {wit:?}, path: [], world: \"{world}\", runtime_path: \"::longshore_guest::wit_bindgen::rt\", with: {{ {} }},\n}}); }} }}\n",
            ["types", "log", "metrics", "context", "secrets", "state", "http"]
                .map(|interface| format!(
                    "\"longshore:connector/{interface}@0.1.0\": longshore_guest::abi::longshore::connector::{interface}"
                ))
                .join(", ")
        )
    });
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("bindings.rs"), worlds.concat()).expect("OUT_DIR takes a file");
}
