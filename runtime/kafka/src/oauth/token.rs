//! A token, and what its text says about itself.

use crate::native;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::types::RDKafka;
use serde_json::Value;
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The largest token, as it stands in a header.
pub(super) const LENGTH_MAX: usize = 64 * 1024;

/// A bearer token with what the client library wants to know about it.
pub(crate) struct Token {
    pub(super) text: String,
    pub(super) principal: String,
    pub(super) expires: SystemTime,
    pub(super) extensions: Vec<(String, String)>,
}

/// Never shows the token (I8).
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("principal", &self.principal)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// How long it is still valid.
    pub(super) fn remaining(&self) -> Option<Duration> {
        let left = self.expires.duration_since(SystemTime::now()).ok()?;
        (!left.is_zero()).then_some(left)
    }
    /// Gives it to a client. A client that does not take it says so in its log; it goes on with the one before.
    pub(super) fn hand_to(&self, client: *mut RDKafka) {
        let since = self.expires.duration_since(SystemTime::UNIX_EPOCH);
        let expires = since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
        if let Err(problem) = native::set_token(
            client,
            &self.text,
            &self.principal,
            expires,
            &self.extensions,
        ) {
            tracing::warn!(problem, "a client does not take its OAUTHBEARER token");
        }
    }
}

/// The claims of a JWT; an opaque token has none. They are read for their times and names only: judging the token is the broker's work.
pub(super) fn claims(text: &str) -> Option<Value> {
    let mut parts = text.split('.');
    let (_, payload) = (parts.next()?, parts.next()?);
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_and_tokens_not_shown() {
        let payload = URL_SAFE_NO_PAD.encode(br#"{"sub":"me","exp":12}"#);
        let text = format!("e30.{payload}.c2ln");
        assert_eq!(claims(&text).expect("a JWT")["sub"], "me");
        assert!(claims("opaque").is_none());
        let token = Token {
            text: text.clone(),
            principal: "me".to_owned(),
            expires: SystemTime::UNIX_EPOCH,
            extensions: Vec::new(),
        };
        assert!(!format!("{token:?}").contains(&payload), "I8");
        assert!(token.remaining().is_none());
    }
}
