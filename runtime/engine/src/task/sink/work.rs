//! The batch at hand: chain, dead letters, put.

use super::{
    Batch, Call, Count, Failure, Level, Next, Place, Running, Sample,
    batch::{Converting, Letter, Putting},
    react,
};
use crate::{crash_point::crash_point, mutant::mutant, task::flow::Refusal};
use longshore_sdk::{Error, Refused, Result, SinkRecord, Topic};
use tokio::time::Instant;

impl Running {
    /// A batch came.
    pub(super) fn accept(&mut self, records: Vec<SinkRecord>) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        if self.batch.is_some() {
            let error = Error::bug("poll", "the consumer brought records while it was paused");
            return Err(Failure::new("poll", error, Next::Fail));
        }
        let bytes = records.iter().map(|record| record.record.size()).sum();
        self.credit.hold(bytes);
        self.meters.add(Count::Read, records.len());
        #[allow(clippy::cast_precision_loss)]
        self.meters.sample(Sample::Batch, records.len() as f64);
        self.meters.set(
            Level::SinkActive,
            i64::try_from(records.len()).unwrap_or(i64::MAX),
        );
        self.batch = Some(Batch::Converting(Converting::new(
            records,
            self.dead.is_some(),
        )));
        Ok(())
    }

    /// Moves the batch at hand as far as it goes. A retryable error leaves the rest of it at hand.
    pub(super) async fn work(&mut self) -> Result<(), Failure> {
        let putting = match self.batch.take() {
            Some(Batch::Converting(converting)) => self.convert(converting).await?,
            Some(Batch::Putting(putting)) => Some(putting),
            None => None,
        };
        match putting {
            Some(putting) => self.put(putting).await,
            None => Ok(()),
        }
    }

    async fn convert(&mut self, mut converting: Converting) -> Result<Option<Putting>, Failure> {
        if let Err(error) = self.announce(&converting).await {
            self.batch = Some(Batch::Converting(converting));
            self.retry(Place::Put, "observe topic", error)?;
            return Ok(None);
        }
        self.progress.enter(Call::Chain);
        let moved = self
            .chain
            .advance(&mut converting.flow, &self.settings.errors)
            .await;
        self.progress.leave(moved.is_ok());
        if let Err(mut error) = moved {
            if let Some(at) = converting.culprit() {
                error = error.with("record", at);
            }
            self.batch = Some(Batch::Converting(converting));
            self.retry(Place::Chain, "transform", error)?;
            return Ok(None);
        }
        self.recovered(Place::Chain);
        crash_point("after-transform");
        self.meters.add(Count::Errors, converting.flow.errors);
        self.meters.add(Count::Retries, converting.flow.retries);
        self.meters.add(Count::Dropped, converting.flow.drops);
        let (mut putting, letters) = converting.finish();
        self.bury(letters).await?;
        putting.advance(0, &mut self.taken);
        Ok(Some(putting))
    }

    async fn announce(&mut self, converting: &Converting) -> Result<()> {
        let mut last: Option<&Topic> = None;
        for at in converting.places() {
            if last == Some(&at.topic) {
                continue;
            }
            last = Some(&at.topic);
            if !self.known.contains(&at.topic) {
                self.topics.seen(&at.topic).await?;
                self.known.insert(at.topic.clone());
            }
        }
        Ok(())
    }

    async fn put(&mut self, mut putting: Putting) -> Result<(), Failure> {
        let batch = putting.rest();
        if batch.is_empty() {
            return Ok(());
        }
        let (asked, bytes) = (
            batch.len(),
            batch.iter().map(|record| record.record.size()).sum(),
        );
        crash_point("before-put");
        self.progress.enter(Call::Put);
        let started = Instant::now();
        let answer = self.sink.put(batch).await;
        self.meters.sample_time(Sample::Put, started.elapsed());
        self.progress.leave(answer.is_ok());
        crash_point("after-put");
        match answer {
            Ok(refused) => {
                self.recovered(Place::Put);
                let letters = self.judge(&mut putting, asked, refused)?;
                self.took(asked - letters.len(), bytes);
                self.bury(letters).await?;
                putting.advance(asked, &mut self.taken);
                if self.keeps {
                    // One transaction = one put: the target's own offsets move with its rows.
                    self.flush().await?;
                }
                Ok(())
            }
            Err(error) => {
                let taken = if mutant!("taken-ignored") {
                    0
                } else {
                    error.taken().min(asked)
                };
                if taken > 0 {
                    // It got somewhere: the attempts count from here.
                    self.puts.clear();
                    self.took(taken, 0);
                    putting.advance(taken, &mut self.taken);
                }
                if mutant!("drop-on-retry") {
                    putting.advance(asked - taken, &mut self.taken);
                }
                self.batch = Some(Batch::Putting(putting));
                self.retry(Place::Put, "put", error)
            }
        }
    }

    fn took(&self, records: usize, bytes: usize) {
        self.meters.add(Count::Sent, records);
        self.meters.add(Count::Bytes, bytes);
        self.progress.moved(records, bytes);
    }

    /// Decides about the records that put refused.
    fn judge(
        &mut self,
        putting: &mut Putting,
        asked: usize,
        refused: Vec<Refused>,
    ) -> Result<Vec<Letter>, Failure> {
        let mut letters = Vec::with_capacity(refused.len());
        let mut last = None;
        for Refused { index, error } in refused {
            if index >= asked || last.is_some_and(|last| index <= last) {
                let error = Error::bug(
                    "put",
                    "the sink refused a record that it was not given, or named one twice or out of order",
                );
                return Err(Failure::new("put", error, Next::Fail));
            }
            last = Some(index);
            let index = if mutant!("wrong-refused-index") {
                (index + 1).min(asked - 1)
            } else {
                index
            };
            self.meters.add(Count::Errors, 1);
            match react(Place::Refused, error.kind(), &self.settings.errors) {
                Next::DeadLetter | Next::Skip => {
                    let refusal = Refusal {
                        ordinal: 0,
                        stage: "TASK_PUT",
                        name: self.class.clone(),
                        error,
                    };
                    letters.push(putting.letter(index, refusal));
                }
                next => {
                    self.meters.add(Count::Failures, 1);
                    self.meters.failed_now();
                    let error = match putting.place(index) {
                        Some(at) => error.with("record", at),
                        None => error,
                    };
                    return Err(Failure::new("put", error, next));
                }
            }
        }
        Ok(letters)
    }

    /// Counts and logs records that nobody can mend, and sends them to the dead letter queue where there is one.
    async fn bury(&mut self, letters: Vec<Letter>) -> Result<(), Failure> {
        if letters.is_empty() {
            return Ok(());
        }
        self.meters.add(Count::Failures, letters.len());
        self.meters.add(Count::Skipped, letters.len());
        self.meters.failed_now();
        if self.settings.errors.log_enable {
            self.meters.add(Count::Logged, letters.len());
            for (_, at, refusal) in &letters {
                let place = if self.settings.errors.log_include_messages {
                    at.to_string()
                } else {
                    String::new()
                };
                tracing::error!(task = %self.id, stage = refusal.stage, plugin = %refusal.name, error = %refusal.error, record = place, "record is left out");
            }
        }
        let Some(dead) = &mut self.dead else {
            return Ok(());
        };
        let letters = letters
            .into_iter()
            .filter_map(|(raw, at, refusal)| Some((raw?, at, refusal)));
        self.progress.enter(Call::DeadLetters);
        let sent = dead.send(letters.collect()).await;
        self.progress.leave(sent.is_ok());
        sent.map_err(|error| self.failure(Place::DeadLetter, "dead letter", error))
    }
}
