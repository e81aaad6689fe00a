//! The v2 record batch as bytes: a 61-byte header at fixed places, the records (perhaps compressed) behind it.
//!
//! Batches are stored as they came. Only the base offset and the leader epoch are patched: the checksum covers neither.

use bytes::{BufMut, Bytes};
use kafka_protocol::error::ResponseError;

/// Bytes before the first record.
pub(crate) const HEADER: usize = 61;
/// Bytes before the part that `length` counts: base offset and the length itself.
const PREFIX: usize = 12;
/// The checksum covers everything from the attributes on.
const CRC_FROM: usize = 21;

const CODEC_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// The header of one batch, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    pub(crate) length: i32,
    pub(crate) magic: i8,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

impl Header {
    /// Reads a header; `None` when the bytes are too few or hold no plausible v2 batch.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Header> {
        if bytes.len() < HEADER {
            return None;
        }
        let header = Header {
            base_offset: i64::from_be_bytes(take(bytes, 0)),
            length: i32::from_be_bytes(take(bytes, 8)),
            magic: bytes[16] as i8,
            crc: u32::from_be_bytes(take(bytes, 17)),
            attributes: i16::from_be_bytes(take(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(take(bytes, 23)),
            base_timestamp: i64::from_be_bytes(take(bytes, 27)),
            max_timestamp: i64::from_be_bytes(take(bytes, 35)),
            producer_id: i64::from_be_bytes(take(bytes, 43)),
            producer_epoch: i16::from_be_bytes(take(bytes, 51)),
            base_sequence: i32::from_be_bytes(take(bytes, 53)),
            record_count: i32::from_be_bytes(take(bytes, 57)),
        };
        let plausible = header.magic == 2
            && header.length >= (HEADER - PREFIX) as i32
            && header.last_offset_delta >= 0
            && header.record_count >= 0
            && header.base_offset >= 0;
        plausible.then_some(header)
    }

    /// Whole batch in bytes, header included.
    pub(crate) fn size(&self) -> usize {
        PREFIX + self.length as usize
    }

    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// The sequence number of the last record; sequences wrap after `i32::MAX`.
    pub(crate) fn last_sequence(&self) -> i32 {
        advance_sequence(self.base_sequence, self.last_offset_delta)
    }

    pub(crate) fn codec(&self) -> i16 {
        self.attributes & CODEC_MASK
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// When set, the base timestamp is the moment from which tombstones and markers of this batch may go.
    pub(crate) fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    pub(crate) fn is_idempotent(&self) -> bool {
        self.producer_id >= 0
    }
}

/// `sequence + by`, wrapped as Kafka wraps it (0 follows `i32::MAX`).
pub(crate) fn advance_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    if sum > i64::from(i32::MAX) {
        (sum - i64::from(i32::MAX) - 1) as i32
    } else {
        sum as i32
    }
}

/// Whether the checksum of a whole batch is right.
pub(crate) fn checksum_holds(batch: &[u8], header: &Header) -> bool {
    batch.len() == header.size() && crc32c::crc32c(&batch[CRC_FROM..]) == header.crc
}

/// Checks what a client sent for one partition: exactly one whole, sound v2 batch.
pub(crate) fn inspect(batch: &[u8]) -> Result<Header, ResponseError> {
    if batch.len() > 16 && (batch[16] as i8) < 2 {
        return Err(ResponseError::UnsupportedForMessageFormat);
    }
    let header = Header::parse(batch).ok_or(ResponseError::CorruptMessage)?;
    if !checksum_holds(batch, &header) {
        return Err(if batch.len() > header.size() {
            ResponseError::InvalidRecord
        } else {
            ResponseError::CorruptMessage
        });
    }
    let counted = header.record_count > 0 && header.record_count - 1 == header.last_offset_delta;
    let numbered =
        !header.is_idempotent() || (header.base_sequence >= 0 && header.producer_epoch >= 0);
    if !counted || !numbered || header.is_control() || header.codec() > 4 {
        return Err(ResponseError::InvalidRecord);
    }
    if header.is_transactional() && !header.is_idempotent() {
        return Err(ResponseError::InvalidRecord);
    }
    Ok(header)
}

/// The first 16 bytes of a batch as they are stored: its offset, its length, leader epoch 0.
pub(crate) fn stored_prefix(base_offset: i64, length: i32) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&base_offset.to_be_bytes());
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out
}

