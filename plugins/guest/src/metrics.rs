//! Metrics of the plugin's own, shown with the worker's as `longshore_plugin_<name>`. Off WASM they go nowhere.

/// Name and value of each label.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Adds to a counter.
pub fn add(name: &str, labels: Labels<'_>, delta: u64) {
    #[cfg(target_family = "wasm")]
    crate::abi::longshore::connector::metrics::add(name, &owned(labels), delta);
    #[cfg(not(target_family = "wasm"))]
    let _ = (name, labels, delta);
}

/// Sets a gauge.
pub fn set(name: &str, labels: Labels<'_>, value: f64) {
    #[cfg(target_family = "wasm")]
    crate::abi::longshore::connector::metrics::set(name, &owned(labels), value);
    #[cfg(not(target_family = "wasm"))]
    let _ = (name, labels, value);
}

/// Counts a value into a histogram.
pub fn observe(name: &str, labels: Labels<'_>, value: f64) {
    #[cfg(target_family = "wasm")]
    crate::abi::longshore::connector::metrics::observe(name, &owned(labels), value);
    #[cfg(not(target_family = "wasm"))]
    let _ = (name, labels, value);
}

#[cfg(target_family = "wasm")]
fn owned(labels: Labels<'_>) -> Vec<(String, String)> {
    labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
