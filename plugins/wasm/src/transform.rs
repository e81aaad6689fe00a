//! Transforms.

use crate::{
    checks,
    columns::{Rejected, Row, Rows},
    edits::{Edits, Fate},
    installed::{Installed, Place, Seat},
    refusal::again,
    store::State,
    worlds::{Transform, TransformPre},
};
use longshore_sdk::{
    Error, ErrorKind, Record, Result, Transform as Task, Verdict,
    config::{Finding, Flat},
    erased::{DynTransform, TransformPlugin},
};
use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The plugin as the registry holds it.
pub(crate) fn plugin(installed: Arc<Installed>, linked: TransformPre<State>) -> TransformPlugin {
    let keys = installed.keys();
    TransformPlugin {
        plugin: installed.plugin,
        definition: Arc::new(move || keys.clone()),
        build: Arc::new(move |config| build(&installed, &linked, config)),
    }
}

fn build(
    installed: &Arc<Installed>,
    linked: &TransformPre<State>,
    config: &Flat,
) -> Result<Box<dyn DynTransform>> {
    let found = installed.definition.check(config);
    if !found.is_empty() {
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        return Err(Error::config("transform", texts.join("; ")));
    }
    let told = &installed.told;
    Ok(Box::new(WasmTransform {
        rows: Rows::new(
            told.needs(),
            told.key_format(),
            told.value_format(),
            APPLY_BYTES_MAX,
        ),
        installed: installed.clone(),
        linked: linked.clone(),
        config: config.clone(),
        connector: String::new(),
        task: None,
        seat: None,
    }))
}

/// A transform of one task. Its guest starts with the first batch.
struct WasmTransform {
    installed: Arc<Installed>,
    linked: TransformPre<State>,
    config: Flat,
    connector: String,
    task: Option<u32>,
    seat: Option<Seat<Transform>>,
    rows: Rows,
}

/// How much data one `apply` gives a guest: the memory of many instances stays small, and what is worked on stays in the processor's cache.
const APPLY_BYTES_MAX: usize = 64 << 10;

/// Records of the engine's batch that were given to the guest in one call.
struct Piece {
    /// Which of them: from the end of the piece before up to here.
    end: usize,
    /// Those that were not, by index, and why.
    unfit: VecDeque<(usize, Error)>,
    /// What became of the others.
    edits: Result<Edits>,
    /// How many of those have had their turn.
    row: usize,
}

/// What the guest answered to the pieces of one batch of the engine's so far.
struct Answers {
    pieces: Vec<Piece>,
    /// What they hold. All of them live until the last one is there: together they may take as much as one.
    bytes: u64,
    /// How long records of this batch may still be tried alone: all of them together as long as one call.
    alone: Duration,
}

/// Makes an instance.
async fn open(
    installed: &Arc<Installed>,
    linked: &TransformPre<State>,
    config: &Flat,
    place: Place,
) -> Result<Seat<Transform>> {
    let store = installed.store(config, place, true)?;
    let guest = installed
        .instantiate(store, linked, |linked, store| {
            Box::pin(linked.instantiate_async(store))
        })
        .await?;
    Ok(Seat::new(installed.clone(), guest))
}

