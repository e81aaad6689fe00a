//! Records inside a batch: unpacking, walking, and composing. Only the paths that must look inside come here
//! (compacted topics, lookups by time); produce and fetch never do.

use std::borrow::Cow;
use std::io::{self, Read};

use super::batch::{HEADER, Header};

/// A batch that unpacks to more is refused: the limit before the allocation.
const MAX_UNPACKED: usize = 128 * 1024 * 1024;
const XERIAL: &[u8] = b"\x82SNAPPY\0";

/// One record, borrowed from its unpacked batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    /// The whole record as encoded, its length prefix included.
    pub(crate) raw: &'a [u8],
    /// The part after the timestamp delta: offset delta, key, value, headers.
    rest: &'a [u8],
}

impl Record<'_> {
    /// Appends the record with another timestamp delta.
    pub(crate) fn encode_with_timestamp_delta(&self, delta: i64, out: &mut Vec<u8>) {
        let mut head = vec![0]; // attributes
        put_varlong(&mut head, delta);
        put_varlong(out, (head.len() + self.rest.len()) as i64);
        out.extend_from_slice(&head);
        out.extend_from_slice(self.rest);
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The records of a whole batch, uncompressed.
pub(crate) fn unpack<'a>(batch: &'a [u8], header: &Header) -> io::Result<Cow<'a, [u8]>> {
    let packed = &batch[HEADER..];
    match header.codec() {
        0 => Ok(Cow::Borrowed(packed)),
        1 => bounded(flate2::read::MultiGzDecoder::new(packed)),
        2 => unpack_snappy(packed),
        3 => bounded(lz4_flex::frame::FrameDecoder::new(packed)),
        4 => bounded(zstd::stream::read::Decoder::new(packed)?),
        _ => Err(broken("unknown compression codec")),
    }
}

fn bounded<'a>(reader: impl Read) -> io::Result<Cow<'a, [u8]>> {
    let mut out = Vec::new();
    reader.take(MAX_UNPACKED as u64 + 1).read_to_end(&mut out)?;
    if out.len() > MAX_UNPACKED {
        return Err(broken("batch unpacks to more than the limit"));
    }
    Ok(Cow::Owned(out))
}

/// Snappy comes raw or in the framing of the Java client (magic, two versions, then length-prefixed blocks).
fn unpack_snappy<'a>(packed: &[u8]) -> io::Result<Cow<'a, [u8]>> {
    let mut out = Vec::new();
    if !packed.starts_with(XERIAL) {
        snappy_block(packed, &mut out)?;
        return Ok(Cow::Owned(out));
    }
    let mut rest = packed
        .get(16..)
        .ok_or_else(|| broken("short snappy header"))?;
    while !rest.is_empty() {
        let (length, tail) = rest
            .split_first_chunk::<4>()
            .ok_or_else(|| broken("short snappy block"))?;
        let length = u32::from_be_bytes(*length) as usize;
        let block = tail
            .get(..length)
            .ok_or_else(|| broken("short snappy block"))?;
        snappy_block(block, &mut out)?;
        rest = &tail[length..];
    }
    Ok(Cow::Owned(out))
}

fn snappy_block(block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let length = snap::raw::decompress_len(block).map_err(io::Error::other)?;
    let start = out.len();
    if start + length > MAX_UNPACKED {
        return Err(broken("batch unpacks to more than the limit"));
    }
    out.resize(start + length, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut out[start..])
        .map_err(io::Error::other)?;
    Ok(())
}

/// Walks unpacked records; ends with an error at the first that is not whole.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
    left: i32,
}

/// The records of an unpacked batch, in order.
pub(crate) fn walk<'a>(unpacked: &'a [u8], header: &Header) -> Records<'a> {
    Records {
        rest: unpacked,
        left: header.record_count,
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = io::Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let record = parse(&mut self.rest).ok_or_else(|| broken("a record is cut short"));
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

fn parse<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let whole = *rest;
    let mut cursor = whole;
    let length = usize::try_from(varlong(&mut cursor)?).ok()?;
    let prefix = whole.len() - cursor.len();
    let mut body = cursor.get(..length)?;
    *rest = &cursor[length..];
    body = body.get(1..)?; // attributes, unused
    let timestamp_delta = varlong(&mut body)?;
    let after_time = body;
    let offset_delta = i32::try_from(varlong(&mut body)?).ok()?;
    let key = blob(&mut body)?;
    let value = blob(&mut body)?;
    Some(Record {
        timestamp_delta,
        offset_delta,
        key,
        value,
        raw: &whole[..prefix + length],
        rest: after_time,
    })
}

fn blob<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varlong(bytes)?;
    if length < 0 {
        return Some(None);
    }
    let length = usize::try_from(length).ok()?;
    let out = bytes.get(..length)?;
    *bytes = &bytes[length..];
    Some(Some(out))
}

