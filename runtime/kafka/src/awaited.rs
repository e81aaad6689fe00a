//! Topics that consumers wait for. One question per worker, for all of its consumers, finds those that are created later: the client library looks for them
//! only every five minutes, each client for itself.

use crate::{
    admin::Admin,
    blocking::{Bounded, run},
    client::{ClientSettings, Resolved, Role},
    errors,
    handle::Handle,
};
use longshore_engine::ports::Subscription;
use longshore_sdk::{Error, Result};
use rdkafka::consumer::Consumer;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{Notify, OnceCell},
    time::Instant,
};

/// From a consumer's start to the question; later ones come further apart, up to `PAUSE_MAX`.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long a consumer may take to learn of a topic that is known to be there.
const LEARN_MAX: Duration = Duration::from_secs(5);

type Names = BTreeSet<String>;

/// What one consumer waits for.
pub(crate) struct Awaiting {
    client: Weak<Handle>,
    name: String,
    /// Empty = whatever a pattern finds.
    topics: Names,
    /// The client is told what is there; else its owner has said how often it is to ask.
    tells: bool,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    /// The client knows what was there at the first look.
    once: bool,
    missing: Names,
}

impl Awaiting {
    /// The topics of its list that were not there when the cluster was last asked.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.found().missing.iter().cloned().collect()
    }
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn has_missed(&self) -> bool {
        let client = self.client.upgrade();
        client.is_some_and(|client| client.events().has_missed_topics())
    }
    /// Whether another look can bring anything new.
    fn goes_on(&self) -> bool {
        let found = self.found();
        self.client.strong_count() > 0
            && (self.topics.is_empty() || !found.once || !found.missing.is_empty())
    }
    /// Whether the client may not know of something that is there. `before`: the topics of the last look.
    fn has_news(&self, there: &Names, before: &Names, missing: &Names) -> bool {
        let (once, same) = {
            let found = self.found();
            (found.once, *missing == found.missing)
        };
        match self.topics.is_empty() {
            true => !once || !there.is_subset(before),
            // What the client itself has missed may have come before the first look.
            false => !same || (!once && self.has_missed()),
        }
    }
    /// `before`: the topics of the last look.
    async fn look(&self, there: &Names, before: &Names) {
        let missing: Names = self.topics.difference(there).cloned().collect();
        let once = self.found().once;
        let news = self.has_news(there, before, &missing);
        if news && !once && !missing.is_empty() {
            let topics = listed(&missing);
            tracing::info!(
                client = self.name,
                topics,
                "waits for topics that do not exist"
            );
        }
        if news && self.tells {
            let wanted = match self.topics.is_empty() {
                true => there.clone(),
                false => self.topics.intersection(there).cloned().collect(),
            };
            if let Err(error) = self.learn(wanted).await {
                tracing::debug!(client = self.name, error = %error, "it is told again of the topics that are there");
                // What it lists as missing stays as it was, so that the next look finds the same news. A pattern lists nothing, and what was
                // there is no news again: it looks as if for the first time.
                if self.topics.is_empty() {
                    self.found().once = false;
                }
                return;
            }
        }
        let mut found = self.found();
        found.once = true;
        found.missing = missing;
    }
    /// A full answer makes the client compare its subscription with what is there, and join its group again if that has changed.
    async fn learn(&self, wanted: Names) -> Result<()> {
        let Some(client) = self.client.upgrade() else {
            return Ok(());
        };
        run("metadata", Bounded(LEARN_MAX * 2), move || {
            let answer = client.consumer().fetch_metadata(None, LEARN_MAX);
            let answer = answer.map_err(|error| errors::from_client("metadata", error))?;
            let sound = answer.topics().iter().filter(|t| t.error().is_none());
            let known: BTreeSet<&str> = sound.map(rdkafka::metadata::MetadataTopic::name).collect();
            // Another broker may not have heard of them yet.
            match wanted.iter().find(|name| !known.contains(&***name)) {
                None => Ok(()),
                Some(name) => Err(Error::transient(
                    "metadata",
                    "a broker does not know a new topic",
                )
                .with("topic", name)),
            }
        })
        .await
    }
}

/// Up to five names, and how many more there are.
fn listed(names: &Names) -> String {
    let mut text: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    let more = format!("{} more", names.len().saturating_sub(text.len()));
    if names.len() > text.len() {
        text.push(&more);
    }
    text.join(", ")
}

/// The consumers of a worker that wait for topics.
pub(crate) struct Awaited {
    settings: ClientSettings,
    admin: Weak<OnceCell<Admin>>,
    waiting: Mutex<Waiting>,
    came: Notify,
}

#[derive(Default)]
struct Waiting {
    // Bounded by the consumers of this worker: those that are gone, or wait no more, are removed at each look.
    consumers: Vec<Weak<Awaiting>>,
    asks: bool,
}

