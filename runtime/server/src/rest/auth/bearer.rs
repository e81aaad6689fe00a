//! Signed tokens: JWTs of an identity provider.

use super::{
    super::access::{Identity, Role},
    Refusal,
    jwks::Jwks,
};
use crate::settings::{RestKeys, TokenAlgorithm};
use anyhow::{Result, bail};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, errors::ErrorKind};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The longest user name that is taken from a token, in characters.
const NAME_CHARS_MAX: usize = 128;

/// Who may sign tokens, and what they must say.
pub(crate) struct Bearer {
    keys: Arc<Jwks>,
    algorithms: Vec<Algorithm>,
    issuer: String,
    audience: Vec<String>,
    skew_seconds: u64,
    user_claim: String,
    roles_claim: String,
    /// Values of the roles claim and the role that each gives.
    roles: Vec<(String, Role)>,
}

impl Bearer {
    /// Takes the settings; the keys are fetched by [`Bearer::keep_fresh`].
    pub(super) fn open(keys: &RestKeys) -> Result<Self> {
        let Some(issuer) = keys.issuer.clone() else {
            bail!("longshore.rest.auth.issuer is missing");
        };
        let named = |names: &[String], role| {
            let pairs = names.iter().map(move |name| (name.clone(), role));
            pairs.collect::<Vec<_>>()
        };
        Ok(Self {
            keys: Arc::new(Jwks::of(keys)?),
            algorithms: keys.algorithms.iter().map(|one| algorithm(*one)).collect(),
            issuer,
            audience: keys.audience.clone(),
            skew_seconds: keys.clock_skew_seconds,
            user_claim: keys.user_claim.clone(),
            roles_claim: keys.roles_claim.clone(),
            roles: [
                named(&keys.roles_read, Role::Read),
                named(&keys.roles_operate, Role::Operate),
                named(&keys.roles_admin, Role::Admin),
            ]
            .concat(),
        })
    }
    /// Fetches the keys, now and again.
    pub(super) async fn keep_fresh(&self) {
        self.keys.keep_fresh().await;
    }
    #[cfg(test)]
    pub(super) fn with_keys(mut self, keys: Jwks) -> Self {
        self.keys = Arc::new(keys);
        self
    }

    /// Who it is. A token without a role that is known here is somebody who may do nothing.
    pub(super) async fn identify(&self, token: &str) -> Result<Identity, Refusal> {
        let header = decode_header(token)
            .map_err(|_| Refusal::wrong("the token is no JWT, or its algorithm is not allowed"))?;
        if !self.algorithms.contains(&header.alg) {
            return Err(Refusal::wrong("the token's algorithm is not allowed"));
        }
        if header.crit.is_some() {
            // Extensions that must be understood, and none is.
            return Err(Refusal::wrong("the token has critical extensions"));
        }
        let claims = self.claims(token, &header).await?;
        let name = match at(&claims, &self.user_claim) {
            Some(Value::String(name)) if !name.is_empty() => name,
            _ => return Err(Refusal::wrong("the token does not name its user")),
        };
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        Ok(Identity {
            name: Arc::from(name),
            role: self.role(&claims),
        })
    }

    async fn claims(&self, token: &str, header: &Header) -> Result<Map<String, Value>, Refusal> {
        let mut rules = Validation::new(header.alg);
        rules.set_required_spec_claims(&["exp", "iss", "aud"]);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&self.audience);
        rules.validate_nbf = true;
        rules.leeway = self.skew_seconds;
        // Two keys may have the same id, one of each kind.
        let mut why = "no signing key fits the token";
        for key in self.keys.find(header.kid.as_deref(), header.alg).await? {
            match decode::<Map<String, Value>>(token, &key, &rules) {
                Ok(token) => return Ok(token.claims),
                Err(error) => why = reason(error.kind()),
            }
        }
        Err(Refusal::wrong(why))
    }

    fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let names: Vec<&str> = match at(claims, &self.roles_claim)? {
            // As `scope` has them: between blanks.
            Value::String(text) => text.split_whitespace().collect(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let given = self
            .roles
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        given.map(|(_, role)| *role).max()
    }
}

/// A claim: one of exactly that name, else what the dots lead to.
fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    at(claims.get(first)?.as_object()?, rest)
}

/// What the caller is told. Nothing of it helps to forge a token: the signature is checked first.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks exp, iss or aud",
        _ => "the token's signature does not fit, or the token is malformed",
    }
}

fn algorithm(named: TokenAlgorithm) -> Algorithm {
    match named {
        TokenAlgorithm::RS256 => Algorithm::RS256,
        TokenAlgorithm::RS384 => Algorithm::RS384,
        TokenAlgorithm::RS512 => Algorithm::RS512,
        TokenAlgorithm::PS256 => Algorithm::PS256,
        TokenAlgorithm::PS384 => Algorithm::PS384,
        TokenAlgorithm::PS512 => Algorithm::PS512,
        TokenAlgorithm::ES256 => Algorithm::ES256,
        TokenAlgorithm::ES384 => Algorithm::ES384,
        TokenAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}
