//! What plugins that talk to an HTTP service have in common in their configs.

use crate::{Problem, Secret, http::Request};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Time limit, headers and credential of every request: `#[serde(flatten)]` into a config gives it the keys `request.timeout.ms`, `headers`
/// and `auth.*`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Connection {
    /// How long an answer may take, in milliseconds.
    #[serde(default = "timeout", rename = "request.timeout.ms")]
    #[schemars(range(min = 1, max = 600_000), extend("x-importance" = "LOW"))]
    pub timeout: u32,
    /// Headers to send, each as name:value.
    #[serde(default)]
    pub headers: Vec<String>,
    /// The credential; the host sends it, this plugin never sees it.
    #[serde(default, rename = "auth.secret")]
    pub secret: Option<Secret>,
    /// How the credential is sent: bearer, basic (with auth.user), or header (named by auth.header).
    #[serde(default, rename = "auth.scheme")]
    pub scheme: Scheme,
    /// The user of scheme basic.
    #[serde(default, rename = "auth.user")]
    pub user: String,
    /// The header of scheme header.
    #[serde(default = "auth_header", rename = "auth.header")]
    pub auth_header: String,
}

/// How a credential is sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// [`Request::bearer`]
    #[default]
    Bearer,
    /// [`Request::basic`]
    Basic,
    /// [`Request::secret_header`]
    Header,
}

fn timeout() -> u32 {
    30_000
}
fn auth_header() -> String {
    "X-Api-Key".to_owned()
}

impl Connection {
    /// What is wrong with the address at the key `url`, as far as one can see.
    pub fn check_url(url: &str) -> Option<Problem> {
        let http = url.starts_with("http://") || url.starts_with("https://");
        (!http).then(|| Problem::new("url", "it begins with neither http:// nor https://"))
    }
    /// What the schema cannot say.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.headers.iter().any(|header| !header.contains(':')) {
            problems.push(Problem::new("headers", "an entry has no colon").suggest("name:value"));
        }
        if self.secret.is_some() && self.scheme == Scheme::Basic && self.user.is_empty() {
            problems.push(Problem::new("auth.user", "scheme basic takes a user"));
        }
        problems
    }
    /// The request with all of it.
    pub fn on(&self, request: Request) -> Request {
        let mut request = request.timeout(Duration::from_millis(self.timeout.into()));
        for header in &self.headers {
            if let Some((name, value)) = header.split_once(':') {
                request = request.header(name.trim(), value.trim());
            }
        }
        match (&self.secret, self.scheme) {
            (None, _) => request,
            (Some(secret), Scheme::Bearer) => request.bearer(secret),
            (Some(secret), Scheme::Basic) => request.basic(&self.user, secret),
            (Some(secret), Scheme::Header) => request.secret_header(&self.auth_header, secret),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, JsonSchema)]
    struct Settings {
        #[allow(dead_code)]
        url: String,
        #[serde(flatten)]
        connection: Connection,
    }

    #[test]
    fn its_keys_are_those_of_the_config_that_it_stands_in() {
        let schema = crate::config::schema::<Settings>();
        let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
        let keys = schema["properties"].as_object().expect("an object");
        let keys: Vec<&str> = keys.keys().map(String::as_str).collect();
        for key in ["url", "request.timeout.ms", "headers", "auth.secret"] {
            assert!(keys.contains(&key), "{key} is not in {keys:?}");
        }
        let secret = schema["properties"]["auth.secret"].to_string();
        assert!(secret.contains("#/$defs/Secret"), "{secret}");
        assert_eq!(schema["$defs"]["Secret"]["x-secret"], true);
        let text = r#"{"url":"x","request.timeout.ms":5,"auth.secret":{"secret":"auth.secret"},"auth.scheme":"basic"}"#;
        let settings: Settings = serde_json::from_str(text).expect("settings");
        assert_eq!(settings.connection.timeout, 5);
        assert_eq!(settings.connection.auth_header, "X-Api-Key");
        let problems = settings.connection.problems();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].key, "auth.user");
    }
}
