//! What sources and sinks have in common: promises, checks and plans, each asked of a guest that is thrown away afterwards.

use crate::{
    bindings::host::longshore::connector::types::{
        Error as GuestError, Guarantee as GuestGuarantee, Level as GuestLevel,
    },
    checks::{self, Checking},
    columns::Rejected,
    file::digest,
    installed::{Guest, Installed, Place, Seat, no_room, pool_is_full},
    refusal::{Failure, cut, failed},
    store::{self, State},
    worlds::{Sink, SinkPre, Source, SourcePre},
};
use futures::FutureExt;
use longshore_sdk::{
    Error, ErrorKind, Guarantee, Level, Result, Share,
    config::{Finding, Flat},
    erased::Boxed,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use wasmtime::Store;

/// What a promise is called in errors.
const PROMISE: &str = "promise";
/// How long a guest may take for a promise; its thread is held meanwhile.
const PROMISE_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a promise that failed is not asked for again: statuses ask for it each time that they are shown.
const FAILED_FOR: Duration = Duration::from_secs(60);
/// Promises that are remembered.
const PROMISES_MAX: usize = 256;
/// The length of what a promise says.
const TEXT_MAX: usize = 2_000;
/// Entries of one share, and the length of each key and value.
const SHARE_MAX: usize = 1_000;
const ENTRY_MAX: usize = 64 * 1024;

/// Keys that are the worker's own, such as the one that narrows a plugin's network.
const RESERVED: &str = "longshore.";

/// What a guest answers, if it answers.
pub(crate) type Answer<'a, T> = Boxed<'a, wasmtime::Result<Result<T, GuestError>>>;
/// The entries of each share.
type Shares = Vec<Vec<(String, String)>>;

/// A world that plans its work.
pub(crate) trait Planning: Checking + Sync {
    /// A linked component of that world.
    type Linked: Send + Sync + 'static;
    fn make<'a>(
        linked: &'a Self::Linked,
        store: &'a mut Store<State>,
    ) -> Boxed<'a, wasmtime::Result<Self>>;
    fn plan<'a>(guest: &'a mut Guest<Self>, config: &'a str, tasks_max: u32) -> Answer<'a, Shares>;
    fn promise<'a>(
        &'a self,
        store: &'a mut Store<State>,
        config: &'a str,
    ) -> Boxed<'a, wasmtime::Result<GuestGuarantee>>;
}

macro_rules! planning {
    ($world:ident, $linked:ident) => {
        impl Planning for $world {
            type Linked = $linked<State>;
            fn make<'a>(
                linked: &'a Self::Linked,
                store: &'a mut Store<State>,
            ) -> Boxed<'a, wasmtime::Result<Self>> {
                Box::pin(linked.instantiate_async(store))
            }
            fn plan<'a>(
                guest: &'a mut Guest<Self>,
                config: &'a str,
                tasks_max: u32,
            ) -> Answer<'a, Shares> {
                Box::pin(async move {
                    let planner = guest.world.longshore_connector_planner();
                    planner.call_plan(&mut guest.store, config, tasks_max).await
                })
            }
            fn promise<'a>(
                &'a self,
                store: &'a mut Store<State>,
                config: &'a str,
            ) -> Boxed<'a, wasmtime::Result<GuestGuarantee>> {
                Box::pin(async move {
                    let planner = self.longshore_connector_planner();
                    planner.call_promise(store, config).await
                })
            }
        }
    };
}

planning!(Source, SourcePre);
planning!(Sink, SinkPre);

