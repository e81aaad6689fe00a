//! Transactions against a node without sockets.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Producer, Transactions};
use crate::config::Config;
use crate::groups::Groups;
use crate::log::batch;
use crate::log::record::compose_as;
use crate::node::Node;
use crate::settings::Overrides;
use crate::store::Store;
use crate::store::model::{Committed, Entry, Phase, Place};
use crate::topics::Topics;

fn node() -> Node {
    let config = Config::default();
    let stop = CancellationToken::new();
    let node = Node {
        _lock: None,
        cluster_id: "test".into(),
        port: 0,
        advertised_host: None,
        store: Store::in_memory().into(),
        topics: Topics::open(None, &Store::in_memory(), 100).expect("opens"),
        groups: Groups::new(&config, stop.clone(), TaskTracker::new()),
        transactions: Transactions::default(),
        stop,
        receiving: Semaphore::new(1),
        config,
    };
    node.topics
        .create(&node.store, "t", 2, Overrides::new(), false)
        .expect("created");
    node
}

fn place(partition: i32) -> Place {
    Place {
        topic: "t".into(),
        partition,
    }
}

fn init(node: &Node, claimed: Option<Producer>) -> Result<Producer, ResponseError> {
    node.transactions.init(node, Some("id"), 60_000, claimed)
}

fn add(node: &Node, producer: Producer, partitions: &[i32]) -> Result<(), ResponseError> {
    let places = partitions.iter().map(|p| place(*p)).collect();
    node.transactions
        .add(node, "id", producer, places, vec!["g".into()])
}

fn produce(
    node: &Node,
    producer: Producer,
    partition: i32,
    sequence: i32,
) -> Result<i64, ResponseError> {
    let records = compose_as(
        &[(Some(b"k"), Some(b"v"))],
        0,
        (producer.id, producer.epoch, sequence),
        true,
    );
    let header = batch::inspect(&records)?;
    let topic = node.topics.get("t").expect("there");
    let target = topic.partition(partition).expect("there");
    let append = || target.log().append(&records, &header, &topic.settings(), 0);
    node.transactions
        .produce(&node.store, "id", &header, &place(partition), append)
        .map(|a| a.base_offset)
}

fn pend(node: &Node, offset: i64) {
    let committed = Committed {
        offset,
        leader_epoch: -1,
        metadata: String::new(),
        at_ms: 0,
    };
    let pending = Entry::Pending {
        id: "id".into(),
        group: "g".into(),
        offsets: vec![(place(0), committed)],
    };
    node.store().commit(pending).expect("in memory");
}

fn phase(node: &Node) -> Phase {
    node.store()
        .model()
        .transactions
        .get("id")
        .expect("known")
        .phase
}

fn offset(node: &Node) -> Option<i64> {
    node.store()
        .model()
        .offsets("g")?
        .get(&place(0))
        .map(|c| c.offset)
}

fn open_producers(node: &Node) -> usize {
    let topic = node.topics.get("t").expect("there");
    topic
        .partitions()
        .iter()
        .map(|p| p.log().open_producers().len())
        .sum()
}

#[test]
fn records_need_an_ongoing_transaction_with_their_partition() {
    let node = node();
    let producer = init(&node, None).expect("given");
    assert_eq!(
        produce(&node, producer, 0, 0),
        Err(ResponseError::InvalidTxnState)
    );
    add(&node, producer, &[0]).expect("added");
    assert_eq!(produce(&node, producer, 0, 0), Ok(0));
    assert_eq!(
        produce(&node, producer, 1, 0),
        Err(ResponseError::InvalidTxnState)
    );
    let stranger = Producer {
        id: producer.id + 1,
        ..producer
    };
    assert_eq!(
        produce(&node, stranger, 0, 0),
        Err(ResponseError::InvalidProducerIdMapping)
    );
}

#[test]
fn an_end_may_be_asked_for_twice_but_not_changed() {
    let node = node();
    let producer = init(&node, None).expect("given");
    assert_eq!(
        node.transactions.end(&node, "id", producer, true),
        Err(ResponseError::InvalidTxnState)
    );
    add(&node, producer, &[0]).expect("added");
    produce(&node, producer, 0, 0).expect("appended");
    pend(&node, 7);
    assert_eq!(offset(&node), None);
    assert_eq!(node.transactions.end(&node, "id", producer, true), Ok(()));
    assert_eq!((offset(&node), open_producers(&node)), (Some(7), 0));
    assert_eq!(node.transactions.end(&node, "id", producer, true), Ok(()));
    assert_eq!(
        node.transactions.end(&node, "id", producer, false),
        Err(ResponseError::InvalidTxnState)
    );
}

#[test]
fn a_successor_rolls_back_and_fences() {
    let node = node();
    let older = init(&node, None).expect("given");
    add(&node, older, &[0, 1]).expect("added");
    produce(&node, older, 0, 0).expect("appended");
    pend(&node, 7);
    let newer = init(&node, None).expect("given");
    assert!(newer.id == older.id && newer.epoch > older.epoch);
    assert_eq!(
        (phase(&node), open_producers(&node), offset(&node)),
        (Phase::Empty, 0, None)
    );
    assert_eq!(
        produce(&node, older, 0, 1),
        Err(ResponseError::InvalidProducerEpoch)
    );
    assert_eq!(add(&node, older, &[0]), Err(ResponseError::ProducerFenced));
    assert_eq!(
        node.transactions.end(&node, "id", older, true),
        Err(ResponseError::ProducerFenced)
    );
    add(&node, newer, &[0]).expect("added");
    produce(&node, newer, 0, 0).expect("the new epoch starts at 0");
}

