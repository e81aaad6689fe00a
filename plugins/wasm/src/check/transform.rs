//! Cases of transforms.

use super::{Cases, Outage, allowed, in_time, judged, none_breaks, sample};
use crate::Loaded;
use longshore_sdk::{
    Error, ErrorKind, Record, Result as Answer, Verdict,
    config::Flat,
    erased::{DynTransform, TransformPlugin},
};
use std::time::Duration;
use tokio::time::Instant;

const TOPIC: &str = "check";
/// Records of a large batch.
const MANY: usize = 5_000;
/// How long what an outage left behind may take to pass.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn check(
    loaded: &Loaded,
    transform: &TransformPlugin,
    good: &Flat,
    cases: &mut Cases,
) {
    let mut answers = Vec::new();
    for (what, config) in sample::bad(&(transform.definition)(), good) {
        answers.push((what, applied(transform, &config, twice()).await.err()));
    }
    cases.add("bad configs", none_breaks(&answers));
    match applied(transform, good, twice()).await {
        Ok(note) => cases.add("apply", Ok(note)),
        Err(error) => return cases.add("apply", allowed(&error)),
    }
    let alone = samples().into_iter().map(|record| vec![record]).collect();
    let alone = applied(transform, good, alone).await;
    cases.add("one by one", judged(alone.map(Ok)));
    let many = vec![sample::many(TOPIC, MANY); 2];
    let many = applied(transform, good, many).await;
    cases.add("many records", judged(many.map(Ok)));
    cases.add("an outage", outage(loaded, transform, good).await);
}

fn samples() -> Vec<Record> {
    sample::records(TOPIC, 0)
}

/// No records, records that are not easy to take, and them again.
fn twice() -> Vec<Vec<Record>> {
    vec![Vec::new(), samples(), samples()]
}

fn built(transform: &TransformPlugin, config: &Flat) -> Answer<Box<dyn DynTransform>> {
    let mut built = (transform.build)(config)?;
    built.placed("check", 0);
    Ok(built)
}

/// What became of batches.
async fn applied(
    transform: &TransformPlugin,
    config: &Flat,
    batches: Vec<Vec<Record>>,
) -> Answer<String> {
    let mut built = built(transform, config)?;
    let (mut kept, mut dropped, mut refused) = (0, 0, 0);
    for batch in batches {
        for verdict in verdicts(&mut *built, batch).await? {
            match verdict {
                Verdict::Keep(_) => kept += 1,
                Verdict::Drop => dropped += 1,
                Verdict::Refuse(error) if error.kind() == ErrorKind::Data => refused += 1,
                Verdict::Refuse(error) => return Err(error),
            }
        }
    }
    Ok(format!(
        "{kept} records kept, {dropped} dropped, {refused} refused"
    ))
}

async fn verdicts(built: &mut dyn DynTransform, batch: Vec<Record>) -> Answer<Vec<Verdict>> {
    let count = batch.len();
    let verdicts = in_time(async { Ok(built.apply(batch).await) }).await?;
    if verdicts.len() != count {
        let text = format!("{} verdicts for {count} records", verdicts.len());
        return Err(Error::bug("apply", text));
    }
    Ok(verdicts)
}

/// Its requests fail for a while: it may say so, but not that it is anybody's fault, and what passed before passes again afterwards.
async fn outage(
    loaded: &Loaded,
    transform: &TransformPlugin,
    good: &Flat,
) -> Result<String, String> {
    let told = |error: Error| error.message().to_owned();
    let mut built = built(transform, good).map_err(told)?;
    let passed: Vec<bool> = verdicts(&mut *built, samples())
        .await
        .map_err(told)?
        .iter()
        .map(|verdict| !matches!(verdict, Verdict::Refuse(_)))
        .collect();
    let outage = Outage::of(loaded);
    let during = verdicts(&mut *built, samples()).await;
    drop(outage);
    let mut refused = 0;
    for (passed, verdict) in passed.iter().zip(during.map_err(told)?) {
        let Verdict::Refuse(error) = verdict else {
            continue;
        };
        allowed(&error)?;
        refused += 1;
        if *passed && !super::passes(&error) && error.kind() != ErrorKind::Data {
            return Err(format!(
                "requests that fail for a moment are an error of kind {}, not transient: {}",
                error.kind().name(),
                error.message()
            ));
        }
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let after = verdicts(&mut *built, samples()).await.map_err(told)?;
        let mut still = passed
            .iter()
            .zip(&after)
            .filter_map(|(passed, verdict)| match verdict {
                Verdict::Refuse(error) if *passed => Some(error),
                _ => None,
            });
        match still.next() {
            None => return Ok(format!("{refused} records were refused in it")),
            Some(error) if super::passes(error) && Instant::now() < until => {
                tokio::time::sleep(PAUSE).await;
            }
            Some(error) => {
                return Err(format!(
                    "a record that passed before it is refused afterwards: {}",
                    error.message()
                ));
            }
        }
    }
}
