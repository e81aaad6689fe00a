//! Records into the library's send queues, without a copy of the payload and without an allocation per record.

use bytes::Bytes;
use longshore_engine::ports::Receipt;
use longshore_sdk::{Datum, Headers, Record, Topic};
use rdkafka::{
    bindings as sys,
    client::ClientContext,
    error::RDKafkaErrorCode as Code,
    types::{RDKafkaRespErr, RDKafkaTopic},
};
use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    ptr::{self, NonNull},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Topic handles kept by a producer; beyond it they are made anew.
const TOPICS_MAX: usize = 256;

/// The records in the library's hands: the payload that it borrows and the receipt that it owes. Its size is bounded by the library's queue
/// (queue.buffering.max.messages).
#[derive(Default)]
pub(crate) struct Line {
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    taken: Vec<Option<Waiting>>,
    free: Vec<usize>,
}

/// What a place holds: a record's receipt, if it has one, and a share of its payload.
pub(crate) type Waiting = (Option<Receipt>, Option<Bytes>);

impl Line {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn enter(&self, payload: Option<Bytes>, receipt: Option<Receipt>) -> usize {
        let waiting = Some((receipt, payload));
        let mut places = self.places();
        match places.free.pop() {
            Some(place) => {
                places.taken[place] = waiting;
                place
            }
            None => {
                places.taken.push(waiting);
                places.taken.len() - 1
            }
        }
    }
    /// Ends the wait of one record: only for its delivery report, or when it was not taken at all.
    /// The library no longer looks at the payload once what is returned is dropped.
    pub(crate) fn leave(&self, place: usize) -> Option<Waiting> {
        let mut places = self.places();
        let waiting = places.taken.get_mut(place)?.take()?;
        places.free.push(place);
        Some(waiting)
    }
    /// How many records wait.
    pub(crate) fn len(&self) -> usize {
        let places = self.places();
        places.taken.len() - places.free.len()
    }
    /// The receipts that nobody will answer any more.
    pub(crate) fn abandoned(&mut self) -> Vec<Receipt> {
        let places = self
            .places
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let receipts = places.taken.iter_mut().flatten();
        receipts.filter_map(|waiting| waiting.0.take()).collect()
    }
}

fn raw(datum: &Datum) -> Result<Option<&Bytes>, Code> {
    match datum {
        Datum::Null => Ok(None),
        Datum::Bytes(bytes) | Datum::Json(bytes) | Datum::Text(bytes) => Ok(Some(bytes)),
        Datum::Value(..) => Err(Code::ValueSerialization),
    }
}

/// Null for none; empty data still needs a pointer.
fn pointer(part: Option<&Bytes>) -> (*mut c_void, usize) {
    match part {
        None => (ptr::null_mut(), 0),
        Some(bytes) if bytes.is_empty() => (c"".as_ptr().cast_mut().cast(), 0),
        Some(bytes) => (bytes.as_ptr().cast_mut().cast(), bytes.len()),
    }
}

/// A producer's topic handles, so that a record does not cost a lookup by name.
pub(crate) struct Topics {
    handles: HashMap<Topic, NonNull<RDKafkaTopic>>,
}

// SAFETY: topic handles are reference counted and thread safe.
unsafe impl Send for Topics {}

impl Topics {
    pub(crate) fn new() -> Self {
        Self {
            handles: HashMap::new(),
        }
    }

    fn handle<C: ClientContext>(
        &mut self,
        client: &rdkafka::client::Client<C>,
        topic: &Topic,
    ) -> Result<NonNull<RDKafkaTopic>, Code> {
        if let Some(handle) = self.handles.get(topic) {
            return Ok(*handle);
        }
        if self.handles.len() >= TOPICS_MAX {
            self.clear();
        }
        let name = CString::new(topic.as_bytes()).map_err(|_| Code::InvalidTopic)?;
        // SAFETY: the client is alive; no topic config is given. The handle is destroyed by `clear`, before the client.
        let handle =
            unsafe { sys::rd_kafka_topic_new(client.native_ptr(), name.as_ptr(), ptr::null_mut()) };
        let handle = NonNull::new(handle).ok_or(Code::InvalidTopic)?;
        self.handles.insert(Topic::clone(topic), handle);
        Ok(handle)
    }

    /// Puts a record in line, and takes `receipt` for it. Ok: the delivery report brings it back from `line`, once.
    /// Err: nothing was taken and `receipt` is as it was; QueueFull = try again later.
    pub(crate) fn produce<C: ClientContext>(
        &mut self,
        client: &rdkafka::client::Client<C>,
        line: &Line,
        record: &Record,
        receipt: &mut Option<Receipt>,
    ) -> Result<(), Code> {
        let topic = self.handle(client, &record.topic)?;
        let key = raw(&record.key)?;
        let payload = raw(&record.value)?;
        let headers = native_headers(&record.headers)?;
        let opaque = line.enter(payload.cloned(), receipt.take());
        let (payload, payload_size) = pointer(payload);
        let (key, key_size) = pointer(key);
        // SAFETY: the argument list is typed as rd_kafka_producev documents and ends with END. The key is copied by the library; the payload is
        // not (no flags): `line` holds a share of it, so that it stays in place until the delivery report. Headers pass to the library unless
        // the call fails.
        let code = unsafe {
            sys::rd_kafka_producev(
                client.native_ptr(),
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_RKT,
                topic.as_ptr(),
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
                record.partition.unwrap_or(-1),
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
                0_i32,
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
                payload,
                payload_size,
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY,
                key,
                key_size,
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE,
                opaque as *mut c_void,
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP,
                record.timestamp.unwrap_or(0),
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
                headers,
                sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
            )
        };
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        *receipt = line.leave(opaque).and_then(|(receipt, _)| receipt);
        if !headers.is_null() {
            // SAFETY: after a failed call the headers are still ours.
            unsafe { sys::rd_kafka_headers_destroy(headers) }
        }
        Err(code.into())
    }

    /// Gives the handles back; must be called before the client goes.
    pub(crate) fn clear(&mut self) {
        for (_, handle) in self.handles.drain() {
            // SAFETY: made by `handle`, destroyed once; records in line hold references of their own.
            unsafe { sys::rd_kafka_topic_destroy(handle.as_ptr()) }
        }
    }
}

/// Null for no headers.
fn native_headers(headers: &Headers) -> Result<*mut sys::rd_kafka_headers_t, Code> {
    if headers.is_empty() {
        return Ok(ptr::null_mut());
    }
    // SAFETY: a new list; every name and value is copied by the library. On error it is destroyed here.
    unsafe {
        let list = sys::rd_kafka_headers_new(headers.len());
        for header in headers {
            let (value, size) = match raw(&header.value) {
                Ok(value) => pointer(value),
                Err(code) => {
                    sys::rd_kafka_headers_destroy(list);
                    return Err(code);
                }
            };
            let name = header.key.as_bytes();
            let code = sys::rd_kafka_header_add(
                list,
                name.as_ptr().cast(),
                name.len().cast_signed(),
                value,
                size.cast_signed(),
            );
            if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                sys::rd_kafka_headers_destroy(list);
                return Err(code.into());
            }
        }
        Ok(list)
    }
}
