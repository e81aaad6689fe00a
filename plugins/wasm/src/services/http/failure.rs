//! What a guest is told when there is no answer.

use crate::{
    Denial,
    bindings::host::longshore::connector::types::{Error, ErrorKind},
    grants::Target,
};
use std::error::Error as StdError;

fn error(kind: ErrorKind, message: String) -> Error {
    Error {
        kind,
        message,
        retry_after_ms: None,
        context: Vec::new(),
    }
}

pub(super) fn config(message: String) -> Error {
    error(ErrorKind::Config, message)
}

pub(super) fn transient(message: String) -> Error {
    error(ErrorKind::Transient, message)
}

pub(super) fn fatal(message: String) -> Error {
    error(ErrorKind::Fatal, message)
}

pub(super) fn denied(denial: &Denial) -> Error {
    let mut error = config(denial.told().to_owned());
    if let Some(grant) = denial.told_grant() {
        error.context.push(("grant".to_owned(), grant.to_owned()));
    }
    error
}

pub(super) fn late(target: &Target) -> Error {
    transient(format!(
        "{target} did not answer in time; what the request did there is not known"
    ))
}

/// The denial that the resolver answered with.
pub(super) fn denial(error: &reqwest::Error) -> Option<&Denial> {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(denial) = error.downcast_ref() {
            return Some(denial);
        }
        cause = error.source();
    }
    None
}

/// Of a request that failed on its way, or of an answer's body. The URL stays out of it: a query may hold a secret (I8).
pub(super) fn unreachable(target: &Target, error: reqwest::Error) -> Error {
    let why = causes(&error.without_url());
    if why.contains("invalid peer certificate") {
        return config(format!(
            "{target} is not trusted: {why}; name its authority with the worker's setting longshore.wasm.http.ca"
        ));
    }
    transient(format!("{target} cannot be asked: {why}"))
}

/// An error with what caused it: the outer text alone says nothing.
fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}
