//! The tokens of one login: fetched ahead of expiry on a thread of their own, handed to every client that lives.

use super::{Bearer, Login, Token, endpoint::Endpoint};
use longshore_sdk::{Error, ErrorKind, Result};
use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::watch};

/// A token is replaced after this part of its time, in hundredths.
const REFRESH_AT: u32 = 75;
/// However short a token lives, the endpoint is not asked more often.
const REFRESH_MIN: Duration = Duration::from_millis(500);
/// However long it lives, a revoked client is noticed after this.
const REFRESH_MAX: Duration = Duration::from_secs(12 * 3600);
/// Around a change of tokens a broker may see either one.
const CHANGE: Duration = Duration::from_secs(10);
/// The source outlives its last client by so much, in case another one comes at once.
const LINGER: Duration = Duration::from_secs(5);

/// The tokens of one login.
pub(crate) struct Source {
    name: String,
    login: Login,
    endpoint: Endpoint,
    state: Mutex<State>,
    told: watch::Sender<Told>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    /// When the token came, unless it was the first.
    renewed: Option<Instant>,
    // Bounded by the clients of this process: those that are gone are removed at each attach and each token.
    clients: Vec<Weak<dyn Bearer>>,
    runs: bool,
}

/// What the last question to the endpoint brought.
#[derive(Clone, Default)]
enum Told {
    #[default]
    Nothing,
    Token,
    Trouble(ErrorKind, String),
}

impl Source {
    pub(super) fn new(name: String, login: Login) -> Result<Self> {
        Ok(Self {
            name,
            endpoint: Endpoint::new(&login)?,
            login,
            state: Mutex::default(),
            told: watch::Sender::default(),
        })
    }
    pub(super) fn name(&self) -> &str {
        &self.name
    }
    pub(super) fn login(&self) -> &Login {
        &self.login
    }
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The token of the moment, if it is valid.
    pub(super) fn token(&self) -> Option<Arc<Token>> {
        let token = self.state().token.clone()?;
        token.remaining().map(|_| token)
    }

    /// Supplies a client from now on until it is gone.
    pub(super) fn attach(self: &Arc<Self>, client: &Arc<dyn Bearer>) {
        {
            let mut state = self.state();
            state.clients.retain(|client| client.strong_count() > 0);
            state.clients.push(Arc::downgrade(client));
        }
        let mut handed: Option<Arc<Token>> = None;
        // Until it has not changed meanwhile: the former one must not be handed over behind the new one.
        while let Some(token) = self.token() {
            if handed.is_some_and(|handed| Arc::ptr_eq(&handed, &token)) {
                break;
            }
            token.hand_to(client.native());
            handed = Some(token);
        }
        self.run();
    }

    /// Waits for the first token. Err: Auth as soon as the endpoint refuses the login; the last trouble once `max` has passed.
    pub(crate) async fn first(self: &Arc<Self>, max: Duration) -> Result<()> {
        let mut told = self.told.subscribe();
        self.run();
        let wait = async {
            loop {
                if self.token().is_some() {
                    return Ok(());
                }
                if let Told::Trouble(kind @ (ErrorKind::Auth | ErrorKind::Config), text) =
                    &*told.borrow_and_update()
                {
                    return Err(Error::new(*kind, "token", text));
                }
                if told.changed().await.is_err() {
                    return Err(Error::bug("token", "the source of tokens is gone"));
                }
            }
        };
        match tokio::time::timeout(max, wait).await {
            Ok(result) => result,
            Err(_) => Err(self.trouble().unwrap_or_else(|| {
                let place = self.login.place();
                Error::transient(
                    "token",
                    format!(
                        "no answer from the token endpoint {place} within {} s",
                        max.as_secs()
                    ),
                )
            })),
        }
    }

    /// Why there is no valid token; `None` = there is one, or nothing is known yet.
    pub(crate) fn trouble(&self) -> Option<Error> {
        if self.token().is_some() {
            return None;
        }
        match &*self.told.borrow() {
            Told::Trouble(kind, text) => Some(Error::new(*kind, "token", text)),
            _ => None,
        }
    }

