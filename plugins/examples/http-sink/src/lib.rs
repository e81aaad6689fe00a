//! Sends records to an HTTP API, one by one or in arrays, with idempotency keys.

mod settings;
mod verdict;

use longshore_guest::Record;
use longshore_guest::prelude::*;
use settings::{Mode, Nulls, Settings};
use verdict::{Verdict, verdict};

struct HttpSink {
    settings: Settings,
    /// What idempotency keys begin with.
    prefix: String,
    /// With less time than this left, a call that has sent something ends: a slow server takes a batch in several calls.
    until: Duration,
}

impl Sink for HttpSink {
    type Config = Settings;
    const INFO: Info = Info::new(
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
    )
    .vendor("Longshore")
    .needs(Columns::KEY.union(Columns::VALUE).union(Columns::POSITION))
    // Keys that are no text are fine, and text is sent as it stands.
    .formats(Format::Bytes, Format::Text)
    .idempotent()
    .refuses();

    fn check(settings: &Settings) -> Result<Vec<Problem>> {
        Ok(settings.problems())
    }
    fn promise(settings: &Settings) -> Guarantee {
        match settings.mode {
            _ if !settings.idempotent() => Guarantee::at_least_once(
                "a request is sent again after a failure; idempotency.header is empty",
            ),
            Mode::Array => Guarantee::at_least_once(
                "after a restart records may come again in other arrays; batch.mode = single carries a key for each",
            ),
            Mode::Single => Guarantee::effectively_once(
                "each record carries a key made of connector, topic, partition and offset; the server must heed it",
            ),
        }
    }
    fn start(settings: Settings) -> Result<Self> {
        if let Some(problem) = settings.problems().into_iter().next() {
            return Err(problem.into());
        }
        Ok(Self {
            prefix: settings.prefix(&longshore_guest::task().connector),
            settings,
            until: Duration::ZERO,
        })
    }
    fn put(&mut self, records: &Records<'_>, refused: &mut Refused) -> Result<(), PutError> {
        self.until = longshore_guest::time_left() / 2;
        match self.settings.mode {
            Mode::Single => self.put_single(records, refused),
            Mode::Array => self.put_arrays(records, refused),
        }
    }
    /// What `put` took was answered by the server: it is there.
    fn flush(&mut self, upto: Vec<TopicOffset>) -> Result<Vec<TopicOffset>> {
        Ok(upto)
    }
}

