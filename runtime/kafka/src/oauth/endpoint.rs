//! One question to a token endpoint.

use super::{
    login::{Login, Trust},
    token::{self, Token},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use longshore_sdk::{Error, ErrorKind, Result, config::info::HIDDEN};
use reqwest::{Client, Response, StatusCode, header, redirect::Policy};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The largest answer.
const ANSWER_MAX: usize = 2 * token::LENGTH_MAX;
/// How much of the endpoint's own words a message carries.
const WORDS_MAX: usize = 300;
const OP: &str = "token";

/// Speaks HTTP to the endpoint of a login.
pub(super) struct Endpoint {
    client: Client,
}

impl Endpoint {
    /// Err (Config): a certificate that cannot be used.
    pub(super) fn new(login: &Login) -> Result<Self> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls(&login.trust)?)
            .connect_timeout(login.connect_timeout)
            .timeout(login.connect_timeout + login.read_timeout)
            // A redirect would carry the secret to somebody else.
            .redirect(Policy::none())
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| {
                Error::config(OP, "no client for the token endpoint").because(error)
            })?;
        Ok(Self { client })
    }

    /// A fresh token. Err: Auth = the endpoint refuses this client; Transient = it cannot be asked, or answers nonsense.
    pub(super) async fn ask(&self, login: &Login) -> Result<Token> {
        let mut form = vec![("grant_type", "client_credentials")];
        if let Some(scope) = &login.scope {
            form.push(("scope", scope));
        }
        let form = url_encoded(&form);
        let request = self
            .client
            .post(login.url.clone())
            .header(header::AUTHORIZATION, authorization(login)?)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let unreachable = |error: reqwest::Error| unreachable(login, error);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = body(response).await.map_err(unreachable)?;
        let answer = body.and_then(|body| serde_json::from_slice::<Value>(&body).ok());
        if !status.is_success() {
            return Err(refused(login, status, answer.as_ref()));
        }
        read(login, &answer.unwrap_or_default())
    }
}

fn tls(trust: &Trust) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let own = match trust {
        Trust::Only(own) => Some(own),
        Trust::SystemAnd(own) => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            own.as_ref()
        }
    };
    if let Some(own) = own {
        for certificate in CertificateDer::pem_slice_iter(own.0.as_bytes()) {
            let added = certificate.ok().and_then(|der| roots.add(der).ok());
            if added.is_none() {
                return Err(Error::config(
                    "config",
                    "ssl.truststore: a certificate cannot be used to trust the token endpoint: it is damaged or no X.509 certificate",
                ));
            }
        }
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::bug(OP, "no TLS").because(error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn authorization(login: &Login) -> Result<header::HeaderValue> {
    let (id, secret) = (&login.client_id, &login.client_secret);
    let pair = if login.urlencode {
        format!("{}:{}", encoded(id), encoded(secret))
    } else {
        format!("{id}:{secret}")
    };
    let mut value = header::HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| Error::bug(OP, "Base64 fits into a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// application/x-www-form-urlencoded.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => {
                out.push(char::from(byte))
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn url_encoded(form: &[(&str, &str)]) -> String {
    let pairs = form
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// `None` = it is too long to be an answer.
async fn body(mut response: Response) -> reqwest::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

fn unreachable(login: &Login, error: reqwest::Error) -> Error {
    let why = causes(&error.without_url());
    let place = login.place();
    if why.contains("invalid peer certificate") {
        return Error::new(
            ErrorKind::Auth,
            OP,
            format!(
                "the token endpoint {place} is not trusted: {why}; name its authority with ssl.truststore.location, among the options of sasl.jaas.config if it is not the brokers'"
            ),
        );
    }
    Error::transient(
        OP,
        format!("the token endpoint {place} cannot be asked: {why}"),
    )
}

fn refused(login: &Login, status: StatusCode, answer: Option<&Value>) -> Error {
    let said = |key: &str| {
        answer
            .and_then(|answer| answer[key].as_str())
            .unwrap_or_default()
    };
    let words = match (said("error"), said("error_description")) {
        ("", "") => String::new(),
        (error, "") => format!(": {error}"),
        (error, description) => format!(": {error}: {description}"),
    };
    let kind = match status.as_u16() {
        408 | 425 | 429 => ErrorKind::Transient,
        400..=499 => ErrorKind::Auth,
        _ => ErrorKind::Transient,
    };
    let advice = match kind {
        ErrorKind::Auth => "; check the client id, its secret and the scope",
        _ => "",
    };
    let place = login.place();
    Error::new(
        kind,
        OP,
        format!(
            "the token endpoint {place} answers {}{}{advice}",
            status.as_u16(),
            clean(login, &words)
        ),
    )
}

/// The endpoint's own words, cut short and without our secret, should it repeat it (I8).
fn clean(login: &Login, words: &str) -> String {
    let printable: String = words
        .chars()
        .filter(|c| !c.is_control())
        .take(WORDS_MAX)
        .collect();
    if login.client_secret.is_empty() {
        return printable;
    }
    printable.replace(&login.client_secret, HIDDEN)
}

fn read(login: &Login, answer: &Value) -> Result<Token> {
    let odd = |what: &str| {
        Error::transient(
            OP,
            format!("the token endpoint {} answers {what}", login.place()),
        )
    };
    let text = answer["access_token"].as_str().unwrap_or_default();
    let printable = |byte: u8| matches!(byte, b'!'..=b'~');
    if text.is_empty() || text.len() > token::LENGTH_MAX || !text.bytes().all(printable) {
        return Err(odd("without an access_token"));
    }
    let claims = token::claims(text).unwrap_or_default();
    let now = SystemTime::now();
    let after = |base: SystemTime, seconds: u64| base.checked_add(Duration::from_secs(seconds));
    let told = seconds(&answer["expires_in"]).and_then(|left| after(now, left));
    let claimed = seconds(&claims["exp"]).and_then(|at| after(SystemTime::UNIX_EPOCH, at));
    let expires = match (told, claimed) {
        (Some(told), Some(claimed)) => told.min(claimed),
        (told, claimed) => told
            .or(claimed)
            .ok_or_else(|| odd("with a token that does not say when it expires"))?,
    };
    if expires <= now {
        return Err(Error::new(
            ErrorKind::Auth,
            OP,
            format!(
                "the token endpoint {} answers with a token that has expired already: compare its clock with this machine's",
                login.place()
            ),
        ));
    }
    let subject = claims[&login.subject_claim].as_str();
    Ok(Token {
        text: text.to_owned(),
        principal: subject.unwrap_or(&login.client_id).replace('\0', ""),
        expires,
        extensions: login.extensions.clone(),
    })
}

/// Some endpoints send numbers as text.
fn seconds(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64);
    let text = || value.as_str()?.parse().ok();
    value.as_u64().or_else(float).or_else(text)
}

/// An error with what caused it: the outer text alone says nothing.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
