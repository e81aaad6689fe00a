//! Converters: bytes on the wire to data and back.

use crate::{Datum, Error, Record, Result};
use bytes::Bytes;
use std::future::Future;

/// Which part of a record a converter is configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `key.converter`.
    Key,
    /// `value.converter`.
    Value,
    /// `header.converter`: applied to the value of every header.
    Headers,
}

/// A record of a batch that could not be converted. After a failed decode it is as it was; after a failed encode the part that failed is null,
/// so whoever needs the original keeps a copy.
#[derive(Debug)]
pub struct Unconverted {
    /// Index into the batch.
    pub index: usize,
    /// Why; of kind Data for bad bytes or data.
    pub error: Error,
}

/// Converts one part of the records of a batch, in place.
///
/// Authors of formats without a registry implement [`Codec`] instead: every codec is a converter.
pub trait Converter: Send {
    /// `Datum::Bytes` to data. Failures are listed by rising index, at most one per record.
    fn decode(
        &mut self,
        part: Part,
        batch: &mut [Record],
    ) -> impl Future<Output = Vec<Unconverted>> + Send;
    /// Data to `Datum::Bytes` or `Datum::Null`. Failures are listed by rising index, at most one per record.
    fn encode(
        &mut self,
        part: Part,
        batch: &mut [Record],
    ) -> impl Future<Output = Vec<Unconverted>> + Send;
}

/// A format that is pure computation on one datum.
pub trait Codec: Send {
    /// Bytes as read (`None` is a null) to data.
    fn decode(&mut self, topic: &str, bytes: Option<Bytes>) -> Result<Datum>;
    /// Data to bytes; `None` is a null: a tombstone, where it is the value.
    fn encode(&mut self, topic: &str, datum: Datum) -> Result<Option<Bytes>>;
}

impl<C: Codec> Converter for C {
    async fn decode(&mut self, part: Part, batch: &mut [Record]) -> Vec<Unconverted> {
        each(batch, |record| {
            on_part(part, record, &mut |topic, datum| {
                decode_one(self, topic, datum)
            })
        })
    }
    async fn encode(&mut self, part: Part, batch: &mut [Record]) -> Vec<Unconverted> {
        each(batch, |record| {
            on_part(part, record, &mut |topic, datum| {
                encode_one(self, topic, datum)
            })
        })
    }
}

fn each(
    batch: &mut [Record],
    mut convert: impl FnMut(&mut Record) -> Result<()>,
) -> Vec<Unconverted> {
    let failed = batch.iter_mut().enumerate().filter_map(|(index, record)| {
        convert(record)
            .err()
            .map(|error| Unconverted { index, error })
    });
    failed.collect()
}

fn on_part(
    part: Part,
    record: &mut Record,
    convert: &mut impl FnMut(&str, &mut Datum) -> Result<()>,
) -> Result<()> {
    let Record {
        topic,
        key,
        value,
        headers,
        ..
    } = record;
    match part {
        Part::Key => convert(topic, key),
        Part::Value => convert(topic, value),
        Part::Headers => headers
            .iter_mut()
            .try_for_each(|header| convert(topic, &mut header.value)),
    }
}

fn decode_one(codec: &mut impl Codec, topic: &str, datum: &mut Datum) -> Result<()> {
    let bytes = match datum {
        Datum::Null => None,
        Datum::Bytes(bytes) => Some(bytes.clone()),
        Datum::Json(_) | Datum::Text(_) | Datum::Value(..) => return Ok(()),
    };
    *datum = codec.decode(topic, bytes)?;
    Ok(())
}

fn encode_one(codec: &mut impl Codec, topic: &str, datum: &mut Datum) -> Result<()> {
    let original = std::mem::take(datum);
    *datum = codec
        .encode(topic, original)?
        .map_or(Datum::Null, Datum::Bytes);
    Ok(())
}
