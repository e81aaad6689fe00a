//! Members with this worker's own URL: its former incarnations, or another worker that was given the same address.

use super::Who;
use crate::roster::Roster;
use longshore_engine::ports::Member;
use longshore_sdk::{Error, Result};
use std::time::{Duration, Instant};

/// An URL that has not answered by then is not reached.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How often a worker that has our URL is complained about.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// While joining.
pub(super) struct Namesakes {
    me: Member,
    who: Who,
    /// Incarnations that were asked for, and are not there.
    dead: Vec<String>,
}

impl Namesakes {
    pub(super) fn new(me: Member, who: Who) -> Self {
        Self {
            me,
            who,
            dead: Vec::new(),
        }
    }
    pub(super) fn me(&self) -> &Member {
        &self.me
    }
    /// Asks the URL who is there, if the roster lists anybody else under it. Err (Config): another worker.
    pub(super) async fn ask(&mut self, roster: &Roster) -> Result<()> {
        let listed = roster.namesakes(&self.me);
        let new = listed.filter(|w| !self.dead.contains(&w.incarnation));
        let new: Vec<String> = new.map(|w| w.incarnation.clone()).collect();
        if new.is_empty() {
            return Ok(());
        }
        let asked = tokio::time::timeout(ANSWER_MAX, (self.who)(&self.me));
        let answer = asked.await.ok().flatten();
        match answer {
            Some(answer) if answer == self.me.incarnation => {}
            Some(_) => return Err(self.taken()),
            None => tracing::warn!(
                url = self.me.url(),
                "nobody answers at this worker's own URL, so that other workers cannot reach it either: set rest.advertised.host.name and rest.advertised.port (or listeners) to an address that all workers can reach"
            ),
        }
        self.dead.extend(new);
        Ok(())
    }
    fn taken(&self) -> Error {
        let url = self.me.url();
        Error::config(
            "join",
            format!(
                "another worker answers at {url}, which is this worker's URL too: stop it, or give each worker an address of its own (rest.advertised.host.name, rest.advertised.port, listeners)"
            ),
        )
        .with("url", url)
    }
    pub(super) fn former(self, session: Duration) -> Former {
        Former {
            me: self.me,
            dead: self.dead,
            // A killed one is listed for one session. A living one with the same URL, which cannot be told from it by asking, stays.
            until: Instant::now() + session * 2 + Duration::from_secs(5),
            said: None,
        }
    }
}

/// Afterwards: the incarnations that count as dead although they are listed.
pub(super) struct Former {
    me: Member,
    dead: Vec<String>,
    until: Instant,
    said: Option<Instant>,
}

impl Former {
    pub(super) fn me(&self) -> &Member {
        &self.me
    }
    pub(super) fn dead(&self) -> &[String] {
        &self.dead
    }
    /// Looks at a new roster: who outlives every session is alive, and has our URL.
    pub(super) fn look(&mut self, roster: &Roster) {
        if Instant::now() < self.until {
            return;
        }
        self.dead.clear();
        let quiet = self.said.is_some_and(|said| said.elapsed() < SAY_EVERY);
        if quiet || roster.namesakes(&self.me).next().is_none() {
            return;
        }
        self.said = Some(Instant::now());
        tracing::error!(
            url = self.me.url(),
            "another worker of this group advertises the same URL: requests reach the wrong one; give each worker an address of its own (rest.advertised.host.name, rest.advertised.port, listeners)"
        );
    }
}
