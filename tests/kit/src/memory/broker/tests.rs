use super::*;
use longshore_engine::ports::{
    Bus, ConsumerSpec, KeyedLog, Leadership, LogReader, Member as Worker, Membership, ProducerSpec,
    Subscription, TermEntry, TermLog,
};
use longshore_sdk::ErrorKind;

const LONG: Duration = Duration::from_secs(3600);

fn broker() -> (Broker, Link) {
    let broker = Broker::new(1);
    let ends = broker.clone();
    tokio::spawn(async move { ends.run().await });
    (broker, Link::new(1, 1, Line::default()))
}

fn entry(log: TermLog, key: &'static str) -> TermEntry {
    TermEntry {
        log,
        key: key.into(),
        value: Some("{}".into()),
        request: None,
    }
}

fn spec(id: &str) -> ProducerSpec {
    ProducerSpec {
        transactional_id: Some(id.to_owned()),
        offsets_topic: Some("offsets".to_owned()),
        ..ProducerSpec::default()
    }
}

async fn keys(reader: &mut dyn LogReader) -> Vec<Bytes> {
    let tail = tokio::time::timeout(LONG, reader.next()).await;
    let tail = tail.expect("in time").expect("a tail");
    tail.entries.into_iter().map(|entry| entry.key).collect()
}

#[tokio::test(start_paused = true)]
async fn an_open_transaction_hides_what_stands_behind_it_until_it_times_out() {
    let (broker, link) = broker();
    let log = BrokerLog::new(&broker, &link, "offsets");
    let dead = broker.init("dead");
    let slot = Slot {
        key: Some("of the dead".into()),
        value: None,
        request: None,
        worker: 1,
        fate: Fate::Open,
    };
    let open = vec![("offsets".to_owned(), 0, slot)];
    broker
        .state()
        .append_open("dead", dead, open)
        .expect("it has the id");
    log.put(vec![("behind".into(), None)])
        .await
        .expect("written");
    // The end is further than what can be read: who reads to the end has to wait.
    assert_eq!(log.end().await.expect("an end")[0].offset, 2);
    assert_eq!(broker.stable_ends("offsets"), [0]);
    let (mut reader, before) = (log.reader().await.expect("a reader"), Instant::now());
    assert_eq!(keys(reader.as_mut()).await, ["behind"]);
    assert!(before.elapsed() >= TRANSACTION_MAX - LOOK);
    let late = broker.end_transaction("dead", dead, true);
    assert_eq!(late.expect_err("it is fenced").kind(), ErrorKind::Fenced);
}

#[tokio::test(start_paused = true)]
async fn the_last_init_wins_and_ends_what_was_open() {
    let (broker, link) = broker();
    let bus = BrokerBus::new(&broker, &link);
    let mut first = bus.producer(spec("task")).await.expect("a producer");
    first.begin().await.expect("begun");
    let mut second = bus.producer(spec("task")).await.expect("a producer");
    let offsets = || vec![("key".into(), Some("{}".into()))];
    let fenced = first.commit(offsets()).await.expect_err("fenced");
    assert_eq!(fenced.kind(), ErrorKind::Fenced);
    assert!(first.begin().await.is_err(), "it stays dead");
    second.begin().await.expect("begun");
    second.commit(offsets()).await.expect("committed");
    let log = BrokerLog::new(&broker, &link, "offsets");
    let mut reader = log.reader().await.expect("a reader");
    assert_eq!(keys(reader.as_mut()).await, ["key"]);
}

#[tokio::test(start_paused = true)]
async fn a_former_leader_writes_nothing_in_any_log() {
    let (broker, link) = broker();
    let leadership = BrokerLeadership::new(&broker, &link, ["config", "coordination", "offsets"]);
    let former = leadership.take().await.expect("taken");
    let entries = || {
        vec![
            entry(TermLog::Config, "a"),
            entry(TermLog::Coordination, "b"),
            entry(TermLog::Offset, "c"),
        ]
    };
    former.put(entries()).await.expect("written");
    let next = leadership.take().await.expect("taken");
    let refused = former.put(entries()).await.expect_err("fenced");
    assert_eq!(refused.kind(), ErrorKind::Fenced);
    next.put(entries()).await.expect("written");
    for topic in ["config", "coordination", "offsets"] {
        // Two transactions: an entry and its marker each.
        assert_eq!(broker.stable_ends(topic), [4]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_leads_until_its_session_ends_and_then_sees_nobody() {
    let (broker, first) = broker();
    let second = Link::new(2, 2, Line::default());
    let member = |name: &str| Worker {
        worker_id: name.to_owned(),
        incarnation: "1".to_owned(),
        https: false,
    };
    let one = BrokerMembership::join(&broker, &first, member("one")).view();
    let two = BrokerMembership::join(&broker, &second, member("two")).view();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(one.borrow().leading() && !two.borrow().leading());
    assert_eq!(
        (one.borrow().members.len(), two.borrow().members.len()),
        (2, 2)
    );
    first.cut(true);
    tokio::time::sleep(SESSION / 2).await;
    assert!(one.borrow().leading() && !two.borrow().leading());
    tokio::time::sleep(SESSION).await;
    assert!(two.borrow().leading() && two.borrow().members.len() == 1);
    assert!(one.borrow().members.is_empty() && one.borrow().leader.is_none());
    // Mended, it is a member again; the leadership stays where it is.
    first.cut(false);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(one.borrow().members.len(), 2);
    assert!(two.borrow().leading() && !one.borrow().leading());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_worker_knows_nothing_new_and_asks_nothing() {
    let (broker, link) = broker();
    let log = BrokerLog::new(&broker, &link, "log");
    link.freeze(true);
    let put = log.put(vec![("late".into(), None)]);
    let thaw = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(broker.stable_ends("log"), [0]);
        link.freeze(false);
    };
    let (put, ()) = tokio::join!(put, thaw);
    put.expect("it is written once the worker goes on");
    assert_eq!(broker.stable_ends("log"), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_member_may_commit_what_it_does_not_own_as_long_as_it_is_in() {
    let (broker, link) = broker();
    broker.create("topic", 1);
    let bus = BrokerBus::new(&broker, &link);
    let consumer = || ConsumerSpec {
        client_id: String::new(),
        buffer_bytes: None,
        group: "group".to_owned(),
        subscription: Subscription::Topics(vec!["topic".to_owned()]),
        overrides: BTreeMap::new(),
    };
    let _owner = bus.consumer(consumer()).await.expect("a member");
    let mut other = bus.consumer(consumer()).await.expect("a member");
    let offsets = TopicOffsets::from([(TopicPartition::new("topic", 0), 3)]);
    other
        .commit(&offsets)
        .await
        .expect("a broker does not look");
    assert_eq!(broker.committed_offsets("group"), offsets);
    link.cut(true);
    tokio::time::sleep(SESSION * 2).await;
    link.cut(false);
    let unknown = other.commit(&offsets).await;
    assert_eq!(unknown.expect_err("out").kind(), ErrorKind::Transient);
}
