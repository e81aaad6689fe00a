//! Fetch: whole batches as they are stored, waiting for more when there is too little.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::dispatch::{Bad, Call, Reply};
use crate::log::Slice;
use crate::node::{Node, Peer};

/// The longest a fetch waits, whatever the client asks for.
const MAX_WAIT: Duration = Duration::from_secs(60);

struct Row {
    topic: usize,
    partition: i32,
    slice: Result<Slice, ResponseError>,
}

/// Reads, and waits (until told by an append, never polling) while there is less than the client wants.
pub(crate) async fn fetch(peer: &Peer, call: &Call) -> Result<Reply, Bad> {
    let request: FetchRequest = call.request()?;
    if request.session_epoch > 0 {
        return Ok(call.answer_pieces(encode(
            call.version,
            &request,
            ResponseError::FetchSessionIdNotFound.code(),
            Vec::new(),
        )));
    }
    let waiter = Arc::new(Notify::new());
    let deadline = Instant::now()
        + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    loop {
        let rows = read(&peer.node, &request, &waiter);
        let bytes: usize = rows
            .iter()
            .map(|r| r.slice.as_ref().map_or(0, |s| s.records.len()))
            .sum();
        let failed = rows.iter().any(|r| r.slice.is_err());
        let enough =
            bytes >= usize::try_from(request.min_bytes).unwrap_or(0) || failed || rows.is_empty();
        if enough || Instant::now() >= deadline {
            return Ok(call.answer_pieces(encode(call.version, &request, 0, rows)));
        }
        drop(rows);
        let _ = tokio::time::timeout_at(deadline, waiter.notified()).await;
    }
}

fn read(node: &Node, request: &FetchRequest, waiter: &Arc<Notify>) -> Vec<Row> {
    let mut budget = usize::try_from(request.max_bytes)
        .unwrap_or(0)
        .min(node.config.limits.fetch_bytes);
    let committed = request.isolation_level == 1;
    let mut rows = Vec::new();
    // Only the first records of an answer may exceed the limits: a client must be able to make progress.
    let mut at_least_one = true;
    for (topic, wanted) in request.topics.iter().enumerate() {
        for partition in &wanted.partitions {
            let slice = read_one(
                node,
                &wanted.topic,
                partition,
                budget,
                at_least_one,
                committed,
                waiter,
            );
            if let Ok(slice) = &slice {
                budget = budget.saturating_sub(slice.records.len());
                at_least_one &= slice.records.is_empty();
            }
            rows.push(Row {
                topic,
                partition: partition.partition,
                slice,
            });
        }
    }
    rows
}

fn read_one(
    node: &Node,
    topic: &str,
    wanted: &FetchPartition,
    budget: usize,
    at_least_one: bool,
    committed: bool,
    waiter: &Arc<Notify>,
) -> Result<Slice, ResponseError> {
    let partition = node.topics.partition(topic, wanted.partition)?;
    let limit = usize::try_from(wanted.partition_max_bytes)
        .unwrap_or(0)
        .min(budget);
    let mut log = partition.log();
    let slice = log.read(wanted.fetch_offset, limit, at_least_one, committed)?;
    // Under the same lock as the read: an append right after it finds the waiter.
    log.wait(waiter);
    Ok(slice)
}

/// Encodes by hand (versions 4 to 11) so that records go out as they were read, without another copy.
fn encode(version: i16, request: &FetchRequest, error: i16, rows: Vec<Row>) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(2 * rows.len() + 1);
    let mut out = BytesMut::with_capacity(64 + 64 * rows.len());
    out.put_i32(0);
    if version >= 7 {
        out.put_i16(error);
        out.put_i32(0); // no sessions: the client sends all partitions every time
    }
    let topics = if error == 0 { &request.topics[..] } else { &[] };
    out.put_i32(topics.len() as i32);
    let mut rows = rows.into_iter().peekable();
    for (n, topic) in topics.iter().enumerate() {
        out.put_i16(topic.topic.len() as i16);
        out.put_slice(topic.topic.as_bytes());
        out.put_i32(topic.partitions.len() as i32);
        while let Some(row) = rows.next_if(|r| r.topic == n) {
            let records = put_row(version, &mut out, row);
            if !records.is_empty() {
                pieces.push(out.split().freeze());
                pieces.push(records);
            }
        }
    }
    pieces.push(out.freeze());
    pieces
}

/// Writes everything of a partition but its records, which are handed back.
fn put_row(version: i16, out: &mut BytesMut, row: Row) -> Bytes {
    let error = super::code(&row.slice);
    let slice = row.slice.unwrap_or_else(|_| Slice {
        records: Bytes::new(),
        end: -1,
        stable: -1,
        start: -1,
        aborted: Vec::new(),
    });
    out.put_i32(row.partition);
    out.put_i16(error);
    out.put_i64(slice.end);
    out.put_i64(slice.stable);
    if version >= 5 {
        out.put_i64(slice.start);
    }
    out.put_i32(slice.aborted.len() as i32);
    for aborted in &slice.aborted {
        out.put_i64(aborted.producer_id);
        out.put_i64(aborted.first);
    }
    if version >= 11 {
        out.put_i32(-1); // no preferred read replica
    }
    out.put_i32(slice.records.len() as i32);
    slice.records
}
