//! RegexRouter.

use crate::{
    java_regex::{Pattern, Replacement},
    settings,
    side::{Change, Each},
    tag,
};
use longshore_sdk::{
    Record, Result, Topic,
    config::{Definition, Flat},
    erased::{DynTransform, TransformPlugin},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;

/// How many topics' new names are remembered.
const KNOWN_MAX: usize = 1024;

/// Settings of RegexRouter.
#[derive(Debug, Deserialize, JsonSchema)]
struct Config {
    /// What the whole topic name must match, as Java writes it.
    regex: String,
    /// What the first match becomes: `$1` or `${name}` stand for groups, a backslash takes the next character as it is.
    replacement: String,
}

pub(crate) fn plugin() -> TransformPlugin {
    TransformPlugin {
        plugin: tag(
            "RegexRouter",
            &["org.apache.kafka.connect.transforms.RegexRouter"],
            "Changes the topic by a regular expression.",
            &[],
        ),
        definition: Arc::new(Definition::of::<Config>),
        build: Arc::new(build),
    }
}

fn build(flat: &Flat) -> Result<Box<dyn DynTransform>> {
    let config: Config = settings(flat)?;
    Ok(Box::new(Each(RegexRouter {
        pattern: Pattern::new("regex", &config.regex)?,
        replacement: Replacement::new(&config.replacement),
        known: HashMap::new(),
    })))
}

struct RegexRouter {
    pattern: Pattern,
    replacement: Replacement,
    known: HashMap<Topic, Topic>,
}

impl Change for RegexRouter {
    fn change(&mut self, record: &mut Record) -> Result<()> {
        if let Some(new) = self.known.get(&record.topic) {
            record.topic = new.clone();
            return Ok(());
        }
        let new = match self.pattern.replaced(&record.topic, &self.replacement)? {
            Some(new) => Topic::from(new),
            None => record.topic.clone(),
        };
        if self.known.len() == KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(record.topic.clone(), new.clone());
        record.topic = new;
        Ok(())
    }
}
