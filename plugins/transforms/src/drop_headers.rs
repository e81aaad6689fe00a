//! DropHeaders.

use crate::{
    settings,
    side::{Change, Each},
    tag, unfit,
};
use longshore_sdk::{
    Record, Result,
    config::{Definition, Flat},
    erased::{DynTransform, TransformPlugin},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Settings of DropHeaders.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// The names of the headers to leave out.
    headers: Vec<String>,
}

pub(crate) fn plugin() -> TransformPlugin {
    TransformPlugin {
        plugin: tag(
            "DropHeaders",
            &["org.apache.kafka.connect.transforms.DropHeaders"],
            "Leaves headers out.",
            &[],
        ),
        definition: Arc::new(Definition::of::<Config>),
        build: Arc::new(build),
    }
}

fn build(flat: &Flat) -> Result<Box<dyn DynTransform>> {
    let Config { headers } = settings(flat)?;
    if headers.is_empty() {
        return Err(unfit("headers", "no header is listed"));
    }
    Ok(Box::new(Each(DropHeaders { headers })))
}

struct DropHeaders {
    headers: Vec<String>,
}

impl Change for DropHeaders {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        let listed = |key: &str| self.headers.iter().any(|listed| listed == key);
        record.headers.retain(|header| !listed(&header.key));
        Ok(())
    }
}
