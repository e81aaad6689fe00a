//! Users: each has one connector and writes through any worker, one request after another.

use super::workers::Cluster;
use longshore_engine::control::{Control, ControlResult, TargetState};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How long a user waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a user knows of one value: the last that was acknowledged, and those of which nobody knows.
#[derive(Clone, Debug)]
pub(super) struct Known<T> {
    pub(super) acknowledged: T,
    pub(super) maybe: Vec<T>,
}

impl<T: PartialEq> Known<T> {
    fn may_be(&self, value: &T) -> bool {
        self.acknowledged == *value || self.maybe.contains(value)
    }
}

/// A connector as its user knows it; no version = it does not exist.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) version: Known<Option<u64>>,
    pub(super) target: Known<TargetState>,
    last: u64,
    writes: u64,
}

/// The users. Clones are handles of the same.
#[derive(Clone)]
pub(super) struct Clients {
    wishes: Arc<Mutex<BTreeMap<String, Wish>>>,
    running: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Clients {
    pub(super) fn start(cluster: &Cluster, rng: &mut StdRng) -> Self {
        let clients = Self {
            wishes: Arc::default(),
            running: Arc::default(),
        };
        for name in &cluster.plan.connectors {
            let wish = Wish {
                version: Known {
                    acknowledged: None,
                    maybe: Vec::new(),
                },
                target: Known {
                    acknowledged: TargetState::Started,
                    maybe: Vec::new(),
                },
                last: 0,
                writes: 0,
            };
            clients.wishes().insert(name.clone(), wish);
            let user = User {
                clients: clients.clone(),
                cluster: cluster.clone(),
                name: name.clone(),
                rng: StdRng::seed_from_u64(rng.random()),
            };
            let running = tokio::spawn(user.work());
            clients.running().push(running);
        }
        clients
    }
    fn wishes(&self) -> MutexGuard<'_, BTreeMap<String, Wish>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn running(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Returns once all users have ended: they do when all is calm.
    pub(super) async fn ended(&self) {
        let running = std::mem::take(&mut *self.running());
        for user in running {
            user.await.expect("a user does not panic");
        }
    }
    pub(super) fn acknowledged(&self) -> u64 {
        self.wishes().values().map(|wish| wish.writes).sum()
    }
    /// Why a connector as a worker shows it cannot be: an acknowledged write is lost.
    pub(super) fn lost(&self, name: &str, control: &Control) -> Option<String> {
        let version = version(control, name);
        let wish = self.wishes().get(name).cloned()?;
        (!wish.version.may_be(&version)).then(|| {
            format!("an acknowledged write is lost: {name} has version {version:?}, {wish:?}")
        })
    }
    /// Writes a config with another version, and waits until it is acknowledged.
    pub(super) async fn insist(
        &self,
        cluster: &Cluster,
        name: &str,
        tasks_max: u32,
        rng: &mut StdRng,
    ) -> Result<(), String> {
        let mut why = String::new();
        for _ in 0..60 {
            let doors = cluster.doors();
            let control = doors[rng.random_range(0..doors.len())].0.clone();
            let next = {
                let mut wishes = self.wishes();
                let wish = wishes.get_mut(name).expect("a connector of the plan");
                wish.last += 1;
                wish.last
            };
            let config = cluster.plan.config(name, next, tasks_max);
            let written = async {
                control.put_config(name, config).await?;
                control.set_target(name, TargetState::Started).await
            };
            match timeout(PATIENCE, written).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => why = error.message,
                Err(_) => "no answer".clone_into(&mut why),
            }
            sleep(Duration::from_millis(700)).await;
        }
        Err(format!("{name} cannot be written in calm: {why}"))
    }
}

fn version(control: &Control, name: &str) -> Option<u64> {
    control.config(name).ok()?.get("version")?.parse().ok()
}

struct User {
    clients: Clients,
    cluster: Cluster,
    name: String,
    rng: StdRng,
}

