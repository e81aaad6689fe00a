//! Topic configs: names, defaults, checks, and the parsed form the log works with.

use std::collections::BTreeMap;

/// How `DescribeConfigs` types a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// `delete`, `compact` or both.
    Policy,
    Text(&'static [&'static str]),
    /// At least this.
    Whole(i64),
    /// Between 0 and 1.
    Ratio,
    Flag,
}

struct Known {
    name: &'static str,
    default: &'static str,
    shape: Shape,
}

const fn known(name: &'static str, default: &'static str, shape: Shape) -> Known {
    Known {
        name,
        default,
        shape,
    }
}

/// Kafka's topic configs. Those without an effect on a single node are kept and shown, no more.
const KNOWN: &[Known] = &[
    known("cleanup.policy", "delete", Shape::Policy),
    known(
        "compression.type",
        "producer",
        Shape::Text(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
    ),
    known("delete.retention.ms", "86400000", Shape::Whole(0)),
    known("file.delete.delay.ms", "60000", Shape::Whole(0)),
    known("flush.messages", "9223372036854775807", Shape::Whole(1)),
    known("flush.ms", "9223372036854775807", Shape::Whole(0)),
    known(
        "follower.replication.throttled.replicas",
        "",
        Shape::Text(&[]),
    ),
    known("index.interval.bytes", "4096", Shape::Whole(0)),
    known(
        "leader.replication.throttled.replicas",
        "",
        Shape::Text(&[]),
    ),
    known(
        "max.compaction.lag.ms",
        "9223372036854775807",
        Shape::Whole(1),
    ),
    known("max.message.bytes", "1048588", Shape::Whole(0)),
    known("message.timestamp.after.max.ms", "3600000", Shape::Whole(0)),
    known(
        "message.timestamp.before.max.ms",
        "9223372036854775807",
        Shape::Whole(0),
    ),
    known(
        "message.timestamp.type",
        "CreateTime",
        Shape::Text(&["CreateTime", "LogAppendTime"]),
    ),
    known("min.cleanable.dirty.ratio", "0.5", Shape::Ratio),
    known("min.compaction.lag.ms", "0", Shape::Whole(0)),
    known("min.insync.replicas", "1", Shape::Whole(1)),
    known("preallocate", "false", Shape::Flag),
    known("retention.bytes", "-1", Shape::Whole(-1)),
    known("retention.ms", "604800000", Shape::Whole(-1)),
    known("segment.bytes", "1073741824", Shape::Whole(1024 * 1024)),
    known("segment.index.bytes", "10485760", Shape::Whole(4)),
    known("segment.jitter.ms", "0", Shape::Whole(0)),
    known("segment.ms", "604800000", Shape::Whole(1)),
    known("unclean.leader.election.enable", "false", Shape::Flag),
];

/// What a topic's owner set; everything else is the default.
pub(crate) type Overrides = BTreeMap<String, String>;

/// A value that a topic config cannot have; says which and what is allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

/// One row of a topic's `DescribeConfigs` answer.
pub(crate) struct Row<'a> {
    pub(crate) name: &'static str,
    pub(crate) value: &'a str,
    pub(crate) default: &'static str,
    pub(crate) overridden: bool,
    /// Kafka's type number.
    pub(crate) kind: i8,
}

/// All configs of a topic with the given overrides.
pub(crate) fn rows(overrides: &Overrides) -> impl Iterator<Item = Row<'_>> {
    KNOWN.iter().map(|k| {
        let set = overrides.get(k.name);
        let kind = match k.shape {
            Shape::Flag => 1,
            Shape::Text(_) => 2,
            Shape::Whole(_) => 5,
            Shape::Ratio => 6,
            Shape::Policy => 7,
        };
        Row {
            name: k.name,
            value: set.map_or(k.default, String::as_str),
            default: k.default,
            overridden: set.is_some(),
            kind,
        }
    })
}

/// The default of a topic config.
pub(crate) fn default_of(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|k| k.name == name).map(|k| k.default)
}

/// Whether the config is a list, so that `APPEND` and `SUBTRACT` apply.
pub(crate) fn is_list(name: &str) -> bool {
    KNOWN
        .iter()
        .any(|k| k.name == name && k.shape == Shape::Policy)
}

