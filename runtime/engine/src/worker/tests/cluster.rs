//! Several workers of one group.

use super::*;
use crate::{
    control::ControlErrorKind,
    guarantee::SourceSupport,
    memory::{InGroup, MemoryGroup, MemoryPeers},
    ports::Membership,
    worker::InternalTopics,
};
use std::collections::BTreeMap;

pub(super) const SOURCE: (&str, &str) = ("connector.class", "FakeSource");
pub(super) const SINK: (&str, &str) = ("connector.class", "FakeSink");
pub(super) const TOPIC: (&str, &str) = ("topic", "t");
const LONG: Duration = Duration::from_secs(3600);

/// Workers and everything around them. The last words of one that is killed are never said.
pub(super) struct Cluster {
    workers: BTreeMap<String, (Worker, MemoryLog)>,
    starts: usize,
    pub(super) rebalance_delay: Duration,
    pub(super) bus: SharedMemoryBus,
    pub(super) config: MemoryLog,
    pub(super) offset: MemoryLog,
    pub(super) status: MemoryLog,
    pub(super) coordination: MemoryLog,
    pub(super) leadership: MemoryLeadership,
    pub(super) group: MemoryGroup,
    pub(super) peers: MemoryPeers,
    pub(super) exactly_once: SourceSupport,
    pub(super) probe: Arc<Probe>,
}

