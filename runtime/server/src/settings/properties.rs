//! Java's .properties syntax, as Kafka Connect's worker files have it.

use super::{
    file::{Section, Syntax},
    place::{Located, Place},
};
use longshore_engine::providers::properties;
use std::sync::Arc;

/// Parses a file. Of a key that is given twice the last value holds, as in Java; a note says so.
///
/// The bytes are read as UTF-8 where they are that, else as ISO 8859-1, which is what Java reads.
pub(super) fn parse(file: &Arc<str>, bytes: &[u8]) -> Result<(Section, Vec<Located>), Located> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    };
    let mut section = Section::new(Place::whole(file), Syntax::Properties);
    let mut notes = Vec::new();
    for entry in properties::entries(&text) {
        let entry = entry
            .map_err(|bad| Located::text(Place::at(file, bad.line, bad.column), bad.problem))?;
        let place = Place::at(file, entry.line, entry.column);
        if let Some(first) = section.places.get(&entry.key) {
            let problem = format!(
                "the key {} was given at line {} already: this value holds",
                entry.key, first.line
            );
            notes.push(Located::text(place.clone(), problem));
        }
        section.places.insert(entry.key.clone(), place);
        section.config.insert(entry.key, entry.value);
    }
    Ok((section, notes))
}
