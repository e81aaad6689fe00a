//! Batches out of a consumer's queue. A [`Bytes`] made here stays valid for ever: small data is copied into one buffer per batch, large data keeps
//! its message and its client alive.

use crate::handle::Handle;
use bytes::{Buf, Bytes, BytesMut};
use longshore_sdk::{
    Datum, Error, Header, Headers, Record, Result, SinkRecord, Topic, TopicOffset, TopicPartition,
};
use rdkafka::{
    bindings as sys,
    error::RDKafkaErrorCode as Code,
    types::{RDKafkaMessage, RDKafkaQueue, RDKafkaRespErr},
};
use std::{
    collections::HashMap,
    ffi::{CStr, CString, c_void},
    ptr::{self, NonNull},
    sync::Arc,
};
use tokio::sync::Notify;

/// Payloads up to this size are copied: cheaper than an owner each, and the fetch buffer is free again.
const COPIED_MAX: usize = 4096;

/// One message that a [`Bytes`] keeps alive, and with it the client it came from.
struct Payload {
    message: NonNull<RDKafkaMessage>,
    _client: Arc<Handle>,
}

// SAFETY: a fetched message is immutable and belongs to whoever destroys it; the library allows that on any thread.
unsafe impl Send for Payload {}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the message is not destroyed before `self` is dropped; its payload is `len` readable bytes (null was ruled out by the maker).
        unsafe {
            let message = self.message.as_ref();
            std::slice::from_raw_parts(message.payload.cast::<u8>(), message.len)
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        // SAFETY: the message was taken from the queue by us, and is destroyed once, before the client (`_client` is dropped after this).
        unsafe { sys::rd_kafka_message_destroy(self.message.as_ptr()) }
    }
}

/// Room for the messages of one call; empty between calls.
#[derive(Default)]
pub(crate) struct Batch(Vec<*mut RDKafkaMessage>);

// SAFETY: it holds no message between calls, only memory.
unsafe impl Send for Batch {}
// SAFETY: as above.
unsafe impl Sync for Batch {}

/// What one call of [`SharedQueue::drain`] took.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    /// Of everything that stood in the queue, records or not.
    pub(crate) messages: usize,
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Something that stands in the queue for one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// A record was taken; the next offset.
    Record(i64),
    /// The partition's end was reached: the next offset, past transaction markers too. Only with enable.partition.eof.
    End(i64),
    /// An error in place of a record.
    Trouble(Code),
}

/// Who reads from the queue: its partitions by number.
pub(crate) trait Readers {
    /// The number of a partition, and the topic's name to share; `None` = it is not read, or no more.
    fn find(&self, topic: &str, partition: i32) -> Option<(usize, Topic)>;
    /// Whether records of a partition are wanted; the others are thrown away.
    fn wants(&self, number: usize) -> bool;
    /// Something of a partition was taken; `None` = of no partition in particular.
    fn seen(&mut self, number: Option<usize>, seen: Seen);
}

/// One queue for all partitions of a client, cut off from its main queue: what is fetched waits here until it is drained. The library's limits
/// on what is fetched ahead are per queue: with a queue for each, a thousand partitions would hold a thousand times as much.
pub(crate) struct SharedQueue {
    queue: NonNull<RDKafkaQueue>,
    wake: Arc<Notify>,
    names: Vec<Arc<str>>,
    /// Whose messages are whose, by the library's own topic handle, which lives as long as one of the topic's partitions is read.
    known: HashMap<(usize, i32), Option<(usize, Topic)>>,
    client: Arc<Handle>,
}

// SAFETY: queues of the library are thread safe; the pointer is owned by this value alone.
unsafe impl Send for SharedQueue {}
// SAFETY: as above; `&self` offers nothing but thread safe calls.
unsafe impl Sync for SharedQueue {}

/// The library calls this with its queue locked: it only sets a flag and wakes a task.
unsafe extern "C" fn nonempty(_: *mut sys::rd_kafka_t, wake: *mut c_void) {
    // SAFETY: `wake` is the Notify that the queue's owner keeps alive until it has disabled this callback.
    unsafe { (*wake.cast::<Notify>()).notify_one() }
}

