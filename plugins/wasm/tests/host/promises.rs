//! What a promise costs the others.

use crate::probes::{failure, numbers, source};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// I6: on a runtime whose only thread asks for the promise of a guest that computes without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn others_run_while_a_promise_is_computed() {
    let source = source();
    // Loaded, and the engine warm.
    source.guarantee(&numbers(&[])).expect("a promise");
    let phase = Arc::new(AtomicUsize::new(0));
    let meanwhile = Arc::new(AtomicUsize::new(0));
    let (seen, count) = (phase.clone(), meanwhile.clone());
    let other = tokio::spawn(async move {
        while seen.load(Ordering::SeqCst) < 2 {
            if seen.load(Ordering::SeqCst) == 1 {
                count.fetch_add(1, Ordering::SeqCst);
            }
            tokio::task::yield_now().await;
        }
    });
    let asks = tokio::spawn(async move {
        // A busy machine may give the other thread no time during one of them. Each config is another question.
        for count in 1..=100 {
            let count = count.to_string();
            let config = numbers(&[("misbehave", "promise:loop"), ("count", &count)]);
            phase.store(1, Ordering::SeqCst);
            let answer = source.guarantee(&config);
            phase.store(0, Ordering::SeqCst);
            let error = failure(answer);
            let cause = "promise did not return";
            assert!(error.message().contains(cause), "{error}");
            if meanwhile.load(Ordering::SeqCst) > 0 {
                break;
            }
        }
        phase.store(2, Ordering::SeqCst);
        meanwhile.load(Ordering::SeqCst)
    });
    let ran = asks.await.expect("no panic");
    other.await.expect("no panic");
    assert!(ran > 0, "nobody else ran");
}
