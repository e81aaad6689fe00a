//! Membership in the group of workers: it is what the broker says.
//!
//! Each worker is a member of the classic group `<group.id>` on the one-partition topic `<group.id>-coordination`; the owner of its partition
//! leads. Every second, and at each rebalance, the broker is asked for the group's members: that is the view. For now one worker is supported:
//! a second one, told by its URL, is refused.

use crate::{
    admin::Admin,
    blocking::{Bounded, run},
    client::{ClientSettings, Properties, Role},
    errors,
    handle::Handle,
    roster::{self, Roster},
};
use longshore_engine::ports::{Member, Membership, View};
use longshore_sdk::{Error, Result, erased::Boxed};
use rdkafka::consumer::Consumer;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How often the broker is asked for the members.
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_MAX: Duration = Duration::from_secs(5);
/// How often the library is woken. It sends heartbeats only when it wakes, which by itself may be after a second: too late for a short session.
const WAKE_EVERY: Duration = Duration::from_millis(100);
/// How often it is asked while joining, unless the client has news.
const JOIN_EVERY: Duration = Duration::from_millis(50);
/// How often the client is nudged while it joins.
const NUDGE_EVERY: Duration = Duration::from_millis(10);

/// Who joins what.
#[derive(Clone, Debug)]
pub struct MemberSpec {
    /// The worker's `group.id`.
    pub group: String,
    /// The advertised host and port, as `worker_id` shows it.
    pub worker_id: String,
    /// Which start of this worker: another one at each start.
    pub incarnation: String,
    /// The worker's `session.timeout.ms`.
    pub session_timeout_ms: u32,
}

/// This worker's membership; see [`Membership`].
pub struct KafkaMembership {
    client: Arc<Handle>,
    view: watch::Receiver<View>,
    stop: Arc<AtomicBool>,
}

impl KafkaMembership {
    /// Joins, and returns once the broker lists this worker. A former incarnation of the same URL does not delay it.
    /// Err (Config): another worker is there, or a Kafka Connect cluster, or foreign consumers.
    pub async fn join(admin: &Admin, spec: MemberSpec) -> Result<Self> {
        let mut session = spec.session_timeout_ms;
        alone(admin, &spec, session).await?;
        loop {
            let client = subscribe(&admin.settings, &spec, session)?;
            match listed(admin, &client, &spec, session).await {
                Ok(roster) => return Self::follow(admin.clone(), client, spec, session, &roster),
                Err(refused) => {
                    client.begin_close(false);
                    let minimum = match roster::session_refused(&refused) {
                        true => admin.session_timeout_min().await?.unwrap_or(6000),
                        false => return Err(roster::explain(refused, &spec.group)),
                    };
                    if minimum <= session {
                        return Err(refused);
                    }
                    tracing::warn!(
                        asked = session,
                        taken = minimum,
                        "the broker refuses the session timeout: its minimum is taken"
                    );
                    session = minimum;
                }
            }
        }
    }

    fn follow(
        admin: Admin,
        client: Arc<Handle>,
        spec: MemberSpec,
        session: u32,
        roster: &Roster,
    ) -> Result<Self> {
        let me = Member {
            worker_id: spec.worker_id.clone(),
            incarnation: spec.incarnation.clone(),
        };
        let (tell, view) = watch::channel(roster.view(&me, 1));
        let stop = Arc::new(AtomicBool::new(false));
        let watcher = Watcher {
            admin,
            client: Arc::clone(&client),
            me,
            group: spec.group,
            patience: Duration::from_millis(u64::from(session)),
            tell,
            stop: Arc::clone(&stop),
        };
        std::thread::Builder::new()
            .name("membership".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || watcher.run())
            .map_err(|error| Error::transient("join", "no thread for membership").because(error))?;
        Ok(Self { client, view, stop })
    }

    fn begin_leave(&self) {
        self.stop.store(true, Ordering::Release);
        self.client.events().unpark();
        self.client.begin_close(false);
    }
}

impl Drop for KafkaMembership {
    fn drop(&mut self) {
        self.begin_leave();
    }
}

impl Membership for KafkaMembership {
    fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }
    fn leave(&self) -> Boxed<'_, Result<()>> {
        self.begin_leave();
        Box::pin(self.client.closed())
    }
}

fn subscribe(settings: &ClientSettings, spec: &MemberSpec, session: u32) -> Result<Arc<Handle>> {
    let mut resolved = settings.resolve(Role::Consumer, &Properties::new())?;
    crate::consumer::defaults(&mut resolved);
    resolved.force("group.id", &spec.group);
    resolved.force(
        "client.id",
        roster::client_id(&spec.worker_id, &spec.incarnation),
    );
    resolved.native.remove("group.instance.id");
    resolved.native.remove("group.protocol");
    // `range` would hand leadership to a lexically smaller joiner.
    resolved.force("partition.assignment.strategy", "cooperative-sticky");
    resolved.force("session.timeout.ms", session);
    resolved.force("heartbeat.interval.ms", (session / 3).clamp(1, 500));
    resolved.force("max.poll.interval.ms", session.max(10_000));
    let client = Handle::open(&resolved.config(), "member")?;
    client.events().answer_at_once();
    let topic = format!("{}-coordination", spec.group);
    if let Err(error) = client.consumer().subscribe(&[&topic]) {
        client.begin_close(false);
        return Err(errors::from_client("join", error));
    }
    Ok(client)
}