impl HttpSink {
    /// Sends records in their order, `concurrency` at a time. Those behind one that failed may be there already: their keys tell.
    fn put_single(&self, records: &Records<'_>, refused: &mut Refused) -> Result<(), PutError> {
        let concurrency = self.settings.concurrency as usize;
        let all: Vec<Record<'_>> = records.iter().collect();
        for some in all.chunks(concurrency) {
            self.in_time(some[0].row())?;
            let sent: Vec<Record<'_>> = some
                .iter()
                .copied()
                .filter(|record| self.is_sent(record, refused))
                .collect();
            let requests = sent.iter().map(|record| self.request_of(record)).collect();
            let answers = http::send_all(requests, self.settings.concurrency);
            for (record, answer) in sent.iter().zip(answers) {
                match verdict(answer, self.settings.on_conflict()) {
                    Verdict::Taken => {}
                    Verdict::Refused(error) => refused.refuse(record, error),
                    Verdict::Failed(error) => return Err(error.after(record.row())),
                }
            }
        }
        Ok(())
    }
    /// Ends a call that has sent the records before `row` if it might not end by itself.
    fn in_time(&self, row: usize) -> Result<(), PutError> {
        if row == 0 || longshore_guest::time_left() >= self.until {
            return Ok(());
        }
        let error = Error::rate_limited("the server takes its time", Some(Duration::ZERO));
        Err(error.after(row))
    }
    /// Whether a record is sent at all.
    fn is_sent(&self, record: &Record<'_>, refused: &mut Refused) -> bool {
        if let Some(value) = record.value() {
            let fits = self.settings.mode == Mode::Single || is_json(value);
            if !fits {
                refused.refuse(
                    record,
                    Error::data(
                        "the value is not one JSON value, so no array can hold it: batch.mode = single sends it as it is",
                    ),
                );
            }
            return fits;
        }
        match self.settings.nulls {
            Nulls::Delete => return true,
            Nulls::Skip => {}
            Nulls::Refuse => refused.refuse(
                record,
                Error::data(
                    "the record has no value: null.values = skip or delete sends such records",
                ),
            ),
        }
        false
    }
    fn request_of(&self, record: &Record<'_>) -> http::Request {
        let value = record.value();
        let request = self
            .settings
            .request(value.is_none(), record.topic(), record.key_text());
        let request = self.keyed(request, std::slice::from_ref(record));
        match value {
            Some(value) => request.body(value),
            None => request,
        }
    }
    /// The key of a record is its place, as one connector reads it. That of an array names all of its places, not its first and last alone:
    /// after a restart another array may begin and end with the same records, and a server that took it for the first would lose those between.
    fn keyed(&self, request: http::Request, records: &[Record<'_>]) -> http::Request {
        let (Some(first), Some(last)) = (records.first(), records.last()) else {
            return request;
        };
        if !self.settings.idempotent() {
            return request;
        }
        let mut key = format!("{}{}", self.prefix, Place(first));
        if records.len() > 1 {
            key.push_str(&format!("..{}-{:032x}", Place(last), digest(records)));
        }
        request.header(&self.settings.idempotency, key)
    }
    fn put_arrays(&self, records: &Records<'_>, refused: &mut Refused) -> Result<(), PutError> {
        let mut array: Vec<Record<'_>> = Vec::new();
        for record in records {
            // Arrays of one topic: the address may name it.
            let full = array.len() >= self.settings.records_max
                || array
                    .first()
                    .is_some_and(|first| first.topic() != record.topic());
            if full {
                self.in_time(array[0].row())?;
                self.put_array(&array, refused)?;
                array.clear();
            }
            if self.is_sent(&record, refused) {
                array.push(record);
            }
        }
        if let Some(first) = array.first() {
            self.in_time(first.row())?;
        }
        self.put_array(&array, refused)
    }
    /// Sends an array. When the server refuses it, each record is sent alone, so that only bad ones are refused.
    fn put_array(&self, array: &[Record<'_>], refused: &mut Refused) -> Result<(), PutError> {
        let Some(first) = array.first() else {
            return Ok(());
        };
        let mut body = vec![b'['];
        for record in array {
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(record.value().unwrap_or(b"null"));
        }
        body.push(b']');
        let request = self.settings.request(false, first.topic(), None).body(body);
        let answer = self.keyed(request, array).send();
        match verdict(answer, self.settings.on_conflict()) {
            Verdict::Taken => Ok(()),
            Verdict::Failed(error) => Err(error.after(first.row())),
            Verdict::Refused(error) if array.len() == 1 => {
                refused.refuse(first, error);
                Ok(())
            }
            Verdict::Refused(_) => {
                for record in array {
                    self.in_time(record.row())?;
                    self.put_array(std::slice::from_ref(record), refused)?;
                }
                Ok(())
            }
        }
    }
}

/// Where a record was read, as keys have it.
struct Place<'a>(&'a Record<'a>);

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(record) = self;
        let (topic, partition, offset) = (record.origin(), record.partition(), record.offset());
        write!(f, "{topic}-{partition}-{offset}")
    }
}

/// FNV-1a of 128 bits over all places: it stays the same from one version to the next, and nobody chooses places to make two of them meet.
fn digest(records: &[Record<'_>]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut digest = OFFSET;
    for record in records {
        let place = format!("{}\n", Place(record));
        for byte in place.bytes() {
            digest = (digest ^ u128::from(byte)).wrapping_mul(PRIME);
        }
    }
    digest
}

fn is_json(value: &[u8]) -> bool {
    // Bytes that are ignored are not looked at as text.
    std::str::from_utf8(value)
        .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

longshore_guest::export_sink!(HttpSink);

#[cfg(test)]
mod tests;
