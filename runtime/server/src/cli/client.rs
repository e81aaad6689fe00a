//! Calls to a worker's REST API.

use super::Remote;
use crate::settings::is_loopback;
use crate::trust::{self, Shown};
use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde_json::Value;
use std::{io::IsTerminal, time::Duration};

/// The environment's password for `--user`.
const PASSWORD: &str = "LONGSHORE_PASSWORD";

/// How a command proves who calls. It has no Debug: its secrets are shown nowhere.
enum Proof {
    None,
    Password { user: String, password: String },
    Token(String),
}

/// A worker's REST API, as the commands use it.
pub(crate) struct Rest {
    base: String,
    client: Client,
    proof: Proof,
}

/// An answer: the status and the JSON body, if there was one.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<Value>,
}

impl Rest {
    /// A client for the worker that the flags name, with the credentials that they name; asks for a password that is not given.
    pub(crate) fn of(remote: &Remote) -> Result<Self> {
        let url = Url::parse(&remote.url)
            .with_context(|| format!("{} is no URL: expected http://host:port", remote.url))?;
        let https = url.scheme() == "https";
        if !https && url.scheme() != "http" {
            bail!("{} is neither http:// nor https://", remote.url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!("the URL holds credentials: give --user and {PASSWORD} instead");
        }
        let proof = proof(remote)?;
        if !matches!(proof, Proof::None)
            && !https
            && !is_loopback(url.host_str().unwrap_or_default())
        {
            eprintln!("warning: the credentials cross the network in clear text: use https://");
        }
        let shown = match (&remote.cert, &remote.key) {
            (Some(certificate), Some(key)) => Some(Shown { certificate, key }),
            (Some(both), None) => Some(Shown {
                certificate: both,
                key: both,
            }),
            (None, _) => None,
        };
        let tls = trust::client(https, remote.cacert.as_deref(), shown)?;
        let mut client = Client::builder();
        if is_loopback(url.host_str().unwrap_or_default()) {
            // This machine is no proxy's business, and neither are the credentials for it.
            client = client.no_proxy();
        }
        let client = client
            .tls_backend_preconfigured(tls)
            // Credentials go where the flags say.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(95))
            .build()
            .context("the HTTP client could not be built")?;
        Ok(Self {
            base: remote.url.trim_end_matches('/').to_owned(),
            client,
            proof,
        })
    }

    fn proven(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.proof {
            Proof::None => request,
            Proof::Password { user, password } => request.basic_auth(user, Some(password)),
            Proof::Token(token) => request.bearer_auth(token),
        }
    }

    /// Sends a request; an error for anything that is not a success, with the API's own message.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let answer = self.ask(method, path, body).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let message = answer
            .body
            .as_ref()
            .and_then(|body| body["message"].as_str())
            .unwrap_or("no message");
        let advice = match answer.status {
            StatusCode::UNAUTHORIZED if matches!(self.proof, Proof::None) => {
                " (--user or LONGSHORE_USER with LONGSHORE_PASSWORD, or LONGSHORE_TOKEN)"
            }
            _ => "",
        };
        bail!("{}: {message}{advice}", answer.status)
    }

    /// GET that must succeed with a JSON body.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.call(Method::GET, path, None).await?;
        answer
            .body
            .with_context(|| format!("GET {path} answered without a JSON body"))
    }

    /// Sends a request and returns whatever status came.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let mut request = self.proven(self.client.request(method, &url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let bytes = response
            .bytes()
            .await
            .with_context(|| format!("the answer of {url} was cut off"))?;
        let body = if bytes.is_empty() {
            None
        } else {
            serde_json::from_slice(&bytes).ok()
        };
        Ok(Answer { status, body })
    }
}

impl Rest {
    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let base = &self.base;
        // The causes say it: reqwest's own text is only that there was an error.
        let whole = format!("{:#}", anyhow::Error::new(error));
        if whole.contains("certificate") || whole.contains("UnknownIssuer") {
            anyhow::anyhow!(
                "the certificate of {base} is not trusted (--cacert or LONGSHORE_CACERT names a PEM file with those to trust): {whole}"
            )
        } else if whole.contains("InvalidContentType") {
            anyhow::anyhow!("what answers at {base} does not speak TLS: is it http://?")
        } else {
            anyhow::anyhow!(
                "no worker answers at {base}: is one running? (--url or LONGSHORE_URL names another): {whole}"
            )
        }
    }
}

fn proof(remote: &Remote) -> Result<Proof> {
    let user = remote.user.clone().filter(|user| !user.is_empty());
    let token = remote.token.clone().filter(|token| !token.is_empty());
    match (user, token) {
        (None, None) => Ok(Proof::None),
        (None, Some(token)) => Ok(Proof::Token(token)),
        (Some(_), Some(_)) => bail!("give --user or --token, not both"),
        (Some(user), None) => {
            let password = password(&user)?;
            Ok(Proof::Password { user, password })
        }
    }
}

fn password(user: &str) -> Result<String> {
    match std::env::var(PASSWORD) {
        Ok(password) => return Ok(password),
        Err(std::env::VarError::NotUnicode(_)) => bail!("{PASSWORD} is not UTF-8 text"),
        Err(std::env::VarError::NotPresent) => {}
    }
    if !std::io::stdin().is_terminal() {
        bail!("no password for {user}: set {PASSWORD}");
    }
    rpassword::prompt_password(format!("Password of {user}: "))
        .context("the password could not be read")
}

/// A path segment, percent-encoded.
pub(crate) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_name_becomes_one_segment() {
        assert_eq!(segment("a b/c%é"), "a%20b%2Fc%25%C3%A9");
        assert_eq!(segment("plain-name_1.x~"), "plain-name_1.x~");
    }
}
