//! Metrics of plugins, and about plugins.
//!
//! A plugin's own are `longshore_plugin_<name>` with the labels connector, task and plugin in front of its own, or
//! `longshore_plugins_<type>_<name>` while another plugin has the name with another type. The host counts in
//! `longshore_wasm_calls_total`, `.._traps_total`, `.._denied_total`, `.._dropped_total` and `.._http_requests_total`.

mod series;

use super::Services;
use crate::bindings::host::longshore::connector::metrics::Host;
use prometheus::{
    IntCounterVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use series::{Change, Families, Series};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Series of one task.
const TASK_SERIES_MAX: usize = 100;
/// Series of all tasks of one plugin.
const PLUGIN_SERIES_MAX: usize = 2_000;

/// The metrics of all plugins of a worker. Clones share them; one of them is registered with the worker's registry.
#[derive(Clone)]
pub struct PluginMetrics(Arc<Inner>);

struct Inner {
    calls: IntCounterVec,
    traps: IntCounterVec,
    denied: IntCounterVec,
    dropped: IntCounterVec,
    requests: IntCounterVec,
    families: Mutex<Families>,
    /// Series in use, by plugin: as many as there are plugins.
    plugins: Mutex<BTreeMap<Arc<str>, Arc<AtomicUsize>>>,
    /// As many as there are tasks; those of tasks that are gone are taken out when one comes.
    tasks: Mutex<Vec<Weak<TaskMeters>>>,
}

impl Default for PluginMetrics {
    fn default() -> Self {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
                .expect("the names and labels are constants, valid and distinct")
        };
        Self(Arc::new(Inner {
            calls: counter(
                "longshore_wasm_calls_total",
                "Calls of plugins' functions.",
                &["plugin", "function"],
            ),
            traps: counter(
                "longshore_wasm_traps_total",
                "Calls that ended an instance: traps and missed deadlines.",
                &["plugin"],
            ),
            denied: counter(
                "longshore_wasm_denied_total",
                "Calls of the host that the plugin's grants do not cover.",
                &["plugin", "grant"],
            ),
            dropped: counter(
                "longshore_wasm_dropped_total",
                "Log lines and metrics of plugins beyond the limits.",
                &["plugin", "what"],
            ),
            requests: counter(
                "longshore_wasm_http_requests_total",
                "HTTP requests of plugins, by the class of the answer's status; failed = there was none.",
                &["plugin", "status"],
            ),
            families: Mutex::default(),
            plugins: Mutex::default(),
            tasks: Mutex::default(),
        }))
    }
}

/// What a plugin had too much of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Dropped {
    Line,
    Metric,
}

impl PluginMetrics {
    /// A function of the plugin was called.
    pub fn called(&self, plugin: &str, function: &'static str) {
        self.0.calls.with_label_values(&[plugin, function]).inc();
    }
    /// A call trapped or missed its deadline.
    pub fn trapped(&self, plugin: &str) {
        self.0.traps.with_label_values(&[plugin]).inc();
    }
    /// Calls of the host that were denied so far.
    pub fn denied_total(&self, plugin: &str, grant: &str) -> u64 {
        self.0.denied.with_label_values(&[plugin, grant]).get()
    }
    pub(super) fn denied(&self, plugin: &str, grant: &'static str) {
        self.0.denied.with_label_values(&[plugin, grant]).inc();
    }
    pub(super) fn dropped(&self, plugin: &str, what: Dropped) {
        let what = match what {
            Dropped::Line => "log",
            Dropped::Metric => "metric",
        };
        self.0.dropped.with_label_values(&[plugin, what]).inc();
    }
    /// None = no answer.
    pub(super) fn requested(&self, plugin: &str, status: Option<u16>) {
        let class = match status.map(|status| status / 100) {
            Some(1) => "1xx",
            Some(2) => "2xx",
            Some(3) => "3xx",
            Some(4) => "4xx",
            Some(5) => "5xx",
            Some(_) => "other",
            None => "failed",
        };
        self.0.requests.with_label_values(&[plugin, class]).inc();
    }
    /// The meters of one store.
    pub(super) fn task(
        &self,
        plugin: &Arc<str>,
        connector: &Arc<str>,
        task: Option<u32>,
    ) -> Arc<TaskMeters> {
        let used = lock(&self.0.plugins)
            .entry(plugin.clone())
            .or_default()
            .clone();
        let meters = Arc::new(TaskMeters {
            metrics: self.clone(),
            plugin: plugin.clone(),
            connector: connector.clone(),
            task,
            used,
            series: Mutex::default(),
        });
        let mut tasks = lock(&self.0.tasks);
        tasks.retain(|task| task.strong_count() > 0);
        if task.is_some() {
            tasks.push(Arc::downgrade(&meters));
        }
        meters
    }
}

