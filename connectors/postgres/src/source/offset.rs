//! Where a table stands, in the reference's own form.
//!
//! Lanes are `{"protocol":"1","table":"db.schema.table"}` and `{"query":"query"}`, offsets `{"incrementing":id,"timestamp":ms,
//! "timestamp_nanos":nanos}`, where the nanoseconds are those of the whole second, milliseconds included. A takeover reads the reference's offsets, and
//! goes on under the very lane that they stand in (its driver may leave the database's name out), so that the way back works too.

use bytes::Bytes;
use longshore_sdk::{Offset, Partition, Result, SourceContext};
use serde::{Deserialize, Serialize};

/// `-infinity` as a place.
pub(super) const PAST: i64 = i64::MIN;
/// `-infinity` in milliseconds, as the reference's driver has it.
const PAST_MS: i64 = -9_223_372_036_832_400_000;

/// A place in a table: everything up to it is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Microseconds since the Unix epoch; [`PAST`] is `-infinity`.
    pub(super) time: Option<i64>,
    /// The growing column.
    pub(super) id: Option<i64>,
}

#[derive(Deserialize)]
struct Stored {
    incrementing: Option<i64>,
    timestamp: Option<i64>,
    timestamp_nanos: Option<i64>,
}

#[derive(Serialize)]
struct TableLane<'a> {
    protocol: &'static str,
    table: &'a str,
}

#[derive(Serialize)]
struct OldTableLane<'a> {
    table: &'a str,
}

#[derive(Serialize)]
struct QueryLane {
    query: &'static str,
}

/// The lane of a query.
pub(super) fn query_lane() -> Result<Partition> {
    Partition::new(&QueryLane { query: "query" })
}

/// The lane of a table: the one that an offset is stored in, else the first form of its name.
pub(super) fn table_lane(
    cx: &SourceContext,
    database: &str,
    schema: &str,
    table: &str,
) -> Result<Partition> {
    let lane = |table: &str| {
        Partition::new(&TableLane {
            protocol: "1",
            table,
        })
    };
    let own = lane(&format!("{database}.{schema}.{table}"))?;
    let others = [
        lane(&format!("{schema}.{table}"))?,
        Partition::new(&OldTableLane { table })?,
    ];
    if cx.offset(&own).is_none() {
        for other in others {
            if cx.offset(&other).is_some() {
                return Ok(as_stored(cx, other));
            }
        }
    }
    Ok(as_stored(cx, own))
}

/// The lane byte for byte as it is stored: another worker may have written its fields in another order, and it is the key of the offset.
fn as_stored(cx: &SourceContext, lane: Partition) -> Partition {
    let Ok(wanted) = lane.parse::<serde_json::Value>() else {
        return lane;
    };
    if cx.offsets.contains_key(&lane) {
        return lane;
    }
    let same = |stored: &&Partition| {
        stored
            .parse::<serde_json::Value>()
            .is_ok_and(|stored| stored == wanted)
    };
    cx.offsets.keys().find(same).cloned().unwrap_or(lane)
}

impl Position {
    /// Reads a stored offset.
    pub(super) fn read(offset: &Offset) -> Result<Self> {
        let stored: Stored = offset.parse()?;
        let time = stored.timestamp.map(|ms| {
            let second = ms.div_euclid(1000).saturating_mul(1_000_000);
            let micros = match stored.timestamp_nanos {
                Some(nanos) => nanos.clamp(0, 999_999_999) / 1000,
                None => ms.rem_euclid(1000) * 1000,
            };
            second.saturating_add(micros)
        });
        Ok(Self {
            time,
            id: stored.incrementing,
        })
    }
    /// The offset to store.
    pub(super) fn offset(self) -> Offset {
        if let (None, Some(id)) = (self.time, self.id)
            && let Ok(id) = u64::try_from(id)
        {
            return Offset::counter("incrementing", id);
        }
        let mut text = Vec::with_capacity(96);
        text.push(b'{');
        let mut add = |name: &str, number: i64| {
            if text.len() > 1 {
                text.push(b',');
            }
            text.push(b'"');
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"\":");
            text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        };
        if let Some(id) = self.id {
            add("incrementing", id);
        }
        if self.time == Some(PAST) {
            add("timestamp", PAST_MS);
            add("timestamp_nanos", 0);
        } else if let Some(micros) = self.time {
            add("timestamp", micros.div_euclid(1000));
            add("timestamp_nanos", micros.rem_euclid(1_000_000) * 1000);
        }
        text.push(b'}');
        Offset::from_json(Bytes::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_sdk::Offsets;

    fn offset(json: &'static str) -> Offset {
        Offset::from_json(Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn offsets_have_the_references_form_and_come_back() {
        for (time, id, json) in [
            (None, None, "{}"),
            (None, Some(7), r#"{"incrementing":7}"#),
            (None, Some(-7), r#"{"incrementing":-7}"#),
            (
                Some(1_700_000_000_123_456),
                Some(7),
                r#"{"incrementing":7,"timestamp":1700000000123,"timestamp_nanos":123456000}"#,
            ),
            (
                Some(PAST),
                None,
                r#"{"timestamp":-9223372036832400000,"timestamp_nanos":0}"#,
            ),
            (
                Some(-1),
                None,
                r#"{"timestamp":-1,"timestamp_nanos":999999000}"#,
            ),
        ] {
            let position = Position { time, id };
            assert_eq!(&position.offset().json()[..], json.as_bytes());
            assert_eq!(Position::read(&offset(json)).expect(json), position);
        }
    }

    #[test]
    fn offsets_of_older_references_have_no_nanoseconds() {
        let position = Position::read(&offset(r#"{"timestamp":1500,"other":1}"#)).expect("read");
        assert_eq!(position.time, Some(1_500_000));
        assert!(Position::read(&offset(r#"{"incrementing":"x"}"#)).is_err());
    }

    #[test]
    fn a_stored_lane_is_kept_as_it_is_written() {
        let lane = |stored: &[&'static str]| {
            let stored = stored.iter().map(|json| {
                let lane = Partition::from_json(Bytes::from_static(json.as_bytes()));
                (lane, offset("{}"))
            });
            let offsets: Offsets = stored.collect();
            let cx = SourceContext::detached("c", 0, offsets);
            let lane = table_lane(&cx, "db", "public", "t").expect("a lane");
            String::from_utf8_lossy(lane.json()).into_owned()
        };
        let full = r#"{"protocol":"1","table":"db.public.t"}"#;
        let turned = r#"{"table":"db.public.t","protocol":"1"}"#;
        let short = r#"{"protocol":"1","table":"public.t"}"#;
        assert_eq!(lane(&[]), full);
        assert_eq!(lane(&[turned]), turned);
        assert_eq!(lane(&[short]), short);
        assert_eq!(lane(&[short, full]), full);
        assert_eq!(lane(&[r#"{"table":"t"}"#]), r#"{"table":"t"}"#);
        assert_eq!(lane(&[r#"{"table":"u"}"#]), full);
    }
}
