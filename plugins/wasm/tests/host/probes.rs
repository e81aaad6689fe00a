//! The guests of `plugins/wasm/guests`, loaded once for all tests.

use longshore_sdk::{
    Datum, Error, Offsets, Record, Result, Share, SinkContext, SinkRecord, SourceContext, Stop,
    TopicOffset,
    config::Flat,
    erased::{
        DynSink, DynSinkConnector, DynSource, DynSourceConnector, DynTransform, TransformPlugin,
    },
};
use longshore_wasm::{
    Broken, Ceilings, Limits, Loaded, Registered, Settings, load,
    services::{Provisions, ServicesSettings},
};
use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

/// Short, so that tests of what never returns end; long enough for a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);
/// What a task may use.
pub(crate) const MEMORY: u64 = 64 << 20;

/// The file of a guest.
pub(crate) fn file(name: &str) -> PathBuf {
    let folder = std::env::var_os("LONGSHORE_GUESTS")
        .expect("LONGSHORE_GUESTS is not set: run `cargo xtask guests` and set it to the folder that it prints");
    let path = PathBuf::from(folder).join(format!("{name}.wasm"));
    assert!(
        path.is_file(),
        "{} is missing: run `cargo xtask guests`",
        path.display()
    );
    path
}

pub(crate) fn provisions() -> Arc<Provisions> {
    Provisions::new(ServicesSettings::default()).expect("services without settings")
}

pub(crate) fn settings() -> Settings {
    Settings {
        limits: Limits {
            memory: MEMORY,
            call_timeout: TIMEOUT,
            instances: 100,
            ..Limits::default()
        },
        ..Settings::default()
    }
}

pub(crate) fn load_files(files: &[PathBuf], settings: &Settings) -> (Vec<Loaded>, Vec<Broken>) {
    load(files, settings, &provisions(), &Ceilings::default())
}

static PROBES: LazyLock<Vec<Loaded>> = LazyLock::new(|| {
    let files = ["probe-source", "probe-sink", "probe-transform"].map(file);
    let (loaded, broken) = load_files(&files, &settings());
    assert!(broken.is_empty(), "{broken:?}");
    loaded
});

pub(crate) fn source() -> Arc<dyn DynSourceConnector> {
    match &PROBES[0].plugin {
        Registered::Source(source) => source.clone(),
        _ => panic!("the first probe is a source"),
    }
}

pub(crate) fn sink() -> Arc<dyn DynSinkConnector> {
    match &PROBES[1].plugin {
        Registered::Sink(sink) => sink.clone(),
        _ => panic!("the second probe is a sink"),
    }
}

pub(crate) fn transform() -> TransformPlugin {
    match &PROBES[2].plugin {
        Registered::Transform(transform) => transform.clone(),
        _ => panic!("the third probe is a transform"),
    }
}

pub(crate) fn config(pairs: &[(&str, &str)]) -> Flat {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

/// A source's config: its topic, and these.
pub(crate) fn numbers(pairs: &[(&str, &str)]) -> Flat {
    let mut config = config(pairs);
    config
        .entry("topic".to_owned())
        .or_insert("numbers".to_owned());
    config
}

pub(crate) async fn open_source(
    pairs: &[(&str, &str)],
    offsets: Offsets,
) -> Result<Box<dyn DynSource>> {
    let cx = SourceContext::detached("counting", 0, offsets);
    source().open(&numbers(pairs), Share::new(), cx).await
}

pub(crate) async fn open_sink(pairs: &[(&str, &str)]) -> Result<Box<dyn DynSink>> {
    open_sink_until(pairs, Stop::never()).await
}

pub(crate) async fn open_sink_until(
    pairs: &[(&str, &str)],
    stop: Stop,
) -> Result<Box<dyn DynSink>> {
    let cx = SinkContext {
        connector: "taking".into(),
        task: 0,
        group: "connect-taking".into(),
        exactly_once: pairs.contains(&("keep", "true")),
        stop,
    };
    sink().open(&config(pairs), Share::new(), cx).await
}

pub(crate) fn open_transform(pairs: &[(&str, &str)]) -> Box<dyn DynTransform> {
    (transform().build)(&config(pairs)).expect("a transform is built before its guest starts")
}

/// The error of a call that must fail.
pub(crate) fn failure<T>(result: Result<T>) -> Error {
    match result {
        Ok(_) => panic!("it must fail"),
        Err(error) => error,
    }
}

pub(crate) fn record(topic: &str, value: Datum) -> Record {
    let mut record = Record::new(topic.into());
    record.value = value;
    record
}

pub(crate) fn json(text: &str) -> Datum {
    Datum::Json(bytes::Bytes::copy_from_slice(text.as_bytes()))
}

/// Records of one partition with offsets from 0.
pub(crate) fn read(values: Vec<Datum>) -> Vec<SinkRecord> {
    let at = |(offset, value)| SinkRecord {
        record: record("input", value),
        at: TopicOffset {
            topic: "input".into(),
            partition: 3,
            offset,
        },
    };
    (0..).zip(values).map(at).collect()
}
