//! What the boundary costs; run by hand: `cargo test -p longshore-wasm --test host figures -- --ignored --nocapture`.

use crate::probes::{
    file, json, load_files, open_sink, open_source, open_transform, read, record, settings,
};
use longshore_sdk::{Datum, Offsets};
use std::time::{Duration, Instant};

/// The fastest of some runs, per run.
async fn fastest<T>(runs: u32, mut run: impl AsyncFnMut() -> T) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..runs {
        let start = Instant::now();
        std::hint::black_box(run().await);
        best = best.min(start.elapsed());
    }
    best
}

#[tokio::test]
#[ignore = "prints figures, asserts nothing"]
async fn figures() {
    let start = Instant::now();
    let mut first = open_source(&[], Offsets::new()).await.expect("it opens");
    first.poll(Duration::ZERO).await.expect("records");
    println!("first use of all (compiles): {:?}", start.elapsed());
    let opened = fastest(200, async || {
        let mut task = open_source(&[("batch", "1")], Offsets::new())
            .await
            .expect("it opens");
        task.poll(Duration::ZERO).await.expect("records")
    })
    .await;
    println!("open a source, one poll of one record: {opened:?}");
    for size in [100, 1_024] {
        let value = json(&format!("\"{}\"", "x".repeat(size)));
        let batch = read(vec![value.clone(); 1_000]);
        let mut sink = open_sink(&[]).await.expect("it opens");
        let taken = fastest(200, async || sink.put(&batch).await.expect("taken")).await;
        println!("sink, 1,000 records of {size} B: {taken:?}");
        let mut transform = open_transform(&[]);
        let mut best = Duration::MAX;
        for _ in 0..200 {
            let batch: Vec<_> = (0..1_000).map(|_| record("input", value.clone())).collect();
            let start = Instant::now();
            std::hint::black_box(transform.apply(batch).await);
            best = best.min(start.elapsed());
        }
        println!("transform that changes nothing, 1,000 records of {size} B: {best:?}");
    }
    let mut source = open_source(&[("batch", "1000"), ("count", "1000000")], Offsets::new())
        .await
        .expect("it opens");
    let polled = fastest(200, async || {
        source.poll(Duration::ZERO).await.expect("records")
    })
    .await;
    println!("source, 1,000 records with key, header, position: {polled:?}");
    let mut one = open_transform(&[]);
    let call = fastest(500, async || {
        one.apply(vec![record("input", Datum::Null)]).await
    })
    .await;
    println!("transform, one record: {call:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings();
    settings.cache = Some(folder.path().to_owned());
    let files = ["probe-source", "probe-sink", "probe-transform"].map(file);
    for what in ["compiled", "from the cache"] {
        let start = Instant::now();
        let (loaded, _) = load_files(&files, &settings);
        println!("{} plugins, {what}: {:?}", loaded.len(), start.elapsed());
    }
    let before = resident();
    let mut many = Vec::new();
    for _ in 0..90 {
        let mut task = open_source(&[("batch", "1")], Offsets::new())
            .await
            .expect("it opens");
        task.poll(Duration::ZERO).await.expect("records");
        many.push(task);
    }
    println!("90 idle sources: {} KiB", resident().saturating_sub(before));
}

/// Memory in use, in KiB.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    4 * pages.unwrap_or(0usize)
}
