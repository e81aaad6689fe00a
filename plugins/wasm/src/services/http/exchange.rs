//! One request with its redirects, up to the head of the answer.

use super::{Http, answer, failure, redirect, request::Prepared};
use crate::{
    Denial,
    bindings::host::longshore::connector::{http::Request, types::Error},
    grants::{Host, Target},
};
use longshore_sdk::{crash_point::crash_point, mutant};
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

/// An answer whose body is still to come.
pub(super) struct Started {
    pub(super) target: Target,
    pub(super) response: Response,
}

impl Http {
    /// The head of the answer. It is not awaited beyond `until`.
    pub(super) async fn exchange(
        &self,
        request: Request,
        until: Instant,
    ) -> Result<Started, Error> {
        let redirects = request.redirects_max.min(self.limits().redirects);
        let mut prepared = Prepared::new(request, &self.caller, self.limits())?;
        let mut followed = 0;
        loop {
            let response = self.hop(&prepared, until).await;
            let status = response
                .as_ref()
                .ok()
                .map(|response| response.status().as_u16());
            let metrics = &self.provisions.metrics;
            metrics.requested(&self.caller.plugin, status);
            let response = response?;
            let (status, headers) = (response.status(), response.headers());
            if followed == redirects || !redirect::is(status, headers) {
                let target = prepared.target;
                return Ok(Started { target, response });
            }
            let before = prepared.target.clone();
            prepared = redirect::next(prepared, status, headers)?;
            if prepared.target != before && !mutant!("wasm-credential-follows") {
                redirect::forget_credentials(&mut prepared);
            }
            followed += 1;
        }
    }
    /// One request to one place, which is checked.
    async fn hop(&self, request: &Prepared, until: Instant) -> Result<Response, Error> {
        let target = &request.target;
        let grants = &self.caller.grants;
        if !mutant!("wasm-denied-let-through") {
            grants
                .check(target)
                .map_err(|denial| self.refuse(&denial))?;
        }
        if self.provisions.network.is_cut() {
            return Err(failure::transient(format!("{target} cannot be reached")));
        }
        let late = |_| failure::late(target);
        let client = timeout_at(until, self.clients.of(target))
            .await
            .map_err(late)??;
        let mut builder = client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone());
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let mut built = builder
            .build()
            .map_err(|error| failure::unreachable(target, error))?;
        if let Some((name, value)) = &request.credential {
            built.headers_mut().insert(name, value.clone());
        }
        crash_point("before-plugin-http");
        let sent = timeout_at(until, client.execute(built))
            .await
            .map_err(late)?;
        // The other side has done what it was asked for, and the guest does not know.
        crash_point("after-plugin-http");
        let response = sent.map_err(|error| match failure::denial(&error) {
            Some(denial) => self.refuse(denial),
            None => self.clean(failure::unreachable(target, error)),
        })?;
        self.check_peer(target, &response)?;
        self.check_head(target, &response)?;
        Ok(response)
    }
    /// Once more, after the fact: what was connected to is what the grants cover.
    fn check_peer(&self, target: &Target, response: &Response) -> Result<(), Error> {
        if self.provisions.network.proxy().is_some() {
            return Ok(());
        }
        let Some(peer) = response.remote_addr().map(|at| at.ip().to_canonical()) else {
            return Ok(());
        };
        match &target.host {
            Host::Name(_) => {
                let checked = self.caller.grants.check_resolved(target, peer);
                checked.map_err(|denial| self.refuse(&denial))
            }
            Host::Address(address) if *address == peer => Ok(()),
            Host::Address(_) => Err(failure::fatal(format!("{target} was reached elsewhere"))),
        }
    }
    fn check_head(&self, target: &Target, response: &Response) -> Result<(), Error> {
        let size = answer::size(response.headers());
        let most = self.limits().headers;
        if size <= most {
            return Ok(());
        }
        Err(failure::config(format!(
            "{target} answers with headers of {size} bytes; at most {most} are read"
        )))
    }
    /// Logs and counts the denial; the guest is told no more than what it named itself.
    pub(super) fn refuse(&self, denial: &Denial) -> Error {
        self.journal.denied(denial);
        failure::denied(denial)
    }
    /// The other side's words may repeat a secret (I8).
    pub(super) fn clean(&self, mut error: Error) -> Error {
        error.message = self.journal.clean(&error.message);
        error
    }
}
