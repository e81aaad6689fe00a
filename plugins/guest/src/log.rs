//! Log lines. The host adds connector and task, limits the rate, cuts what is long and blots out known secrets.

use std::fmt::Display;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Every step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What an operator must look at.
    Error,
}

/// Names and values of a line.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

/// Whether lines of this level are wanted at all.
pub fn enabled(level: Level) -> bool {
    host::enabled(level)
}

/// Writes a line, lower case, if its level is wanted.
pub fn line(level: Level, message: &str, fields: Fields<'_>) {
    if enabled(level) {
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_string()))
            .collect();
        host::line(level, message, &fields);
    }
}

/// [`line`] at [`Level::Debug`].
pub fn debug(message: &str, fields: Fields<'_>) {
    line(Level::Debug, message, fields);
}

/// [`line`] at [`Level::Info`].
pub fn info(message: &str, fields: Fields<'_>) {
    line(Level::Info, message, fields);
}

/// [`line`] at [`Level::Warn`].
pub fn warn(message: &str, fields: Fields<'_>) {
    line(Level::Warn, message, fields);
}

/// [`line`] at [`Level::Error`].
pub fn error(message: &str, fields: Fields<'_>) {
    line(Level::Error, message, fields);
}

#[cfg(target_family = "wasm")]
mod host {
    use super::Level;
    use crate::abi::longshore::connector::log;

    fn of(level: Level) -> log::Level {
        match level {
            Level::Trace => log::Level::Trace,
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        }
    }
    pub(super) fn enabled(level: Level) -> bool {
        log::enabled(of(level))
    }
    pub(super) fn line(level: Level, message: &str, fields: &[(String, String)]) {
        log::log(of(level), message, fields);
    }
}

#[cfg(not(target_family = "wasm"))]
mod host {
    use super::Level;

    pub(super) fn enabled(_: Level) -> bool {
        true
    }
    pub(super) fn line(level: Level, message: &str, fields: &[(String, String)]) {
        eprintln!("{level:?} {message} {fields:?}");
    }
}
