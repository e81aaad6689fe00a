//! What each test does with a login: everything that clients do, or every way to be refused.

use crate::rig::{Cluster, LONG, all_ok, answers, map, read, record, send, unique};
use longshore_engine::ports::{
    Bus, Consumer, ConsumerSpec, Inbox, Leadership as _, Membership, Polled, ProducerSpec, Receipt,
    Subscription, Ticket, TopicSpec,
};
use longshore_kafka::{
    Admin, ClientSettings, KafkaBus, KafkaLeadership, KafkaLog, KafkaMembership, LeadershipSpec,
    LogSpec, MemberSpec,
};
use longshore_kit::servers::SecuredKafka;
use longshore_sdk::{Error, ErrorKind, Topic};
use std::{
    io::Write,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Everything that was logged in this process, at every level.
static LOGGED: LazyLock<Arc<Mutex<Vec<u8>>>> = LazyLock::new(|| {
    let logged = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&logged);
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || Log(Arc::clone(&writer)))
        .init();
    logged
});

struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lock(log: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) type Pairs = Vec<(&'static str, String)>;

/// The shared server, with logging on.
pub(crate) fn server() -> &'static SecuredKafka {
    LazyLock::force(&LOGGED);
    SecuredKafka::shared()
}

/// No planted secret stands in anything that was logged so far, nor in `text`.
pub(crate) fn shows_no_secret(text: &str) {
    let logged = String::from_utf8_lossy(&lock(&LOGGED)).into_owned();
    for place in [text, &logged] {
        for secret in [
            SecuredKafka::PASSWORD,
            SecuredKafka::POWERLESS_PASSWORD,
            SecuredKafka::SECRET,
            "canary-wrong",
            "canary-store-p4ss",
            // A token's signature algorithm and key, encoded: how each one begins.
            "eyJhbGciOiJSUzI1NiI",
            "PRIVATE KEY",
        ] {
            let line = place.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "I8: {secret} stands in {line:?}");
        }
    }
}

/// A worker's settings for a listener.
pub(crate) fn settings(listener: &str, protocol: &str, more: &Pairs) -> ClientSettings {
    let bootstrap = server().kafka().bootstrap_of(listener);
    let mut pairs = vec![
        ("bootstrap.servers", bootstrap),
        ("security.protocol", protocol.to_owned()),
    ];
    pairs.extend(more.iter().cloned());
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let settings = ClientSettings::from_worker(&map(&pairs)).expect("settings");
    shows_no_secret(&format!("{settings:?}"));
    settings
}

pub(crate) fn jaas(module: &str, options: &[(&str, &str)]) -> String {
    let options: String = options
        .iter()
        .map(|(k, v)| format!(" {k}=\"{v}\""))
        .collect();
    format!("org.apache.kafka.common.security.{module} required{options};")
}

/// Topics, records, a group, a transaction, a log, membership: each with a client of its own.
pub(crate) async fn works(settings: ClientSettings) {
    let cluster = Cluster::with(settings);
    let topic = cluster.topic(1).await;
    let mut producer = cluster.producer(&[]).await;
    let records = (0..10).map(|n| record(&topic, 0, &n.to_string())).collect();
    all_ok(&send(&mut producer, records).await);
    let mut consumer = cluster.consumer(&unique("g"), &[&topic], &[]).await;
    assert_eq!(read(&mut consumer, 10).await.len(), 10);
    let mut transactional = cluster
        .transactional(&unique("tx"), &topic)
        .await
        .expect("a transactional producer");
    transactional.begin().await.expect("begin");
    all_ok(&send(&mut transactional, vec![record(&topic, 0, "last")]).await);
    transactional.commit(Vec::new()).await.expect("commit");
    assert_eq!(read(&mut consumer, 1).await.len(), 1);
    consumer.close().await.expect("close");
    let admin = cluster.bus.admin().await.expect("an admin client");
    let spec = LogSpec {
        topic: topic.to_string(),
        key: "",
        client_id: unique("log"),
        ..LogSpec::default()
    };
    KafkaLog::open(admin, spec).await.expect("a log");
    let group = unique("workers");
    let coordination = format!("{group}-coordination");
    cluster.create(&coordination, 1, &[]).await;
    let spec = LeadershipSpec {
        group: group.clone(),
        config_topic: topic.to_string(),
        coordination_topic: coordination,
        offset_topic: "offsets".to_owned(),
    };
    let leadership = KafkaLeadership::prepare(admin, spec)
        .await
        .expect("a leadership");
    leadership.take().await.expect("a term");
    let spec = MemberSpec {
        group,
        worker_id: "127.0.0.1:1".to_owned(),
        incarnation: "1".to_owned(),
        https: false,
        session_timeout_ms: 6000,
        who: Arc::new(|_| Box::pin(async { None })),
    };
    let member = KafkaMembership::join(admin, spec).await.expect("a member");
    member.leave().await.expect("leave");
    shows_no_secret("");
}

