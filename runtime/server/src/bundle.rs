//! What this binary carries: one line per connector, and the built-in transforms and converters.

use longshore_engine::registry::Registry;
use longshore_sdk::erased::{sink, source};

/// The registry of everything bundled.
pub(crate) fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.source(source::<longshore_datagen::Datagen>());
    registry.source(source::<longshore_file::FileSource>());
    registry.sink(sink::<longshore_file::FileSink>());
    registry.source(source::<longshore_mirror::Mirror>());
    registry.source(source::<longshore_postgres::PostgresSource>());
    registry.sink(sink::<longshore_postgres::PostgresSink>());
    registry.transforms(longshore_transforms::all());
    registry.predicates(longshore_transforms::predicates());
    registry.converters(longshore_converters::all());
    registry
}

#[cfg(test)]
mod readme;