impl Awaited {
    pub(crate) fn new(settings: ClientSettings, admin: &Arc<OnceCell<Admin>>) -> Arc<Self> {
        Arc::new(Self {
            settings,
            admin: Arc::downgrade(admin),
            waiting: Mutex::default(),
            came: Notify::new(),
        })
    }
    /// Looks for the topics of a consumer, which has the worker's own login, for as long as the result lives. `tells` = it is to learn of what is found.
    pub(crate) fn wait(
        self: &Arc<Self>,
        (client, name): (&Arc<Handle>, &str),
        subscription: &Subscription,
        tells: bool,
    ) -> Arc<Awaiting> {
        let topics = match subscription {
            Subscription::Topics(topics) => topics.iter().cloned().collect(),
            Subscription::Regex(_) => Names::new(),
        };
        let one = Arc::new(Awaiting {
            client: Arc::downgrade(client),
            name: name.to_owned(),
            topics,
            tells,
            found: Mutex::default(),
        });
        let mut waiting = self.waiting();
        waiting.consumers.push(Arc::downgrade(&one));
        if !std::mem::replace(&mut waiting.asks, true) {
            tokio::spawn(Arc::clone(self).ask());
        }
        drop(waiting);
        self.came.notify_one();
        one
    }
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The consumers that still wait; empty = nobody does, and the questions end.
    fn still(&self) -> Vec<Arc<Awaiting>> {
        let mut waiting = self.waiting();
        let still: Vec<_> = waiting.consumers.iter().filter_map(Weak::upgrade).collect();
        let still: Vec<_> = still.into_iter().filter(|one| one.goes_on()).collect();
        waiting.consumers = still.iter().map(Arc::downgrade).collect();
        waiting.asks = !still.is_empty();
        still
    }
    async fn ask(self: Arc<Self>) {
        let mut pause = PAUSE;
        let mut before = Names::new();
        loop {
            let mut at = Instant::now() + pause;
            while tokio::time::timeout_at(at, self.came.notified())
                .await
                .is_ok()
            {
                pause = PAUSE;
                at = at.min(Instant::now() + PAUSE);
            }
            pause = (pause * 3 / 2).min(PAUSE_MAX);
            let still = self.still();
            if still.is_empty() {
                return;
            }
            match self.topics().await {
                None => {}
                Some(Err(error)) => {
                    tracing::debug!(error = %error, "the cluster does not tell its topics");
                }
                Some(Ok(there)) => {
                    // One after the other: each asks for all topics of the cluster.
                    for one in still {
                        one.look(&there, &before).await;
                    }
                    before = there;
                }
            }
        }
    }
    /// `None` = the worker's clients are gone.
    async fn topics(&self) -> Option<Result<Names>> {
        let admin = self.admin.upgrade()?;
        let open = || Admin::connect(&self.settings);
        let asked = async { admin.get_or_try_init(open).await?.topics().await };
        Some(asked.await.map(|topics| topics.into_keys().collect()))
    }
}

/// Whether two clients are the same to the brokers, and ask the same ones.
pub(crate) fn same_login(settings: &ClientSettings, consumer: &Resolved) -> Result<bool> {
    let admin = settings.resolve(Role::Admin, &Default::default())?;
    let login = |client: &Resolved| -> Vec<(String, String)> {
        let keys = ["bootstrap.servers", "security.protocol"];
        let prefixes = ["sasl.", "ssl."];
        let of_login = |key: &str| {
            keys.contains(&key) || prefixes.iter().any(|prefix| key.starts_with(prefix))
        };
        let native = client.native.iter().filter(|(key, _)| of_login(key));
        native.map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let tokens = match (&admin.tokens, &consumer.tokens) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    };
    Ok(tokens && login(&admin) == login(consumer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::ClientConfig;

    fn names(names: &[&str]) -> Names {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// A broker that knows no topic, whatever another one has told.
    async fn broker() -> longshore_broker::Broker {
        let config = longshore_broker::Config {
            listen: "127.0.0.1:0".into(),
            data_dir: None,
            ..Default::default()
        };
        let broker = longshore_broker::Broker::start(config).await;
        broker.expect("an embedded broker")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_topic_that_the_client_did_not_learn_of_is_news_again() {
        let broker = broker().await;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker.bootstrap());
        config.set("group.id", "g");
        let client = Handle::open(&config, "c").expect("a client");
        for topics in [Names::new(), names(&["late"])] {
            let one = Awaiting {
                client: Arc::downgrade(&client),
                name: "c".into(),
                topics,
                tells: true,
                found: Mutex::default(),
            };
            let news = |there: &Names, before: &Names| {
                let missing = one.topics.difference(there).cloned().collect();
                one.has_news(there, before, &missing)
            };
            let (none, late) = (Names::new(), names(&["late"]));
            one.look(&none, &none).await;
            assert!(!news(&none, &none), "all of it is known");
            one.look(&late, &none).await;
            assert!(news(&late, &late), "its broker does not know the topic");
            one.look(&late, &late).await;
            assert!(news(&late, &late), "nor does it now");
        }
        client.begin_close(false);
    }
}