impl Collector for PluginMetrics {
    fn desc(&self) -> Vec<&Desc> {
        // The plugins' own are not known ahead.
        self.counters()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }
    fn collect(&self) -> Vec<MetricFamily> {
        let counted = self.counters().into_iter().flat_map(Collector::collect);
        let mut found: Vec<MetricFamily> = counted.collect();
        let tasks: Vec<_> = lock(&self.0.tasks)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        let mut shown: BTreeMap<String, MetricFamily> = BTreeMap::new();
        for task in &tasks {
            task.show(&mut shown);
        }
        found.extend(shown.into_values());
        found
    }
}

impl PluginMetrics {
    fn counters(&self) -> [&IntCounterVec; 5] {
        let Inner {
            calls,
            traps,
            denied,
            dropped,
            requests,
            ..
        } = &*self.0;
        [calls, traps, denied, dropped, requests]
    }
}

/// A series, and the name that it is shown under.
struct Shown {
    name: Arc<str>,
    series: Series,
}

/// The series that one store's plugin made; they go with it.
pub(super) struct TaskMeters {
    metrics: PluginMetrics,
    plugin: Arc<str>,
    connector: Arc<str>,
    task: Option<u32>,
    /// Series in use of all stores of this plugin.
    used: Arc<AtomicUsize>,
    series: Mutex<BTreeMap<series::Name, Shown>>,
}

impl TaskMeters {
    fn change(&self, name: String, labels: Vec<(String, String)>, change: Change) {
        if self.task.is_none() {
            // A connector that is planned or checked is not there long enough to be measured.
            return;
        }
        if self.try_change(name, labels, change).is_none() {
            self.metrics.dropped(&self.plugin, Dropped::Metric);
        }
    }
    /// None: it is beyond a limit.
    fn try_change(
        &self,
        name: String,
        labels: Vec<(String, String)>,
        change: Change,
    ) -> Option<()> {
        let name = series::Name::new(name, labels)?;
        let mut all = lock(&self.series);
        if let Some(known) = all.get_mut(&name) {
            return known.series.change(change);
        }
        if all.len() >= TASK_SERIES_MAX {
            return None;
        }
        let mut series = Series::new(change.kind());
        series.change(change)?;
        let mut families = lock(&self.metrics.0.families);
        let room = self.used.fetch_add(1, Ordering::Relaxed) < PLUGIN_SERIES_MAX;
        let shown = room
            .then(|| families.admit(&self.plugin, &name.name, change.kind()))
            .flatten();
        let Some(shown) = shown else {
            self.used.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        let shown = Shown {
            name: shown,
            series,
        };
        all.insert(name, shown);
        Some(())
    }
    fn show(&self, shown: &mut BTreeMap<String, MetricFamily>) {
        let task = self.task.unwrap_or(0).to_string();
        let own = [
            ("connector", &*self.connector),
            ("task", &task),
            ("plugin", &*self.plugin),
        ];
        for (name, Shown { name: told, series }) in &*lock(&self.series) {
            let family = shown
                .entry(told.to_string())
                .or_insert_with(|| series.family(told));
            family.mut_metric().push(series.metric(&own, &name.labels));
        }
    }
}

impl Drop for TaskMeters {
    fn drop(&mut self) {
        let series = lock(&self.series);
        let mut families = lock(&self.metrics.0.families);
        for name in series.keys() {
            families.release(&self.plugin, &name.name);
        }
        self.used.fetch_sub(series.len(), Ordering::Relaxed);
    }
}

impl Host for Services {
    async fn add(
        &mut self,
        name: String,
        labels: Vec<(String, String)>,
        delta: u64,
    ) -> wasmtime::Result<()> {
        self.meters.change(name, labels, Change::Add(delta));
        Ok(())
    }
    async fn set(
        &mut self,
        name: String,
        labels: Vec<(String, String)>,
        value: f64,
    ) -> wasmtime::Result<()> {
        self.meters.change(name, labels, Change::Set(value));
        Ok(())
    }
    async fn observe(
        &mut self,
        name: String,
        labels: Vec<(String, String)>,
        value: f64,
    ) -> wasmtime::Result<()> {
        self.meters.change(name, labels, Change::Observe(value));
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
