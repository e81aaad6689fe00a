//! W10: what it costs to cross into a WASM plugin, beside the same work done natively, in turns, in this process.
//!
//! The figure is wall time of one thread that waits for nothing, the best of the rounds: a round is short, so that the best one was not disturbed.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use longshore_file::FileSink;
use longshore_sdk::config::Flat;
use longshore_sdk::erased::{
    DynSink, DynSinkConnector, DynTransform, TransformPlugin, sink as erased,
};
use longshore_sdk::{
    Datum, Record, Share, SinkContext, SinkRecord, TopicOffset, TopicPartition, Verdict,
};
use longshore_wasm::services::{Provisions, ServicesSettings};
use longshore_wasm::{Ceilings, Loaded, Registered, Settings, load};

use crate::meter::memory_mb;

/// Records of a batch.
const BATCH: usize = 1000;
/// Batches of a round.
const BATCHES: u32 = 50;
/// Instances whose memory is measured, and what they may take together, in MB.
const INSTANCES: usize = 100;
const INSTANCES_MB: f64 = 64.0;

/// The plugins of the repository that take part.
const PLUGINS: [&str; 3] = ["mask-pii", "probe-transform", "probe-sink"];
const MASK: &str = "org.apache.kafka.connect.transforms.MaskField$Value";

/// Runs W10 and prints it. Errors: the plugins are not built, or do not do what the native ones do.
pub(crate) fn run(rounds: u32) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    println!("W10: WASM plugins beside native ones, {BATCH} records a batch");
    let dir = tempfile::tempdir()?;
    let plugins = loaded(dir.path())?;
    runtime.block_on(transforms(&plugins, rounds))?;
    runtime.block_on(sinks(&plugins, dir.path(), rounds))?;
    runtime.block_on(instances(&plugins, rounds))
}

/// Loads the plugins twice: compiled, and from what that has left.
fn loaded(cache: &Path) -> Result<Vec<Loaded>> {
    let folder = longshore_crash_tests::plugins()?;
    let files: Vec<_> = PLUGINS
        .iter()
        .map(|name| folder.join(format!("{name}.wasm")))
        .collect();
    let settings = Settings {
        cache: Some(cache.join("compiled")),
        ..Settings::default()
    };
    let provisions = Provisions::new(ServicesSettings::default())?;
    let mut all = Vec::new();
    for what in ["compiled", "from the cache"] {
        let start = Instant::now();
        let (found, broken) = load(&files, &settings, &provisions, &Ceilings::default());
        println!(
            "  {} plugins {what}: {:.1} ms",
            found.len(),
            start.elapsed().as_secs_f64() * 1e3
        );
        ensure!(broken.is_empty(), "{broken:?}");
        all = found;
    }
    Ok(all)
}

fn transform(plugins: &[Loaded], name: &str) -> Result<TransformPlugin> {
    match plugins.iter().find(|plugin| plugin.name == name) {
        Some(Loaded {
            plugin: Registered::Transform(transform),
            ..
        }) => Ok(transform.clone()),
        _ => bail!("{name} is no transform that was loaded"),
    }
}