impl SharedQueue {
    /// An empty queue; `wake` is notified when records arrive.
    pub(crate) fn open(client: Arc<Handle>, wake: Arc<Notify>) -> Result<Self> {
        // SAFETY: the client is alive, and outlives the queue: `client` is dropped after it. The queue is ours to destroy.
        let queue = unsafe { NonNull::new(sys::rd_kafka_queue_new(client.native())) };
        let queue = queue.ok_or_else(|| Error::bug("assign", "the client made no queue"))?;
        // SAFETY: `wake` outlives the callback, see Drop.
        unsafe {
            let opaque = Arc::as_ptr(&wake).cast_mut().cast::<c_void>();
            sys::rd_kafka_queue_cb_event_enable(queue.as_ptr(), Some(nonempty), opaque);
        }
        Ok(Self {
            queue,
            wake,
            names: Vec::new(),
            known: HashMap::new(),
            client,
        })
    }
    /// Leads a partition's records here. Must be called before each assignment of the partition, so that no record reaches the main queue.
    pub(crate) fn lead(&mut self, at: &TopicPartition) -> Result<()> {
        self.forget();
        let topic = c_string(&at.topic)?;
        // SAFETY: the client is alive and `topic` a C string; the library copies it. The queue reference is ours to destroy.
        let partition = unsafe {
            let queue = sys::rd_kafka_queue_get_partition(
                self.client.native(),
                topic.as_ptr(),
                at.partition,
            );
            NonNull::new(queue)
        };
        let partition = partition.ok_or_else(|| {
            Error::bug("assign", "the client has no queue for the partition").with("partition", at)
        })?;
        // SAFETY: both queues are alive; the library keeps a reference of its own to the target. Ours to the source goes.
        unsafe {
            sys::rd_kafka_queue_forward(partition.as_ptr(), self.queue.as_ptr());
            sys::rd_kafka_queue_destroy(partition.as_ptr());
        }
        Ok(())
    }
    /// The partitions' numbers have changed.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    /// Appends what is there, at most `room` records, without waiting.
    pub(crate) fn drain(
        &mut self,
        room: usize,
        batch: &mut Batch,
        readers: &mut impl Readers,
        out: &mut Vec<SinkRecord>,
    ) -> Drained {
        let batch = &mut batch.0;
        batch.clear();
        batch.resize(room, ptr::null_mut());
        // SAFETY: the buffer has `room` places; the library fills the first `count` with messages that are ours to destroy.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, batch.as_mut_ptr(), room)
        };
        batch.truncate(usize::try_from(count).unwrap_or(0));
        let mut drained = Drained {
            messages: batch.len(),
            ..Drained::default()
        };
        let mut small = self.copy_small(batch);
        let mut last = None;
        let mut reader = None;
        for message in batch.drain(..).filter_map(NonNull::new) {
            // SAFETY: a message from the queue, not destroyed yet.
            let raw = unsafe { message.as_ref() };
            // Records come in runs of one partition.
            let place = (raw.rkt as usize, raw.partition);
            if last != Some(place) {
                (last, reader) = (Some(place), self.reader(raw, readers));
            }
            let number = reader.as_ref().map(|(number, _)| *number);
            let code: Code = raw.err.into();
            let seen = match (code, &reader) {
                (Code::NoError, Some((number, topic))) if readers.wants(*number) => {
                    readers.seen(Some(*number), Seen::Record(raw.offset + 1));
                    let record = self.record(message, topic, &mut small);
                    drained.records += 1;
                    drained.bytes += record.record.size();
                    out.push(record);
                    continue;
                }
                (Code::NoError, _) => {
                    let (key, value) = small_parts(message);
                    small.advance(key.len() + value.len());
                    None
                }
                (Code::PartitionEOF, _) => Some(Seen::End(raw.offset)),
                (other, _) => Some(Seen::Trouble(other)),
            };
            if let Some(seen) = seen {
                readers.seen(number, seen);
            }
            // SAFETY: ours, destroyed once: records that were taken went another way.
            unsafe { sys::rd_kafka_message_destroy(message.as_ptr()) }
        }
        drained
    }

    /// Who reads the message's partition.
    fn reader(&mut self, raw: &RDKafkaMessage, readers: &impl Readers) -> Option<(usize, Topic)> {
        let topic = NonNull::new(raw.rkt)?;
        let find = || {
            // SAFETY: the message keeps its topic alive, and the topic its name.
            let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(topic.as_ptr())) };
            readers.find(name.to_str().ok()?, raw.partition)
        };
        let place = (topic.as_ptr() as usize, raw.partition);
        self.known.entry(place).or_insert_with(find).clone()
    }

    /// One buffer with all keys and the small payloads of a batch, in order.
    fn copy_small(&self, batch: &[*mut RDKafkaMessage]) -> Bytes {
        let parts = || {
            batch
                .iter()
                .filter_map(|m| NonNull::new(*m))
                .map(small_parts)
        };
        let size: usize = parts().map(|(key, value)| key.len() + value.len()).sum();
        let mut buffer = BytesMut::with_capacity(size);
        for (key, value) in parts() {
            buffer.extend_from_slice(key);
            buffer.extend_from_slice(value);
        }
        buffer.freeze()
    }

    /// Takes the message over: it is destroyed here or by the record's value.
    fn record(
        &mut self,
        message: NonNull<RDKafkaMessage>,
        topic: &Topic,
        small: &mut Bytes,
    ) -> SinkRecord {
        // SAFETY: a message from the queue, not destroyed yet.
        let raw = unsafe { message.as_ref() };
        let (partition, offset) = (raw.partition, raw.offset);
        let key = match raw.key.is_null() {
            true => Datum::Null,
            false => Datum::Bytes(small.split_to(raw.key_len)),
        };
        // SAFETY: the message is alive; a null type pointer is allowed.
        let timestamp =
            unsafe { sys::rd_kafka_message_timestamp(message.as_ptr(), ptr::null_mut()) };
        let headers = self.headers(message);
        let value = if raw.payload.is_null() {
            Datum::Null
        } else if raw.len <= COPIED_MAX {
            Datum::Bytes(small.split_to(raw.len))
        } else {
            // From here on the payload owns the message.
            let payload = Payload {
                message,
                _client: Arc::clone(&self.client),
            };
            Datum::Bytes(Bytes::from_owner(payload))
        };
        if raw.payload.is_null() || raw.len <= COPIED_MAX {
            // SAFETY: everything was copied; ours, destroyed once.
            unsafe { sys::rd_kafka_message_destroy(message.as_ptr()) }
        }
        SinkRecord {
            record: Record {
                topic: Topic::clone(topic),
                partition: Some(partition),
                key,
                value,
                headers,
                timestamp: Some(timestamp).filter(|ms| *ms >= 0),
                offset: None,
            },
            at: TopicOffset {
                topic: Topic::clone(topic),
                partition,
                offset,
            },
        }
    }

    fn headers(&mut self, message: NonNull<RDKafkaMessage>) -> Headers {
        let mut list = ptr::null_mut();
        // SAFETY: the message is alive; the list belongs to it.
        let found = unsafe { sys::rd_kafka_message_headers(message.as_ptr(), &mut list) };
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Headers::new();
        }
        let mut headers = Headers::new();
        loop {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            let index = headers.len();
            // SAFETY: the list is alive as long as its message; name and value are valid as long as the list.
            let header = unsafe {
                let found =
                    sys::rd_kafka_header_get_all(list, index, &mut name, &mut value, &mut size);
                if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return headers;
                }
                let value = match value.is_null() {
                    true => Datum::Null,
                    false => Datum::Bytes(Bytes::copy_from_slice(std::slice::from_raw_parts(
                        value.cast::<u8>(),
                        size,
                    ))),
                };
                (CStr::from_ptr(name).to_string_lossy(), value)
            };
            let key = self.name(index, &header.0);
            headers.push(Header {
                key,
                value: header.1,
            });
        }
    }

    /// Records of one partition mostly have the same headers in the same order: their names are shared.
    fn name(&mut self, index: usize, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(index).filter(|known| &***known == name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        if index < self.names.len() {
            self.names[index] = Arc::clone(&new);
        } else if index < 64 {
            self.names.push(Arc::clone(&new));
        }
        new
    }
}

