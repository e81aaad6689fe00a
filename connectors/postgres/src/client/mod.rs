//! One room for what both directions need of a Postgres server.
//!
//! * [`ConnectionConfig`] is flattened into a connector's settings; [`ConnectionConfig::target`] judges it and says where to connect.
//! * [`Session::open`] connects. Every statement runs inside [`Session::bounded`], so that no server can hold a task for ever (I6).
//! * [`Failure`] is an error of a statement: its SQLSTATE for code that reacts, and the SDK's error for everybody else.
//! * [`TableName`] and [`quote`] write names into SQL, [`catalogue`] tells what a table looks like, [`check`] speaks in findings.

pub(crate) mod catalogue;
pub(crate) mod check;
mod column_type;
mod connection;
mod failure;
mod name;
mod params;
mod session;
mod target;
mod tls;
mod url;

pub(crate) use catalogue::{Column, Relation, Table};
pub(crate) use column_type::{ColumnType, TypeKind, numeric_limits};
pub(crate) use connection::ConnectionConfig;
pub(crate) use failure::{Failure, Outcome};
pub(crate) use name::{NAME_BYTES_MAX, TableName, quote, quote_literal};
pub(crate) use session::{Purpose, Session};
pub(crate) use target::Target;

#[cfg(test)]
mod tests;
