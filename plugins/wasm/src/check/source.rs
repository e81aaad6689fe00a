//! Cases of sources.

use super::{
    Cases, Outage, Outcome, allowed,
    compare::{same, stands_for},
    in_time, judged, looked, none_breaks, passes, planned, sample,
};
use crate::Loaded;
use longshore_sdk::{
    ErrorKind, Level, Offset, Offsets, Partition, Result as Answer, SourceContext, SourceRecord,
    config::Flat,
    erased::{DynSource, DynSourceConnector},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// How long a poll may wait for records.
const WAIT: Duration = Duration::from_secs(1);
/// Polls that may stay empty before the source counts as having nothing.
const POLLS: usize = 5;
/// Records that cases work with, about.
const FEW: usize = 20;
/// Polls and bytes of a source that is read to its end.
const POLLS_TO_END: usize = 50;
/// Bytes of one poll: some more than the host asks for.
const BYTES_MAX: usize = 16 << 20;
/// How long a source that may repeat itself is read for what is still missing.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn check(
    loaded: &Loaded,
    source: &dyn DynSourceConnector,
    good: &Flat,
    cases: &mut Cases,
) {
    let promise = source.guarantee(good);
    let once = promise
        .as_ref()
        .is_ok_and(|word| word.level == Level::ExactlyOnce);
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
    let mut run = Run {
        source,
        good,
        once,
        repeats: true,
    };
    cases.add("plan", judged(run.plans().await));
    let first = match run.first().await {
        Ok(first) => first,
        Err(error) => return cases.add("poll", allowed(&error)),
    };
    cases.add("poll", sizes(&first));
    let first = first.records;
    cases.add("close twice", judged(run.closed().await));
    cases.add(
        "offsets of another version",
        judged(run.other_version().await),
    );
    if first.is_empty() {
        return;
    }
    run.repeats = once || run.repeats(&first).await.unwrap_or(true);
    cases.add(
        "offsets of another lane",
        judged(run.other_lane(&first).await),
    );
    cases.add("commits", judged(run.commits(&first).await));
    cases.add("an outage", judged(run.outage(loaded, &first).await));
    cases.add("the end", judged(run.end().await));
    cases.add("resume", judged(run.resumed(&first).await));
    if once {
        cases.add("the same again", judged(run.again(&first).await));
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

/// What polls gave.
#[derive(Default)]
struct Reading {
    records: Vec<SourceRecord>,
    /// The source said that this was all.
    ended: bool,
    /// Bytes and records of the poll that gave the most bytes.
    largest: (usize, usize),
}

/// At least `count` records, unless there are no more.
async fn read(task: &mut dyn DynSource, count: usize) -> Answer<Reading> {
    let (mut reading, mut empty) = (Reading::default(), 0);
    while reading.records.len() < count && empty < POLLS {
        match in_time(task.poll(WAIT)).await {
            Ok(some) => {
                empty += usize::from(some.is_empty());
                let bytes = some.iter().map(|record| record.record.size()).sum();
                reading.largest = reading.largest.max((bytes, some.len()));
                reading.records.extend(some);
            }
            Err(error) if error.kind() == ErrorKind::End => {
                reading.ended = true;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(reading)
}

/// What would be stored after these records.
fn stored(records: &[SourceRecord]) -> Offsets {
    let newest = records.iter();
    newest
        .map(|record| (record.lane.clone(), record.offset.clone()))
        .collect()
}

/// Each poll is small enough for whoever holds several; one record may be as large as it is.
fn sizes(first: &Reading) -> Result<String, String> {
    let (bytes, count) = first.largest;
    let lanes: BTreeSet<&Partition> = first.records.iter().map(|record| &record.lane).collect();
    let text = format!(
        "{} records, at most {bytes} bytes in a poll, {} lanes",
        first.records.len(),
        lanes.len()
    );
    match bytes <= BYTES_MAX || count == 1 {
        true => Ok(text),
        false => Err(format!("{text}: polls are to keep to max-bytes, about")),
    }
}

struct Run<'a> {
    source: &'a dyn DynSourceConnector,
    good: &'a Flat,
    /// It promises exactly once.
    once: bool,
    /// From the same positions on it gives what it gave before. One that tells what is now (a price, the time) does not, and need not.
    repeats: bool,
}

impl Run<'_> {
    async fn open(&self, offsets: Offsets) -> Answer<Box<dyn DynSource>> {
        opened(self.source, self.good, offsets).await
    }
    async fn plans(&self) -> Outcome {
        let mut plans = Vec::new();
        for tasks in [1, 2, 7] {
            let plan = in_time(self.source.plan(self.good, tasks)).await?;
            let again = in_time(self.source.plan(self.good, tasks)).await?;
            let different: BTreeSet<_> = plan.iter().collect();
            if different.len() < plan.len() {
                return Ok(Err(format!("of {tasks} tasks two have the same share")));
            }
            plans.push((tasks, plan, again));
        }
        Ok(planned(&plans))
    }
    /// What there is from the start on. How the task closes is another case's affair.
    async fn first(&self) -> Answer<Reading> {
        let mut task = self.open(Offsets::new()).await?;
        let first = read(&mut *task, FEW).await?;
        drop(in_time(task.close()).await);
        Ok(first)
    }
    async fn repeats(&self, first: &[SourceRecord]) -> Answer<bool> {
        let again = self.first().await?.records;
        let among = |wanted: &&SourceRecord| again.iter().any(|came| stands_for(came, wanted));
        Ok(again.is_empty() || first.iter().any(|wanted| among(&wanted)))
    }
    async fn closed(&self) -> Outcome {
        for polled in [false, true] {
            let mut task = self.open(Offsets::new()).await?;
            if polled {
                read(&mut *task, 1).await?;
            }
            for _ in 0..2 {
                in_time(task.close()).await?;
            }
        }
        Ok(Ok("before a poll, and after one".to_owned()))
    }
    async fn other_version(&self) -> Outcome {
        let stranger = Offsets::from([(
            Partition::from_json("{\"of another version\":[1]}".into()),
            Offset::from_json("{\"position\":{\"a\":-1}}".into()),
        )]);
        let mut task = self.open(stranger).await?;
        let records = read(&mut *task, 1).await?.records;
        Ok(Ok(format!("{} records", records.len())))
    }
    async fn other_lane(&self, first: &[SourceRecord]) -> Outcome {
        let stranger = Partition::from_json("{\"longshore.check\":\"another lane\"}".into());
        let last = first.last().map(|last| (stranger, last.offset.clone()));
        let mut task = self.open(last.into_iter().collect()).await?;
        self.comes("beside another lane's offset", &mut *task, first)
            .await
    }
    /// Positions that are durable let the other side forget what lies before them, and nothing else.
    async fn commits(&self, first: &[SourceRecord]) -> Outcome {
        let mut task = self.open(Offsets::new()).await?;
        in_time(task.commit(&Offsets::new())).await?;
        let records = read(&mut *task, first.len()).await?.records;
        let half = stored(&records[..records.len() / 2]);
        for _ in 0..2 {
            in_time(task.commit(&half)).await?;
        }
        drop(in_time(task.close()).await);
        let rest = &records[records.len() / 2..];
        let mut task = self.open(half).await?;
        self.comes("after half of them were committed", &mut *task, rest)
            .await
    }
    /// Its requests fail for a while: it says so, goes on afterwards, and leaves nothing out.
    async fn outage(&self, loaded: &Loaded, first: &[SourceRecord]) -> Outcome {
        let mut task = self.open(Offsets::new()).await?;
        let mut records = match in_time(task.poll(WAIT)).await {
            Err(error) if error.kind() == ErrorKind::End => Vec::new(),
            other => other?,
        };
        let outage = Outage::of(loaded);
        let mut noticed = 0;
        for _ in 0..3 {
            match in_time(task.poll(WAIT / 10)).await {
                Ok(some) => records.extend(some),
                Err(error) if error.kind() == ErrorKind::End => break,
                Err(error) if passes(&error) => noticed += 1,
                Err(error) => {
                    return Ok(Err(format!(
                        "requests that fail for a moment are an error of kind {}, not transient: {}",
                        error.kind().name(),
                        error.message()
                    )));
                }
            }
        }
        drop(outage);
        let same = self
            .goes_on("after an outage", &mut *task, first, records)
            .await?;
        Ok(same.map(|note| format!("{noticed} of 3 polls failed; {note}")))
    }
    /// After the end nothing comes, neither at once nor later.
    async fn end(&self) -> Outcome {
        let mut task = self.open(Offsets::new()).await?;
        let (mut last, mut ended) = (Offsets::new(), false);
        for _ in 0..POLLS_TO_END {
            let reading = read(&mut *task, 1).await?;
            last.extend(stored(&reading.records));
            ended = reading.ended;
            if ended || reading.records.is_empty() {
                break;
            }
        }
        if !ended {
            return Ok(Ok("not reached".to_owned()));
        }
        if !read(&mut *task, 1).await?.records.is_empty() {
            return Ok(Err("there were records after the end".to_owned()));
        }
        let mut task = self.open(last).await?;
        let records = read(&mut *task, 1).await?.records;
        Ok(
            match (records.len(), self.source.plugin().capabilities.ends) {
                (0, true) => Ok("nothing comes after it".to_owned()),
                (0, false) => {
                    Ok("nothing comes after it; describe could declare `ends`".to_owned())
                }
                (count, _) if !self.once => {
                    Ok(format!("opened at its end, it repeats {count} records"))
                }
                (count, _) => Err(format!("opened at its end, {count} records came")),
            },
        )
    }
    /// Exactly once: a task that dies leaves no trace, and its successor gets the same.
    async fn again(&self, first: &[SourceRecord]) -> Outcome {
        let mut task = self.open(Offsets::new()).await?;
        read(&mut *task, first.len()).await?;
        drop(task);
        let mut task = self.open(Offsets::new()).await?;
        self.comes("from the start on", &mut *task, first).await
    }
    /// After any record the rest of them comes.
    async fn resumed(&self, first: &[SourceRecord]) -> Outcome {
        let last = first.len() - 1;
        let after: BTreeSet<usize> = [1, 2, 3, first.len() / 2, last].into();
        let after = after.into_iter().filter(|done| (1..=last).contains(done));
        let mut seen = 0;
        for done in after {
            let rest = &first[done..];
            let mut task = self.open(stored(&first[..done])).await?;
            let when = format!("after {done} records");
            if let Err(problem) = self.comes(&when, &mut *task, rest).await? {
                return Ok(Err(problem));
            }
            seen += 1;
        }
        Ok(Ok(format!("at {seen} places")))
    }
    /// A task that was just opened gives what is wanted.
    async fn comes(
        &self,
        when: &str,
        task: &mut dyn DynSource,
        wanted: &[SourceRecord],
    ) -> Outcome {
        self.goes_on(when, task, wanted, Vec::new()).await
    }
    /// A task that has given some records gives what is wanted in all: exactly that, or that with repetitions, as it promises.
    async fn goes_on(
        &self,
        when: &str,
        task: &mut dyn DynSource,
        wanted: &[SourceRecord],
        mut came: Vec<SourceRecord>,
    ) -> Outcome {
        if self.once {
            let missing = wanted.len().saturating_sub(came.len());
            came.extend(read(task, missing).await?.records);
            return Ok(same(when, wanted, &came));
        }
        if !self.repeats {
            let count = came.len() + read(task, 1).await?.records.len();
            let note = format!("{count} records {when}, other ones each time: not compared");
            return Ok(Ok(note));
        }
        let until = Instant::now() + PATIENCE;
        let mut missing: Vec<&SourceRecord> = wanted.iter().collect();
        let mut count = came.len();
        missing.retain(|wanted| !came.iter().any(|came| stands_for(came, wanted)));
        while !missing.is_empty() && Instant::now() < until {
            let reading = read(task, 1).await?;
            count += reading.records.len();
            let came = &reading.records;
            missing.retain(|wanted| !came.iter().any(|came| stands_for(came, wanted)));
            if reading.ended || came.is_empty() {
                break;
            }
        }
        Ok(match missing.len() {
            0 => Ok(format!(
                "the same {} records {when}, among {count}",
                wanted.len()
            )),
            lost => Err(format!(
                "{when}: {lost} of {} records do not come, though {count} do",
                wanted.len()
            )),
        })
    }
}
