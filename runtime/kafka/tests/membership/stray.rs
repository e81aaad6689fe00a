//! A worker in a process of its own, to be killed or frozen: the test binary runs itself again with a role.

use crate::{
    rig::{Cluster, LONG},
    workers::{Joining, leader},
};
use longshore_engine::ports::Membership;
use longshore_kafka::ClientSettings;
use longshore_kit::servers::{Leashed, Signal, command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The role of such a process: "bootstrap group url".
const ROLE: &str = "LONGSHORE_TEST_MEMBER";
/// Stands before each view in the process's output.
const VIEW: &str = "view: ";

/// In a process that was started as a worker: tells its views until it is killed, and never returns.
pub(crate) async fn join_if_asked() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let parts: Vec<&str> = role.split(' ').collect();
    let [bootstrap, group, url] = parts[..] else {
        panic!("a role is a broker, a group and a URL");
    };
    let joining = Joining::new(group, url.to_owned().leak());
    let settings = ClientSettings::new(bootstrap);
    let worker = joining.join(&settings).await.expect("join");
    let mut view = worker.view();
    loop {
        let now = view.borrow_and_update().clone();
        println!(
            "{VIEW}{} of {}",
            leader(&now).unwrap_or("-"),
            now.members.len()
        );
        view.changed().await.expect("it watches");
    }
}

/// Such a process; killed when dropped.
pub(crate) struct Stray {
    process: Leashed,
    _folder: TempDir,
}

impl Stray {
    /// Runs `test` of this binary in the role of a worker; the test calls [`join_if_asked`] first.
    pub(crate) fn start(test: &str, cluster: &Cluster, group: &str, url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let binary = std::env::current_exe().expect("this binary");
        let mut program = command(binary, ["--exact", test, "--nocapture"]);
        program.env(ROLE, format!("{} {group} {url}", cluster.bootstrap));
        let process = Leashed::spawn(program, &folder.path().join("log")).expect("a process");
        Self {
            process,
            _folder: folder,
        }
    }
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal).expect("a signal");
    }
    /// All its views: the leader's URL, or `-`, and the number of members.
    pub(crate) fn views(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.process.log()).expect("a log");
        let views = text.lines().filter_map(|line| line.split_once(VIEW));
        views.map(|(_, view)| view.to_owned()).collect()
    }
    /// Waits until its last view is such a one.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let started = Instant::now();
        while !self.views().last().is_some_and(|view| wanted(view)) {
            assert!(
                started.elapsed() < LONG,
                "{what}: {}",
                self.process.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