    /// A broker refuses the login: true = time may heal it, because the token has run out or was replaced a moment ago, or the endpoint is away.
    pub(crate) fn excuses(&self) -> bool {
        if let Told::Trouble(kind, _) = &*self.told.borrow() {
            return *kind == ErrorKind::Transient;
        }
        let state = self.state();
        let left = state.token.as_ref().and_then(|token| token.remaining());
        left.is_none_or(|left| left < CHANGE)
            || state.renewed.is_some_and(|at| at.elapsed() < CHANGE)
    }

    /// Starts the loop unless it runs.
    fn run(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state().runs, true) {
            return;
        }
        match runtime() {
            Some(runtime) => {
                runtime.spawn(Arc::clone(self).supply());
            }
            None => {
                self.state().runs = false;
                let text = "no thread for OAUTHBEARER tokens".to_owned();
                self.told
                    .send_replace(Told::Trouble(ErrorKind::Transient, text));
            }
        }
    }

    async fn supply(self: Arc<Self>) {
        let mut backoff = self.login.backoff;
        loop {
            let pause = match self.endpoint.ask(&self.login).await {
                Ok(token) => {
                    backoff = self.login.backoff;
                    let left = token.remaining().unwrap_or_default();
                    tracing::debug!(
                        client_id = self.login.client_id,
                        principal = token.principal,
                        seconds = left.as_secs(),
                        "a new OAUTHBEARER token"
                    );
                    self.hand_out(Arc::new(token));
                    (left * REFRESH_AT / 100).clamp(REFRESH_MIN, REFRESH_MAX)
                }
                Err(error) => {
                    self.report(&error);
                    let pause = backoff;
                    backoff = (backoff * 2).min(self.login.backoff_max);
                    pause
                }
            };
            if !self.rest(pause).await {
                return;
            }
        }
    }

    /// Waits; false = nobody needs tokens any more, and the loop is over.
    async fn rest(self: &Arc<Self>, pause: Duration) -> bool {
        let end = tokio::time::Instant::now() + pause;
        loop {
            let step = end.min(tokio::time::Instant::now() + LINGER);
            tokio::time::sleep_until(step).await;
            {
                let mut state = self.state();
                state.clients.retain(|client| client.strong_count() > 0);
                // Ours is one share; another one may be about to attach a client.
                if state.clients.is_empty() && Arc::strong_count(self) == 1 {
                    state.runs = false;
                    return false;
                }
            }
            if step == end {
                return true;
            }
        }
    }

    fn clients(&self) -> Vec<Arc<dyn Bearer>> {
        self.state()
            .clients
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    fn hand_out(&self, token: Arc<Token>) {
        {
            let mut state = self.state();
            if state.token.replace(Arc::clone(&token)).is_some() {
                state.renewed = Some(Instant::now());
            }
        }
        for client in self.clients() {
            token.hand_to(client.native());
        }
        self.told.send_replace(Told::Token);
    }

    fn report(&self, error: &Error) {
        let valid = self.token().is_some();
        tracing::warn!(error = %error, valid, "no new OAUTHBEARER token");
        self.told
            .send_replace(Told::Trouble(error.kind(), error.message().to_owned()));
        // While the last token is good nobody is shut out; and what time heals is waited for.
        if valid || error.kind() == ErrorKind::Transient {
            return;
        }
        for client in self.clients() {
            client.shut_out(Error::new(error.kind(), "login", error.message()));
        }
    }
}

/// The thread that asks for tokens: one for all, for as long as the process lives.
fn runtime() -> Option<&'static Handle> {
    static RUNTIME: OnceLock<Option<Handle>> = OnceLock::new();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(2)
            .build();
        let runtime = runtime.ok()?;
        let handle = runtime.handle().clone();
        let serve = move || runtime.block_on(std::future::pending::<()>());
        let thread = std::thread::Builder::new().name("kafka tokens".to_owned());
        thread.spawn(serve).ok()?;
        Some(handle)
    };
    RUNTIME.get_or_init(start).as_ref()
}
