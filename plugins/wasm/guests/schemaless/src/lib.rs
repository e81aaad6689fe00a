//! Describes itself well, but its config by no schema.

wit_bindgen::generate!({ path: "../../../guest/wit", world: "transform" });

use exports::longshore::connector::{
    plugin::{Capabilities, Guest as Plugin, Info, Problem},
    record_transform::{Edit, Guest as Transform},
};
use longshore::connector::types::{Batch, Columns, Error, Format};

struct Schemaless;
export!(Schemaless);

impl Plugin for Schemaless {
    fn describe() -> Info {
        Info {
            name: "schemaless".to_owned(),
            version: "1.0.0".to_owned(),
            vendor: String::new(),
            description: String::new(),
            capabilities: Capabilities::empty(),
            needs: Columns::empty(),
            key_format: Format::Bytes,
            value_format: Format::Bytes,
        }
    }
    fn config_schema() -> String {
        "a text, not a schema".to_owned()
    }
    fn check(_: String) -> Result<Vec<Problem>, Error> {
        Ok(Vec::new())
    }
}

impl Transform for Schemaless {
    fn start(_: String) -> Result<(), Error> {
        Ok(())
    }
    fn apply(_: Batch) -> Result<Edit, Error> {
        panic!("it was never loaded")
    }
}
