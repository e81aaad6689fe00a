//! The cases for sources.

use super::{
    Fault,
    random::Random,
    report::{Fail, Outcome, bounded, hold},
    source::SourceRig,
};
use longshore_sdk::{
    ErrorKind, Offsets, Partition, SourceContext, SourceRecord, erased::DynSource,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// How long a case waits for a record that must come.
pub(super) const COMING: Duration = Duration::from_secs(30);
/// How long one poll may wait.
const POLL: Duration = Duration::from_millis(100);
/// How often a task is opened before a case gives up waiting for records that must come.
const LIVES_MAX: usize = 300;
/// Records that a case works with.
pub(super) const FEW: usize = 20;

pub(super) async fn open(rig: &impl SourceRig, offsets: Offsets) -> Outcome<Box<dyn DynSource>> {
    let (connector, config) = (rig.connector(), rig.config());
    let mut shares = bounded("plan", connector.plan(&config, 1)).await??;
    hold!(
        shares.len() == 1,
        "one task asked for, {} shares planned",
        shares.len()
    );
    let cx = SourceContext::detached("behaviour", 0, offsets);
    Ok(bounded("open", connector.open(&config, shares.remove(0), cx)).await??)
}

/// One poll; `None` at the source's end.
pub(super) async fn poll(task: &mut Box<dyn DynSource>) -> Outcome<Option<Vec<SourceRecord>>> {
    match bounded("poll", task.poll(POLL)).await? {
        Ok(records) => Ok(Some(records)),
        Err(error) if error.kind() == ErrorKind::End => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// At least `count` records.
pub(super) async fn read(
    task: &mut Box<dyn DynSource>,
    count: usize,
) -> Outcome<Vec<SourceRecord>> {
    let until = Instant::now() + COMING;
    let mut records = Vec::new();
    while records.len() < count {
        let batch = poll(task).await?;
        hold!(
            batch.is_some(),
            "the source ended after {} of {count} records",
            records.len()
        );
        let batch = batch.unwrap_or_default();
        hold!(
            !batch.is_empty() || Instant::now() < until,
            "{} of {count} records came",
            records.len()
        );
        records.extend(batch);
    }
    Ok(records)
}

pub(super) fn identities(rig: &impl SourceRig, records: &[SourceRecord]) -> Vec<String> {
    records
        .iter()
        .map(|record| rig.identity(&record.record))
        .collect()
}

/// The offsets as they come back from the store: as text.
pub(super) fn stored(records: &[SourceRecord]) -> Offsets {
    let newest = records.iter().map(|record| {
        (
            Partition::from_json(record.lane.json().clone()),
            longshore_sdk::Offset::from_json(record.offset.json()),
        )
    });
    newest.collect()
}

pub(super) async fn plan_fits_tasks_max(rig: &mut impl SourceRig) -> Outcome {
    rig.seed(FEW).await;
    let (connector, config) = (rig.connector(), rig.config());
    for tasks_max in [1, 2, 7] {
        let shares = bounded("plan", connector.plan(&config, tasks_max)).await??;
        hold!(
            shares.len() <= tasks_max as usize,
            "{} shares for {tasks_max} tasks",
            shares.len()
        );
        let again = bounded("plan", connector.plan(&config, tasks_max)).await??;
        hold!(
            shares == again,
            "two plans for {tasks_max} tasks differ: tasks would restart without need"
        );
        let different: BTreeSet<_> = shares.iter().collect();
        hold!(
            different.len() == shares.len(),
            "two tasks have the same share"
        );
    }
    Ok(())
}

pub(super) async fn resumes_after_every_offset(rig: &mut impl SourceRig) -> Outcome {
    rig.seed(FEW).await;
    let records = read(&mut open(rig, Offsets::new()).await?, FEW).await?;
    let all = identities(rig, &records);
    for done in 1..FEW {
        let mut task = open(rig, stored(&records[..done])).await?;
        let rest = identities(rig, &read(&mut task, FEW - done).await?);
        let wanted = &all[done..FEW];
        hold!(
            rest.len() >= wanted.len() && rest[..wanted.len()] == *wanted,
            "after record {done} came {rest:?}, not {wanted:?}"
        );
    }
    Ok(())
}

pub(super) async fn reads_the_same_in_the_same_order_again(rig: &mut impl SourceRig) -> Outcome {
    rig.seed(FEW).await;
    let mut lanes = Vec::new();
    for _ in 0..2 {
        let records = read(&mut open(rig, Offsets::new()).await?, FEW).await?;
        let mut lane: BTreeMap<Partition, Vec<String>> = BTreeMap::new();
        for record in &records[..FEW] {
            let identity = rig.identity(&record.record);
            lane.entry(record.lane.clone()).or_default().push(identity);
        }
        lanes.push(lane);
    }
    hold!(
        lanes[0] == lanes[1],
        "first {:?}, then {:?}",
        lanes[0],
        lanes[1]
    );
    let count: usize = lanes[0].values().map(Vec::len).sum();
    let different: BTreeSet<_> = lanes[0].values().flatten().collect();
    hold!(
        count == different.len(),
        "records are not told apart by the rig's identity"
    );
    Ok(())
}

/// A task is killed at random; what was sent but not stored comes again, and nothing is left out (I1).
pub(super) async fn nothing_lost_between_send_and_store(
    rig: &mut impl SourceRig,
    seed: u64,
) -> Outcome {
    rig.seed(FEW).await;
    let records = read(&mut open(rig, Offsets::new()).await?, FEW).await?;
    let all = &identities(rig, &records)[..FEW];
    let mut random = Random::new(seed);
    let (mut firsts, mut store): (Vec<String>, _) = (Vec::new(), Offsets::new());
    for _ in 0..LIVES_MAX {
        if firsts.len() >= FEW {
            break;
        }
        let mut task = open(rig, store.clone()).await?;
        for _ in 0..=random.below(3) {
            let Some(records) = poll(&mut task).await? else {
                break;
            };
            // When the task dies, the producer has acknowledged some records, and some more are delivered.
            let acknowledged = random.below(records.len().min(FEW) + 1);
            let delivered = acknowledged + random.below(records.len() - acknowledged + 1);
            for record in identities(rig, &records[..delivered]) {
                if !firsts.contains(&record) && firsts.len() < FEW {
                    firsts.push(record);
                }
            }
            let mut newest = stored(&records[..acknowledged]);
            if acknowledged == records.len() {
                // Progress without a record counts behind all records.
                newest.extend(task.advanced());
            }
            store.extend(newest.clone());
            bounded("commit", task.commit(&newest)).await??;
            if acknowledged < records.len() {
                break;
            }
        }
        if random.once_in(2) {
            bounded("close", task.close()).await??;
        }
    }
    hold!(
        firsts == all,
        "seed {seed}: {all:?} are there, {firsts:?} came"
    );
    Ok(())
}

pub(super) async fn offsets_of_other_lanes_do_not_matter(rig: &mut impl SourceRig) -> Outcome {
    rig.seed(FEW).await;
    let records = read(&mut open(rig, Offsets::new()).await?, FEW).await?;
    let Some(last) = records.last() else {
        return Err(Fail::Broken("no records".to_owned()));
    };
    let stranger = Partition::from_json("{\"longshore.behaviour\":\"another lane\"}".into());
    let offsets = Offsets::from([(stranger, last.offset.clone())]);
    let again = read(&mut open(rig, offsets).await?, FEW).await?;
    hold!(
        identities(rig, &again)[..FEW] == identities(rig, &records)[..FEW],
        "a stranger's offset was taken for its own"
    );
    Ok(())
}

pub(super) async fn lanes_and_offsets_are_json_objects(rig: &mut impl SourceRig) -> Outcome {
    rig.seed(FEW).await;
    for record in read(&mut open(rig, Offsets::new()).await?, FEW).await? {
        for json in [record.lane.json().clone(), record.offset.json()] {
            let parsed = serde_json::from_slice::<serde_json::Map<_, _>>(&json);
            hold!(parsed.is_ok(), "not a JSON object: {json:?}");
        }
    }
    Ok(())
}

pub(super) async fn poll_honours_max_wait(rig: &mut impl SourceRig) -> Outcome {
    let mut task = open(rig, Offsets::new()).await?;
    // Nothing is seeded: a source that does not make up its records has nothing to give, and says so in time (D2).
    for max_wait in [Duration::ZERO, Duration::from_millis(30)] {
        match bounded("poll without records", task.poll(max_wait)).await? {
            Ok(_) => {}
            Err(error) => hold!(error.kind() == ErrorKind::End, "{error}"),
        }
    }
    Ok(())
}

pub(super) async fn later_records_are_found(rig: &mut impl SourceRig) -> Outcome {
    if rig.connector().plugin().capabilities.ends {
        return Err(Fail::Beside("the source ends"));
    }
    rig.seed(3).await;
    let mut task = open(rig, Offsets::new()).await?;
    let mut records = read(&mut task, 3).await?;
    for _ in 0..3 {
        bounded("poll", task.poll(Duration::from_millis(20))).await??;
        rig.seed(2).await;
        records.extend(read(&mut task, 2).await?);
    }
    let different: BTreeSet<_> = identities(rig, &records).into_iter().collect();
    hold!(
        different.len() >= 9,
        "9 records seeded, {} came",
        different.len()
    );
    Ok(())
}

pub(super) async fn batches_are_bounded(rig: &mut impl SourceRig) -> Outcome {
    rig.seed(12_000).await;
    let mut task = open(rig, Offsets::new()).await?;
    let (mut count, until) = (0, Instant::now() + COMING);
    while count < 12_000 {
        let Some(batch) = poll(&mut task).await? else {
            break;
        };
        let bytes: usize = batch.iter().map(|record| record.record.size()).sum();
        hold!(batch.len() <= 5000, "a batch of {} records", batch.len());
        hold!(
            bytes <= 8 * 1024 * 1024 || batch.len() == 1,
            "a batch of {bytes} bytes"
        );
        hold!(
            !batch.is_empty() || Instant::now() < until,
            "{count} of 12000 records came"
        );
        count += batch.len();
    }
    Ok(())
}

pub(super) async fn ends_for_good(rig: &mut impl SourceRig) -> Outcome {
    if !rig.connector().plugin().capabilities.ends {
        return Err(Fail::Beside("the source does not end"));
    }
    rig.seed(FEW).await;
    let mut task = open(rig, Offsets::new()).await?;
    let (mut records, until) = (Vec::new(), Instant::now() + COMING);
    while let Some(batch) = poll(&mut task).await? {
        hold!(
            Instant::now() < until,
            "no end after {} records",
            records.len()
        );
        records.extend(batch);
    }
    hold!(
        poll(&mut task).await?.is_none(),
        "there were records after the end"
    );
    let mut task = open(rig, stored(&records)).await?;
    while let Some(batch) = poll(&mut task).await? {
        hold!(
            batch.is_empty() && Instant::now() < until,
            "there were {} records after the end was stored",
            batch.len()
        );
    }
    Ok(())
}

pub(super) async fn commits_are_harmless(rig: &mut impl SourceRig) -> Outcome {
    rig.seed(FEW).await;
    let mut task = open(rig, Offsets::new()).await?;
    bounded("commit", task.commit(&Offsets::new())).await??;
    let records = read(&mut task, FEW).await?;
    let half = stored(&records[..FEW / 2]);
    for _ in 0..2 {
        bounded("commit", task.commit(&half)).await??;
    }
    bounded("close", task.close()).await??;
    // Durable offsets let the upstream forget what lies before them, and nothing else (I2).
    let rest = read(&mut open(rig, half).await?, FEW - FEW / 2).await?;
    let (rest, all) = (identities(rig, &rest), identities(rig, &records));
    hold!(
        rest[..FEW - FEW / 2] == all[FEW / 2..FEW],
        "after a commit came {rest:?}"
    );
    Ok(())
}

pub(super) async fn close_may_be_called_twice(rig: &mut impl SourceRig) -> Outcome {
    rig.seed(FEW).await;
    for polled in [false, true] {
        let mut task = open(rig, Offsets::new()).await?;
        if polled {
            read(&mut task, 1).await?;
        }
        for _ in 0..2 {
            bounded("close", task.close()).await??;
        }
    }
    Ok(())
}

pub(super) async fn outage_loses_nothing(rig: &mut impl SourceRig) -> Outcome {
    rig.seed(FEW).await;
    let mut task = open(rig, Offsets::new()).await?;
    let mut records = read(&mut task, 1).await?;
    if !rig.fault(Fault::Unavailable).await {
        return Err(Fail::Beside("the rig cannot break its system"));
    }
    for _ in 0..3 {
        match bounded("poll", task.poll(POLL)).await? {
            Ok(batch) => records.extend(batch),
            Err(error) => {
                let passing =
                    matches!(error.kind(), ErrorKind::Transient | ErrorKind::Throttled(_));
                hold!(
                    passing,
                    "an outage is an error of kind {}",
                    error.kind().name()
                );
            }
        }
    }
    rig.fault(Fault::Healed).await;
    let missing = FEW.saturating_sub(records.len());
    records.extend(read(&mut task, missing).await?);
    let again = read(&mut open(rig, Offsets::new()).await?, FEW).await?;
    hold!(
        identities(rig, &records)[..FEW] == identities(rig, &again)[..FEW],
        "records differ after an outage"
    );
    Ok(())
}
