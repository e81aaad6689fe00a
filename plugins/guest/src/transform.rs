//! Transforms.

use crate::abi::longshore::connector::types;
use crate::{Edit, Error, Info, Problem, Records, Result, config};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// A transform. Export it by [`crate::export_transform!`].
pub trait Transform: Sized + 'static {
    /// What a user can set: flat fields, dotted keys by `#[serde(rename = "batch.size")]`; their doc comments are the documentation.
    type Config: DeserializeOwned + JsonSchema;
    /// Name, version, formats, and which columns come in: normally the value alone.
    const INFO: Info;

    /// Looks beyond the schema. Changes nothing. Asked before every start: the first problem is why the transform does not start.
    fn check(config: &Self::Config) -> Result<Vec<Problem>> {
        let _ = config;
        Ok(Vec::new())
    }
    /// Begins.
    fn start(config: Self::Config) -> Result<Self>;
    /// Says what becomes of the records. An error alone is one of the whole batch; of one record, [`Edit::fail`] tells.
    fn apply(&mut self, records: &Records<'_>, edit: &mut Edit<'_>) -> Result<()>;
}

/// A change to a record's headers.
#[derive(Debug)]
pub struct HeaderEdit {
    /// The record's number.
    pub row: u32,
    /// The header's name.
    pub name: String,
    /// None removes every header of that name.
    pub value: Option<Vec<u8>>,
    /// What the bytes are.
    pub format: types::Format,
}

/// An edit as it crosses to the host.
#[derive(Debug)]
pub struct Edited {
    /// Empty = every row is kept.
    pub keep: Vec<u8>,
    /// The keys, if some changed.
    pub key: Option<types::Column>,
    /// The values, if some changed.
    pub value: Option<types::Column>,
    /// Topics that rows name.
    pub topics: Vec<String>,
    /// Empty = topics stay.
    pub topic: Vec<u32>,
    /// Empty = timestamps stay.
    pub timestamp_ms: Vec<i64>,
    /// Changes to headers.
    pub headers: Vec<HeaderEdit>,
    /// Rows that cannot be transformed.
    pub failed: Vec<(u32, Error)>,
}

/// Checks a config and starts a transform. Errors of kind config: the text does not fit the struct, or the check found a problem.
pub fn started<T: Transform>(config: &str) -> Result<T> {
    let config = config::parsed(config)?;
    // The host asks connectors alone for their problems.
    match T::check(&config)?.into_iter().next() {
        Some(problem) => Err(problem.into()),
        None => T::start(config),
    }
}

/// Calls a transform's `apply`.
pub fn applied<T: Transform>(transform: &mut T, batch: &types::Batch) -> Result<Edited> {
    let records = Records::new(batch);
    let mut edit = Edit::new(&records);
    transform.apply(&records, &mut edit)?;
    Ok(edit.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use std::collections::BTreeMap;

    struct Checked;

    impl Transform for Checked {
        type Config = BTreeMap<String, String>;
        const INFO: Info = Info::new("checked", "1.0.0", "Has a check.");
        fn check(config: &Self::Config) -> Result<Vec<Problem>> {
            let odd = config.keys().filter(|key| key.as_str() != "good");
            let problem = |key: &String| Problem::new(key, "it is odd").suggest("good");
            Ok(odd.map(problem).collect())
        }
        fn start(_: Self::Config) -> Result<Self> {
            Ok(Self)
        }
        fn apply(&mut self, _: &Records<'_>, _: &mut Edit<'_>) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_transform_with_a_problem_does_not_start() {
        assert!(started::<Checked>(r#"{"good":"1"}"#).is_ok());
        let failed = started::<Checked>(r#"{"one":"1","two":"2"}"#).err();
        let failed = failed.expect("a problem");
        assert_eq!(failed.kind(), ErrorKind::Config);
        assert_eq!(failed.to_string(), "one: it is odd: good");
    }
}
