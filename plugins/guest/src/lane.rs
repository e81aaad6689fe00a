//! Lanes, and the positions that are stored for them.

use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What order holds within: a file, a shard, a stream of pages. JSON text of an object, as the offsets API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane(String);

impl Lane {
    /// The lane of a source that has one only: `{}`.
    pub fn only() -> Self {
        Self("{}".to_owned())
    }
    /// A lane with one field, such as `file` and a path.
    pub fn of(name: &str, value: &str) -> Self {
        let mut fields = serde_json::Map::new();
        fields.insert(name.to_owned(), value.into());
        Self(Value::Object(fields).to_string())
    }
    /// A lane of what serialises as an object. Errors of kind fatal: it does not.
    pub fn new(fields: &impl Serialize) -> Result<Self> {
        match serde_json::to_value(fields) {
            Ok(Value::Object(fields)) => Ok(Self(Value::Object(fields).to_string())),
            Ok(_) => Err(Error::fatal(
                "a lane serialises as something else than an object",
            )),
            Err(error) => Err(Error::fatal(format!("a lane does not serialise: {error}"))),
        }
    }
    /// The JSON text.
    pub fn json(&self) -> &str {
        &self.0
    }
    fn is(&self, other: &Lane) -> bool {
        self.0 == other.0
            || matches!(
                (serde_json::from_str::<Value>(&self.0), serde_json::from_str::<Value>(&other.0)),
                (Ok(one), Ok(two)) if one == two
            )
    }
}

/// Stored positions, each with its lane.
#[derive(Clone, Debug)]
pub struct Positions<P>(Vec<(Lane, P)>);

impl<P> Positions<P> {
    /// The position of a lane. Lanes are compared as JSON objects: the order of fields does not count.
    pub fn of(&self, lane: &Lane) -> Option<&P> {
        self.0
            .iter()
            .find(|(stored, _)| stored.is(lane))
            .map(|(_, position)| position)
    }
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Lane, &P)> {
        self.0.iter().map(|(lane, position)| (lane, position))
    }
    /// Whether nothing is stored: the source runs for the first time.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<P> From<Vec<(Lane, P)>> for Positions<P> {
    fn from(all: Vec<(Lane, P)>) -> Self {
        Self(all)
    }
}

/// Reads the positions that the host hands over as lane and position, both JSON text. A position that another version wrote in another shape is
/// an error of kind config: somebody must reset the offsets or take the other version back.
pub fn positions<P: DeserializeOwned>(
    stored: impl Iterator<Item = (String, String)>,
) -> Result<Positions<P>> {
    let read = stored.map(|(lane, text)| match serde_json::from_str(&text) {
        Ok(position) => Ok((Lane(lane), position)),
        Err(error) => Err(Error::config(format!(
            "the stored offset of {lane} is none of this plugin's version ({error}): reset the connector's offsets, or run the version that wrote it"
        ))),
    });
    Ok(Positions(read.collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn positions_are_found_whatever_the_order_of_fields() {
        let stored = [(r#"{"b":1,"a":"x"}"#.to_owned(), "7".to_owned())];
        let positions: Positions<u64> = positions(stored.into_iter()).expect("readable");
        let lane = Lane::new(&serde_json::json!({"a": "x", "b": 1})).expect("an object");
        assert_eq!(positions.of(&lane), Some(&7));
        assert_eq!(positions.of(&Lane::only()), None);
    }

    #[test]
    fn a_position_of_another_version_asks_for_a_decision() {
        let stored = [("{}".to_owned(), r#"{"old":1}"#.to_owned())];
        let error = positions::<u64>(stored.into_iter()).expect_err("unreadable");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(Lane::new(&1).is_err());
    }
}
