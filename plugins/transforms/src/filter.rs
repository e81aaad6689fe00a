//! Filter.

use crate::{NoConfig, settings, tag};
use longshore_sdk::{
    Record, Result, Transform, Verdict,
    config::{Definition, Flat},
    erased::{DynTransform, TransformPlugin},
};
use std::sync::Arc;

pub(crate) fn plugin() -> TransformPlugin {
    TransformPlugin {
        plugin: tag(
            "Filter",
            &["org.apache.kafka.connect.transforms.Filter"],
            "Drops every record that it is given: meant to stand behind a predicate.",
            &[],
        ),
        definition: Arc::new(Definition::of::<NoConfig>),
        build: Arc::new(build),
    }
}

fn build(flat: &Flat) -> Result<Box<dyn DynTransform>> {
    let NoConfig {} = settings(flat)?;
    Ok(Box::new(Filter))
}

struct Filter;

impl Transform for Filter {
    async fn apply(&mut self, batch: Vec<Record>) -> Vec<Verdict> {
        batch.into_iter().map(|_| Verdict::Drop).collect()
    }
}
