//! Settings files and what is checked of them before anything runs.
//!
//! [`Settings::read`] turns files into flat maps that know their lines; [`WorkerSettings::read`] makes a worker's settings of one;
//! [`mod@lint`] judges the connectors against the plugins there are.

mod file;
mod lint;
mod listener;
mod place;
mod properties;
mod worker;
mod yaml;

pub(crate) use file::{Section, Settings};
pub(crate) use lint::lint;
pub(crate) use listener::{Listener, is_loopback};
pub(crate) use place::Located;
pub(crate) use worker::{
    AuthMethod, Bootstrap, ClientAuth, HttpsKeys, RestKeys, RestartPolicy, Store, TokenAlgorithm,
    WorkerSettings,
};

#[cfg(test)]
mod tests;
