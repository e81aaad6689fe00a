//! Secrets that the host puts into a request; the guest names them and never sees them (I8).

use super::{failure::config, request::forbidden};
use crate::{
    bindings::host::longshore::connector::{
        http::{Credential, Placement},
        types::Error,
    },
    services::Caller,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// The header that carries the secret. No text of an error shows the value.
pub(super) fn header(
    credential: &Credential,
    caller: &Caller,
) -> Result<(HeaderName, HeaderValue), Error> {
    let key: String = credential.key.chars().take(100).collect();
    let Some(secret) = caller.secrets.get(&credential.key) else {
        return Err(config(format!(
            "http.credential names the key {key:?}, which has no value, or which the plugin's config schema does not mark as a secret (x-secret)"
        )));
    };
    let secret = secret.expose();
    let (name, text) = match &credential.placement {
        Placement::Bearer => (AUTHORIZATION, format!("Bearer {secret}")),
        Placement::Basic(user) => {
            if user.contains(':') || user.contains(char::is_control) {
                return Err(config(
                    "http.credential: a user of Basic authentication has no colon and no control characters".to_owned(),
                ));
            }
            let pair = STANDARD.encode(format!("{user}:{secret}"));
            (AUTHORIZATION, format!("Basic {pair}"))
        }
        Placement::Header(name) => {
            let shown: String = name.chars().take(100).collect();
            let name = HeaderName::from_bytes(name.as_bytes()).ok();
            let name = name.filter(|name| !forbidden(name)).ok_or_else(|| {
                config(format!(
                    "http.credential: no secret goes into a header {shown:?}"
                ))
            })?;
            (name, secret.to_owned())
        }
    };
    let value = HeaderValue::from_bytes(text.as_bytes()).ok();
    let mut value = value.ok_or_else(|| {
        config(format!(
            "the secret {key:?} does not fit into a header: it has a line break or another control character"
        ))
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}