#[test]
fn a_producer_bumps_its_own_epoch_and_may_ask_twice() {
    let node = node();
    let first = init(&node, None).expect("given");
    let second = init(&node, Some(first)).expect("bumped");
    assert_eq!(second.epoch, first.epoch + 1);
    assert_eq!(
        init(&node, Some(first)),
        Ok(second),
        "the first answer was lost"
    );
    let third = init(&node, None).expect("given");
    assert_eq!(
        init(&node, Some(second)),
        Err(ResponseError::ProducerFenced)
    );
    assert!(third.epoch > second.epoch);
}

#[test]
fn an_exhausted_epoch_gives_a_new_id() {
    let node = node();
    let producer = init(&node, None).expect("given");
    let mut transaction = node
        .store()
        .model()
        .transactions
        .get("id")
        .expect("known")
        .clone();
    transaction.epoch = i16::MAX - 1;
    node.store()
        .commit(Entry::Transaction {
            id: "id".into(),
            transaction,
        })
        .expect("in memory");
    let fresh = init(&node, None).expect("given");
    assert!(fresh.id != producer.id && fresh.epoch == 0);
}

#[test]
fn timeouts_out_of_range_are_refused() {
    let node = node();
    for timeout in [0, -1, node.config.transaction_max_timeout_ms + 1] {
        let refused = node.transactions.init(&node, Some("id"), timeout, None);
        assert_eq!(
            refused,
            Err(ResponseError::InvalidTransactionTimeout),
            "{timeout}"
        );
    }
}

/// The node as a kill left it: decided, with a marker on the first partition only.
fn half_done(decided: Phase) -> Node {
    let node = node();
    let producer = init(&node, None).expect("given");
    add(&node, producer, &[0, 1]).expect("added");
    produce(&node, producer, 0, 0).expect("appended");
    produce(&node, producer, 1, 0).expect("appended");
    pend(&node, 7);
    let mut transaction = node
        .store()
        .model()
        .transactions
        .get("id")
        .expect("known")
        .clone();
    transaction.phase = decided;
    node.store()
        .commit(Entry::Transaction {
            id: "id".into(),
            transaction,
        })
        .expect("in memory");
    let topic = node.topics.get("t").expect("there");
    let first = topic.partition(0).expect("there");
    let marked = first.log().append_marker(
        producer.id,
        producer.epoch,
        decided == Phase::PrepareCommit,
        &topic.settings(),
        0,
    );
    marked.expect("in memory");
    node
}

#[test]
fn a_decided_transaction_is_completed_after_a_restart() {
    for (decided, complete, stored) in [
        (Phase::PrepareCommit, Phase::CompleteCommit, Some(7)),
        (Phase::PrepareAbort, Phase::CompleteAbort, None),
    ] {
        let node = half_done(decided);
        assert_eq!((open_producers(&node), offset(&node)), (1, None));
        node.transactions.recover(&node).expect("in memory");
        assert_eq!(
            (phase(&node), open_producers(&node), offset(&node)),
            (complete, 0, stored)
        );
        let topic = node.topics.get("t").expect("there");
        let ends: BTreeSet<i64> = topic.partitions().iter().map(|p| p.log().end()).collect();
        assert_eq!(
            ends,
            BTreeSet::from([2]),
            "one record and one marker on each"
        );
    }
}

#[test]
fn records_that_no_transaction_claims_are_rolled_back_after_a_restart() {
    let node = node();
    let producer = init(&node, None).expect("given");
    add(&node, producer, &[0, 1]).expect("added");
    produce(&node, producer, 0, 0).expect("appended");
    node.transactions.recover(&node).expect("in memory");
    assert_eq!(open_producers(&node), 1, "an ongoing transaction goes on");
    node.store()
        .commit(Entry::TransactionForgotten { id: "id".into() })
        .expect("in memory");
    node.transactions.recover(&node).expect("in memory");
    assert_eq!(open_producers(&node), 0);
}

#[test]
fn an_overdue_transaction_is_rolled_back_and_its_producer_fenced() {
    let node = node();
    let producer = init(&node, None).expect("given");
    add(&node, producer, &[0]).expect("added");
    produce(&node, producer, 0, 0).expect("appended");
    let started = node
        .store()
        .model()
        .transactions
        .get("id")
        .expect("known")
        .started_ms;
    let (due, next) = node.transactions.timeouts(&node, started + 59_999);
    assert_eq!((due.len(), next), (0, started + 60_000));
    assert_eq!(
        node.transactions.timeouts(&node, started + 60_000).0,
        ["id"]
    );
    let mut transaction = node
        .store()
        .model()
        .transactions
        .get("id")
        .expect("known")
        .clone();
    transaction.started_ms -= 60_000;
    node.store()
        .commit(Entry::Transaction {
            id: "id".into(),
            transaction,
        })
        .expect("in memory");
    node.transactions.time_out(&node, "id");
    assert_eq!(
        (phase(&node), open_producers(&node)),
        (Phase::CompleteAbort, 0)
    );
    assert_eq!(
        node.transactions.end(&node, "id", producer, true),
        Err(ResponseError::ProducerFenced)
    );
}
