//! Workers of a group, as far as membership knows them.

use crate::rig::{Cluster, LONG, unique};
use longshore_engine::ports::{Membership, View};
use longshore_kafka::{Admin, ClientSettings, InternalTopic, KafkaMembership, MemberSpec};
use longshore_sdk::Result;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What a URL says to whoever asks it.
#[derive(Clone, Copy)]
pub(crate) enum Says {
    /// The worker that asks is there itself.
    Me,
    Another,
    Nothing,
}

/// A group's name, its coordination topic made.
pub(crate) async fn prepared(cluster: &Cluster) -> String {
    let group = unique("workers");
    let admin = Admin::connect(&cluster.settings).await.expect("connect");
    let topic = InternalTopic::coordination(&group);
    admin.ensure_internal(&[topic]).await.expect("the topic");
    group
}

pub(crate) struct Joining {
    pub(crate) group: String,
    pub(crate) url: &'static str,
    pub(crate) session: u32,
    pub(crate) says: Says,
    /// How often the URL was asked.
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Joining {
    pub(crate) fn new(group: &str, url: &'static str) -> Self {
        Self {
            group: group.to_owned(),
            url,
            session: 6000,
            says: Says::Me,
            asked: Arc::default(),
        }
    }
    pub(crate) fn session(mut self, session: u32) -> Self {
        self.session = session;
        self
    }
    pub(crate) fn says(mut self, says: Says) -> Self {
        self.says = says;
        self
    }
    pub(crate) async fn join(&self, settings: &ClientSettings) -> Result<KafkaMembership> {
        let (says, asked) = (self.says, Arc::clone(&self.asked));
        let spec = MemberSpec {
            group: self.group.clone(),
            worker_id: self.url.to_owned(),
            incarnation: unique("i"),
            https: false,
            session_timeout_ms: self.session,
            who: Arc::new(move |me| {
                asked.fetch_add(1, Ordering::Relaxed);
                let answer = match says {
                    Says::Me => Some(me.incarnation.clone()),
                    Says::Another => Some("another".to_owned()),
                    Says::Nothing => None,
                };
                Box::pin(async { answer })
            }),
        };
        let admin = Admin::connect(settings).await?;
        KafkaMembership::join(&admin, spec).await
    }
}

pub(crate) async fn worker(cluster: &Cluster, group: &str, url: &'static str) -> KafkaMembership {
    let joined = Joining::new(group, url).join(&cluster.settings).await;
    joined.expect("join")
}

pub(crate) fn now(worker: &KafkaMembership) -> View {
    worker.view().borrow().clone()
}

/// Waits for a view.
pub(crate) async fn until(
    worker: &KafkaMembership,
    what: &str,
    wanted: impl FnMut(&View) -> bool,
) -> View {
    let mut view = worker.view();
    let seen = tokio::time::timeout(LONG, view.wait_for(wanted)).await;
    match seen {
        Ok(seen) => seen.expect("it watches").clone(),
        Err(_) => panic!("{what}: {:?}", now(worker)),
    }
}

/// The workers of a view, without their incarnations.
pub(crate) fn urls(view: &View) -> Vec<&str> {
    view.members.iter().map(|m| m.worker_id.as_str()).collect()
}

pub(crate) fn leader(view: &View) -> Option<&str> {
    view.leader.as_ref().map(|m| m.worker_id.as_str())
}