/// Does what holds a thread for a while. I6: within a runtime of several threads, whatever else waited for this one goes on on another.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let runtime = Handle::try_current();
    if runtime.is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread) {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

/// A connector of a world that plans.
pub(crate) struct Connector<W: Planning> {
    pub(crate) installed: Arc<Installed>,
    linked: W::Linked,
    /// By the SHA-256 of the config.
    promises: Mutex<HashMap<[u8; 32], Promised>>,
}

/// What came of asking for a promise.
enum Promised {
    Kept(Guarantee),
    /// The guest gave none.
    Failed {
        at: Instant,
        message: String,
    },
}

impl Promised {
    /// The answer, unless it is time to ask again.
    fn recall(&self, now: Instant) -> Option<Result<Guarantee>> {
        match self {
            Self::Kept(guarantee) => Some(Ok(guarantee.clone())),
            Self::Failed { at, message } => (now.saturating_duration_since(*at) < FAILED_FOR)
                .then(|| Err(Error::bug(PROMISE, message.clone()))),
        }
    }
    /// What is remembered of an answer: what the guest did, and nothing else. That there was no room, or that the network asked for is not
    /// granted, costs nothing to find out, and may change at any time.
    fn of(answer: &Result<Guarantee>, now: Instant) -> Option<Self> {
        match answer {
            Ok(guarantee) => Some(Self::Kept(guarantee.clone())),
            Err(error) if error.kind() == ErrorKind::Bug => Some(Self::Failed {
                at: now,
                message: error.message().to_owned(),
            }),
            Err(_) => None,
        }
    }
}

impl<W: Planning> Connector<W> {
    pub(crate) fn new(installed: Arc<Installed>, linked: W::Linked) -> Self {
        Self {
            installed,
            linked,
            promises: Mutex::default(),
        }
    }
    /// Makes an instance for a config that fits the schema: a guest is never given another one. Config: it does not fit.
    pub(crate) async fn open(&self, config: &Flat, place: Place) -> Result<Seat<W>> {
        let found = self.installed.definition.check(config);
        if !found.is_empty() {
            let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
            return Err(Error::config("config", texts.join("; ")));
        }
        let store = self.installed.store(config, place, true)?;
        let guest = self
            .installed
            .instantiate(store, &self.linked, W::make)
            .await?;
        Ok(Seat::new(self.installed.clone(), guest))
    }
    /// What the guest promises with this config. It may not call a host function that waits.
    pub(crate) fn guarantee(&self, config: &Flat) -> Result<Guarantee> {
        let json = self.installed.json(config);
        let hash = digest(json.as_bytes());
        let promises = || self.promises.lock().unwrap_or_else(PoisonError::into_inner);
        let known = promises().get(&hash).map(|it| it.recall(Instant::now()));
        if let Some(Some(known)) = known {
            return known;
        }
        let answer = aside(|| self.promise(config, &json));
        if let Some(promised) = Promised::of(&answer, Instant::now()) {
            let mut promises = promises();
            if promises.len() >= PROMISES_MAX {
                promises.clear();
            }
            promises.insert(hash, promised);
        }
        answer
    }
    fn promise(&self, config: &Flat, json: &str) -> Result<Guarantee> {
        let mut store = self.installed.store(config, Place::of(config), false)?;
        store::begin(&mut store, PROMISE_TIMEOUT);
        let asked = async {
            let world = W::make(&self.linked, &mut store).await?;
            world.promise(&mut store, json).await
        };
        // Not polite: it never yields, so that one look is enough unless it waits for the host.
        let answer = asked
            .now_or_never()
            .unwrap_or_else(|| Err(wasmtime::Error::msg("it waits for the host")));
        let tag = self.installed.tag;
        let promised = answer.map_err(|error| {
            if pool_is_full(&error) {
                return no_room(&error);
            }
            self.installed.trapped();
            let failure = Failure::Trap(error);
            failed(tag, PROMISE, &failure, PROMISE_TIMEOUT, store.data())
        })?;
        let journal = store.data().services.journal();
        Ok(Guarantee {
            level: match promised.level {
                GuestLevel::AtLeastOnce => Level::AtLeastOnce,
                GuestLevel::EffectivelyOnce => Level::EffectivelyOnce,
                GuestLevel::ExactlyOnce => Level::ExactlyOnce,
            },
            method: cut(&journal.clean(&promised.method), TEXT_MAX)
                .to_owned()
                .into(),
        })
    }
    /// What is wrong with a config: by the schema, then by the guest's own words.
    pub(crate) async fn check(&self, config: &Flat) -> Vec<Finding> {
        let mut found = self.installed.definition.check(config);
        found.extend(self.installed.check_net(config));
        if !found.is_empty() {
            return found;
        }
        let opened = self.open(config, Place::of(config));
        checks::look(&self.installed, config, opened).await
    }
    /// The shares of the work.
    pub(crate) async fn plan(&self, config: &Flat, tasks_max: u32) -> Result<Vec<Share>> {
        const OP: &str = "plan";
        let mut seat = self.open(config, Place::of(config)).await?;
        let arguments = (self.installed.json(config), tasks_max);
        let shares = seat
            .ask(OP, &arguments, |guest, (json, max)| {
                W::plan(guest, json, *max)
            })
            .await?;
        self.take_shares(shares, config, tasks_max)
            .map_err(|wrong| seat.rejected(OP, &wrong))
    }
    fn take_shares(
        &self,
        shares: Shares,
        config: &Flat,
        tasks_max: u32,
    ) -> std::result::Result<Vec<Share>, Rejected> {
        if shares.len() > tasks_max as usize {
            let problem = format!("{} shares for at most {tasks_max} tasks", shares.len());
            return Err(Rejected::new("shares", problem));
        }
        let definition = &self.installed.definition;
        let secret = |key: &str| definition.knows(key) && definition.is_secret(key);
        let secrets: Vec<&String> = config
            .iter()
            .filter(|(key, value)| secret(key) && value.len() >= 4)
            .map(|(_, value)| value)
            .collect();
        for (number, share) in shares.iter().enumerate() {
            if share.len() > SHARE_MAX {
                let problem = format!(
                    "share {number} has {} entries, {SHARE_MAX} are allowed",
                    share.len()
                );
                return Err(Rejected::new("shares", problem));
            }
            for (key, value) in share {
                if key.is_empty() || key.len() > ENTRY_MAX || value.len() > ENTRY_MAX {
                    let problem =
                        format!("share {number} has an entry that is too large, or without a key");
                    return Err(Rejected::new("shares", problem));
                }
                if key.starts_with(RESERVED) {
                    let problem = format!("share {number} has {key}, which is the worker's own");
                    return Err(Rejected::new("shares", problem));
                }
                // I8: shares are stored and shown.
                if secret(key) || secrets.iter().any(|secret| value.contains(secret.as_str())) {
                    let problem =
                        format!("share {number} holds a secret: they are stored and shown");
                    return Err(Rejected::new("shares", problem));
                }
            }
        }
        Ok(shares
            .into_iter()
            .map(|share| share.into_iter().collect())
            .collect())
    }
    /// The config of one task: a share laid over the connector's own.
    pub(crate) fn laid(config: &Flat, share: &Share) -> Flat {
        let mut laid = config.clone();
        // What a plugin plans cannot change what its connector allows it.
        let own = share.iter().filter(|(key, _)| !key.starts_with(RESERVED));
        laid.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        laid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_promise_that_failed_is_asked_for_again_after_a_while() {
        let now = Instant::now();
        let failed = Promised::of(&Err(Error::bug("promise", "it panicked")), now);
        let failed = failed.expect("it is remembered");
        let soon = now + FAILED_FOR.saturating_sub(Duration::from_millis(1));
        let known: Option<Result<_>> = failed.recall(soon);
        let error = known.expect("it is known").expect_err("it failed");
        assert_eq!(error.message(), "it panicked");
        assert!(failed.recall(now + FAILED_FOR).is_none());
        let full = Err(Error::transient("open", "no room"));
        assert!(Promised::of(&full, now).is_none());
    }
}
