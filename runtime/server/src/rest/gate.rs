//! The gate before all routes: who calls, whether the role is enough, and the audit log.

use super::{
    access::{Identity, Need, Peer, Role, Routes},
    answer::Failure,
    audit::{Audit, Entry, Subject},
    auth::{Auth, Refusal},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::{sync::Arc, time::Duration};

/// What the gate knows.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(super) auth: Arc<Auth>,
    pub(super) routes: Routes,
    pub(super) audit: Arc<Audit>,
}

/// Lets a request through to its route. Whatever is not in the list of routes ends here, so that none can be served without a rule.
pub(crate) async fn gate(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let template = request.extensions().get::<MatchedPath>();
    let template: Option<Arc<str>> = template.map(|path| Arc::from(path.as_str()));
    let need = template
        .as_deref()
        .and_then(|path| gate.routes.need(request.method(), path));
    if need == Some(Need::Nothing) {
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>().cloned();
    if need == Some(Need::Signature) {
        let mut response = next.run(request).await;
        gate.audit.called(peer.as_ref(), &mut response);
        return response;
    }
    let identity = match gate.auth.identify(request.headers(), peer.as_ref()).await {
        Ok(identity) => identity,
        Err(refusal) => {
            gate.audit
                .refused(&request, template.as_deref(), peer.as_ref(), &refusal);
            return unproven(&gate.auth, &refusal);
        }
    };
    let (Some(template), Some(Need::Role(wanted))) = (&template, need) else {
        let code = match template {
            Some(_) => StatusCode::METHOD_NOT_ALLOWED,
            None => StatusCode::NOT_FOUND,
        };
        return Failure::plain(code).into_response();
    };
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let subject = Subject::default();
    let mut entry =
        writes.then(|| Entry::new(&request, template, peer.as_ref(), &identity, &subject));
    let response = if identity.role.is_some_and(|role| role >= wanted) {
        request.extensions_mut().insert(identity);
        request.extensions_mut().insert(subject);
        next.run(request).await
    } else {
        let mut refused = entry
            .take()
            .unwrap_or_else(|| Entry::new(&request, template, peer.as_ref(), &identity, &subject));
        refused.ends(StatusCode::FORBIDDEN);
        forbidden(&identity, wanted)
    };
    if let Some(entry) = &mut entry {
        entry.ends(response.status());
    }
    response
}

fn unproven(auth: &Auth, refusal: &Refusal) -> Response {
    let after = |seconds: u64| HeaderValue::from(seconds.max(1));
    match refusal {
        Refusal::Missing | Refusal::Wrong { .. } => {
            let message = match refusal {
                Refusal::Wrong { why, .. } => format!("The credentials are not accepted: {why}."),
                _ => "The request has no credentials.".to_owned(),
            };
            let mut response = Failure::new(StatusCode::UNAUTHORIZED, message).into_response();
            let challenge = HeaderValue::from_static(auth.challenge(refusal));
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
            response
        }
        Refusal::TooMany { retry_after } => {
            let message = "Too many wrong credentials came from this address.";
            let mut response = Failure::new(StatusCode::TOO_MANY_REQUESTS, message).into_response();
            let wait = *retry_after + Duration::from_millis(999);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, after(wait.as_secs()));
            response
        }
        Refusal::Unavailable { why } => {
            let message = format!("The credentials cannot be checked now: {why}.");
            let mut response =
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, message).into_response();
            response.headers_mut().insert(header::RETRY_AFTER, after(5));
            response
        }
    }
}

fn forbidden(identity: &Identity, wanted: Role) -> Response {
    let has = identity.role.map_or("none", Role::name);
    let message = format!(
        "This needs the role {}, and the role of {} is {has}.",
        wanted.name(),
        identity.name
    );
    Failure::new(StatusCode::FORBIDDEN, message).into_response()
}
