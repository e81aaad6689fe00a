//! Named places at which a crash test ends this process, as SIGKILL would: nothing runs after it, nothing is flushed.

/// Ends the process here if `LONGSHORE_CRASH_AT=<name>:<nth>` says so (`nth` counts from 1). Without the cargo feature `crash-points` it is nothing.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn crash_point(_: &'static str) {}

/// Ends the process here if `LONGSHORE_CRASH_AT=<name>:<nth>` says so (`nth` counts from 1).
#[cfg(feature = "crash-points")]
pub fn crash_point(name: &'static str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    static PLAN: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);
    let plan = PLAN.get_or_init(|| plan(&std::env::var("LONGSHORE_CRASH_AT").ok()?));
    if let Some((at, nth)) = plan
        && at == name
        && HITS.fetch_add(1, Ordering::Relaxed) + 1 == *nth
    {
        std::process::abort();
    }
}

#[cfg(any(test, feature = "crash-points"))]
fn plan(text: &str) -> Option<(String, u64)> {
    let (name, nth) = text.rsplit_once(':').unwrap_or((text, "1"));
    Some((name.to_owned(), nth.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_plan_names_a_point_and_a_count() {
        assert_eq!(
            super::plan("after-put:3"),
            Some(("after-put".to_owned(), 3))
        );
        assert_eq!(super::plan("after-put"), Some(("after-put".to_owned(), 1)));
        assert_eq!(super::plan("after-put:x"), None);
    }
}
