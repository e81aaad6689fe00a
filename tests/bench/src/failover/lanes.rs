//! The twelve connectors, their forty tasks, and where each task's records show.

use serde_json::{Value, json};

const BYTES: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// Connectors of each kind.
const OF_A_KIND: usize = 4;
/// Tasks of each that makes up records, of each mirror, of each that writes a file.
const TASKS: [u32; 3] = [5, 4, 1];

/// A connector, and the topic or file that its tasks write.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    pub(crate) name: String,
    pub(crate) tasks: u32,
    pub(crate) kind: Kind,
    pub(crate) config: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Makes up records for a topic of one partition; each says which task made it.
    Made { topic: String },
    /// Copies a topic; the partition says which task copied it.
    Copied { from: String, topic: String },
    /// Writes a topic to a file, in one task.
    Kept { from: String, file: String },
}

impl Connector {
    /// All twelve.
    pub(crate) fn all(bootstrap: &str, rate: u32) -> Vec<Self> {
        let made = (0..OF_A_KIND).map(|number| Self::made(&format!("made-{number}"), rate));
        let copied = (0..OF_A_KIND).map(|number| Self::copied(number, bootstrap));
        let kept = (0..OF_A_KIND).map(Self::kept);
        made.chain(copied).chain(kept).collect()
    }

    /// One that makes up records for a topic of its own name.
    pub(crate) fn made(name: &str, rate: u32) -> Self {
        Self {
            name: name.to_owned(),
            tasks: TASKS[0],
            config: json!({
                "connector.class": "datagen", "tasks.max": TASKS[0].to_string(), "topic": name, "rate": rate.to_string(),
            }),
            kind: Kind::Made { topic: name.into() },
        }
    }

    fn copied(number: usize, bootstrap: &str) -> Self {
        let (from, topic) = (format!("feed-{number}"), format!("copied-{number}"));
        Self {
            name: format!("copy-{number}"),
            tasks: TASKS[1],
            config: json!({
                "connector.class": "mirror", "tasks.max": TASKS[1].to_string(), "topics": from, "target.topic": topic,
                "source.cluster.bootstrap.servers": bootstrap,
                "key.converter": BYTES, "value.converter": BYTES, "header.converter": BYTES,
            }),
            kind: Kind::Copied { from, topic },
        }
    }

    fn kept(number: usize) -> Self {
        let (from, file) = (format!("lines-{number}"), format!("kept-{number}.txt"));
        Self {
            name: format!("keep-{number}"),
            tasks: TASKS[2],
            config: json!({
                "connector.class": "file-sink", "tasks.max": TASKS[2].to_string(), "topics": from, "file": file,
                "key.converter": STRING, "value.converter": STRING,
            }),
            kind: Kind::Kept { from, file },
        }
    }

    /// The topics that it needs, with their partitions.
    pub(crate) fn topics(&self) -> Vec<(&str, u32)> {
        match &self.kind {
            Kind::Made { topic } => vec![(topic, 1)],
            Kind::Copied { from, topic } => vec![(from, self.tasks), (topic, self.tasks)],
            Kind::Kept { from, .. } => vec![(from, 1)],
        }
    }

    /// The topic that the bench has to feed, with its partitions.
    pub(crate) fn fed(&self) -> Option<(&str, u32)> {
        match &self.kind {
            Kind::Made { .. } => None,
            Kind::Copied { from, .. } | Kind::Kept { from, .. } => Some((from, self.tasks)),
        }
    }
}

/// Which task of a source of made-up records a record is from.
pub(crate) fn share_of(value: &[u8]) -> Option<u32> {
    const MARK: &[u8] = b"\"share\":";
    let at = value.windows(MARK.len()).position(|part| part == MARK)?;
    let digits = value[at + MARK.len()..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    digits.fold(None, |number, digit| {
        Some(number.unwrap_or(0) * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_tasks_in_twelve_connectors() {
        let all = Connector::all("x", 1);
        assert_eq!(all.len(), 12);
        assert_eq!(all.iter().map(|one| one.tasks).sum::<u32>(), 40);
    }

    #[test]
    fn a_record_says_which_task_made_it() {
        assert_eq!(share_of(br#"{"id":7,"share":12,"x":1}"#), Some(12));
        assert_eq!(share_of(br#"{"id":7,"share":"#), None);
        assert_eq!(share_of(b"{}"), None);
    }
}
