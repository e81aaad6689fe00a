//! Room on the worker: instances, the share of one plugin, and the time that a promise may cost.

use crate::probes::{failure, file, load_files, numbers, provisions, settings};
use longshore_sdk::{
    Error, ErrorKind, Offsets, Share, SinkContext, SourceContext,
    erased::{DynSinkConnector, DynSourceConnector},
};
use longshore_wasm::{Ceilings, Loaded, Registered, load, services::Provisions};
use prometheus::core::Collector;
use std::sync::Arc;

fn source(loaded: &Loaded) -> Arc<dyn DynSourceConnector> {
    match &loaded.plugin {
        Registered::Source(source) => source.clone(),
        _ => panic!("it is a source"),
    }
}

fn sink(loaded: &Loaded) -> Arc<dyn DynSinkConnector> {
    match &loaded.plugin {
        Registered::Sink(sink) => sink.clone(),
        _ => panic!("it is a sink"),
    }
}

fn traps(provisions: &Provisions) -> f64 {
    let families = provisions.metrics().collect();
    let traps = families
        .iter()
        .find(|family| family.name() == "longshore_wasm_traps_total")
        .expect("traps are counted");
    traps
        .get_metric()
        .iter()
        .map(|it| it.get_counter().get_value())
        .sum()
}

fn full(error: &Error, part: &str) {
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    assert!(
        error.message().contains(part),
        "{part:?} is not in: {error}"
    );
}

#[tokio::test]
async fn one_plugin_takes_half_of_the_worker_and_the_others_have_the_rest() {
    let mut settings = settings();
    settings.limits.instances = 4;
    let (loaded, broken) = load_files(&[file("probe-source"), file("probe-sink")], &settings);
    assert!(broken.is_empty(), "{broken:?}");
    let (source, sink) = (source(&loaded[0]), sink(&loaded[1]));
    let config = numbers(&[]);
    let open = || {
        let cx = SourceContext::detached("counting", 0, Offsets::new());
        source.open(&config, Share::new(), cx)
    };
    let mut first = open().await.expect("there is room");
    let _second = open().await.expect("there is room");
    full(
        &failure(open().await),
        "the plugin probe-source has 2 instances",
    );
    full(&failure(source.plan(&config, 1).await), "probe-source");
    let take = || {
        let cx = SinkContext {
            connector: "taking".into(),
            task: 0,
            group: "connect-taking".into(),
            exactly_once: false,
            stop: longshore_sdk::Stop::never(),
        };
        sink.open(&config, Share::new(), cx)
    };
    let _third = take().await.expect("the other half is its own");
    let _fourth = take().await.expect("there is room");
    first.close().await.expect("it closes");
    drop(first);
    let _fifth = open().await.expect("there is room again");
}

#[tokio::test]
async fn a_promise_without_room_is_asked_for_again() {
    let mut settings = settings();
    settings.limits.instances = 1;
    let provisions = provisions();
    let files = [file("probe-source")];
    let (loaded, _) = load(&files, &settings, &provisions, &Ceilings::default());
    let source = source(&loaded[0]);
    let config = numbers(&[]);
    let cx = SourceContext::detached("counting", 0, Offsets::new());
    let mut task = source
        .open(&config, Share::new(), cx)
        .await
        .expect("there is room for one");
    full(&failure(source.guarantee(&config)), "too many instances");
    assert_eq!(traps(&provisions), 0.0, "it is not the plugin's fault");
    task.close().await.expect("it closes");
    drop(task);
    source.guarantee(&config).expect("there is room again");
}

#[test]
fn a_promise_that_fails_costs_its_time_once() {
    let provisions = provisions();
    let files = [file("probe-source")];
    let (loaded, _) = load(&files, &settings(), &provisions, &Ceilings::default());
    let source = source(&loaded[0]);
    let config = numbers(&[("misbehave", "promise:loop")]);
    let first = failure(source.guarantee(&config));
    let again = failure(source.guarantee(&config));
    assert_eq!(first.kind(), ErrorKind::Bug);
    assert_eq!(first.to_string(), again.to_string());
    assert_eq!(traps(&provisions), 1.0, "the guest was asked again");
    // Another config is another question.
    source.guarantee(&numbers(&[])).expect("a promise");
}
