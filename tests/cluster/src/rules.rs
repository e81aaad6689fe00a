//! What both worlds share: which records are bad, and a chain that finds them.

use bytes::Bytes;
use longshore_engine::task::{Chain, Step};
use longshore_kit::faults::{At, Fault, Faults};
use longshore_sdk::{
    Datum, Error, ErrorKind, Predicate, Record, Result, Transform, Verdict,
    converter::Codec,
    erased::{DynConverter, DynTransform},
};
use std::{sync::Arc, time::Duration};

/// What is to become of a record. It follows from its place alone, so that the oracle knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It must arrive.
    Good,
    /// A transform leaves it out.
    Dropped,
    /// A converter or a transform refuses it.
    Refused,
    /// The other side (broker or target) refuses it.
    Rejected,
}

/// The fate of record `number` of lane or partition `lane`.
pub fn fate(lane: u64, number: u64) -> Fate {
    match (lane * 7 + number * 5) % 23 {
        3 => Fate::Dropped,
        8 | 15 => Fate::Refused,
        19 => Fate::Rejected,
        _ => Fate::Good,
    }
}

/// The bytes of a record.
pub fn text(lane: u64, number: u64) -> Bytes {
    Bytes::from(format!("{lane}:{number}"))
}

/// Reads them back.
pub fn parse(datum: &Datum) -> (u64, u64) {
    let (Datum::Bytes(bytes) | Datum::Text(bytes)) = datum else {
        panic!("a record without bytes: {datum:?}")
    };
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let (lane, number) = text.split_once(':').expect("lane and number");
    (
        lane.parse().expect("a lane"),
        number.parse().expect("a number"),
    )
}

/// A chain that drops and refuses as [`fate`] says, and has transient errors of its own.
pub fn chain(faults: &Arc<Faults>, sink: bool) -> Chain {
    let picky: Box<dyn DynTransform> = Box::new(Picky(faults.clone()));
    // Sees everything, by way of a predicate that is turned around.
    let seen = Step {
        name: "picky".to_owned(),
        transform: picky,
        predicate: Some((Box::new(Nothing), true)),
    };
    let unseen = Step {
        name: "poison".to_owned(),
        transform: Box::new(Poison),
        predicate: Some((Box::new(Nothing), false)),
    };
    let plain = Step {
        name: "same".to_owned(),
        transform: Box::new(Same),
        predicate: None,
    };
    let codec = |picky| Box::new(Plain(picky)) as Box<dyn DynConverter>;
    let steps = vec![plain, unseen, seen];
    if sink {
        Chain::sink(codec(false), codec(true), codec(false), steps)
    } else {
        Chain::source(codec(false), codec(true), codec(false), steps)
    }
}

struct Plain(bool);

impl Plain {
    fn check(&self, datum: &Datum) -> Result<()> {
        if self.0 && !datum.is_null() {
            let (lane, number) = parse(datum);
            if fate(lane, number) == Fate::Refused && number.is_multiple_of(2) {
                return Err(Error::data("convert", "an even bad record"));
            }
        }
        Ok(())
    }
}

impl Codec for Plain {
    fn decode(&mut self, _: &str, bytes: Option<Bytes>) -> Result<Datum> {
        let datum = bytes.map_or(Datum::Null, Datum::Text);
        self.check(&datum)?;
        Ok(datum)
    }
    fn encode(&mut self, _: &str, datum: Datum) -> Result<Option<Bytes>> {
        self.check(&datum)?;
        match datum {
            Datum::Bytes(bytes) | Datum::Text(bytes) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }
}

struct Same;

impl Transform for Same {
    async fn apply(&mut self, batch: Vec<Record>) -> Vec<Verdict> {
        batch.into_iter().map(Verdict::Keep).collect()
    }
}

struct Poison;

impl Transform for Poison {
    async fn apply(&mut self, batch: Vec<Record>) -> Vec<Verdict> {
        panic!(
            "the predicate lets nothing through, and {} records came",
            batch.len()
        )
    }
}

struct Nothing;

impl Predicate for Nothing {
    fn test(&self, _: &Record) -> bool {
        false
    }
}

struct Picky(Arc<Faults>);

impl Transform for Picky {
    async fn apply(&mut self, batch: Vec<Record>) -> Vec<Verdict> {
        tokio::time::sleep(Duration::from_micros(200)).await;
        let judge = |record: Record| match self.0.next(At::Chain) {
            Some(Fault::Throttle(time)) => Verdict::Refuse(Error::new(
                ErrorKind::Throttled(Some(time)),
                "transform",
                "slow down",
            )),
            Some(_) => Verdict::Refuse(Error::transient("transform", "not now")),
            None => {
                let (lane, number) = parse(&record.value);
                match fate(lane, number) {
                    Fate::Dropped => Verdict::Drop,
                    Fate::Refused => Verdict::Refuse(Error::data("transform", "a bad record")),
                    Fate::Good | Fate::Rejected => Verdict::Keep(record),
                }
            }
        };
        batch.into_iter().map(judge).collect()
    }
}