/// The same batch stamped with the broker's clock (`message.timestamp.type=LogAppendTime`).
pub(crate) fn stamped(batch: &[u8], now_ms: i64) -> Bytes {
    let mut out = batch.to_vec();
    let attributes = i16::from_be_bytes(take(&out, 21)) | LOG_APPEND_TIME;
    out[21..23].copy_from_slice(&attributes.to_be_bytes());
    out[35..43].copy_from_slice(&now_ms.to_be_bytes());
    let crc = crc32c::crc32c(&out[CRC_FROM..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(out)
}

/// What a rebuilt batch keeps of the one it replaces, and what changes.
pub(crate) struct Rebuilt<'a> {
    pub(crate) of: &'a Header,
    /// Uncompressed, encoded records.
    pub(crate) records: &'a [u8],
    pub(crate) count: i32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) horizon: bool,
}

impl Rebuilt<'_> {
    /// Encodes the batch with the offsets, sequence and producer of the original, uncompressed.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut attributes = self.of.attributes & !CODEC_MASK & !DELETE_HORIZON;
        if self.horizon {
            attributes |= DELETE_HORIZON;
        }
        let header = Header {
            length: (HEADER - PREFIX + self.records.len()) as i32,
            attributes,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            record_count: self.count,
            ..*self.of
        };
        encode(&header, self.records)
    }
}

fn encode(header: &Header, records: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + records.len());
    out.put_i64(header.base_offset);
    out.put_i32(header.length);
    out.put_i32(0);
    out.put_i8(2);
    out.put_u32(0);
    out.put_i16(header.attributes);
    out.put_i32(header.last_offset_delta);
    out.put_i64(header.base_timestamp);
    out.put_i64(header.max_timestamp);
    out.put_i64(header.producer_id);
    out.put_i16(header.producer_epoch);
    out.put_i32(header.base_sequence);
    out.put_i32(header.record_count);
    out.extend_from_slice(records);
    let crc = crc32c::crc32c(&out[CRC_FROM..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out
}

/// The control batch that ends a transaction on one partition; its offset is patched when it is appended.
pub(crate) fn marker(producer_id: i64, producer_epoch: i16, commit: bool, now_ms: i64) -> Bytes {
    // One record: no headers, key = (version 0, type), value = (version 0, coordinator epoch 0).
    let body: [u8; 15] = [0, 0, 0, 8, 0, 0, 0, u8::from(commit), 12, 0, 0, 0, 0, 0, 0];
    let mut records = vec![((body.len() + 1) * 2) as u8];
    records.extend_from_slice(&body);
    records.push(0);
    let header = Header {
        base_offset: 0,
        length: (HEADER - PREFIX + records.len()) as i32,
        magic: 2,
        crc: 0,
        attributes: TRANSACTIONAL | CONTROL,
        last_offset_delta: 0,
        base_timestamp: now_ms,
        max_timestamp: now_ms,
        producer_id,
        producer_epoch,
        base_sequence: -1,
        record_count: 1,
    };
    Bytes::from(encode(&header, &records))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record;

    #[test]
    fn a_marker_is_a_sound_control_batch() {
        let bytes = marker(7, 3, true, 1000);
        let header = Header::parse(&bytes).expect("a header");
        assert!(checksum_holds(&bytes, &header));
        assert!(header.is_control() && header.is_transactional());
        assert_eq!(record::marker_commits(&bytes), Some(true));
        assert_eq!(
            record::marker_commits(&marker(7, 3, false, 1000)),
            Some(false)
        );
    }

    #[test]
    fn a_flipped_bit_is_corrupt() {
        let mut bytes = record::compose(&[(Some(b"k"), Some(b"v"))], 10).to_vec();
        assert!(inspect(&bytes).is_ok());
        bytes[HEADER + 2] ^= 1;
        assert_eq!(inspect(&bytes), Err(ResponseError::CorruptMessage));
    }

    #[test]
    fn two_batches_in_one_partition_are_refused() {
        let one = record::compose(&[(None, Some(b"v"))], 10);
        let two = [one.as_ref(), one.as_ref()].concat();
        assert_eq!(inspect(&two), Err(ResponseError::InvalidRecord));
    }

    #[test]
    fn patching_the_offset_keeps_the_checksum() {
        let batch = record::compose(&[(None, Some(b"v"))], 10);
        let mut stored = batch.to_vec();
        stored[..16].copy_from_slice(&stored_prefix(
            99,
            Header::parse(&batch).expect("a header").length,
        ));
        let header = Header::parse(&stored).expect("a header");
        assert_eq!(header.base_offset, 99);
        assert!(checksum_holds(&stored, &header));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(advance_sequence(i32::MAX, 1), 0);
        assert_eq!(advance_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(advance_sequence(5, 3), 8);
    }

    #[test]
    fn a_stamped_batch_carries_the_brokers_clock() {
        let batch = stamped(&record::compose(&[(None, Some(b"v"))], 10), 777);
        let header = inspect(&batch).expect("still sound");
        assert_eq!(header.max_timestamp, 777);
    }
}