impl User {
    async fn work(mut self) {
        sleep(Duration::from_millis(self.rng.random_range(0..1_500))).await;
        while !self.cluster.is_calm() {
            let doors = self.cluster.doors();
            if !doors.is_empty() {
                let at = self.rng.random_range(0..doors.len());
                let (control, _, worker) = doors[at].clone();
                self.request(&control, &worker).await;
            }
            let exists = self.clients.wishes()[&self.name]
                .version
                .acknowledged
                .is_some();
            let wait = if exists { 200..5_000 } else { 50..600 };
            sleep(Duration::from_millis(self.rng.random_range(wait))).await;
        }
    }
    async fn request(&mut self, control: &Control, worker: &str) {
        let exists = self.clients.wishes()[&self.name]
            .version
            .acknowledged
            .is_some();
        match self.rng.random_range(0..20) {
            _ if !exists => self.put(control, worker).await,
            0..8 => self.put(control, worker).await,
            8..10 => self.aim(control, worker, TargetState::Paused).await,
            10 => self.aim(control, worker, TargetState::Stopped).await,
            11..15 => self.aim(control, worker, TargetState::Started).await,
            15 => self.delete(control, worker).await,
            16..18 => {
                let tasks = self.rng.random_bool(0.6);
                let asked = control.restart(&self.name, tasks, self.rng.random_bool(0.3));
                drop(timeout(PATIENCE, asked).await);
            }
            _ => {
                let task = self.rng.random_range(0..3);
                drop(timeout(PATIENCE, control.restart_task(&self.name, task)).await);
            }
        }
    }
    async fn put(&mut self, control: &Control, worker: &str) {
        let next = self.next();
        let config = self
            .cluster
            .plan
            .config(&self.name, next, self.rng.random_range(1..4));
        self.wish(|wish| wish.version.maybe.push(Some(next)));
        let written = timeout(PATIENCE, control.put_config(&self.name, config)).await;
        if self.told(&format!("put {next}"), worker, &written) {
            self.acknowledged(control, worker, Some(next));
        }
    }
    async fn delete(&mut self, control: &Control, worker: &str) {
        self.wish(|wish| wish.version.maybe.push(None));
        let written = timeout(PATIENCE, control.delete(&self.name)).await;
        if self.told("delete", worker, &written) {
            self.acknowledged(control, worker, None);
        }
    }
    async fn aim(&mut self, control: &Control, worker: &str, target: TargetState) {
        self.wish(|wish| wish.target.maybe.push(target));
        let written = timeout(PATIENCE, control.set_target(&self.name, target)).await;
        if self.told(&format!("{target:?}"), worker, &written) {
            self.wish(|wish| {
                wish.writes += 1;
                wish.target.acknowledged = target;
            });
        }
    }
    /// Read your writes: whoever acknowledged a write shows it.
    fn acknowledged(&self, control: &Control, worker: &str, written: Option<u64>) {
        self.wish(|wish| {
            wish.writes += 1;
            wish.version.acknowledged = written;
            let known = &mut wish.version.maybe;
            if let Some(at) = known.iter().rposition(|maybe| *maybe == written) {
                known.remove(at);
            }
        });
        if let Some(lost) = self.clients.lost(&self.name, control) {
            self.cluster.world.breach(format!(
                "{worker} does not show what it acknowledged: {lost}"
            ));
        }
    }
    fn told<T>(
        &self,
        what: &str,
        worker: &str,
        answer: &Result<ControlResult<T>, tokio::time::error::Elapsed>,
    ) -> bool {
        self.cluster.world.say(|| {
            let answer = match answer {
                Ok(Ok(_)) => "ok".to_owned(),
                Ok(Err(error)) => format!("{:?} {}", error.kind, error.message),
                Err(_) => "no answer".to_owned(),
            };
            format!("{} {what} at {worker}: {answer}", self.name)
        });
        matches!(answer, Ok(Ok(_)))
    }
    fn next(&self) -> u64 {
        let mut next = 0;
        self.wish(|wish| {
            wish.last += 1;
            next = wish.last;
        });
        next
    }
    fn wish(&self, change: impl FnOnce(&mut Wish)) {
        let mut wishes = self.clients.wishes();
        change(wishes.get_mut(&self.name).expect("a connector of the plan"));
    }
}
