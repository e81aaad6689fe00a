//! Where each source stands: `["<connector>",{<lane>}]` -> `{<offset>}`.

use super::{
    config::records::Pair,
    fold::{Fold, Folded},
    requests::Requests,
    text,
};
use crate::{ports::Entry, task::OffsetStore};
use bytes::Bytes;
use longshore_sdk::{Offset, Offsets, Partition, Result, erased::Boxed};
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// The offset topic, folded. Keys are compared by their bytes, as compaction does; the same lane may stand there in several spellings.
#[derive(Default)]
pub struct StoredOffsets {
    connectors: BTreeMap<String, BTreeMap<Bytes, (Partition, Offset)>>,
    /// Those that changed offsets; what tasks store is written for none.
    requests: Requests,
}

/// Entries of one connector by their keys, as somebody knows them.
pub type Known = BTreeMap<Bytes, Option<Bytes>>;

/// The offset topic and its fold.
pub type OffsetView = Folded<StoredOffsets>;

impl StoredOffsets {
    /// A connector's offsets by lane.
    pub fn of(&self, connector: &str) -> Offsets {
        let stored = self.connectors.get(connector).into_iter().flatten();
        stored.map(|(_, entry)| entry.clone()).collect()
    }
    /// Whether a request has written what it asked for.
    pub fn has_written(&self, request: &[u8]) -> bool {
        self.requests.find(request).is_some()
    }
    /// A connector's entries as they stand, to be written once more. At most `max` of them.
    pub fn again(&self, connector: &str, max: usize) -> Vec<Pair> {
        let stored = self.connectors.get(connector).into_iter().flatten();
        let entry =
            |(key, (_, offset)): (&Bytes, &(Partition, Offset))| (key.clone(), Some(offset.json()));
        stored.map(entry).take(max).collect()
    }
    /// Whether a connector's entries are as `known` has them; a key without a value is known to be away. `alone`: there are no others, either.
    pub fn stand(&self, connector: &str, known: &Known, alone: bool) -> bool {
        let stored = self.connectors.get(connector);
        let value = |key| stored?.get(key).map(|(_, offset)| offset.json());
        let others = || {
            let there = known.values().flatten().count();
            stored.map_or(0, BTreeMap::len) != there
        };
        known.iter().all(|(key, known)| value(key) == *known) && !(alone && others())
    }
    /// Records that reset all of a connector's offsets: a tombstone for each key as it is stored.
    pub fn reset(&self, connector: &str) -> Vec<Pair> {
        let stored = self.connectors.get(connector).into_iter().flatten();
        stored.map(|(key, _)| (key.clone(), None)).collect()
    }
    /// Records that set one lane's offset, or reset it: under every spelling of the lane that is stored, else under the one given.
    /// A lane that is not stored needs no reset.
    pub fn alter(&self, connector: &str, lane: &Value, offset: Option<&Value>) -> Vec<Pair> {
        let offset = offset.map(|offset| Bytes::from(json(offset)));
        let same = |stored: &Partition| stored.parse::<Value>().is_ok_and(|stored| stored == *lane);
        let stored = self.connectors.get(connector).into_iter().flatten();
        let found: Vec<Pair> = stored
            .filter(|(_, (stored, _))| same(stored))
            .map(|(key, _)| (key.clone(), offset.clone()))
            .collect();
        if found.is_empty() && offset.is_some() {
            let lane = Partition::from_json(Bytes::from(json(lane)));
            return vec![(key(connector, &lane), offset)];
        }
        found
    }
}

impl Fold for StoredOffsets {
    fn apply(&mut self, entry: &Entry) {
        self.requests.note(entry, false);
        // Copied: as a slice each of the few that stay would keep all that was read together with it (I6).
        let key = Bytes::copy_from_slice(&entry.key);
        let Some((connector, lane)) = parse_key(&key) else {
            let key = String::from_utf8_lossy(&entry.key);
            tracing::warn!(%key, "a record of the offset topic has another kind of key and is left out");
            return;
        };
        match &entry.value {
            Some(value) if value.as_ref() != b"null" => {
                let stored = self.connectors.entry(connector).or_default();
                let offset = Offset::from_json(Bytes::copy_from_slice(value));
                stored.insert(key, (lane, offset));
            }
            _ => {
                if let Some(stored) = self.connectors.get_mut(&connector) {
                    stored.remove(&key);
                    if stored.is_empty() {
                        self.connectors.remove(&connector);
                    }
                }
            }
        }
    }
}

/// The key under which a lane's offset is stored.
pub fn key(connector: &str, lane: &Partition) -> Bytes {
    let mut key = String::from("[");
    text::string(connector, &mut key);
    key.push(',');
    let mut key = key.into_bytes();
    key.extend_from_slice(lane.json());
    key.push(b']');
    Bytes::from(key)
}

/// The records that store offsets, for the offset topic or for a transaction that carries them.
pub fn entries(connector: &str, offsets: &Offsets) -> Vec<Pair> {
    let entries = offsets.iter();
    entries
        .map(|(lane, offset)| (key(connector, lane), Some(offset.json())))
        .collect()
}

fn json(json: &Value) -> String {
    let mut into = String::new();
    text::value(json, &mut into);
    into
}

/// The connector and the lane, the latter byte for byte.
fn parse_key(key: &Bytes) -> Option<(String, Partition)> {
    let (connector, lane): (Cow<'_, str>, &RawValue) = serde_json::from_slice(key).ok()?;
    let lane = lane.get().as_bytes();
    let object = lane.first() == Some(&b'{');
    object.then(|| {
        let lane = Partition::from_json(key.slice_ref(lane));
        (connector.into_owned(), lane)
    })
}

/// The offsets of one connector, for its tasks.
pub struct ConnectorOffsets {
    view: Arc<OffsetView>,
    connector: Arc<str>,
}

impl ConnectorOffsets {
    /// The offsets of `connector`.
    pub fn new(view: Arc<OffsetView>, connector: Arc<str>) -> Self {
        Self { view, connector }
    }
}

impl OffsetStore for ConnectorOffsets {
    fn put<'a>(&'a self, offsets: &'a Offsets) -> Boxed<'a, Result<()>> {
        Box::pin(self.view.write(entries(&self.connector, offsets)))
    }
}

#[cfg(test)]
mod tests;