impl WasmTransform {
    fn place(&self, connector: String) -> Place {
        Place {
            connector,
            task: self.task,
            ..Place::default()
        }
    }
    async fn start(&mut self) -> Result<()> {
        const OP: &str = "start";
        let place = self.place(self.connector.clone());
        let mut seat = open(&self.installed, &self.linked, &self.config, place).await?;
        let json = self.installed.json(&self.config);
        seat.ask(OP, &json, |guest, json| {
            Box::pin(async move {
                let transform = guest.world.longshore_connector_record_transform();
                transform.call_start(&mut guest.store, json).await
            })
        })
        .await?;
        self.seat = Some(seat);
        Ok(())
    }
    /// Has the guest edit the rows of `self.rows`; `held` counts what its answers take.
    async fn edit(&mut self, held: &mut u64) -> Result<Edits> {
        const OP: &str = "apply";
        if self.seat.is_none() {
            self.start().await?;
        }
        let Self {
            seat: Some(seat),
            rows,
            ..
        } = self
        else {
            return Err(Error::bug(OP, "it was not started"));
        };
        let edit = seat
            .ask(OP, rows.end(), |guest, batch| {
                Box::pin(async move {
                    let transform = guest.world.longshore_connector_record_transform();
                    transform.call_apply(&mut guest.store, batch).await
                })
            })
            .await?;
        let given = rows.batch();
        let checked = Edits::check(edit, given, |error| seat.reported(OP, error));
        let edits = checked.map_err(|wrong| seat.rejected(OP, &wrong))?;
        *held += edits.bytes();
        let max = seat.installed.limits.hostcall_bytes;
        if *held > max {
            let problem = format!("{held} bytes for one batch, {max} are allowed");
            return Err(seat.rejected(OP, &Rejected::new("all columns", problem)));
        }
        Ok(edits)
    }
    /// Fills the rows with the records from `start` on; where it stopped, and those that cannot be presented.
    fn fill(&mut self, batch: &[Record], start: usize) -> (usize, VecDeque<(usize, Error)>) {
        self.rows.begin();
        let mut unfit = VecDeque::new();
        let mut at = start;
        while at < batch.len() && !self.rows.full() {
            let record = &batch[at];
            if let Err(error) = self.rows.push(Row { record, at: None }) {
                unfit.push_back((at, error));
            }
            at += 1;
        }
        (at, unfit)
    }
    /// Has the guest edit the records from `start` on, as many as one call takes; then each alone if one of them is bad. Up to where it got.
    async fn pieces(&mut self, batch: &[Record], start: usize, answers: &mut Answers) -> usize {
        let (end, unfit) = self.fill(batch, start);
        let count = end - start - unfit.len();
        let edits = match count {
            0 => Ok(Edits::default()),
            _ => self.edit(&mut answers.bytes).await,
        };
        match edits {
            // Which record is bad, the guest did not say.
            Err(error) if error.kind() == ErrorKind::Data && count > 1 => {
                self.one_by_one(batch, start..end, answers).await
            }
            edits => answers.take(batch, end, unfit, edits),
        }
    }
    /// Has the guest edit each of these records alone. Up to where it got.
    async fn one_by_one(
        &mut self,
        batch: &[Record],
        records: Range<usize>,
        answers: &mut Answers,
    ) -> usize {
        let began = Instant::now();
        let mut at = records.start;
        while at < records.end {
            let (end, unfit) = self.fill(&batch[..=at], at);
            let edits = if !unfit.is_empty() {
                Ok(Edits::default())
            } else if began.elapsed() > answers.alone {
                let tag = self.installed.tag;
                let text = format!(
                    "{tag}: the batch was refused as a whole, and there was no time left to try this record alone"
                );
                Err(Error::transient("apply", text))
            } else {
                self.edit(&mut answers.bytes).await
            };
            at = answers.take(batch, end, unfit, edits);
        }
        answers.alone = answers.alone.saturating_sub(began.elapsed());
        at
    }
}

impl Answers {
    /// Adds the piece up to `end`. Up to where the guest was asked: an error that is not about the data is the answer to all records that are
    /// left, else a guest that never returns would be waited for once per piece.
    fn take(
        &mut self,
        batch: &[Record],
        end: usize,
        unfit: VecDeque<(usize, Error)>,
        edits: Result<Edits>,
    ) -> usize {
        let over = matches!(&edits, Err(error) if error.kind() != ErrorKind::Data);
        let end = if over { batch.len() } else { end };
        self.pieces.push(Piece {
            end,
            unfit,
            edits,
            row: 0,
        });
        end
    }
}

impl Piece {
    /// Changes the record `at`, whose row is the next one unless it is unfit.
    fn apply(&mut self, at: usize, record: &mut Record) -> Fate {
        // They stand in the order of the records.
        if let Some((_, error)) = self.unfit.pop_front_if(|(unfit, _)| *unfit == at) {
            return Fate::Refused(error);
        }
        self.row += 1;
        match &self.edits {
            Ok(edits) => edits.apply(self.row - 1, record),
            Err(error) => Fate::Refused(again(error)),
        }
    }
}

/// Moves each record into what became of it.
fn verdicts(batch: Vec<Record>, pieces: Vec<Piece>) -> Vec<Verdict> {
    let mut pieces = pieces.into_iter().peekable();
    let verdict = |(at, mut record): (usize, Record)| {
        while pieces.next_if(|piece| at >= piece.end).is_some() {}
        let fate = match pieces.peek_mut() {
            Some(piece) => piece.apply(at, &mut record),
            None => Fate::Refused(Error::bug("apply", "a record was left out")),
        };
        match fate {
            Fate::Kept => Verdict::Keep(record),
            Fate::Dropped => Verdict::Drop,
            Fate::Refused(error) => Verdict::Refuse(error),
        }
    };
    batch.into_iter().enumerate().map(verdict).collect()
}

impl Task for WasmTransform {
    fn placed(&mut self, connector: &str, task: u32) {
        connector.clone_into(&mut self.connector);
        self.task = Some(task);
    }
    async fn check(&mut self, connector: &str) -> Vec<Finding> {
        let place = self.place(connector.to_owned());
        let (installed, config) = (&self.installed, &self.config);
        let opened = open(installed, &self.linked, config, place);
        checks::look(installed, config, opened).await
    }
    async fn apply(&mut self, batch: Vec<Record>) -> Vec<Verdict> {
        let mut answers = Answers {
            pieces: Vec::new(),
            bytes: 0,
            alone: self.installed.timeout(),
        };
        let mut start = 0;
        while start < batch.len() {
            start = self.pieces(&batch, start, &mut answers).await;
        }
        verdicts(batch, answers.pieces)
    }
}
