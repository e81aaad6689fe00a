//! Membership in the group of workers: it is what the broker says.
//!
//! Each worker is a member of the classic group `<group.id>` on the one-partition topic `<group.id>-coordination`; the owner of its partition
//! leads. Every second, and at each rebalance, the broker is asked for the group's members: that is the view. A worker that the broker does not
//! list, or that cannot ask it for the time of a session, sees nobody, not even itself, until it is listed again: others may believe that it is
//! gone. A member that was dropped by the broker joins again by itself.

mod namesake;
mod watch;

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
use namesake::Namesakes;
use rdkafka::consumer::Consumer;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch::{Receiver, channel};
use watch::Watcher;

const ASK_MAX: Duration = Duration::from_secs(5);
/// How often the broker is asked while joining, unless the client has news.
const JOIN_EVERY: Duration = Duration::from_millis(50);
/// How long the group's coordinator may take to take over, and how often it is asked.
const COORDINATOR_MAX: Duration = Duration::from_secs(30);
const COORDINATOR_AGAIN: Duration = Duration::from_millis(200);
/// How often the client is nudged while it joins.
const NUDGE_EVERY: Duration = Duration::from_millis(10);

/// Asks a worker's URL which incarnation answers there; none = nobody does. An answer that takes longer than five seconds counts as none.
pub type Who = Arc<dyn Fn(&Member) -> Boxed<'static, Option<String>> + Send + Sync>;

/// Who joins what.
#[derive(Clone)]
pub struct MemberSpec {
    /// The worker's `group.id`.
    pub group: String,
    /// The advertised host and port, as `worker_id` shows it.
    pub worker_id: String,
    /// Which start of this worker: another one at each start.
    pub incarnation: String,
    /// Whether its REST API is reached by https.
    pub https: bool,
    /// The worker's `session.timeout.ms`.
    pub session_timeout_ms: u32,
    /// Called while joining, where the group lists a member with this worker's own URL: this worker must answer there by then.
    pub who: Who,
}

impl MemberSpec {
    fn me(&self) -> Member {
        Member {
            worker_id: self.worker_id.clone(),
            incarnation: self.incarnation.clone(),
            https: self.https,
        }
    }
}

impl fmt::Debug for MemberSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberSpec")
            .field("group", &self.group)
            .field("me", &self.me())
            .field("session_timeout_ms", &self.session_timeout_ms)
            .finish_non_exhaustive()
    }
}

/// This worker's membership; see [`Membership`].
pub struct KafkaMembership {
    client: Arc<Handle>,
    view: Receiver<View>,
    trouble: Trouble,
    stop: Arc<AtomicBool>,
}

/// Why the broker does not list this worker, as the watcher last found.
type Trouble = Arc<Mutex<Option<String>>>;

impl KafkaMembership {
    /// Joins, and returns once the broker lists this worker, beside whoever else is there. A former incarnation of the same URL does not delay it.
    /// Err (Config): another worker answers at this worker's URL, or the group is a Kafka Connect cluster's, or foreign consumers'.
    pub async fn join(admin: &Admin, spec: MemberSpec) -> Result<Self> {
        let me = spec.me();
        let mut session = spec.session_timeout_ms;
        let mut namesakes = Namesakes::new(me.clone(), Arc::clone(&spec.who));
        let roster = first_roster(admin, &spec.group).await?;
        roster.check_kind(&spec.group)?;
        namesakes.ask(&roster).await?;
        loop {
            let client = Candidate(Some(subscribe(&admin.settings, &spec, session)?));
            match listed(admin, client.handle(), &spec, session, &mut namesakes).await {
                Ok(roster) => {
                    let group = spec.group.clone();
                    return Self::follow(admin.clone(), client, group, session, namesakes, &roster);
                }
                Err(refused) => {
                    drop(client);
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
                        "the broker refuses session.timeout.ms: its minimum is taken"
                    );
                    session = minimum;
                }
            }
        }
    }

    fn follow(
        admin: Admin,
        client: Candidate,
        group: String,
        session: u32,
        namesakes: Namesakes,
        roster: &Roster,
    ) -> Result<Self> {
        let nobody = View {
            me: namesakes.me().clone(),
            leader: None,
            members: Vec::new(),
            generation: 1,
        };
        let session = Duration::from_millis(u64::from(session));
        let former = namesakes.former(session);
        let (tell, view) = channel(roster.view(&nobody, former.dead()));
        let (trouble, stop) = (Trouble::default(), Arc::new(AtomicBool::new(false)));
        let watcher = Watcher {
            admin,
            client: Arc::clone(client.handle()),
            group,
            session,
            former,
            tell,
            trouble: Arc::clone(&trouble),
            stop: Arc::clone(&stop),
        };
        std::thread::Builder::new()
            .name("membership".to_owned())
            .stack_size(256 * 1024)
            .spawn(move || watcher.run())
            .map_err(|error| Error::transient("join", "no thread for membership").because(error))?;
        Ok(Self {
            client: client.keep(),
            view,
            trouble,
            stop,
        })
    }

    fn begin_leave(&self) {
        self.stop.store(true, Ordering::Release);
        self.client.events().unpark();
        self.client.begin_close(false);
    }
}