fn config(pairs: &[(&str, &str)]) -> Flat {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

/// About 200 bytes of JSON each.
fn records() -> Vec<Record> {
    let record = |number: usize| {
        let mut record = Record::new("people".into());
        let text = format!(
            r#"{{"id":{number},"name":"Ada Lovelace","email":"ada.{number}@example.com","city":"London","visits":{},"note":"{}"}}"#,
            number * 7,
            "a note that nobody reads, ".repeat(4)
        );
        record.value = Datum::Json(text.into());
        record
    };
    (0..BATCH).map(record).collect()
}

fn kept(verdicts: Vec<Verdict>) -> Result<Vec<Record>> {
    let kept = |verdict| match verdict {
        Verdict::Keep(record) => Ok(record),
        Verdict::Drop => Err(anyhow!("a record was dropped")),
        Verdict::Refuse(error) => Err(error.into()),
    };
    verdicts.into_iter().map(kept).collect()
}

/// Nanoseconds a record, of one round. Each batch is made anew outside of what is measured.
async fn round(transform: &mut dyn DynTransform) -> Result<f64> {
    let (batch, mut spent) = (records(), Duration::ZERO);
    for _ in 0..BATCHES {
        let batch = batch.clone();
        let start = Instant::now();
        let verdicts = transform.apply(batch).await;
        spent += start.elapsed();
        kept(verdicts)?;
    }
    Ok(per_record(spent))
}

fn per_record(spent: Duration) -> f64 {
    spent.as_secs_f64() * 1e9 / (BATCHES as usize * BATCH) as f64
}

async fn transforms(plugins: &[Loaded], rounds: u32) -> Result<()> {
    let native = longshore_transforms::all();
    let native = native
        .into_iter()
        .find(|plugin| plugin.plugin.aliases.contains(&MASK));
    let native = native.context("no MaskField")?;
    let mut native = (native.build)(&config(&[("fields", "email"), ("replacement", "****")]))?;
    let mask = [
        ("fields", "email"),
        ("patterns", ""),
        ("replacement", "****"),
    ];
    let mut mask = (transform(plugins, "mask-pii")?.build)(&config(&mask))?;
    let mut nothing = (transform(plugins, "probe-transform")?.build)(&config(&[]))?;
    same(&mut *native, &mut *mask).await?;
    let mut best = [f64::MAX; 3];
    for _ in 0..=rounds.max(5) {
        let all: [&mut dyn DynTransform; 3] = [&mut *native, &mut *mask, &mut *nothing];
        for (best, transform) in best.iter_mut().zip(all) {
            *best = best.min(round(transform).await?);
        }
    }
    let [native, mask, nothing] = best;
    println!(
        "  no-op: {nothing:.0} ns a record (first <= 200: {}, aim <= 100)",
        verdict(nothing <= 200.0)
    );
    println!(
        "  one field masked: {mask:.0} ns a record, natively {native:.0}: {:.2} times (first <= 1.8: {}, aim <= 1.4)",
        mask / native,
        verdict(mask <= native * 1.8)
    );
    Ok(())
}

/// Both mask the same.
async fn same(native: &mut dyn DynTransform, mask: &mut dyn DynTransform) -> Result<()> {
    let same = masked(native).await? == masked(mask).await?;
    ensure!(same, "the plugin masks something else");
    Ok(())
}

async fn masked(transform: &mut dyn DynTransform) -> Result<Vec<serde_json::Value>> {
    let mut values = Vec::new();
    for record in kept(transform.apply(records()).await)? {
        let (Datum::Json(text) | Datum::Text(text) | Datum::Bytes(text)) = record.value else {
            bail!("the value is no text any more: {:?}", record.value);
        };
        values.push(serde_json::from_slice(&text)?);
    }
    Ok(values)
}

fn lines() -> Vec<SinkRecord> {
    let record = |number: usize| {
        let mut record = Record::new("lines".into());
        let text = format!(r#"{{"id":{number},"text":"{}"}}"#, "x".repeat(80));
        record.value = Datum::Json(text.into());
        SinkRecord {
            record,
            at: TopicOffset {
                topic: "lines".into(),
                partition: 0,
                offset: number as i64,
            },
        }
    };
    (0..BATCH).map(record).collect()
}

async fn put(sink: &mut dyn DynSink, batch: &[SinkRecord]) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..BATCHES {
        let refused = sink.put(batch).await?;
        ensure!(refused.is_empty(), "a record was refused");
    }
    let at = TopicPartition::new("lines", 0);
    sink.flush(&[(at, BATCH as i64)].into_iter().collect())
        .await?;
    Ok(per_record(start.elapsed()))
}

async fn opened(connector: &dyn DynSinkConnector, config: Flat) -> Result<Box<dyn DynSink>> {
    let cx = SinkContext {
        connector: "bench".into(),
        task: 0,
        group: "connect-bench".into(),
        exactly_once: false,
        stop: longshore_sdk::Stop::never(),
    };
    let mut sink = connector.open(&config, Share::new(), cx).await?;
    sink.assigned(&[TopicPartition::new("lines", 0)]).await?;
    Ok(sink)
}

async fn sinks(plugins: &[Loaded], dir: &Path, rounds: u32) -> Result<()> {
    let plugin = plugins.iter().find(|plugin| plugin.name == "probe-sink");
    let Some(Registered::Sink(plugin)) = plugin.map(|plugin| plugin.plugin.clone()) else {
        bail!("probe-sink is no sink that was loaded");
    };
    let mut wasm = opened(&*plugin, config(&[])).await?;
    let native: Arc<dyn DynSinkConnector> = erased::<FileSink>().into();
    let file = dir.join("out.txt").to_string_lossy().into_owned();
    let mut native = opened(&*native, config(&[("file", &file)])).await?;
    let batch = lines();
    let mut best = [f64::MAX; 2];
    for _ in 0..=rounds.max(5) {
        for (best, sink) in best.iter_mut().zip([&mut native, &mut wasm]) {
            *best = best.min(put(&mut **sink, &batch).await?);
        }
    }
    let [native, wasm] = best;
    println!(
        "  sink that forgets: {wasm:.0} ns a record, the native file sink {native:.0}: {:.2} times its rate (goal >= 0.5: {})",
        native / wasm,
        verdict(wasm <= native * 2.0)
    );
    Ok(())
}

async fn instances(plugins: &[Loaded], rounds: u32) -> Result<()> {
    let plugin = transform(plugins, "mask-pii")?;
    let config = config(&[("fields", "email")]);
    let mut best = f64::MAX;
    for _ in 0..rounds.max(5) * 10 {
        let start = Instant::now();
        let mut one = (plugin.build)(&config)?;
        kept(one.apply(records().split_off(BATCH - 1)).await)?;
        best = best.min(start.elapsed().as_secs_f64() * 1e6);
    }
    println!(
        "  an instance with its first record, warm: {best:.0} us (goal <= 1000: {})",
        verdict(best <= 1000.0)
    );
    let resident = || memory_mb(std::process::id(), "status", "VmRSS");
    let before = resident()?;
    let mut all = Vec::new();
    for _ in 0..INSTANCES {
        let mut one = (plugin.build)(&config)?;
        kept(one.apply(records()).await)?;
        all.push(one);
    }
    let mb = resident()? - before;
    println!(
        "  {INSTANCES} instances after a batch each: {mb:.1} MB (goal <= {INSTANCES_MB}: {})",
        verdict(mb <= INSTANCES_MB)
    );
    Ok(())
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}