/// Every kind of client is refused with this kind of error, each in its own time; their texts. `topic` need not exist.
pub(crate) async fn refused(settings: &ClientSettings, kind: ErrorKind, parts: &[&str]) {
    let bus = KafkaBus::new(settings.clone());
    let topic: Topic = unique("t").into();
    let all = async {
        tokio::join!(
            async {
                match Admin::connect(settings).await {
                    Err(error) => error,
                    Ok(_) => panic!("an admin client was let in:\n{}", library_said()),
                }
            },
            poll(&bus, &topic),
            write(&bus, &topic),
            async {
                let spec = ProducerSpec {
                    client_id: unique("p"),
                    transactional_id: Some(unique("tx")),
                    ..ProducerSpec::default()
                };
                bus.producer(spec)
                    .await
                    .err()
                    .expect("no transactional producer")
            },
        )
    };
    let all = tokio::time::timeout(LONG, all).await;
    let Ok((admin, consumer, producer, transactional)) = all else {
        panic!("not each is refused within a minute:\n{}", library_said());
    };
    for (client, error) in [
        ("admin", admin),
        ("consumer", consumer),
        ("producer", producer),
        ("transactional", transactional),
    ] {
        let text = format!("{error:?} {error}");
        assert_eq!(error.kind(), kind, "{client}: {text}");
        for part in parts {
            assert!(text.contains(part), "{client}: {part} is not in {text}");
        }
        shows_no_secret(&text);
    }
}

/// The last lines of the client library, and of what fetches tokens.
fn library_said() -> String {
    let logged = String::from_utf8_lossy(&lock(&LOGGED)).into_owned();
    let ours = |line: &&str| line.contains("librdkafka") || line.contains("OAUTHBEARER");
    let lines: Vec<&str> = logged
        .lines()
        .filter(|line| ours(line) && !line.contains("AllBrokersDown"))
        .collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

async fn poll(bus: &KafkaBus, topic: &Topic) -> Error {
    let spec = ConsumerSpec {
        client_id: unique("c"),
        group: unique("g"),
        subscription: Subscription::Topics(vec![topic.to_string()]),
        overrides: map(&[]),
        buffer_bytes: None,
    };
    let mut consumer: Box<dyn Consumer> = match bus.consumer(spec).await {
        Ok(consumer) => consumer,
        Err(error) => return error,
    };
    loop {
        match consumer.poll(Duration::from_millis(500)).await {
            Err(error) => return error,
            Ok(Polled::Batch(batch)) if batch.is_empty() => {}
            Ok(other) => panic!("{other:?} instead of a refusal"),
        }
    }
}

async fn write(bus: &KafkaBus, topic: &Topic) -> Error {
    let spec = ProducerSpec {
        client_id: unique("p"),
        ..ProducerSpec::default()
    };
    let mut producer = match bus.producer(spec).await {
        Ok(producer) => producer,
        Err(error) => return error,
    };
    let inbox = Inbox::new();
    let receipt = Receipt::new(Arc::clone(&inbox), Ticket(0));
    let _ = producer.send(vec![(record(topic, 0, "x"), receipt)]).await;
    let (_, answer) = answers(&inbox, 1).await.remove(0);
    answer.expect_err("no record is written")
}

/// Of a user that may log in and no more.
pub(crate) async fn forbidden(settings: ClientSettings, existing: &Topic) {
    let cluster = Cluster::with(settings);
    let spec = TopicSpec {
        name: unique("forbidden"),
        partitions: Some(1),
        replication: Some(1),
        config: map(&[]),
    };
    let created = cluster.bus.ensure_topic(spec).await.expect_err("no right");
    for error in [
        created,
        write(&cluster.bus, existing).await,
        poll(&cluster.bus, existing).await,
    ] {
        let text = format!("{error:?}");
        assert_eq!(error.kind(), ErrorKind::Auth, "{text}");
        assert!(text.contains("grant the principal"), "{text}");
        shows_no_secret(&text);
    }
}
