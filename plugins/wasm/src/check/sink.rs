//! Cases of sinks.

use super::{
    Cases, Outage, Outcome, allowed,
    group::{Group, TOPIC, Task, opened, partitions},
    in_time, judged, looked, none_breaks, passes, planned, sample,
};
use crate::Loaded;
use longshore_sdk::{
    Error, ErrorKind, Refused, TopicOffsets, config::Flat, erased::DynSinkConnector,
};

/// Records of a large batch.
const MANY: usize = 1_000;

pub(super) async fn check(
    loaded: &Loaded,
    sink: &dyn DynSinkConnector,
    good: &Flat,
    cases: &mut Cases,
) {
    cases.add(
        "promise",
        match sink.guarantee(good) {
            Ok(word) => Ok(format!("{}: {}", word.level.name(), word.method)),
            Err(error) => allowed(&error),
        },
    );
    cases.add("check", looked(&sink.check(good).await));
    let mut answers = Vec::new();
    for (what, config) in sample::bad(&sink.definition(), good) {
        answers.push((what, sink.guarantee(&config).err()));
        drop(sink.check(&config).await);
        answers.push((what, opened(sink, &config).await.err()));
    }
    cases.add("bad configs", none_breaks(&answers));
    let mut group = Group::new(sink, good);
    cases.add("plan", judged(group.plans().await));
    match group.written().await {
        Ok(note) => cases.add("put and flush", note),
        Err(error) => return cases.add("put and flush", allowed(&error)),
    }
    cases.add("empty calls", judged(group.empty_calls().await));
    cases.add("close twice", judged(group.closed().await));
    cases.add("refused records", judged(group.refusals().await));
    cases.add("many records", judged(group.many().await));
    cases.add("partitions that go", judged(group.revoked().await));
    cases.add("a task that dies", judged(group.dropped().await));
    cases.add("an outage", judged(group.outage(loaded).await));
    cases.add("kept offsets", judged(group.kept().await));
}

