//! From taken records to durable ones to committed offsets.

use super::{Call, Count, Failure, Level, Place, Running, Sample};
use crate::{crash_point::crash_point, mutant::mutant};
use longshore_sdk::TopicOffsets;
use tokio::time::Instant;

impl Running {
    /// Flushes what was taken and commits what was flushed, if there is anything.
    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        self.commit_at = started + self.settings.commit_interval;
        if mutant!("commit-before-flush") {
            drop(self.consumer.commit(&self.taken).await);
        }
        self.flush().await?;
        if self.flushed.is_empty() {
            return Ok(());
        }
        // I3: `flushed` holds nothing that flush did not return.
        self.progress.enter(Call::Commit);
        let committed = self
            .consumer
            .commit_with(&self.flushed, self.states.metadata())
            .await;
        self.progress.leave(committed.is_ok());
        self.meters.sample_time(Sample::Commit, started.elapsed());
        match committed {
            Ok(()) => {
                if !mutant!("unowned-commit") {
                    self.flushed.clear();
                    self.states.committed();
                }
                self.commit_seq += 1;
                self.meters.add(Count::Commits, 1);
                self.meters.add(Count::Stored, 1);
                self.meters.set(Level::CommitSeq, self.commit_seq);
                self.recovered(Place::Commit);
                crash_point("after-commit");
                Ok(())
            }
            Err(error) => {
                self.meters.add(Count::StoreFailed, 1);
                self.meters.add(Count::CommitsSkipped, 1);
                self.retry(Place::Commit, "commit", error)?;
                self.commit_at = self.commits.at().unwrap_or(self.commit_at);
                Ok(())
            }
        }
    }

    /// Makes everything taken durable. An error of any kind ends the task: flush is never called again on it.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if self.taken.is_empty() {
            return Ok(());
        }
        if let Some(dead) = &mut self.dead
            && !mutant!("flush-before-dead-letter")
            && !(self.keeps && mutant!("refused-forgotten"))
        {
            // I1: what a flush may commit includes refused records, so their letters are acknowledged first.
            self.progress.enter(Call::DeadLetters);
            let settled = dead.settled().await;
            self.progress.leave(settled.is_ok());
            settled.map_err(|error| self.failure(Place::DeadLetter, "dead letter", error))?;
        }
        crash_point("before-flush");
        self.progress.enter(Call::Flush);
        let flushed = self.sink.flush(&self.taken).await;
        self.progress.leave(flushed.is_ok());
        if flushed.is_err() && mutant!("flush-error-ignored") {
            return Ok(());
        }
        let durable = flushed.map_err(|error| self.failure(Place::Flush, "flush", error))?;
        crash_point("after-flush");
        self.take_states(&durable)?;
        self.note_durable(durable);
        self.meters.set(Level::SinkActive, 0);
        Ok(())
    }

    /// What the sink holds back stays taken and is asked for again; what it was not asked for does not count.
    fn note_durable(&mut self, durable: TopicOffsets) {
        for (at, offset) in durable {
            let Some(taken) = self.taken.get(&at).copied() else {
                continue;
            };
            if offset >= taken {
                self.taken.remove(&at);
            }
            self.flushed.insert(at, offset.min(taken));
        }
    }
}