/// A zigzag varint of up to ten bytes.
fn varlong(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// Whether every record has a key, as a compacted topic demands.
pub(crate) fn all_keyed(batch: &[u8], header: &Header) -> io::Result<bool> {
    let unpacked = unpack(batch, header)?;
    for record in walk(&unpacked, header) {
        if record?.key.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a control batch says: `true` commit, `false` abort, `None` something else.
pub(crate) fn marker_commits(batch: &[u8]) -> Option<bool> {
    let header = Header::parse(batch)?;
    let unpacked = unpack(batch, &header).ok()?;
    let record = walk(&unpacked, &header).next()?.ok()?;
    match record.key? {
        [_, _, 0, 0] => Some(false),
        [_, _, 0, 1] => Some(true),
        _ => None,
    }
}

/// Key and value of a record to compose.
#[cfg(test)]
pub(crate) type Pair<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// A plain batch at offset 0 with the given keys and values, for tests.
#[cfg(test)]
pub(crate) fn compose(records: &[Pair<'_>], timestamp: i64) -> bytes::Bytes {
    compose_as(records, timestamp, (-1, -1, -1), false)
}

/// The same for a producer `(id, epoch, base sequence)`, transactional or not.
#[cfg(test)]
pub(crate) fn compose_as(
    records: &[Pair<'_>],
    timestamp: i64,
    producer: (i64, i16, i32),
    transactional: bool,
) -> bytes::Bytes {
    let mut body = Vec::new();
    for (delta, (key, value)) in records.iter().enumerate() {
        let mut record = vec![0, 0];
        put_varlong(&mut record, delta as i64);
        for part in [key, value] {
            put_varlong(&mut record, part.map_or(-1, |p| p.len() as i64));
            record.extend_from_slice(part.unwrap_or_default());
        }
        record.push(0);
        put_varlong(&mut body, record.len() as i64);
        body.extend_from_slice(&record);
    }
    let of = Header {
        base_offset: 0,
        length: 0,
        magic: 2,
        crc: 0,
        attributes: if transactional { 0x10 } else { 0 },
        last_offset_delta: records.len() as i32 - 1,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: producer.2,
        record_count: records.len() as i32,
    };
    let rebuilt = super::batch::Rebuilt {
        of: &of,
        records: &body,
        count: records.len() as i32,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        horizon: false,
    };
    bytes::Bytes::from(rebuilt.encode())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn records_come_back_as_composed() {
        let batch = compose(
            &[
                (Some(b"a"), Some(b"1")),
                (None, Some(b"2")),
                (Some(b""), None),
            ],
            5,
        );
        let header = Header::parse(&batch).expect("a header");
        let unpacked = unpack(&batch, &header).expect("plain");
        let got: Vec<_> = walk(&unpacked, &header)
            .map(|r| r.map(|r| (r.offset_delta, r.key, r.value)))
            .collect::<Result<_, _>>()
            .expect("whole records");
        assert_eq!(
            got,
            vec![
                (0, Some(&b"a"[..]), Some(&b"1"[..])),
                (1, None, Some(&b"2"[..])),
                (2, Some(&b""[..]), None)
            ]
        );
        assert!(!all_keyed(&batch, &header).expect("walks"));
    }

    #[test]
    fn a_record_cut_short_is_an_error() {
        let batch = compose(&[(Some(b"key"), Some(b"value"))], 5);
        let header = Header::parse(&batch).expect("a header");
        let cut = &batch[HEADER..batch.len() - 3];
        assert!(walk(cut, &header).next().expect("one item").is_err());
    }

    #[test]
    fn every_codec_unpacks() {
        let plain = b"some records, some records, some records".repeat(50);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).expect("in memory");
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).expect("in memory");
        let block = snap::raw::Encoder::new()
            .compress_vec(&plain)
            .expect("in memory");
        let mut xerial = [XERIAL, &[0, 0, 0, 1, 0, 0, 0, 1][..]].concat();
        xerial.extend_from_slice(&(block.len() as u32).to_be_bytes());
        xerial.extend_from_slice(&block);
        let packed = [
            (1, gzip.finish().expect("in memory")),
            (2, block),
            (2, xerial),
            (3, lz4.finish().expect("in memory")),
            (
                4,
                zstd::stream::encode_all(&plain[..], 1).expect("in memory"),
            ),
        ];
        let mut header = Header::parse(&compose(&[(None, None)], 0)).expect("a header");
        for (codec, bytes) in packed {
            header.attributes = codec;
            let batch = [&[0u8; HEADER][..], &bytes].concat();
            assert_eq!(
                unpack(&batch, &header).expect("unpacks").as_ref(),
                &plain[..],
                "codec {codec}"
            );
        }
    }

    #[test]
    fn another_timestamp_delta_keeps_the_rest() {
        let batch = compose(&[(Some(b"k"), Some(b"v"))], 5);
        let header = Header::parse(&batch).expect("a header");
        let record = walk(&batch[HEADER..], &header)
            .next()
            .expect("one")
            .expect("whole");
        let mut out = Vec::new();
        record.encode_with_timestamp_delta(-123_456, &mut out);
        let again = walk(&out, &header).next().expect("one").expect("whole");
        assert_eq!(
            (again.timestamp_delta, again.key, again.value),
            (-123_456, Some(&b"k"[..]), Some(&b"v"[..]))
        );
    }
}
