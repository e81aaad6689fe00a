//! Calls to a worker's REST API.

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use std::time::Duration;

/// A worker's REST API, as the commands use it.
pub(crate) struct Rest {
    base: String,
    client: Client,
}

/// An answer: the status and the JSON body, if there was one.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<Value>,
}

impl Rest {
    /// A client for the API at `url`.
    pub(crate) fn at(url: &str) -> Result<Self> {
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(95))
            .build()
            .context("the HTTP client could not be built")?;
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            client,
        })
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
        bail!("{}: {message}", answer.status)
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
        let mut request = self.client.request(method, &url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| {
            format!(
                "no worker answers at {}: is one running? (--url or LONGSHORE_URL names another)",
                self.base
            )
        })?;
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
