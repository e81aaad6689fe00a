//! One group's members. The safe client has no answer while any broker of the cluster is down, whichever it is: the library asks all of them for
//! their groups. (Its admin call that asks the group's coordinator alone ends the process by an assertion when that broker goes away: 2.12.1.)

use crate::handle::Handle;
use rdkafka::{
    bindings as sys,
    error::RDKafkaErrorCode as Code,
    types::{RDKafkaGroupList, RDKafkaRespErr},
};
use std::{
    ffi::{CStr, CString, c_char},
    ptr, slice,
    time::{Duration, Instant},
};

/// A group at one moment; empty if there is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// `consumer`, `connect`, ..
    pub(crate) protocol_type: String,
    /// `Stable`: nobody is joining, and assignments are told.
    pub(crate) state: String,
    /// Client ids and assignments.
    pub(crate) members: Vec<(String, Vec<u8>)>,
}

struct List(*const RDKafkaGroupList);

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: filled by the library for us, destroyed once; it allows null.
        if !self.0.is_null() {
            unsafe { sys::rd_kafka_group_list_destroy(self.0) }
        }
    }
}

/// Asks every broker, and blocks until all have answered or `max` is over. Ok: the broker that knows the group has answered.
pub(crate) fn group(client: &Handle, name: &str, max: Duration) -> Result<Group, Code> {
    let started = Instant::now();
    let asked = ask(client, name, max);
    if matches!(asked, Err(Code::BrokerTransportFailure)) {
        learn_brokers(client, max.saturating_sub(started.elapsed()));
    }
    asked
}

/// Makes the library ask any broker which ones there are. After all were away it knows the bootstrap servers alone, and those it does not ask for
/// groups; a client without topics learns the others again when it connects, or, where that answer is lost, up to five minutes later (2.12.1).
fn learn_brokers(client: &Handle, max: Duration) {
    let millis = i32::try_from(max.as_millis()).unwrap_or(i32::MAX);
    let mut metadata = ptr::null();
    // SAFETY: the client outlives the call; no topic is named; what is filled in is destroyed once, here.
    unsafe {
        let none = ptr::null_mut();
        let code = sys::rd_kafka_metadata(client.native(), 0, none, &raw mut metadata, millis);
        tracing::debug!(?code, "the brokers are asked for");
        if !metadata.is_null() {
            sys::rd_kafka_metadata_destroy(metadata);
        }
    }
}

fn ask(client: &Handle, name: &str, max: Duration) -> Result<Group, Code> {
    let asked = CString::new(name).map_err(|_| Code::InvalidGroupId)?;
    let millis = i32::try_from(max.as_millis()).unwrap_or(i32::MAX);
    let mut list = List(ptr::null());
    // SAFETY: the client and the name outlive the call; the list is ours from then on.
    let code = unsafe {
        sys::rd_kafka_list_groups(client.native(), asked.as_ptr(), &raw mut list.0, millis)
    };
    let partial = match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => false,
        // Some broker has not answered: it matters only if it is the one that knows the group.
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTIAL => true,
        code => return Err(code.into()),
    };
    match read(&list, name)? {
        Some(group) => Ok(group),
        None if partial => Err(Code::OperationTimedOut),
        None => Ok(Group::default()),
    }
}

fn read(list: &List, name: &str) -> Result<Option<Group>, Code> {
    // SAFETY: the list lives for the whole of this function, and what it points to lives as long as it; counts belong to their arrays; names are
    // C strings or null.
    unsafe {
        let Some(list) = list.0.as_ref() else {
            return Ok(None);
        };
        let groups = array(list.groups, list.group_cnt);
        let Some(group) = groups.iter().find(|group| text(group.group) == name) else {
            return Ok(None);
        };
        if group.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(group.err.into());
        }
        let members = array(group.members, group.member_cnt).iter();
        let members = members.map(|member| {
            let assignment = member.member_assignment.cast::<u8>().cast_const();
            let assignment = array(assignment, member.member_assignment_size);
            (text(member.client_id), assignment.to_vec())
        });
        Ok(Some(Group {
            protocol_type: text(group.protocol_type),
            state: text(group.state),
            members: members.collect(),
        }))
    }
}

/// # Safety
/// `count` elements stand at `first`, unless it is null, for as long as the result is used.
unsafe fn array<'a, T>(first: *const T, count: i32) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: as above.
        Ok(count) if !first.is_null() => unsafe { slice::from_raw_parts(first, count) },
        _ => &[],
    }
}

/// # Safety
/// `text` is null or a C string.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as above.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
