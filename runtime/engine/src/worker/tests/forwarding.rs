//! Any worker of a group takes any request: three workers over the same topics, called through whichever.

use super::*;
use crate::{
    control::{ConnectorOffset, ConnectorOffsets, ControlError, ControlErrorKind, ControlResult},
    memory::{Fault, Line, MemoryPeers},
    ports::{Member, View},
};
use serde_json::json;

const CLASS: (&str, &str) = ("connector.class", "fake-source");
const TOPIC: (&str, &str) = ("topic", "t");

/// Workers of one group.
struct Cluster {
    workers: Vec<Peer>,
    peers: MemoryPeers,
    leadership: MemoryLeadership,
    config: MemoryLog,
    offset: MemoryLog,
}

struct Peer {
    worker: Worker,
    /// The config topic as this one reads it.
    config: MemoryLog,
    control: Control,
    group: Arc<Alone>,
    member: Member,
    probe: Arc<Probe>,
}

impl Cluster {
    /// So many workers; the first leads.
    async fn new(count: usize) -> Self {
        Self::told(count, settings()).await
    }
    async fn told(count: usize, settings: WorkerSettings) -> Self {
        let (config, coordination) = (MemoryLog::new(), MemoryLog::new());
        let offset = MemoryLog::new();
        let logs = Logs {
            config: Arc::new(config.clone()),
            offset: Arc::new(offset.clone()),
            status: Arc::new(MemoryLog::new()),
            coordination: Arc::new(coordination.clone()),
        };
        let leadership = MemoryLeadership::new(config.clone(), coordination, offset.clone());
        let peers = MemoryPeers::default();
        let mut workers = Vec::new();
        for number in 0..count {
            let worker_id = format!("w:{number}");
            let (group, probe) = (Alone::new(&worker_id), Arc::<Probe>::default());
            // Nobody leads before everybody is there.
            group.change(|view| view.leader = None);
            let own = config.apart();
            let ports = Ports {
                bus: Arc::new(SharedMemoryBus::default()),
                logs: Logs {
                    config: Arc::new(own.clone()),
                    ..logs.clone()
                },
                membership: group.clone(),
                leadership: Arc::new(leadership.clone()),
                peers: Arc::new(peers.clone()),
            };
            let settings = WorkerSettings {
                worker_id,
                ..settings.clone()
            };
            let worker = Worker::start(settings, ports, fake::registry(&probe), Metrics::new());
            let control = worker.control();
            control.ready().await;
            let member = control.me();
            peers.join(&member, control.clone());
            workers.push(Peer {
                worker,
                config: own,
                control,
                group,
                member,
                probe,
            });
        }
        let cluster = Self {
            workers,
            peers,
            leadership,
            config,
            offset,
        };
        cluster.lead(Some(0));
        cluster
    }
    /// Everybody is told who leads.
    fn lead(&self, leader: Option<usize>) {
        let leader = leader.map(|leader| self.workers[leader].member.clone());
        self.change(|view| view.leader.clone_from(&leader));
    }
    fn change(&self, change: impl Fn(&mut View)) {
        let members: Vec<Member> = self
            .workers
            .iter()
            .map(|worker| worker.member.clone())
            .collect();
        for worker in &self.workers {
            worker.group.change(|view| {
                view.members.clone_from(&members);
                view.generation += 1;
                change(view);
            });
        }
    }
    fn at(&self, number: usize) -> &Control {
        &self.workers[number].control
    }
    async fn create(&self, at: usize, name: &str) {
        let created = self
            .at(at)
            .create(name, config(&[]), TargetState::Started)
            .await;
        created.expect("created");
    }
    /// The records of the config topic under a key, from the first on.
    fn records(&self, key: &str) -> Vec<Option<String>> {
        let all = self.config.texts().into_iter();
        all.filter(|(known, _)| known == key)
            .map(|(_, value)| value)
            .collect()
    }
    async fn shows(&self, at: usize, name: &str, states: &str) {
        let now = || match self.at(at).status(name) {
            Ok(status) => {
                let tasks = status.tasks.iter().map(|task| task.state.as_str());
                let tasks: Vec<&str> = tasks.collect();
                format!("{} [{}]", status.connector.state, tasks.join(" "))
            }
            Err(error) => error.message,
        };
        eventually(&format!("{name} shows {states}"), || now() == states, now).await;
    }
    async fn shutdown(self) {
        for worker in self.workers {
            worker.worker.shutdown().await;
        }
    }
}

