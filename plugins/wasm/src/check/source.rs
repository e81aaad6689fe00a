//! Cases of sources.

use super::{Cases, allowed, in_time, looked, none_breaks, sample};
use longshore_sdk::{
    Error, ErrorKind, Level, Offsets, Result as Answer, SourceContext, SourceRecord,
    config::Flat,
    erased::{DynSource, DynSourceConnector},
};
use std::time::Duration;

/// How long a poll may wait for records.
const WAIT: Duration = Duration::from_secs(2);
/// Polls that may stay empty before the source counts as having nothing.
const POLLS: usize = 5;

pub(super) async fn check(source: &dyn DynSourceConnector, good: &Flat, cases: &mut Cases) {
    let promise = source.guarantee(good);
    cases.add(
        "promise",
        match &promise {
            Ok(word) => Ok(format!("{}: {}", word.level.name(), word.method)),
            Err(error) => allowed(error),
        },
    );
    cases.add("check", looked(&source.check(good).await));
    let mut answers = Vec::new();
    for (what, config) in sample::bad(&source.definition(), good) {
        answers.push((what, source.guarantee(&config).err()));
        drop(source.check(&config).await);
        answers.push((what, in_time(source.plan(&config, 3)).await.err()));
        answers.push((what, opened(source, &config, Offsets::new()).await.err()));
    }
    cases.add("bad configs", none_breaks(&answers));
    let plan = in_time(source.plan(good, 2)).await;
    cases.add(
        "plan",
        match &plan {
            Ok(shares) if shares.len() > 2 => Err(format!("{} shares for 2 tasks", shares.len())),
            Ok(shares) => Ok(format!("{} shares for 2 tasks", shares.len())),
            Err(error) => allowed(error),
        },
    );
    let first = match read(source, good, Offsets::new()).await {
        Ok(records) => records,
        Err(error) => return cases.add("poll", allowed(&error)),
    };
    cases.add("poll", Ok(format!("{} records", first.len())));
    let stranger = Offsets::from([(
        longshore_sdk::Partition::from_json("{\"of another version\":[1]}".into()),
        longshore_sdk::Offset::from_json("{\"position\":{\"a\":-1}}".into()),
    )]);
    let again = read(source, good, stranger).await;
    cases.add(
        "offsets of another version",
        match again {
            Ok(records) => Ok(format!("{} records", records.len())),
            Err(error) => allowed(&error),
        },
    );
    if promise.is_ok_and(|word| word.level == Level::ExactlyOnce) {
        cases.add("the same again", repeated(source, good, &first).await);
    }
}

async fn opened(
    source: &dyn DynSourceConnector,
    config: &Flat,
    offsets: Offsets,
) -> Answer<Box<dyn DynSource>> {
    let share = in_time(source.plan(config, 1)).await?;
    let share = share.into_iter().next().unwrap_or_default();
    let context = SourceContext::detached("check", 0, offsets);
    in_time(source.open(config, share, context)).await
}

/// What a source has to tell from some offsets on, and whether it closes.
async fn read(
    source: &dyn DynSourceConnector,
    config: &Flat,
    offsets: Offsets,
) -> Answer<Vec<SourceRecord>> {
    let mut task = opened(source, config, offsets).await?;
    let mut records = Vec::new();
    for _ in 0..POLLS {
        match in_time(task.poll(WAIT)).await {
            Ok(some) => records = some,
            Err(error) if error.kind() == ErrorKind::End => break,
            Err(error) => return Err(error),
        }
        if !records.is_empty() {
            break;
        }
    }
    let upto: Offsets = records
        .iter()
        .map(|record| (record.lane.clone(), record.offset.clone()))
        .collect();
    if !upto.is_empty() {
        in_time(task.commit(&upto)).await?;
    }
    in_time(task.close()).await?;
    in_time(task.close()).await?;
    Ok(records)
}

/// Exactly once: from the start on the same records come, and after any offset the rest of them.
async fn repeated(
    source: &dyn DynSourceConnector,
    config: &Flat,
    first: &[SourceRecord],
) -> Result<String, String> {
    let Some(lane) = first.first().map(|record| record.lane.clone()) else {
        return Ok("not looked at: it has no records with this config".to_owned());
    };
    let told = |error: Error| error.message().to_owned();
    let of_lane = |records: &[SourceRecord]| -> Vec<SourceRecord> {
        let records = records.iter().filter(|record| record.lane == lane);
        records.cloned().collect()
    };
    let first = of_lane(first);
    let again = of_lane(&read(source, config, Offsets::new()).await.map_err(told)?);
    same(&first, &again).map_err(|at| format!("from the start: record {at} is another one"))?;
    let half = first.len() / 2;
    let offset = first[half].offset.clone();
    let rest = read(source, config, Offsets::from([(lane.clone(), offset)])).await;
    let rest = of_lane(&rest.map_err(told)?);
    same(&first[half + 1..], &rest)
        .map_err(|at| format!("after record {half}: record {at} is another one"))?;
    Ok(format!(
        "{} records, and those after record {half}",
        first.len()
    ))
}

/// The first place where two readings differ, as far as both go.
fn same(a: &[SourceRecord], b: &[SourceRecord]) -> Result<(), usize> {
    let differs = |(a, b): (&SourceRecord, &SourceRecord)| {
        let content = |of: &SourceRecord| (of.record.key.clone(), of.record.value.clone());
        content(a) != content(b) || a.offset != b.offset
    };
    match a.iter().zip(b).position(differs) {
        Some(at) => Err(at),
        None => Ok(()),
    }
}
