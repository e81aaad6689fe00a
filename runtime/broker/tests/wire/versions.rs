//! Every version of every API is answered in that very version.

use std::net::TcpStream;

use anyhow::{Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;

use crate::raw::{Rig, call};

fn text(s: &'static str) -> StrBytes {
    StrBytes::from_static_str(s)
}

fn topic() -> TopicName {
    TopicName(text("t"))
}

fn group() -> GroupId {
    GroupId(text("g"))
}

/// A broker with the topic "t" of one partition, and a connection to it.
fn rig() -> Result<(Rig, TcpStream)> {
    let rig = Rig::start()?;
    let mut socket = rig.connect()?;
    for (version, name) in [(2, "a"), (3, "b"), (4, "t")] {
        let topic = create_topics_request::CreatableTopic::default()
            .with_name(TopicName(text(name)))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let answer = call(
            &mut socket,
            version,
            &CreateTopicsRequest::default().with_topics(vec![topic]),
        )?;
        ensure!(
            answer.topics[0].error_code == 0,
            "version {version}: {answer:?}"
        );
    }
    Ok((rig, socket))
}

/// One record with value "v", written out by hand: an oracle of its own for the batch format.
fn batch(producer: (i64, i16, i32)) -> Bytes {
    batch_at(1000, producer)
}

fn batch_at(time: i64, producer: (i64, i16, i32)) -> Bytes {
    let mut body = BytesMut::new();
    body.put_i16(0);
    body.put_i32(0);
    body.put_i64(time);
    body.put_i64(time);
    body.put_i64(producer.0);
    body.put_i16(producer.1);
    body.put_i32(producer.2);
    body.put_i32(1);
    body.put_slice(&[14, 0, 0, 0, 1, 2, b'v', 0]);
    let mut out = BytesMut::new();
    out.put_i64(0);
    out.put_i32(body.len() as i32 + 9);
    out.put_i32(-1);
    out.put_u8(2);
    out.put_u32(crc32c::crc32c(&body));
    out.put_slice(&body);
    out.freeze()
}

fn produce(socket: &mut TcpStream, version: i16, records: Bytes) -> Result<(i16, i64)> {
    let data = produce_request::PartitionProduceData::default().with_records(Some(records));
    let topic = produce_request::TopicProduceData::default()
        .with_name(topic())
        .with_partition_data(vec![data]);
    let answer = call(
        socket,
        version,
        &ProduceRequest::default()
            .with_acks(-1)
            .with_topic_data(vec![topic]),
    )?;
    let row = &answer.responses[0].partition_responses[0];
    Ok((row.error_code, row.base_offset))
}

#[test]
fn produce_fetch_and_offsets() -> Result<()> {
    let (_rig, mut socket) = rig()?;
    for (n, version) in (3..=8).enumerate() {
        ensure!(
            produce(&mut socket, version, batch((-1, -1, -1)))? == (0, n as i64),
            "version {version}"
        );
    }
    for version in 4..=11 {
        let partition = fetch_request::FetchPartition::default()
            .with_partition_max_bytes(100_000)
            .with_fetch_offset(5);
        let topic = fetch_request::FetchTopic::default()
            .with_topic(topic())
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(50)
            .with_min_bytes(1)
            .with_max_bytes(100_000)
            .with_topics(vec![topic]);
        let answer = call(
            &mut socket,
            version,
            &request.with_session_epoch(if version >= 7 { -1 } else { 0 }),
        )?;
        let row = &answer.responses[0].partitions[0];
        let mut expected = batch((-1, -1, -1)).to_vec();
        expected[..8].copy_from_slice(&5i64.to_be_bytes());
        expected[12..16].fill(0);
        ensure!(
            (row.error_code, row.high_watermark, row.records.as_deref())
                == (0, 6, Some(&expected[..])),
            "version {version}: {row:?}"
        );
    }
    for version in 1..=5 {
        for (time, offset) in [(-1, 6), (-2, 0), (1000, 0), (1001, -1)] {
            let partition =
                list_offsets_request::ListOffsetsPartition::default().with_timestamp(time);
            let topic = list_offsets_request::ListOffsetsTopic::default()
                .with_name(topic())
                .with_partitions(vec![partition]);
            let answer = call(
                &mut socket,
                version,
                &ListOffsetsRequest::default().with_topics(vec![topic]),
            )?;
            let row = &answer.topics[0].partitions[0];
            ensure!(
                (row.error_code, row.offset) == (0, offset),
                "version {version}, time {time}: {row:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn a_batch_is_written_once_and_only_if_it_is_sound() -> Result<()> {
    let (_rig, mut socket) = rig()?;
    ensure!(produce(&mut socket, 8, batch((9, 0, 0)))? == (0, 0));
    ensure!(produce(&mut socket, 8, batch((9, 0, 1)))? == (0, 1));
    ensure!(
        produce(&mut socket, 8, batch((9, 0, 0)))? == (0, 0),
        "the first offset is told again"
    );
    ensure!(
        produce(&mut socket, 8, batch((9, 0, 3)))? == (45, -1),
        "a gap is out of order"
    );
    ensure!(produce(&mut socket, 8, batch((9, 1, 0)))? == (0, 2));
    ensure!(
        produce(&mut socket, 8, batch((9, 0, 2)))? == (47, -1),
        "the older epoch is fenced"
    );
    let mut damaged = batch((-1, -1, -1)).to_vec();
    damaged[65] ^= 1;
    ensure!(
        produce(&mut socket, 8, damaged.into())? == (2, -1),
        "a damaged batch is corrupt"
    );
    let far = batch_at(i64::MAX / 2, (-1, -1, -1));
    ensure!(
        produce(&mut socket, 8, far)? == (32, -1),
        "a timestamp from the future is invalid"
    );
    Ok(())
}

#[test]
fn metadata_coordinators_and_configs() -> Result<()> {
    let (_rig, mut socket) = rig()?;
    for version in 0..=8 {
        let asked = metadata_request::MetadataRequestTopic::default().with_name(Some(topic()));
        let answer = call(
            &mut socket,
            version,
            &MetadataRequest::default().with_topics(Some(vec![asked])),
        )?;
        ensure!(
            answer.topics.len() == 1 && answer.topics[0].partitions.len() == 1,
            "version {version}"
        );
    }
    for version in 0..=2 {
        let answer = call(
            &mut socket,
            version,
            &FindCoordinatorRequest::default().with_key(text("g")),
        )?;
        ensure!(
            answer.error_code == 0 && answer.node_id.0 == 1,
            "version {version}"
        );
    }
    for version in 1..=3 {
        let topic = describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"));
        let request = DescribeConfigsRequest::default()
            .with_resources(vec![topic.with_configuration_keys(None)])
            .with_include_synonyms(true);
        let answer = call(&mut socket, version, &request)?;
        ensure!(
            answer.results[0].error_code == 0 && answer.results[0].configs.len() > 20,
            "version {version}"
        );
    }
    let policy = |operation: i8, value| {
        let policy = incremental_alter_configs_request::AlterableConfig::default()
            .with_name(text("cleanup.policy"))
            .with_config_operation(operation);
        let topic = incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"));
        IncrementalAlterConfigsRequest::default().with_resources(vec![
            topic.with_configs(vec![policy.with_value(Some(text(value)))]),
        ])
    };
    for (request, expected) in [
        (policy(2, "compact"), 0),
        (policy(3, "delete"), 0),
        (policy(0, "bogus"), 40),
        (policy(1, ""), 0),
    ] {
        let answer = call(&mut socket, 0, &request)?;
        ensure!(answer.responses[0].error_code == expected, "{answer:?}");
    }
    for version in 0..=1 {
        let grown = create_partitions_request::CreatePartitionsTopic::default()
            .with_name(topic())
            .with_count(2 + i32::from(version));
        let answer = call(
            &mut socket,
            version,
            &CreatePartitionsRequest::default().with_topics(vec![grown]),
        )?;
        ensure!(answer.results[0].error_code == 0, "version {version}");
        let partition = delete_records_request::DeleteRecordsPartition::default().with_offset(-1);
        let emptied = delete_records_request::DeleteRecordsTopic::default()
            .with_name(topic())
            .with_partitions(vec![partition]);
        let answer = call(
            &mut socket,
            version,
            &DeleteRecordsRequest::default().with_topics(vec![emptied]),
        )?;
        ensure!(
            answer.topics[0].partitions[0].error_code == 0,
            "version {version}"
        );
    }
    for (version, name) in [(1, "a"), (2, "b"), (3, "t")] {
        let answer = call(
            &mut socket,
            version,
            &DeleteTopicsRequest::default().with_topic_names(vec![TopicName(text(name))]),
        )?;
        ensure!(answer.responses[0].error_code == 0, "version {version}");
    }
    Ok(())
}

/// Joins as the only member in the given version of each request; returns the member id.
fn member_life(socket: &mut TcpStream, join: i16, sync: i16, heartbeat: i16) -> Result<StrBytes> {
    let protocol = join_group_request::JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 1, b't']));
    let request = JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(if join > 0 { 10_000 } else { -1 });
    let request = request
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let mut joined = call(socket, join, &request)?;
    if joined.error_code == 79 {
        joined = call(socket, join, &request.with_member_id(joined.member_id))?;
    }
    ensure!(
        joined.error_code == 0 && joined.leader == joined.member_id && joined.members.len() == 1,
        "join version {join}: {joined:?}"
    );
    let plan = sync_group_request::SyncGroupRequestAssignment::default()
        .with_member_id(joined.member_id.clone())
        .with_assignment(Bytes::from_static(b"x"));
    let request = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    let synced = call(socket, sync, &request.with_assignments(vec![plan]))?;
    ensure!(
        (synced.error_code, &synced.assignment[..]) == (0, b"x"),
        "sync version {sync}: {synced:?}"
    );
    let beat = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    ensure!(
        call(socket, heartbeat, &beat)?.error_code == 0,
        "heartbeat version {heartbeat}"
    );
    Ok(joined.member_id)
}

fn leave(socket: &mut TcpStream, version: i16, member_id: StrBytes) -> Result<()> {
    let answer = call(
        socket,
        version,
        &LeaveGroupRequest::default()
            .with_group_id(group())
            .with_member_id(member_id),
    )?;
    ensure!(answer.error_code == 0, "leave version {version}");
    Ok(())
}

#[test]
fn groups() -> Result<()> {
    let (_rig, mut socket) = rig()?;
    for n in 0..=5i16 {
        let member_id = member_life(&mut socket, n, n.min(3), n.min(3))?;
        let described = call(
            &mut socket,
            n.min(4),
            &DescribeGroupsRequest::default().with_groups(vec![group()]),
        )?;
        ensure!(
            described.groups[0].group_state.as_str() == "Stable"
                && described.groups[0].members.len() == 1,
            "{described:?}"
        );
        let listed = call(&mut socket, n.min(4), &ListGroupsRequest::default())?;
        ensure!(listed.groups.len() == 1, "{listed:?}");
        leave(&mut socket, n.min(1), member_id)?;
    }
    for version in 0..=1 {
        let answer = call(
            &mut socket,
            version,
            &DeleteGroupsRequest::default().with_groups_names(vec![group()]),
        )?;
        ensure!(
            answer.results[0].error_code == if version == 0 { 0 } else { 69 },
            "version {version}: {answer:?}"
        );
    }
    Ok(())
}

#[test]
fn committed_offsets_are_fetched_and_deleted() -> Result<()> {
    let (_rig, mut socket) = rig()?;
    for version in 2..=7 {
        let partition = offset_commit_request::OffsetCommitRequestPartition::default()
            .with_committed_offset(i64::from(version));
        let topic = offset_commit_request::OffsetCommitRequestTopic::default()
            .with_name(topic())
            .with_partitions(vec![partition.with_committed_metadata(Some(text("m")))]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group())
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        ensure!(
            call(&mut socket, version, &request)?.topics[0].partitions[0].error_code == 0,
            "version {version}"
        );
    }
    let fetch = |socket: &mut TcpStream, version: i16, all: bool| -> Result<Vec<i64>> {
        let asked = offset_fetch_request::OffsetFetchRequestTopic::default()
            .with_name(topic())
            .with_partition_indexes(vec![0]);
        let request = OffsetFetchRequest::default()
            .with_group_id(group())
            .with_topics((!all).then(|| vec![asked]));
        Ok(call(socket, version, &request)?
            .topics
            .iter()
            .flat_map(|t| t.partitions.iter().map(|p| p.committed_offset))
            .collect())
    };
    for version in 1..=7 {
        ensure!(
            fetch(&mut socket, version, false)? == [7],
            "version {version}"
        );
        ensure!(
            version < 2 || fetch(&mut socket, version, true)? == [7],
            "version {version}"
        );
    }
    let delete = |socket: &mut TcpStream| -> Result<i16> {
        let partition = offset_delete_request::OffsetDeleteRequestPartition::default();
        let topic = offset_delete_request::OffsetDeleteRequestTopic::default()
            .with_name(topic())
            .with_partitions(vec![partition]);
        Ok(call(
            socket,
            0,
            &OffsetDeleteRequest::default()
                .with_group_id(group())
                .with_topics(vec![topic]),
        )?
        .topics[0]
            .partitions[0]
            .error_code)
    };
    let member_id = member_life(&mut socket, 5, 3, 3)?;
    ensure!(delete(&mut socket)? == 86, "a member reads the topic");
    leave(&mut socket, 1, member_id)?;
    ensure!(delete(&mut socket)? == 0 && fetch(&mut socket, 7, false)? == [-1]);
    Ok(())
}

#[test]
fn transactions() -> Result<()> {
    let (_rig, mut socket) = rig()?;
    let id = || TransactionalId(text("id"));
    for version in 0..=4 {
        let plain = call(
            &mut socket,
            version,
            &InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(1000),
        )?;
        ensure!(
            plain.error_code == 0 && plain.producer_epoch == 0,
            "version {version}"
        );
        let given = call(
            &mut socket,
            version,
            &InitProducerIdRequest::default()
                .with_transactional_id(Some(id()))
                .with_transaction_timeout_ms(1000),
        )?;
        ensure!(
            given.error_code == 0 && given.producer_epoch == version,
            "version {version}: {given:?}"
        );
        let old = version.min(2);
        let added = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
            .with_name(topic())
            .with_partitions(vec![0]);
        let mut request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id())
            .with_v3_and_below_topics(vec![added]);
        (
            request.v3_and_below_producer_id,
            request.v3_and_below_producer_epoch,
        ) = (given.producer_id, given.producer_epoch);
        let answer = call(&mut socket, old, &request)?;
        ensure!(
            answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
                == 0,
            "version {old}"
        );
        let offsets = AddOffsetsToTxnRequest::default()
            .with_transactional_id(id())
            .with_group_id(group());
        let offsets = offsets
            .with_producer_id(given.producer_id)
            .with_producer_epoch(given.producer_epoch);
        ensure!(
            call(&mut socket, old, &offsets)?.error_code == 0,
            "version {old}"
        );
        let partition = txn_offset_commit_request::TxnOffsetCommitRequestPartition::default()
            .with_committed_offset(5);
        let offsets = txn_offset_commit_request::TxnOffsetCommitRequestTopic::default()
            .with_name(topic())
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(id())
            .with_group_id(group())
            .with_topics(vec![offsets]);
        let request = request
            .with_producer_id(given.producer_id)
            .with_producer_epoch(given.producer_epoch);
        ensure!(
            call(&mut socket, version.min(3), &request)?.topics[0].partitions[0].error_code == 0,
            "version {version}"
        );
        let mut end = EndTxnRequest::default()
            .with_transactional_id(id())
            .with_committed(true);
        (end.producer_id, end.producer_epoch) = (given.producer_id, given.producer_epoch);
        ensure!(
            call(&mut socket, old, &end)?.error_code == 0,
            "version {old}"
        );
        end.producer_epoch -= 1;
        let fenced = if old >= 2 { 90 } else { 47 };
        ensure!(
            call(&mut socket, old, &end)?.error_code == fenced,
            "version {old}"
        );
    }
    Ok(())
}