/// Waits until no other worker is in the group: one that was killed stays listed until its session ends.
async fn alone(admin: &Admin, spec: &MemberSpec, session: u32) -> Result<()> {
    let deadline = Instant::now() + Duration::from_millis(u64::from(session) + 1000);
    loop {
        let roster = admin.roster(&spec.group).await?;
        roster.check_kind(&spec.group)?;
        let Some(other) = roster.other(&spec.worker_id) else {
            return Ok(());
        };
        if Instant::now() >= deadline {
            return Err(taken(&spec.group, &other.worker_id));
        }
        tokio::time::sleep(JOIN_EVERY * 4).await;
    }
}

fn taken(group: &str, url: &str) -> Error {
    Error::config(
        "join",
        format!("group {group} already has a worker at {url}: stop it, or take another group.id"),
    )
}

/// Waits until the broker lists this incarnation, with nobody of another URL who leads.
async fn listed(
    admin: &Admin,
    client: &Arc<Handle>,
    spec: &MemberSpec,
    session: u32,
) -> Result<Roster> {
    let deadline = Instant::now() + Duration::from_millis(u64::from(session) + 15_000);
    loop {
        if let Some(error) = client.events().trouble() {
            return Err(error);
        }
        let roster = admin.roster(&spec.group).await?;
        if roster.lists(&spec.worker_id, &spec.incarnation) {
            // Both may have started at the same moment: the one that leads stays.
            return match roster.other(&spec.worker_id) {
                Some(other) if roster.leads(other) => Err(taken(&spec.group, &other.worker_id)),
                _ => Ok(roster),
            };
        }
        if Instant::now() >= deadline {
            return Err(Error::transient(
                "join",
                format!(
                    "the broker does not list this worker in group {}",
                    spec.group
                ),
            ));
        }
        news(client).await;
    }
}

/// Waits until the client has something to say, at most until it is time to ask again. The library looks whether its connection is up, and takes
/// the next step of joining, only once a second or when it is asked something: so it is asked something.
async fn news(client: &Arc<Handle>) {
    let deadline = Instant::now() + JOIN_EVERY;
    while Instant::now() < deadline {
        let nudged = Arc::clone(client);
        let _ = run("join", Bounded(ASK_MAX), move || {
            Ok(nudged.consumer().subscription().is_ok())
        })
        .await;
        let wake = client.events().wake().notified();
        if tokio::time::timeout(NUDGE_EVERY, wake).await.is_ok() {
            return;
        }
    }
}

/// Asks the broker again and again, on a thread of its own.
struct Watcher {
    admin: Admin,
    client: Arc<Handle>,
    me: Member,
    group: String,
    patience: Duration,
    tell: watch::Sender<View>,
    stop: Arc<AtomicBool>,
}

impl Watcher {
    fn run(self) {
        self.client.events().unpark_me();
        let mut seen = Instant::now();
        let mut asked = Instant::now();
        while !self.stop.load(Ordering::Acquire) {
            let slept = Instant::now();
            std::thread::park_timeout(WAKE_EVERY);
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            // Any question to the library's main thread wakes it; this one asks no broker.
            let _ = self.client.consumer().assignment();
            // Woken early: a rebalance.
            if slept.elapsed() >= WAKE_EVERY && asked.elapsed() < ASK_EVERY {
                continue;
            }
            asked = Instant::now();
            if let Some(error) = self.client.events().trouble() {
                tracing::warn!(error = %error, "membership is in trouble");
            }
            match self.admin.roster_now(&self.group, ASK_MAX) {
                Ok(roster) if roster.lists(&self.me.worker_id, &self.me.incarnation) => {
                    seen = Instant::now();
                    self.show(|generation| roster.view(&self.me, generation));
                }
                Ok(_) => tracing::debug!("the broker does not list this worker"),
                Err(error) => tracing::debug!(error = %error, "the group cannot be asked for"),
            }
            if seen.elapsed() > self.patience + ASK_EVERY {
                // Others may believe that we are gone: nobody leads here until we are listed again.
                self.show(|generation| View {
                    me: self.me.clone(),
                    leader: None,
                    members: Vec::new(),
                    generation,
                });
            }
        }
    }

    fn show(&self, make: impl FnOnce(i32) -> View) {
        self.tell.send_if_modified(|view| {
            let next = make(view.generation);
            if next == *view {
                return false;
            }
            *view = View {
                generation: view.generation.wrapping_add(1),
                ..next
            };
            true
        });
    }
}

impl Admin {
    async fn roster(&self, group: &str) -> Result<Roster> {
        let (admin, group) = (self.clone(), group.to_owned());
        run("members", Bounded(ASK_MAX * 2), move || {
            admin.roster_now(&group, ASK_MAX)
        })
        .await
    }
}