impl Cluster {
    /// So many workers, `w:1` the first. Nothing moves for balance before an hour.
    pub(super) async fn of(count: usize) -> Self {
        Self::with(count, SourceSupport::default()).await
    }
    pub(super) async fn with(count: usize, exactly_once: SourceSupport) -> Self {
        let (config, coordination) = (MemoryLog::new(), MemoryLog::new());
        let offset = MemoryLog::new();
        let leadership =
            MemoryLeadership::new(config.clone(), coordination.clone(), offset.clone());
        let mut cluster = Self {
            workers: BTreeMap::new(),
            starts: 0,
            rebalance_delay: LONG,
            bus: SharedMemoryBus::default(),
            config,
            offset,
            status: MemoryLog::new(),
            coordination,
            leadership,
            group: MemoryGroup::default(),
            peers: MemoryPeers::default(),
            exactly_once,
            probe: Arc::default(),
        };
        for number in 1..=count {
            cluster.start(&format!("w:{number}")).await;
        }
        cluster.led().await;
        cluster
    }
    pub(super) async fn start(&mut self, worker_id: &str) {
        self.start_with(worker_id, InternalTopics::of("longshore"))
            .await;
    }
    pub(super) async fn start_with(&mut self, worker_id: &str, topics: InternalTopics) {
        self.starts += 1;
        let member: Arc<InGroup> = self.group.join(worker_id, &self.starts.to_string());
        let coordination = self.coordination.apart();
        let ports = Ports {
            bus: Arc::new(self.bus.clone()),
            logs: Logs {
                config: Arc::new(self.config.clone()),
                offset: Arc::new(self.offset.clone()),
                status: Arc::new(self.status.clone()),
                coordination: Arc::new(coordination.clone()),
            },
            membership: member as Arc<dyn Membership>,
            leadership: Arc::new(self.leadership.clone()),
            peers: Arc::new(self.peers.clone()),
        };
        let settings = WorkerSettings {
            worker_id: worker_id.to_owned(),
            rebalance_delay: self.rebalance_delay,
            topics,
            exactly_once_sources: self.exactly_once,
            ..settings()
        };
        // One that is called bare has no plugins of files.
        let registry = if worker_id.starts_with("bare") {
            fake::registry(&self.probe)
        } else {
            fake::registry_with_files(&self.probe)
        };
        let worker = Worker::start(settings, ports, registry, Metrics::new());
        let me = worker.control().me();
        self.peers.join(&me, worker.control());
        worker.control().ready().await;
        self.workers
            .insert(worker_id.to_owned(), (worker, coordination));
    }
    /// It dies without a word, and its session ends.
    pub(super) async fn kill(&mut self, worker_id: &str) {
        self.vanish(worker_id).await;
        self.group.drop_member(worker_id);
    }
    /// It dies without a word, and is listed still.
    pub(super) async fn vanish(&mut self, worker_id: &str) {
        drop(self.workers.remove(worker_id));
        self.peers.leave(worker_id);
        // Its futures are gone with the next turn of the runtime.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    pub(super) async fn stop(&mut self, worker_id: &str) {
        let (worker, _) = self.workers.remove(worker_id).expect("it runs");
        worker.shutdown().await;
        self.peers.leave(worker_id);
    }
    /// The same, in the background.
    pub(super) fn stopping(&mut self, worker_id: &str) -> tokio::task::JoinHandle<()> {
        let (worker, _) = self.workers.remove(worker_id).expect("it runs");
        tokio::spawn(worker.shutdown())
    }
    /// Every worker at the same time.
    pub(super) async fn stop_together(mut self) {
        let names: Vec<String> = self.workers.keys().cloned().collect();
        let all: Vec<_> = names.iter().map(|name| self.stopping(name)).collect();
        for stopped in all {
            stopped.await.expect("no panic");
        }
    }
    pub(super) async fn stop_all(mut self) {
        while let Some((_, (worker, _))) = self.workers.pop_last() {
            worker.shutdown().await;
        }
    }
    pub(super) fn worker(&self, worker_id: &str) -> Control {
        self.workers[worker_id].0.control()
    }
    /// The coordination topic as one worker reads it.
    pub(super) fn coordination_of(&self, worker_id: &str) -> &MemoryLog {
        &self.workers[worker_id].1
    }
    /// The leader's door, once it leads.
    pub(super) async fn led(&self) -> Control {
        let leader = || self.group.leader().map(|leader| self.worker(&leader));
        let leads = || leader().is_some_and(|leader| leader.leads());
        eventually("somebody leads", leads, String::new).await;
        leader().expect("it leads")
    }
    pub(super) async fn create(&self, name: &str, config: &[(&str, &str)]) {
        let leader = self.led().await;
        let created = leader.create(name, flat(config), TargetState::Started);
        created.await.expect("created");
    }
    /// What a worker says of a connector's tasks: `RUNNING@w:1 RUNNING@w:2`.
    pub(super) fn seen_by(&self, worker_id: &str, name: &str) -> String {
        match self.worker(worker_id).status(name) {
            Ok(status) => {
                let tasks = status.tasks.iter();
                let tasks: Vec<String> = tasks
                    .map(|task| format!("{}@{}", task.state, task.worker_id))
                    .collect();
                tasks.join(" ")
            }
            Err(error) => error.message,
        }
    }
    /// How many RUNNING tasks of a connector each worker has, as all workers see it.
    pub(super) async fn shares(&self, name: &str, counts: &[(&str, usize)]) {
        let wanted: BTreeMap<String, usize> = counts
            .iter()
            .map(|(worker_id, count)| (format!("RUNNING@{worker_id}"), *count))
            .collect();
        let of = |worker_id: &str| {
            let mut found: BTreeMap<String, usize> = BTreeMap::new();
            for task in self.seen_by(worker_id, name).split_whitespace() {
                *found.entry(task.to_owned()).or_default() += 1;
            }
            found
        };
        let everywhere = || self.workers.keys().all(|worker_id| of(worker_id) == wanted);
        let now = || {
            let workers = self.workers.keys();
            let seen = workers.map(|worker_id| self.seen_by(worker_id, name));
            format!("{:?}", seen.collect::<Vec<_>>())
        };
        eventually(&format!("{name} is shared {counts:?}"), everywhere, now).await;
    }
    /// How often the tasks of a connector were opened.
    pub(super) fn opens(&self, name: &str, tasks: u32) -> Vec<usize> {
        let opens = (0..tasks).map(|task| self.probe.opens(&format!("{name}-{task}")));
        opens.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_on_a_worker_without_its_plugin_names_worker_plugin_and_version() {
    let mut cluster = Cluster::of(1).await;
    cluster.start("bare:2").await;
    let config = [
        ("connector.class", "filed-source"),
        ("connector.plugin.version", "[2.0,2.1)"),
        TOPIC,
        ("tasks.max", "2"),
    ];
    cluster.create("s", &config).await;
    let seen = || cluster.seen_by("w:1", "s");
    let placed = || {
        let seen = seen();
        seen.contains("RUNNING@w:1") && seen.contains("FAILED@bare:2")
    };
    eventually("a task on each", placed, seen).await;
    let status = cluster.worker("w:1").status("s").expect("it is there");
    let of = |worker: &str| {
        let task = status.tasks.iter().find(|task| task.worker_id == worker);
        task.expect("one task each").clone()
    };
    assert_eq!(of("w:1").version.as_deref(), Some("2.0.0"));
    let failed = of("bare:2");
    let trace = failed.trace.expect("it says why");
    assert!(
        trace.contains("worker bare:2: there is no plugin named \"filed-source\"")
            && trace.contains("version [2.0,2.1)"),
        "{trace}"
    );
    assert_eq!(failed.version, None);
    cluster.stop_all().await;
}

/// I4: whether it has transactions, and where its offsets are, only the plugin tells.
#[tokio::test(start_paused = true)]
async fn a_leader_without_the_plugin_leaves_offsets_alone_and_names_it() {
    let mut cluster = Cluster::with(1, SourceSupport::Enabled).await;
    let config = [
        ("connector.class", "filed-source"),
        ("guarantee", "exactly"),
        TOPIC,
    ];
    cluster.create("s", &config).await;
    cluster.shares("s", &[("w:1", 1)]).await;
    let first = cluster.worker("w:1");
    let stopped = first.set_target("s", TargetState::Stopped).await;
    stopped.expect("stopped");
    let gone = || cluster.probe.open_now().is_empty();
    eventually("its task is gone", gone, String::new).await;
    cluster.start("bare:2").await;
    cluster.kill("w:1").await;
    cluster.led().await;
    let bare = cluster.worker("bare:2");
    let (read, reset) = (bare.offsets("s").await, bare.reset_offsets("s").await);
    for error in [read.expect_err("unread"), reset.expect_err("not reset")] {
        assert_eq!(error.kind, ControlErrorKind::Invalid, "{error}");
        let text = "there is no plugin named \"filed-source\"";
        assert!(error.message.contains(text), "{error}");
    }
    cluster.stop_all().await;
}

/// Kafka Connect shows its own version as the key's default, and forms store what they are shown.
#[tokio::test(start_paused = true)]
async fn a_bundled_connector_runs_whatever_version_of_it_a_config_names() {
    let cluster = Cluster::of(1).await;
    let config = [SOURCE, TOPIC, ("connector.plugin.version", "4.1.0")];
    cluster.create("s", &config).await;
    cluster.shares("s", &[("w:1", 1)]).await;
    let status = cluster.worker("w:1").status("s").expect("it is there");
    assert_ne!(status.tasks[0].version.as_deref(), Some("4.1.0"));
    assert!(status.tasks[0].version.is_some());
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn workers_share_tasks_and_one_that_dies_leaves_its_own_to_the_others() {
    let mut cluster = Cluster::of(3).await;
    cluster
        .create("s", &[SOURCE, TOPIC, ("tasks.max", "6")])
        .await;
    cluster
        .shares("s", &[("w:1", 2), ("w:2", 2), ("w:3", 2)])
        .await;
    cluster.kill("w:2").await;
    cluster.shares("s", &[("w:1", 3), ("w:3", 3)]).await;
    let opens = cluster.opens("s", 6);
    assert_eq!(
        opens.iter().sum::<usize>(),
        8,
        "only its tasks moved: {opens:?}"
    );
    // The leader dies: another one goes on.
    assert_eq!(cluster.group.leader().as_deref(), Some("w:1"));
    cluster.kill("w:1").await;
    cluster.shares("s", &[("w:3", 6)]).await;
    cluster.create("later", &[SOURCE, TOPIC]).await;
    cluster.shares("later", &[("w:3", 1)]).await;
    let status = cluster.worker("w:3").status("s").expect("a status");
    assert_eq!(status.connector.worker_id, "w:3", "the leader says so");
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_leaves_its_tasks_at_once_and_says_so() {
    let mut cluster = Cluster::of(2).await;
    cluster
        .create("s", &[SOURCE, TOPIC, ("tasks.max", "4")])
        .await;
    cluster.shares("s", &[("w:1", 2), ("w:2", 2)]).await;
    cluster.stop("w:2").await;
    cluster.shares("s", &[("w:1", 4)]).await;
    let said = cluster.status.texts();
    let unassigned = said.iter().filter(|(_, value)| {
        let value = value.as_deref().unwrap_or_default();
        value.contains("UNASSIGNED") && value.contains("w:2")
    });
    assert_eq!(unassigned.count(), 2, "{said:?}");
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_config_restarts_nothing_and_a_changed_one_only_its_own() {
    let cluster = Cluster::of(2).await;
    let config = [SOURCE, TOPIC, ("tasks.max", "2")];
    cluster.create("a", &config).await;
    cluster.create("b", &config).await;
    cluster.shares("a", &[("w:1", 1), ("w:2", 1)]).await;
    cluster.shares("b", &[("w:1", 1), ("w:2", 1)]).await;
    let leader = cluster.led().await;
    leader.put_config("a", flat(&config)).await.expect("stored");
    let (key, value) = cluster
        .config
        .texts()
        .into_iter()
        .find(|(key, _)| key == "connector-a")
        .expect("written");
    cluster
        .config
        .append(vec![(key.into(), value.map(Into::into))]);
    let grown = |tasks: &str| [("tasks.max".to_owned(), Some(tasks.to_owned()))].into();
    leader.patch_config("b", grown("4")).await.expect("stored");
    cluster.shares("b", &[("w:1", 2), ("w:2", 2)]).await;
    leader.patch_config("b", grown("1")).await.expect("stored");
    let left = || cluster.seen_by("w:2", "b").split_whitespace().count();
    eventually("one task is left", || left() == 1, || left().to_string()).await;
    eventually(
        "only wanted tasks are open",
        || cluster.probe.open_now() == ["a-0", "a-1", "b-0"],
        || format!("{:?}", cluster.probe.open_now()),
    )
    .await;
    assert_eq!(cluster.opens("a", 2), [1, 1]);
    let placed = last_values(&cluster.coordination);
    let of_b = placed.keys().filter(|key| key.starts_with("task-b-"));
    assert_eq!(of_b.count(), 1, "{placed:?}");
    cluster.stop_all().await;
}

/// The values that stand now.
fn last_values(log: &MemoryLog) -> BTreeMap<String, String> {
    let mut last = BTreeMap::new();
    for (key, value) in log.texts() {
        match value {
            Some(value) => drop(last.insert(key, value)),
            None => drop(last.remove(&key)),
        }
    }
    last
}

/// It does not know yet that it leads no more: what it writes is refused, so it asks the group again. As that still says so, it takes the
/// leadership once more, after a pause, and knows then what was written without it.
#[tokio::test(start_paused = true)]
async fn a_former_leader_writes_nothing_before_it_has_taken_over_again() {
    let cluster = Cluster::of(2).await;
    cluster.create("s", &[SOURCE, TOPIC]).await;
    cluster.shares("s", &[("w:1", 1)]).await;
    let former = cluster.worker("w:1");
    // What keeps the zombie's source from writing is not looked at here.
    cluster.probe.allow_twice();
    cluster.group.put_to_sleep("w:1", true);
    let leader = cluster.led().await;
    assert!(leader.leads() && former.leads(), "as they believe");
    let create = |control: Control, name: &'static str| async move {
        let config = flat(&[SOURCE, TOPIC]);
        control.create(name, config, TargetState::Started).await
    };
    let terms = cluster.leadership.terms();
    create(former.clone(), "by-the-old").await.expect("created");
    assert!(cluster.leadership.terms() > terms);
    assert!(former.leads());
    // The other one is the former leader now.
    let terms = cluster.leadership.terms();
    create(leader.clone(), "by-the-new").await.expect("created");
    assert!(cluster.leadership.terms() > terms);
    assert_eq!(leader.connectors(), ["by-the-new", "by-the-old", "s"]);
    // Two that believe it take it from each other once in a while.
    let terms = cluster.leadership.terms();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let taken = cluster.leadership.terms() - terms;
    assert!(taken < 20, "I6: taken {taken} times in a minute");
    cluster.group.put_to_sleep("w:1", false);
    let names = ["s", "by-the-new", "by-the-old"];
    for name in names {
        let runs = || cluster.seen_by("w:1", name).starts_with("RUNNING@");
        eventually("all run", runs, || cluster.seen_by("w:1", name)).await;
    }
    cluster.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_other_internal_topics_runs_nothing() {
    let mut cluster = Cluster::of(1).await;
    let mut other = InternalTopics::of("longshore");
    other.config = "another".to_owned();
    cluster.rebalance_delay = Duration::ZERO;
    cluster.start_with("w:2", other).await;
    // It is a member, so tasks are placed on it; the operator is told, and stops it.
    cluster
        .create("s", &[SOURCE, TOPIC, ("tasks.max", "2")])
        .await;
    let one = || cluster.probe.open_now().len() == 1;
    eventually("one of two is open", one, String::new).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(one(), "{:?}", cluster.probe.open_now());
    // Left alone it does not lead either.
    cluster.kill("w:1").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!cluster.worker("w:2").leads());
    assert_eq!(cluster.probe.open_now(), Vec::<String>::new());
    cluster.stop_all().await;
}

/// The leader dies with a task set half written, as a Kafka Connect leader without transactions can: the next one generates it again.
#[tokio::test(start_paused = true)]
async fn a_new_leader_finishes_what_the_old_one_left() {
    let mut cluster = Cluster::of(2).await;
    cluster
        .create("s", &[SOURCE, TOPIC, ("tasks.max", "2")])
        .await;
    cluster.shares("s", &[("w:1", 1), ("w:2", 1)]).await;
    cluster.kill("w:1").await;
    cluster.led().await;
    cluster.shares("s", &[("w:2", 2)]).await;
    cluster.kill("w:2").await;
    // Nobody is there: a torn set, a placement of what is not wanted, a status of what never was.
    let pair = |key: &str, value: &str| (key.to_owned().into(), Some(value.to_owned().into()));
    cluster
        .config
        .append(vec![pair("commit-s", r#"{"tasks":3}"#)]);
    let nowhere = r#"{"worker":"w:9","incarnation":"1","generation":90}"#;
    cluster.coordination.append(vec![pair("task-x-0", nowhere)]);
    let said =
        r#"{"state":"RUNNING","trace":null,"worker_id":"w:9","generation":700,"version":null}"#;
    cluster.status.append(vec![
        pair("status-task-gone-0", said),
        pair("status-task-s-0", said),
    ]);
    cluster.start("w:3").await;
    cluster.shares("s", &[("w:3", 2)]).await;
    assert!(!last_values(&cluster.coordination).contains_key("task-x-0"));
    let gone = || !last_values(&cluster.status).contains_key("status-task-gone-0");
    eventually("the orphan's status is gone", gone, String::new).await;
    cluster.stop_all().await;
}
