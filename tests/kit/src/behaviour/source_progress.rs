//! Progress that a source tells without a record.

use super::{
    report::{Fail, Outcome, hold},
    source::SourceRig,
    source_cases::{COMING, identities, open, poll, stored},
};
use longshore_sdk::Offsets;
use std::collections::BTreeSet;
use tokio::time::Instant;

/// Records of each of the tasks.
const EACH: usize = 3;
/// Polls without a record, after which there may be something to tell.
const IDLE: usize = 3;

/// What a source tells between records is a place to go on from: nothing that comes later lies before it, and nothing comes again.
pub(super) async fn progress_without_records_leaves_nothing_out(
    rig: &mut impl SourceRig,
) -> Outcome {
    if rig.connector().plugin().capabilities.ends {
        return Err(Fail::Beside("the source ends"));
    }
    let (mut seen, mut offsets, mut told) = (Vec::new(), Offsets::new(), false);
    for life in 0..4 {
        rig.seed(EACH).await;
        let mut task = open(rig, offsets.clone()).await?;
        let (mut count, mut idle, until) = (0, 0, Instant::now() + COMING);
        while count < EACH || idle < IDLE {
            hold!(
                Instant::now() < until,
                "life {life}: of {EACH} records {count} came after {offsets:?}"
            );
            let records = poll(&mut task).await?.unwrap_or_default();
            count += records.len();
            idle += usize::from(records.is_empty());
            seen.extend(identities(rig, &records));
            offsets.extend(stored(&records));
            // It counts behind the records that came before it.
            let advanced = task.advanced();
            for offset in advanced.values() {
                let json = offset.json();
                let parsed = serde_json::from_slice::<serde_json::Map<_, _>>(&json);
                hold!(parsed.is_ok(), "not a JSON object: {json:?}");
            }
            told |= !advanced.is_empty();
            offsets.extend(advanced);
        }
    }
    let different: BTreeSet<&String> = seen.iter().collect();
    hold!(
        different.len() == seen.len(),
        "records came again: {seen:?}"
    );
    match told {
        true => Ok(()),
        false => Err(Fail::Beside("the source tells no progress without records")),
    }
}