impl Drop for SharedQueue {
    fn drop(&mut self) {
        let _keep = &self.wake;
        // SAFETY: disabling takes the queue's lock, so the callback is not running and will not run when `wake` goes; the queue is ours.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// Key and, if it is small, payload of a message that holds a record; otherwise nothing. The slices live as long as the message.
fn small_parts<'a>(message: NonNull<RDKafkaMessage>) -> (&'a [u8], &'a [u8]) {
    // SAFETY: called on messages of the current batch only, before any of them is destroyed; null pointers are ruled out.
    unsafe {
        let raw = message.as_ref();
        if raw.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return (&[], &[]);
        }
        let slice = |data: *mut c_void, len: usize| match data.is_null() {
            true => &[][..],
            false => std::slice::from_raw_parts(data.cast::<u8>(), len),
        };
        let value = if raw.len <= COPIED_MAX {
            slice(raw.payload, raw.len)
        } else {
            &[]
        };
        (slice(raw.key, raw.key_len), value)
    }
}

/// The end of a partition as the last fetch told it; no call to the broker.
pub(crate) fn cached_end(client: &Handle, at: &TopicPartition) -> Option<i64> {
    let topic = c_string(&at.topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is alive, `topic` a C string, and both results are places of our own.
    let code = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            client.native(),
            topic.as_ptr(),
            at.partition,
            &mut low,
            &mut high,
        )
    };
    (code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

fn c_string(topic: &str) -> Result<CString> {
    CString::new(topic).map_err(|_| Error::config("topic", "a topic's name holds a NUL character"))
}
