//! Whether records are those that are wanted.

use longshore_sdk::{Datum, Partition, SourceRecord};
use std::collections::BTreeSet;

/// What came is what comes first: lane by lane, in order.
pub(super) fn same(
    when: &str,
    wanted: &[SourceRecord],
    came: &[SourceRecord],
) -> Result<String, String> {
    let lanes: BTreeSet<&Partition> = wanted.iter().map(|record| &record.lane).collect();
    // Lanes may come in another order, so that of one lane there may be more and of another one less.
    let missing = wanted.len().saturating_sub(came.len());
    for lane in lanes {
        let of = |records: &'_ [SourceRecord]| -> Vec<SourceRecord> {
            let records = records.iter().filter(|record| record.lane == *lane);
            records.cloned().collect()
        };
        let (wanted, came) = (of(wanted), of(came));
        if let Some(at) = differ(&wanted, &came) {
            return Err(format!(
                "{when}: record {at} of the lane {lane:?} is another one"
            ));
        }
    }
    match missing {
        0 => Ok(format!("the same {} records {when}", wanted.len())),
        _ => Err(format!(
            "{when}: {} records came of {}",
            came.len(),
            wanted.len()
        )),
    }
}

/// The first place where two readings of a lane differ, as far as both go.
fn differ(a: &[SourceRecord], b: &[SourceRecord]) -> Option<usize> {
    a.iter().zip(b).position(|(a, b)| content(a) != content(b))
}

fn content(of: &SourceRecord) -> (&Datum, &Datum) {
    (&of.record.key, &of.record.value)
}

/// Whether a repetition is of this record: the same content at whatever place, as places may be coarser than records.
pub(super) fn stands_for(came: &SourceRecord, wanted: &SourceRecord) -> bool {
    content(came) == content(wanted)
}