impl Group<'_> {
    async fn plans(&self) -> Outcome {
        let mut plans = Vec::new();
        for tasks in [1, 2, 7] {
            let plan = in_time(self.sink.plan(self.config, tasks)).await?;
            let again = in_time(self.sink.plan(self.config, tasks)).await?;
            if plan.is_empty() {
                return Ok(Err(format!("no share for {tasks} tasks")));
            }
            plans.push((tasks, plan, again));
        }
        Ok(planned(&plans))
    }
    /// Records that are not easy to take.
    async fn written(&mut self) -> Outcome {
        let mut task = self.open().await?;
        let batch = self.samples();
        let refused = in_time(task.put(&batch)).await?;
        if let Some(beyond) = refused.iter().find(|refused| refused.index >= batch.len()) {
            let (index, count) = (beyond.index, batch.len());
            return Ok(Err(format!("put refuses record {index} of {count}")));
        }
        // Twice: nothing has come in between.
        for _ in 0..2 {
            if let Err(problem) = self.flush(&mut task).await? {
                return Ok(Err(problem));
            }
        }
        in_time(task.revoked(&partitions())).await?;
        closes(task).await;
        Ok(Ok(format!(
            "{} records, {} refused",
            batch.len(),
            refused.len()
        )))
    }
    async fn empty_calls(&mut self) -> Outcome {
        let mut task = self.open().await?;
        let none = TopicOffsets::new();
        for _ in 0..2 {
            in_time(task.put(&[])).await?;
            let committed = in_time(task.flush(&none)).await?;
            if !committed.is_empty() {
                return Ok(Err(format!(
                    "flush of nothing lets {} offsets be committed",
                    committed.len()
                )));
            }
            in_time(task.revoked(&[])).await?;
            in_time(task.assigned(&[])).await?;
        }
        closes(task).await;
        Ok(Ok("put, flush, revoked and assigned of nothing".to_owned()))
    }
    /// What was not flushed may be thrown away.
    async fn closed(&mut self) -> Outcome {
        for puts in [false, true] {
            let mut task = self.open().await?;
            if puts {
                let batch = self.samples();
                in_time(task.put(&batch)).await?;
            }
            for _ in 0..2 {
                in_time(task.close()).await?;
            }
        }
        Ok(Ok("before a put, and after one".to_owned()))
    }
    /// The same records are refused amid others and alone: what is refused is named by its row.
    async fn refusals(&mut self) -> Outcome {
        let mut task = self.open().await?;
        let batch = self.samples();
        let together = indices(&in_time(task.put(&batch)).await?);
        let mut alone = Vec::new();
        let batch = self.samples();
        for (index, record) in batch.iter().enumerate() {
            let put = in_time(task.put(std::slice::from_ref(record))).await;
            match put {
                Ok(refused) if refused.is_empty() => {}
                Ok(_) => alone.push(index),
                Err(error) if error.kind() == ErrorKind::Data => alone.push(index),
                Err(error) => return Err(error),
            }
        }
        closes(task).await;
        Ok(match together == alone {
            true => Ok(format!("{} of {}", alone.len(), batch.len())),
            false => Err(format!(
                "of {} records in one batch {together:?} are refused, one by one {alone:?}",
                batch.len()
            )),
        })
    }
    async fn many(&mut self) -> Outcome {
        let mut task = self.open().await?;
        let mut count = 0;
        for _ in 0..3 {
            let batch = self.read(sample::many(TOPIC, MANY));
            count += batch.len();
            self.put_all(&mut task, batch).await?;
            if let Err(problem) = self.flush(&mut task).await? {
                return Ok(Err(problem));
            }
        }
        closes(task).await;
        Ok(Ok(format!("{count} records")))
    }
    /// Partitions go after a flush, and are lost without one; then they come back.
    async fn revoked(&mut self) -> Outcome {
        let mut task = self.open().await?;
        for flushed in [true, false] {
            let batch = self.samples();
            in_time(task.put(&batch)).await?;
            if flushed && let Err(problem) = self.flush(&mut task).await? {
                return Ok(Err(problem));
            }
            let gone = &partitions()[..2];
            in_time(task.revoked(gone)).await?;
            let claimed = in_time(task.assigned(gone)).await?;
            self.next.extend(claimed.unwrap_or_default());
        }
        let batch = self.samples();
        in_time(task.put(&batch)).await?;
        // One that cannot take back what it wrote must fail here.
        let note = match self.flush(&mut task).await {
            Ok(Err(problem)) => return Ok(Err(problem)),
            Ok(Ok(_)) => "after a flush, and without one".to_owned(),
            Err(error) => allowed(&error).map_or_else(Err, Ok).unwrap_or_default(),
        };
        drop(task);
        Ok(Ok(note))
    }
    /// A task is dropped with records that were not flushed; its successor takes them again.
    async fn dropped(&mut self) -> Outcome {
        let mut task = self.open().await?;
        let before = self.next.clone();
        let batch = self.samples();
        in_time(task.put(&batch)).await?;
        drop(task);
        self.next = before;
        let mut task = self.open().await?;
        let batch = self.samples();
        in_time(task.put(&batch)).await?;
        if let Err(problem) = self.flush(&mut task).await? {
            return Ok(Err(problem));
        }
        closes(task).await;
        Ok(Ok("the next one goes on".to_owned()))
    }
    /// Its requests fail for a while: it says so, and takes the rest afterwards.
    async fn outage(&mut self, loaded: &Loaded) -> Outcome {
        let mut task = self.open().await?;
        let batch = self.read(sample::many(TOPIC, 10));
        let outage = Outage::of(loaded);
        let put = in_time(task.put(&batch)).await;
        drop(outage);
        let taken = match put {
            Ok(_) => batch.len(),
            Err(error) if passes(&error) => error.taken(),
            Err(error) => return Ok(Err(lasting(&error))),
        };
        let rest = batch.get(taken..).unwrap_or_default().to_vec();
        let mut note = match rest.len() {
            0 => "put does without requests".to_owned(),
            count => format!("{count} of {} records came again", batch.len()),
        };
        self.put_all(&mut task, rest).await?;
        if let Err(problem) = self.flush(&mut task).await? {
            return Ok(Err(problem));
        }
        let before = self.next.clone();
        let batch = self.read(sample::many(TOPIC, 10));
        self.put_all(&mut task, batch).await?;
        let outage = Outage::of(loaded);
        let flushed = self.flush(&mut task).await;
        drop(outage);
        match flushed {
            Ok(Ok(_)) => note.push_str("; flush does without requests"),
            Ok(Err(problem)) => return Ok(Err(problem)),
            Err(error) if passes(&error) => {
                note.push_str("; a flush failed, and the next task goes on")
            }
            Err(error) => return Ok(Err(lasting(&error))),
        }
        // A flush that failed is never called again on its task (I3).
        drop(task);
        self.next = before;
        let mut task = self.open().await?;
        let batch = self.read(sample::many(TOPIC, 10));
        self.put_all(&mut task, batch).await?;
        if let Err(problem) = self.flush(&mut task).await? {
            return Ok(Err(problem));
        }
        closes(task).await;
        Ok(Ok(note))
    }
    /// A target that keeps the offsets knows what was flushed, and has one owner.
    async fn kept(&mut self) -> Outcome {
        let mut first = self.open().await?;
        let declared = self.sink.plugin().capabilities.keeps_offsets;
        match (&self.claimed, declared) {
            (None, false) => return Ok(Ok("the consumer group keeps them".to_owned())),
            (None, true) => {
                return Ok(Err(
                    "describe declares keeps-offsets, but assigned answers none".to_owned(),
                ));
            }
            (Some(_), false) => {
                return Ok(Err(
                    "assigned answers offsets, but describe does not declare keeps-offsets"
                        .to_owned(),
                ));
            }
            (Some(_), true) => {}
        }
        let batch = self.samples();
        in_time(first.put(&batch)).await?;
        let flushed = match self.flush(&mut first).await? {
            Ok(flushed) => flushed,
            Err(problem) => return Ok(Err(problem)),
        };
        let second = match self.try_open().await {
            Ok(second) => second,
            Err(error) if error.kind() == ErrorKind::Fenced => {
                return Ok(Ok(
                    "a second task is fenced while there is a first".to_owned()
                ));
            }
            Err(error) => return Err(error),
        };
        let claimed = self.claimed.clone().unwrap_or_default();
        if flushed
            .iter()
            .any(|(at, offset)| claimed.get(at) != Some(offset))
        {
            return Ok(Err(format!(
                "{flushed:?} were flushed, but the next task is told {claimed:?}"
            )));
        }
        let batch = self.samples();
        let zombie = match in_time(first.put(&batch)).await {
            Ok(_) => self.flush(&mut first).await.map(|_| ()),
            Err(error) => Err(error),
        };
        closes(second).await;
        Ok(match zombie {
            Err(error) if error.kind() == ErrorKind::Fenced => {
                Ok("the next task knows them, and the one before is fenced".to_owned())
            }
            Err(error) => Err(format!(
                "a task that has lost its claim gets an error of kind {}, not fenced: {}",
                error.kind().name(),
                error.message()
            )),
            Ok(()) => Err("a task that has lost its claim may still flush".to_owned()),
        })
    }
}

/// Ends a task; whether it closes as it should is a case of its own.
async fn closes(mut task: Task) {
    drop(in_time(task.close()).await);
}

fn lasting(error: &Error) -> String {
    format!(
        "requests that fail for a moment are an error of kind {}, not transient: {}",
        error.kind().name(),
        error.message()
    )
}

fn indices(refused: &[Refused]) -> Vec<usize> {
    refused.iter().map(|refused| refused.index).collect()
}
