//! Grants that only a running guest can show.

use crate::probes::{TIMEOUT, failure, file, numbers, provisions, settings};
use longshore_sdk::{ErrorKind, Offsets, Share, SourceContext, erased::DynSourceConnector};
use longshore_wasm::{Ceilings, Registered, load, services::Provisions};
use std::{sync::Arc, time::Duration};

/// The source of numbers with grants for all plugins.
pub(crate) fn granted(
    provisions: &Arc<Provisions>,
    grants: &[(&str, &str)],
) -> Arc<dyn DynSourceConnector> {
    match granted_plugin("probe-source", provisions, grants) {
        Registered::Source(source) => source,
        _ => panic!("the probe is a source"),
    }
}

/// A guest with grants for all plugins.
pub(crate) fn granted_plugin(
    name: &str,
    provisions: &Arc<Provisions>,
    grants: &[(&str, &str)],
) -> Registered {
    let grants = grants.iter();
    let grants = grants.map(|(what, value)| {
        let key = format!("longshore.wasm.grants.*.{what}");
        (key, (*value).to_owned())
    });
    let (ceilings, findings) = Ceilings::read(&grants.collect());
    assert_eq!(findings, []);
    let (mut loaded, broken) = load(&[file(name)], &settings(), provisions, &ceilings);
    assert!(broken.is_empty(), "{broken:?}");
    loaded.pop().expect("a plugin").plugin
}

/// Nanoseconds that this thread has computed.
#[cfg(target_os = "linux")]
fn computed() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let first = text.split_whitespace().next().expect("three numbers");
    first.parse().expect("a number")
}

/// A guest that computes without end for some seconds gets a twentieth of them; a busy machine gives it even less.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_share_of_a_core_is_all_that_a_guest_computes() {
    let source = granted(&provisions(), &[("cpu", "5%")]);
    let config = numbers(&[("misbehave", "start:loop")]);
    let cx = SourceContext::detached("counting", 0, Offsets::default());
    let before = computed();
    let error = failure(source.open(&config, Share::new(), cx).await);
    let spent = Duration::from_nanos(computed() - before);
    assert_eq!(error.kind(), ErrorKind::Bug, "{error}");
    assert!(error.message().contains("did not return"), "{error}");
    assert!(spent < TIMEOUT / 5, "{spent:?}");
}

#[tokio::test]
async fn a_plugins_own_time_limit_takes_the_place_of_the_workers() {
    let provisions = provisions();
    let source = granted(&provisions, &[("call.timeout.ms", "200")]);
    let config = numbers(&[("misbehave", "start:loop")]);
    let cx = SourceContext::detached("counting", 0, Offsets::default());
    let error = failure(source.open(&config, Share::new(), cx).await);
    assert!(error.message().contains("within 200 ms"), "{error}");
}

#[tokio::test]
async fn ten_thousand_requests_to_what_is_not_granted_are_denied_and_counted() {
    let provisions = provisions();
    let source = granted(&provisions, &[("net", "127.0.0.1:10")]);
    let config = numbers(&[("misbehave", "poll:requests")]);
    let cx = SourceContext::detached("counting", 0, Offsets::default());
    let mut task = source
        .open(&config, Share::new(), cx)
        .await
        .expect("it starts");
    let error = failure(task.poll(Duration::from_secs(1)).await);
    assert!(
        error.message().contains("10000 of 10000 refused"),
        "{error}"
    );
    assert_eq!(
        provisions.metrics().denied_total("probe-source", "net"),
        10_000
    );
}