/// Checks names and values.
pub(crate) fn check(overrides: &Overrides) -> Result<(), Invalid> {
    for (name, value) in overrides {
        let Some(known) = KNOWN.iter().find(|k| k.name == name) else {
            return Err(Invalid(format!("Unknown topic config name: {name}")));
        };
        let fine = match known.shape {
            Shape::Policy => {
                !value.is_empty()
                    && value
                        .split(',')
                        .all(|p| matches!(p.trim(), "delete" | "compact"))
            }
            Shape::Text(allowed) => allowed.is_empty() || allowed.contains(&value.as_str()),
            Shape::Whole(least) => value.parse::<i64>().is_ok_and(|v| v >= least),
            Shape::Ratio => value.parse::<f64>().is_ok_and(|v| (0.0..=1.0).contains(&v)),
            Shape::Flag => matches!(value.as_str(), "true" | "false"),
        };
        if !fine {
            let want = match known.shape {
                Shape::Policy => "delete, compact or both".to_owned(),
                Shape::Text(allowed) => format!("one of {}", allowed.join(", ")),
                Shape::Whole(least) => format!("a whole number, at least {least}"),
                Shape::Ratio => "a number from 0 to 1".to_owned(),
                Shape::Flag => "true or false".to_owned(),
            };
            return Err(Invalid(format!(
                "Invalid value {value} for configuration {name}: it must be {want}"
            )));
        }
    }
    Ok(())
}

/// The parsed configs the log works with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) compact: bool,
    pub(crate) delete: bool,
    pub(crate) delete_retention_ms: i64,
    pub(crate) log_append_time: bool,
    /// How far timestamps set by clients may lie behind and ahead of the broker's clock.
    pub(crate) max_behind_ms: i64,
    pub(crate) max_ahead_ms: i64,
    pub(crate) max_compaction_lag_ms: i64,
    pub(crate) max_message_bytes: usize,
    pub(crate) min_cleanable_ratio: f64,
    pub(crate) min_compaction_lag_ms: i64,
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) retention_ms: Option<i64>,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_ms: i64,
}

impl Settings {
    /// Parses checked overrides; what is not set is Kafka's default.
    pub(crate) fn parse(overrides: &Overrides) -> Settings {
        let text = |name: &str| {
            overrides
                .get(name)
                .map(String::as_str)
                .or_else(|| default_of(name))
                .unwrap_or_default()
        };
        let whole = |name: &str| text(name).parse::<i64>().unwrap_or_default();
        let bounded = |name: &str| Some(whole(name)).filter(|v| *v >= 0);
        let policy = text("cleanup.policy");
        Settings {
            compact: policy.contains("compact"),
            delete: policy.contains("delete"),
            delete_retention_ms: whole("delete.retention.ms"),
            log_append_time: text("message.timestamp.type") == "LogAppendTime",
            max_behind_ms: whole("message.timestamp.before.max.ms"),
            max_ahead_ms: whole("message.timestamp.after.max.ms"),
            max_compaction_lag_ms: whole("max.compaction.lag.ms"),
            max_message_bytes: whole("max.message.bytes") as usize,
            min_cleanable_ratio: text("min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
            min_compaction_lag_ms: whole("min.compaction.lag.ms"),
            retention_bytes: bounded("retention.bytes").map(|v| v as u64),
            retention_ms: bounded("retention.ms"),
            // Positions in the index are 32 bits wide.
            segment_bytes: (whole("segment.bytes") as u64).min(i32::MAX as u64),
            segment_ms: whole("segment.ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> Overrides {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn bad_values_name_the_config() {
        for (name, value) in [
            ("cleanup.policy", "bogus"),
            ("segment.bytes", "16384"),
            ("min.cleanable.dirty.ratio", "2"),
            ("nope", "1"),
        ] {
            let Invalid(text) = check(&set(&[(name, value)])).expect_err("refused");
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn every_default_is_valid() {
        let all = KNOWN
            .iter()
            .map(|k| (k.name.to_owned(), k.default.to_owned()))
            .collect();
        assert_eq!(check(&all), Ok(()));
        let settings = Settings::parse(&Overrides::new());
        assert!(settings.delete && !settings.compact && settings.retention_bytes.is_none());
    }
}
