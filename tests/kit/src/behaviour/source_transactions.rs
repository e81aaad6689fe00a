//! What an exactly-once source promises: with records and offsets in one transaction, whatever is aborted comes again, and nothing else does.

use super::{
    random::{Random, SEEDS},
    report::{Fail, Outcome, hold},
    source::SourceRig,
    source_cases::{COMING, FEW, identities, open, poll, read, stored},
};
use longshore_sdk::{Level, Offsets};
use std::collections::BTreeSet;
use tokio::time::Instant;

pub(super) async fn once_in_transactions(rig: &mut impl SourceRig) -> Outcome {
    let promised = rig.connector().guarantee(&rig.config())?;
    if promised.level < Level::ExactlyOnce {
        return Err(Fail::Beside("the source does not promise exactly once"));
    }
    rig.seed(FEW).await;
    let records = read(&mut open(rig, Offsets::new()).await?, FEW).await?;
    let wanted = identities(rig, &records[..FEW]);
    for seed in SEEDS {
        let mut random = Random::new(seed);
        let (mut offsets, mut committed) = (Offsets::new(), Vec::<String>::new());
        let until = Instant::now() + COMING;
        while !wanted.iter().all(|id| committed.contains(id)) {
            hold!(
                Instant::now() < until,
                "seed {seed}: {} of {FEW} records were committed",
                committed.len()
            );
            let mut task = open(rig, offsets.clone()).await?;
            for _ in 0..=random.below(4) {
                let batch = poll(&mut task).await?.unwrap_or_default();
                // A transaction holds whole batches; an abort, or a crash before the commit, leaves neither records nor offsets.
                if random.once_in(2) {
                    break;
                }
                committed.extend(identities(rig, &batch));
                offsets.extend(stored(&batch));
                offsets.extend(task.advanced());
            }
        }
        let different: BTreeSet<&String> = committed.iter().collect();
        hold!(
            different.len() == committed.len(),
            "seed {seed}: {} records were committed, {} of them different",
            committed.len(),
            different.len()
        );
    }
    Ok(())
}
