//! The chain between poll and the producer, or between the consumer and put: transforms and converters, a batch at a time.

use super::{ErrorPolicy, flow::Flow};
use longshore_sdk::{
    Error, Predicate, Record, Result, Verdict,
    converter::Part,
    erased::{DynConverter, DynTransform},
};
use std::sync::Arc;

/// One entry of `transforms`.
pub struct Step {
    /// The plugin's name, as errors and dead letters give it.
    pub name: String,
    /// What it does.
    pub transform: Box<dyn DynTransform>,
    /// Which records it sees, and whether that is turned around (`negate`); the others pass it by.
    pub predicate: Option<(Box<dyn Predicate>, bool)>,
}

/// Transforms and converters of one task, in the order in which records meet them.
pub struct Chain {
    stages: Vec<Stage>,
}

struct Stage {
    /// Kafka Connect's name of the stage, as dead letters give it.
    label: &'static str,
    name: Arc<str>,
    work: Work,
}

enum Work {
    Transform(Box<dyn DynTransform>, Option<(Box<dyn Predicate>, bool)>),
    Decode(Part, Box<dyn DynConverter>),
    Encode(Part, Box<dyn DynConverter>),
}

impl Chain {
    /// A source's: transforms, then headers, key and value are encoded.
    pub fn source(
        key: Box<dyn DynConverter>,
        value: Box<dyn DynConverter>,
        header: Box<dyn DynConverter>,
        steps: Vec<Step>,
    ) -> Self {
        let converters = [
            Stage::converter(
                "HEADER_CONVERTER",
                "header.converter",
                Work::Encode(Part::Headers, header),
            ),
            Stage::converter(
                "KEY_CONVERTER",
                "key.converter",
                Work::Encode(Part::Key, key),
            ),
            Stage::converter(
                "VALUE_CONVERTER",
                "value.converter",
                Work::Encode(Part::Value, value),
            ),
        ];
        Self {
            stages: steps
                .into_iter()
                .map(Stage::transform)
                .chain(converters)
                .collect(),
        }
    }
    /// A sink's: key, value and headers are decoded, then transforms.
    pub fn sink(
        key: Box<dyn DynConverter>,
        value: Box<dyn DynConverter>,
        header: Box<dyn DynConverter>,
        steps: Vec<Step>,
    ) -> Self {
        let converters = [
            Stage::converter(
                "KEY_CONVERTER",
                "key.converter",
                Work::Decode(Part::Key, key),
            ),
            Stage::converter(
                "VALUE_CONVERTER",
                "value.converter",
                Work::Decode(Part::Value, value),
            ),
            Stage::converter(
                "HEADER_CONVERTER",
                "header.converter",
                Work::Decode(Part::Headers, header),
            ),
        ];
        Self {
            stages: converters
                .into_iter()
                .chain(steps.into_iter().map(Stage::transform))
                .collect(),
        }
    }
    /// Gives the converters the names that errors and dead letters show.
    #[must_use]
    pub fn named(mut self, key: &str, value: &str, header: &str) -> Self {
        for stage in &mut self.stages {
            match stage.label {
                "KEY_CONVERTER" => stage.name = key.into(),
                "VALUE_CONVERTER" => stage.name = value.into(),
                "HEADER_CONVERTER" => stage.name = header.into(),
                _ => {}
            }
        }
        self
    }
    /// Moves a batch on, to the end of the chain or to the first stage that has an error that no policy tolerates. After an error of kind Transient or
    /// Throttled the call may be made again, if the policy has a retry timeout: only what failed is tried again. After any other the batch is spoilt.
    pub(super) async fn advance(&mut self, flow: &mut Flow, policy: &ErrorPolicy) -> Result<()> {
        while let Some(stage) = self.stages.get_mut(flow.stage) {
            if flow.records.is_empty() {
                flow.stage = self.stages.len();
                break;
            }
            let failed = if flow.again.is_empty() {
                stage.first(flow, policy).await?
            } else {
                stage.again(flow).await?
            };
            for (place, error) in failed {
                flow.judge(place, error, stage.label, &stage.name, policy)?;
            }
            if let Some(error) = flow.trouble.take() {
                return Err(error);
            }
            flow.sweep();
            flow.stage += 1;
        }
        Ok(())
    }
}

/// What failed at a stage: places in the flow.
type Failed = Vec<(usize, Error)>;

