//! A secured Apache Kafka: every way to log in works for every kind of client, every refusal is told soon and by name, no secret is shown (I8).
//! The broker is this binary's own; without Java these tests fail.

#[path = "secured/certificates.rs"]
mod certificates;
#[path = "secured/clients.rs"]
mod clients;
#[path = "secured/passwords.rs"]
mod passwords;
#[path = "raw/mod.rs"]
mod raw;
#[path = "rig/mod.rs"]
mod rig;
#[path = "secured/rights.rs"]
mod rights;
#[path = "secured/tokens.rs"]
mod tokens;