/// The group's members, while a broker may have died a moment ago: whoever takes over from it as the group's coordinator reads what it takes over before
/// it answers, and until the cluster has noticed, the dead one is asked, too.
async fn first_roster(admin: &Admin, group: &str) -> Result<Roster> {
    let started = Instant::now();
    let mut said = false;
    loop {
        match admin.roster(group).await {
            Err(error) if is_passing(&error) && started.elapsed() < COORDINATOR_MAX => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(%error, "a broker cannot be asked for the group's members, it is asked again");
                }
                tokio::time::sleep(COORDINATOR_AGAIN).await;
            }
            answer => return answer,
        }
    }
}

fn is_passing(error: &Error) -> bool {
    let codes = [
        "CoordinatorLoadInProgress",
        "CoordinatorNotAvailable",
        "NotCoordinator",
        "BrokerTransportFailure",
        "OperationTimedOut",
    ];
    errors::code(error).is_some_and(|code| codes.contains(&code))
}

/// A client that joins. Given up before it has, it leaves: its thread alone would keep a member alive that nobody knows of, and that may lead.
struct Candidate(Option<Arc<Handle>>);

impl Candidate {
    fn handle(&self) -> &Arc<Handle> {
        self.0.as_ref().expect("present until kept")
    }
    fn keep(mut self) -> Arc<Handle> {
        self.0.take().expect("present until kept")
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if let Some(client) = &self.0 {
            client.begin_close(false);
        }
    }
}

impl Drop for KafkaMembership {
    fn drop(&mut self) {
        self.begin_leave();
    }
}

impl Membership for KafkaMembership {
    fn view(&self) -> Receiver<View> {
        self.view.clone()
    }
    fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
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
    resolved.force("client.id", roster::client_id(&spec.me()));
    // A woken zombie would join again under its name and fence the owner.
    resolved.native.remove("group.instance.id");
    // With KIP-848 the session is the broker's, 45 s.
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

/// Waits until the broker lists this incarnation, and nobody else answers at its URL.
async fn listed(
    admin: &Admin,
    client: &Arc<Handle>,
    spec: &MemberSpec,
    session: u32,
    namesakes: &mut Namesakes,
) -> Result<Roster> {
    let deadline = Instant::now() + Duration::from_millis(u64::from(session) + 15_000);
    loop {
        if let Some(error) = client.events().trouble() {
            return Err(error);
        }
        match admin.roster(&spec.group).await {
            Ok(roster) if roster.lists(namesakes.me()) => {
                // Both may have started at the same moment.
                namesakes.ask(&roster).await?;
                return Ok(roster);
            }
            Ok(_) if Instant::now() >= deadline => {
                return Err(Error::transient(
                    "join",
                    format!(
                        "the broker does not list this worker in group {}",
                        spec.group
                    ),
                ));
            }
            Ok(_) => {}
            Err(error) if is_passing(&error) && Instant::now() < deadline => {
                tokio::time::sleep(COORDINATOR_AGAIN).await;
            }
            Err(error) => return Err(error),
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

impl Admin {
    async fn roster(&self, group: &str) -> Result<Roster> {
        let (admin, group) = (self.clone(), group.to_owned());
        run("members", Bounded(ASK_MAX * 2), move || {
            admin.roster_now(&group, ASK_MAX)
        })
        .await
    }
}