impl Stage {
    fn transform(step: Step) -> Self {
        Self {
            label: "TRANSFORMATION",
            name: step.name.into(),
            work: Work::Transform(step.transform, step.predicate),
        }
    }
    fn converter(label: &'static str, name: &str, work: Work) -> Self {
        Self {
            label,
            name: name.into(),
            work,
        }
    }
    async fn first(&mut self, flow: &mut Flow, policy: &ErrorPolicy) -> Result<Failed> {
        let unconverted = match &mut self.work {
            Work::Decode(part, converter) => converter.decode(*part, &mut flow.records).await,
            Work::Encode(part, converter) => converter.encode(*part, &mut flow.records).await,
            Work::Transform(transform, None) => {
                let batch = std::mem::take(&mut flow.records);
                // Copies are needed only where a record may have to be transformed again.
                let copies = if policy.retry_timeout.is_zero() {
                    Vec::new()
                } else {
                    batch.clone()
                };
                let asked = batch.len();
                let verdicts = transform.apply(batch).await;
                check_count(asked, verdicts.len(), &self.name)?;
                flow.records.reserve(asked);
                return Ok(keep(flow, verdicts, copies));
            }
            Work::Transform(transform, Some((predicate, negate))) => {
                let seen: Vec<bool> = flow
                    .records
                    .iter()
                    .map(|record| predicate.test(record) != *negate)
                    .collect();
                if !seen.contains(&true) {
                    return Ok(Failed::new());
                }
                return some(&mut **transform, flow, &seen, policy, &self.name).await;
            }
        };
        let records = flow.records.len();
        if unconverted.iter().any(|failed| failed.index >= records) {
            return Err(Error::bug(
                "convert",
                format!("{} named a record outside of its batch", self.name),
            ));
        }
        Ok(unconverted
            .into_iter()
            .map(|failed| (failed.index, failed.error))
            .collect())
    }
    /// One by one: what has to be done again after a retryable error.
    async fn again(&mut self, flow: &mut Flow) -> Result<Failed> {
        let mut failed = Failed::new();
        for place in std::mem::take(&mut flow.again) {
            flow.retries += 1;
            let record = &mut flow.records[place];
            let error = match &mut self.work {
                Work::Decode(part, converter) => converter
                    .decode(*part, std::slice::from_mut(record))
                    .await
                    .pop()
                    .map(|failed| failed.error),
                Work::Encode(part, converter) => converter
                    .encode(*part, std::slice::from_mut(record))
                    .await
                    .pop()
                    .map(|failed| failed.error),
                Work::Transform(transform, _) => {
                    let mut verdicts = transform.apply(vec![record.clone()]).await;
                    check_count(1, verdicts.len(), &self.name)?;
                    match verdicts.pop() {
                        Some(Verdict::Keep(kept)) => {
                            *record = kept;
                            None
                        }
                        Some(Verdict::Refuse(error)) => Some(error),
                        Some(Verdict::Drop) | None => {
                            flow.dropped(place);
                            None
                        }
                    }
                }
            };
            failed.extend(error.map(|error| (place, error)));
        }
        Ok(failed)
    }
}

fn check_count(asked: usize, answered: usize, name: &str) -> Result<()> {
    if asked == answered {
        return Ok(());
    }
    Err(Error::bug(
        "transform",
        format!("{name} gave {answered} verdicts for {asked} records"),
    ))
}

/// Puts back what a transform kept, in order; places of dropped and refused records are filled, so that indices hold until the flow is swept.
fn keep(flow: &mut Flow, verdicts: Vec<Verdict>, copies: Vec<Record>) -> Failed {
    let mut failed = Failed::new();
    let mut copies = copies.into_iter();
    for (place, verdict) in verdicts.into_iter().enumerate() {
        let copy = copies.next();
        let record = match verdict {
            Verdict::Keep(record) => record,
            Verdict::Drop => {
                flow.dropped(place);
                empty()
            }
            Verdict::Refuse(error) => {
                failed.push((place, error));
                copy.unwrap_or_else(empty)
            }
        };
        flow.records.push(record);
    }
    failed
}

/// Applies a transform to the records that its predicate lets it see.
async fn some(
    transform: &mut dyn DynTransform,
    flow: &mut Flow,
    seen: &[bool],
    policy: &ErrorPolicy,
    name: &str,
) -> Result<Failed> {
    let places: Vec<usize> = seen
        .iter()
        .enumerate()
        .filter(|(_, seen)| **seen)
        .map(|(place, _)| place)
        .collect();
    let batch: Vec<Record> = places
        .iter()
        .map(|place| std::mem::replace(&mut flow.records[*place], empty()))
        .collect();
    let mut copies = if policy.retry_timeout.is_zero() {
        Vec::new()
    } else {
        batch.clone()
    }
    .into_iter();
    let verdicts = transform.apply(batch).await;
    check_count(places.len(), verdicts.len(), name)?;
    let mut failed = Failed::new();
    for (place, verdict) in places.into_iter().zip(verdicts) {
        let copy = copies.next();
        match verdict {
            Verdict::Keep(record) => flow.records[place] = record,
            Verdict::Drop => flow.dropped(place),
            Verdict::Refuse(error) => {
                failed.push((place, error));
                flow.records[place] = copy.unwrap_or_else(empty);
            }
        }
    }
    Ok(failed)
}

/// Fills a place until it is swept.
fn empty() -> Record {
    static NOWHERE: std::sync::LazyLock<longshore_sdk::Topic> =
        std::sync::LazyLock::new(|| Arc::from(""));
    Record::new(NOWHERE.clone())
}
