//! Traps when it is asked what it is.

wit_bindgen::generate!({ path: "../../../guest/wit", world: "transform" });

use exports::longshore::connector::{
    plugin::{Guest as Plugin, Info, Problem},
    record_transform::{Edit, Guest as Transform},
};
use longshore::connector::types::{Batch, Error};

struct Mute;
export!(Mute);

impl Plugin for Mute {
    fn describe() -> Info {
        panic!("I do not talk about myself")
    }
    fn config_schema() -> String {
        String::new()
    }
    fn check(_: String) -> Result<Vec<Problem>, Error> {
        Ok(Vec::new())
    }
}

impl Transform for Mute {
    fn start(_: String) -> Result<(), Error> {
        Ok(())
    }
    fn apply(_: Batch) -> Result<Edit, Error> {
        panic!("it was never described")
    }
}