fn config(more: &[(&str, &str)]) -> Flat {
    flat(&[&[CLASS, TOPIC], more].concat())
}

fn kind<T>(result: ControlResult<T>) -> ControlErrorKind {
    result.err().map(|error| error.kind).expect("refused")
}

#[tokio::test]
async fn a_follower_does_everything_and_shows_at_once_what_it_did() {
    let cluster = Cluster::new(3).await;
    let (leader, follower) = (cluster.at(0), cluster.at(1));
    let info = follower
        .create("a", config(&[]), TargetState::Started)
        .await
        .expect("created");
    assert_eq!((info.name.as_str(), info.tasks.len()), ("a", 0));
    // Read-your-writes: on the worker that was asked, without a wait.
    assert_eq!(follower.connectors(), ["a"]);
    let taken = cluster.at(2);
    let again = taken.create("a", config(&[]), TargetState::Started).await;
    let again = again.expect_err("it is there");
    assert_eq!(
        (again.kind, again.message.as_str()),
        (ControlErrorKind::Conflict, "Connector a already exists")
    );
    let stored = follower
        .put_config("a", config(&[("tasks.max", "2")]))
        .await
        .expect("stored");
    assert!(!stored.created);
    assert_eq!(follower.config("a").expect("there")["tasks.max"], "2");
    let wrong = follower
        .put_config("a", config(&[("tasks.max", "0")]))
        .await;
    let wrong = wrong.expect_err("invalid");
    assert_eq!(
        (wrong.kind, wrong.path.as_deref()),
        (ControlErrorKind::Invalid, Some("tasks.max"))
    );
    let patch = [("count".to_owned(), Some("7".to_owned()))];
    let patched = follower.patch_config("a", patch.into()).await;
    assert_eq!(patched.expect("patched").config["count"], "7");
    cluster.shows(1, "a", "RUNNING [RUNNING RUNNING]").await;
    follower
        .set_target("a", TargetState::Paused)
        .await
        .expect("paused");
    cluster.shows(2, "a", "PAUSED [PAUSED PAUSED]").await;
    follower
        .set_target("a", TargetState::Started)
        .await
        .expect("resumed");
    cluster.shows(2, "a", "RUNNING [RUNNING RUNNING]").await;
    follower
        .set_target("a", TargetState::Stopped)
        .await
        .expect("stopped");
    assert_eq!(follower.tasks("a").expect("there"), []);
    follower.delete("a").await.expect("deleted");
    assert_eq!(follower.connectors(), Vec::<String>::new());
    assert_eq!(kind(follower.delete("a").await), ControlErrorKind::NotFound);
    eventually(
        "the leader has read it",
        || leader.connectors().is_empty(),
        || format!("{:?}", leader.connectors()),
    )
    .await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_task_is_restarted_where_it_runs_and_a_connector_by_its_leader() {
    let cluster = Cluster::new(2).await;
    let two = config(&[("tasks.max", "2")]);
    let created = cluster.at(1).create("r", two, TargetState::Started).await;
    created.expect("created");
    cluster.shows(1, "r", "RUNNING [RUNNING RUNNING]").await;
    let status = cluster.at(1).status("r").expect("a status");
    let opens = |task: &str| -> usize {
        let workers = cluster.workers.iter();
        workers.map(|worker| worker.probe.opens(task)).sum()
    };
    for task in &status.tasks {
        let name = format!("r-{}", task.id);
        let number = i32::try_from(task.id).expect("small");
        // Whichever is asked, the owner does it.
        for asked in 0..2 {
            let before = opens(&name);
            cluster
                .at(asked)
                .restart_task("r", number)
                .await
                .expect("restarted");
            eventually(
                &format!("{name} was opened anew"),
                || opens(&name) > before,
                || opens(&name).to_string(),
            )
            .await;
        }
    }
    let plans = || *cluster.workers[0].probe.plans.lock().expect("no panic");
    let before = plans();
    let alone = cluster.at(1).restart("r", false, false).await;
    assert_eq!(alone.expect("restarted"), None);
    assert!(plans() > before, "the leader has planned when it answers");
    let with_tasks = cluster.at(1).restart("r", true, false).await;
    let state = with_tasks.expect("restarted").expect("a state");
    assert_eq!(state.connector.state, "RESTARTING");
    assert_eq!(cluster.records("restart-connector-r").len(), 1);
    let unknown = cluster.at(1).restart_task("r", 5).await;
    assert_eq!(kind(unknown), ControlErrorKind::NotFound);
    cluster.shutdown().await;
}

#[tokio::test]
async fn during_an_election_a_request_waits() {
    let cluster = Cluster::new(3).await;
    cluster.create(1, "before").await;
    cluster.lead(None);
    let (one, two) = (cluster.at(1).clone(), cluster.at(2).clone());
    let create = async move { one.create("a", config(&[]), TargetState::Started).await };
    let create = tokio::spawn(create);
    let delete = tokio::spawn(async move { two.delete("before").await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!create.is_finished() && !delete.is_finished());
    // A plain write needs no leader.
    let paused = cluster
        .at(1)
        .set_target("before", TargetState::Paused)
        .await;
    paused.expect("paused");
    cluster.lead(Some(2));
    create.await.expect("no panic").expect("created");
    delete.await.expect("no panic").expect("deleted");
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_for_long_the_answer_is_not_now() {
    let cluster = Cluster::new(2).await;
    cluster.create(1, "a").await;
    cluster.lead(None);
    let refused = cluster.at(1).delete("a").await.expect_err("nobody leads");
    assert_eq!(refused.kind, ControlErrorKind::Unavailable);
    assert!(refused.message.contains("no known leader URL"), "{refused}");
    // A leader that does not answer is the same.
    cluster.lead(Some(0));
    cluster.peers.set(Line::Cut);
    let refused = cluster.at(1).delete("a").await.expect_err("nobody answers");
    assert_eq!(refused.kind, ControlErrorKind::Unavailable);
    assert!(refused.message.contains("http://w:0"), "{refused}");
    cluster.peers.set(Line::Whole);
    cluster.at(1).delete("a").await.expect("deleted");
    cluster.shutdown().await;
}

/// One that was written although the leader saw an error, and one that was not.
#[tokio::test(start_paused = true)]
async fn a_write_in_doubt_is_tried_again_and_done_once() {
    for fault in [Fault::AnswerLost, Fault::Lost] {
        for asked in [0, 1] {
            let cluster = Cluster::new(2).await;
            cluster.leadership.plant(&[fault]);
            let created = cluster
                .at(asked)
                .create("a", config(&[]), TargetState::Started)
                .await;
            let created = created.expect("no 409 for the own write");
            assert_eq!(created.config["topic"], "t");
            assert_eq!(cluster.records("connector-a").len(), 1, "{fault:?}");
            cluster.leadership.plant(&[fault]);
            let put = config(&[("count", "5")]);
            let stored = cluster.at(asked).put_config("a", put).await;
            assert!(!stored.expect("stored").created);
            assert_eq!(cluster.records("connector-a").len(), 2, "{fault:?}");
            cluster.leadership.plant(&[fault]);
            let put = config(&[("count", "6")]);
            let stored = cluster.at(asked).put_config("new", put).await;
            assert!(stored.expect("stored").created, "it was not there before");
            cluster.leadership.plant(&[fault]);
            let stopped = cluster.at(asked).set_target("a", TargetState::Stopped);
            stopped.await.expect("stopped");
            assert_eq!(cluster.records("target-state-a").len(), 1, "{fault:?}");
            cluster.leadership.plant(&[fault]);
            let deleted = cluster.at(asked).delete("a").await;
            deleted.expect("no 404 for the own deletion");
            let last = cluster.records("connector-a").pop();
            assert_eq!(
                (last, cluster.records("connector-a").len()),
                (Some(None), 3)
            );
            cluster.shutdown().await;
        }
    }
}

/// The answer of the leader gets lost after it has written, and he is gone.
#[tokio::test]
async fn what_the_former_leader_wrote_is_found_by_the_next_one() {
    let cluster = Cluster::new(3).await;
    cluster.create(0, "old").await;
    cluster.peers.set(Line::AnswersLost);
    let control = cluster.at(2).clone();
    let put = tokio::spawn(async move {
        let config = config(&[("count", "1")]);
        control.put_config("old", config).await
    });
    eventually(
        "it is written",
        || cluster.records("connector-old").len() == 2,
        String::new,
    )
    .await;
    // Somebody else writes over it before it is tried again: the newer write stays.
    let newer = config(&[("count", "2")]);
    cluster
        .at(0)
        .put_config("old", newer.clone())
        .await
        .expect("stored");
    cluster.lead(Some(1));
    cluster.peers.set(Line::Whole);
    let stored = put.await.expect("no panic").expect("stored");
    assert_eq!(stored.info.config["count"], "1");
    assert_eq!(cluster.records("connector-old").len(), 3);
    assert_eq!(cluster.at(2).config("old").expect("there")["count"], "2");
    cluster.shutdown().await;
}

#[tokio::test]
async fn changes_at_the_same_time_through_all_workers_lose_nothing() {
    let cluster = Cluster::new(3).await;
    cluster.create(0, "p").await;
    let mut changes = tokio::task::JoinSet::new();
    for number in 0..30 {
        let control = cluster.at(number % 3).clone();
        changes.spawn(async move {
            let change = [(format!("transforms.k{number}.x"), Some("1".to_owned()))];
            control.patch_config("p", change.into()).await
        });
    }
    while let Some(changed) = changes.join_next().await {
        changed.expect("no panic").expect("no conflict");
    }
    let config = cluster.at(0).config("p").expect("there");
    let kept = (0..30).filter(|number| config.contains_key(&format!("transforms.k{number}.x")));
    assert_eq!(kept.count(), 30);
    cluster.shutdown().await;
}

/// Many clients of all workers, while leaders change and writes end in doubt: everything that was answered holds, nothing is refused for an election.
#[tokio::test]
async fn clients_of_all_workers_see_no_election() {
    let cluster = Cluster::new(3).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..12 {
        let controls: Vec<Control> = cluster.workers.iter().map(|w| w.control.clone()).collect();
        clients.spawn(async move {
            let name = format!("c{client}");
            for round in 0..4 {
                let at = |step: usize| &controls[(client + round + step) % 3];
                let created = at(0).create(&name, config(&[]), TargetState::Paused).await;
                created.expect("created");
                let count = round.to_string();
                let stored = at(1).put_config(&name, config(&[("count", &count)])).await;
                assert!(!stored.expect("stored").created);
                let change = [("tasks.max".to_owned(), Some("2".to_owned()))];
                let patched = at(2)
                    .patch_config(&name, change.into())
                    .await
                    .expect("patched");
                assert_eq!(patched.config["count"], count, "no update is lost");
                at(0)
                    .set_target(&name, TargetState::Started)
                    .await
                    .expect("resumed");
                if round < 3 || client % 2 == 0 {
                    at(1).delete(&name).await.expect("deleted");
                }
            }
        });
    }
    let trouble = async {
        for election in 1..10 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            cluster.leadership.plant(&[Fault::AnswerLost, Fault::Lost]);
            cluster.peers.set(Line::AnswersLost);
            cluster.lead(None);
            tokio::time::sleep(Duration::from_millis(50)).await;
            cluster.lead(Some(election % 3));
            cluster.peers.set(Line::Whole);
        }
        std::future::pending::<()>().await;
    };
    let all = async {
        while let Some(done) = clients.join_next().await {
            done.expect("no client was refused");
        }
    };
    tokio::select! {
        () = all => {}
        () = trouble => {}
    }
    let left: Vec<String> = (0..12)
        .filter(|client| client % 2 == 1)
        .map(|client| format!("c{client}"))
        .collect();
    for worker in 0..3 {
        let now = || {
            let mut names = cluster.at(worker).connectors();
            names.sort_by_key(|name| name[1..].parse::<u32>().expect("a number"));
            names
        };
        eventually(
            "the views are equal",
            || now() == left,
            || format!("{:?}", now()),
        )
        .await;
        for name in &left {
            let config = cluster.at(worker).config(name).expect("there");
            assert_eq!(
                (config["count"].as_str(), config["tasks.max"].as_str()),
                ("3", "2")
            );
        }
    }
    cluster.shutdown().await;
}

/// Frozen before it wrote, a leader finds another one in its place when it wakes.
#[tokio::test]
async fn a_former_leader_writes_nothing_and_forwards_nothing() {
    let cluster = Cluster::new(3).await;
    cluster.create(1, "a").await;
    // Only the third worker knows that it leads now: it has taken the pen.
    let third = cluster.workers[2].member.clone();
    cluster.workers[2]
        .group
        .change(|view| view.leader = Some(third.clone()));
    eventually(
        "the third has taken over",
        || cluster.at(2).leads(),
        String::new,
    )
    .await;
    let sent = cluster.peers.bodies().len();
    let control = cluster.at(1).clone();
    let delete = tokio::spawn(async move { control.delete("a").await });
    // The first worker was asked, tried, was fenced, and says so: it does not pass the command on.
    eventually(
        "the former leader was asked",
        || cluster.peers.bodies().len() > sent && !cluster.at(0).leads(),
        String::new,
    )
    .await;
    assert_eq!(cluster.records("connector-a").len(), 1);
    let all_of_one = || {
        let bodies = cluster.peers.bodies();
        let of_one =
            |body: &bytes::Bytes| String::from_utf8_lossy(body).contains(r#""from":"w:1""#);
        bodies[sent..].iter().all(of_one)
    };
    assert!(all_of_one());
    cluster.lead(Some(2));
    delete.await.expect("no panic").expect("deleted");
    assert!(all_of_one());
    cluster.shutdown().await;
}

/// It was away, and has not read yet what its successor wrote: that its own old config is "there already" would be no true answer.
#[tokio::test]
async fn a_former_leader_does_not_take_an_old_config_for_the_one_that_is_there() {
    let cluster = Cluster::new(3).await;
    cluster.create(0, "a").await;
    cluster.workers[0].config.hold_reads(true);
    let third = cluster.workers[2].member.clone();
    cluster.workers[2]
        .group
        .change(|view| view.leader = Some(third.clone()));
    eventually("the third leads", || cluster.at(2).leads(), String::new).await;
    let newer = cluster.at(2).put_config("a", config(&[("count", "9")]));
    newer.await.expect("stored");
    let control = cluster.at(0).clone();
    let put = tokio::spawn(async move { control.put_config("a", config(&[])).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.workers[0].config.hold_reads(false);
    cluster.lead(Some(2));
    put.await.expect("no panic").expect("stored");
    let now = cluster.at(2).config("a").expect("there");
    assert!(!now.contains_key("count"), "it was answered: it holds");
    cluster.shutdown().await;
}

/// A connector with a stored offset, STOPPED, its tasks gone.
async fn stopped(cluster: &Cluster, name: &str) {
    cluster.create(1, name).await;
    let stored = || !cluster.offset.texts().is_empty();
    eventually("an offset is stored", stored, String::new).await;
    let stop = cluster.at(0).set_target(name, TargetState::Stopped);
    stop.await.expect("stopped");
    // One that is refused for its shape changes nothing, and tells when the tasks have gone.
    let mut shapeless = to(0);
    shapeless.offsets[0].offset = json!(0);
    while kind(cluster.at(0).alter_offsets(name, shapeless.clone()).await)
        == ControlErrorKind::Conflict
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn to(n: u64) -> ConnectorOffsets {
    let entry = ConnectorOffset {
        partition: json!({ "share": "0" }),
        offset: json!({ "n": n }),
    };
    ConnectorOffsets {
        offsets: vec![entry],
    }
}

/// I4: its successor may have started the tasks already.
#[tokio::test]
async fn a_former_leader_changes_no_offsets() {
    let cluster = Cluster::new(3).await;
    stopped(&cluster, "a").await;
    let before = cluster.offset.texts();
    // Only the third worker knows that it leads now: it has taken the pen.
    let third = cluster.workers[2].member.clone();
    let group = &cluster.workers[2].group;
    group.change(|view| view.leader = Some(third.clone()));
    let leads = || cluster.at(2).leads();
    eventually("the third has taken over", leads, String::new).await;
    for reset in [false, true] {
        let control = cluster.at(0).clone();
        let asked = tokio::spawn(async move {
            match reset {
                false => control.alter_offsets("a", to(1)).await,
                true => control.reset_offsets("a").await,
            }
        });
        if !reset {
            let fenced = || !cluster.at(0).leads();
            eventually("the former leader was fenced", fenced, String::new).await;
            assert_eq!(cluster.offset.texts(), before, "it has written nothing");
            assert!(!asked.is_finished());
            cluster.lead(Some(2));
        }
        asked
            .await
            .expect("no panic")
            .expect("the successor did it");
    }
    let written = cluster.offset.texts().split_off(before.len());
    let values: Vec<Option<&str>> = written.iter().map(|(_, value)| value.as_deref()).collect();
    assert_eq!(values, [Some(r#"{"n":1}"#), None]);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn changed_offsets_in_doubt_are_written_once() {
    for fault in [Fault::AnswerLost, Fault::Lost] {
        let cluster = Cluster::new(2).await;
        stopped(&cluster, "a").await;
        let before = cluster.offset.texts().len();
        for asked in [0, 1] {
            cluster.leadership.plant(&[fault]);
            let altered = cluster.at(asked).alter_offsets("a", to(2)).await;
            altered.expect("altered");
            cluster.leadership.plant(&[fault]);
            let reset = cluster.at(asked).reset_offsets("a").await;
            reset.expect("reset");
        }
        assert_eq!(cluster.offset.texts().len(), before + 4, "{fault:?}");
        cluster.shutdown().await;
    }
}

#[tokio::test]
async fn a_call_is_taken_once_and_only_by_whom_it_is_for() {
    use crate::control::Answered;
    let cluster = Cluster::new(2).await;
    cluster.create(1, "a").await;
    cluster.at(0).delete("a").await.expect("deleted");
    let call = cluster.peers.bodies().pop().expect("it was forwarded");
    // I5 of the API: a recorded call creates nothing.
    let replayed = cluster.at(0).answer(&call).await;
    assert!(matches!(replayed, Answered::Refused(_)));
    cluster.workers[0]
        .group
        .change(|view| view.me.incarnation = "2".to_owned());
    match cluster.at(0).answer(&call).await {
        Answered::Reply(_, forwarded) => {
            let forwarded = forwarded.expect("somebody asked for it");
            assert_eq!(forwarded.outcome, Err(None));
        }
        Answered::Refused(why) => panic!("{why}"),
    }
    let garbage = cluster.at(0).answer(b"{\"from\":1}").await;
    assert!(matches!(garbage, Answered::Refused(_)));
    assert_eq!(cluster.records("connector-a").len(), 2);
    cluster.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn i8_the_session_key_is_fresh_and_shown_nowhere() {
    let cluster = Cluster::told(
        2,
        WorkerSettings {
            session_key_ttl: Duration::from_secs(600),
            ..settings()
        },
    )
    .await;
    cluster.create(1, "a").await;
    let keys = || cluster.records("session-key");
    let first = keys().pop().flatten().expect("written");
    let parsed: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(parsed["algorithm"], "HmacSHA256");
    let held = cluster.at(1).session_keys();
    assert_eq!((held.len(), held[0].expose().len()), (1, 32));
    assert_eq!(format!("{held:?}"), "[SessionKey([hidden])]");
    tokio::time::sleep(Duration::from_secs(605)).await;
    eventually("another one is there", || keys().len() == 2, String::new).await;
    let both = || cluster.at(1).session_keys().len();
    eventually("both hold", || both() == 2, || both().to_string()).await;
    cluster.create(1, "b").await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(both(), 1, "the former one holds no longer");
    cluster.create(1, "c").await;
    let secret = parsed["key"].as_str().expect("text").to_owned();
    for body in cluster.peers.bodies() {
        assert!(!String::from_utf8_lossy(&body).contains(&secret));
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_lone_worker_needs_no_session_key() {
    let bench = Bench::new().await;
    bench.create("a", &[CLASS, TOPIC]).await;
    bench.shows("a", "RUNNING [RUNNING]").await;
    assert!(!bench.config.keys().contains(&"session-key".to_owned()));
    bench.worker.shutdown().await;
}

#[test]
fn errors_go_from_worker_to_worker_as_they_are() {
    let error = ControlError::invalid("wrong").at("k").suggest("mend it");
    let text = serde_json::to_string(&error).expect("JSON");
    let again: ControlError = serde_json::from_str(&text).expect("an error");
    assert_eq!(
        (again.kind, again.message, again.path, again.suggestion),
        (error.kind, error.message, error.path, error.suggestion)
    );
}
