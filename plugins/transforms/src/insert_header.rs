//! InsertHeader.

use crate::{
    settings,
    side::{Change, Each},
    tag,
};
use longshore_sdk::{
    Header, Record, Result,
    config::{Definition, Flat},
    erased::{DynTransform, TransformPlugin},
    literal::guess,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Settings of InsertHeader.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The header's name.
    header: String,
    /// Its value. The type is guessed from the text: `5` is an integer, `true` a boolean, `[1,2]` an array, `abc` a string.
    #[serde(rename = "value.literal")]
    value: String,
}

pub(crate) fn plugin() -> TransformPlugin {
    TransformPlugin {
        plugin: tag(
            "InsertHeader",
            &["org.apache.kafka.connect.transforms.InsertHeader"],
            "Adds a header with a fixed value.",
            &[],
        ),
        definition: Arc::new(Definition::of::<Config>),
        build: Arc::new(build),
    }
}

fn build(flat: &Flat) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    Ok(Box::new(Each(InsertHeader {
        header: Header {
            key: config.header.into(),
            value: guess(&config.value),
        },
    })))
}

struct InsertHeader {
    header: Header,
}

impl Change for InsertHeader {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        record.headers.push(self.header.clone());
        Ok(())
    }
}
