//! Any worker of a group takes any request: three workers over the same topics, called through whichever.

mod calls;
mod elections;
mod former_leader;

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
