//! Named places at which a crash test ends this process, as SIGKILL would: nothing runs after it, nothing is flushed.

/// Ends the process here if `LONGSHORE_CRASH_AT=<name>:<nth>` says so (`nth` counts from 1). Without the cargo feature `crash-points` it is nothing.
#[cfg(not(feature = "crash-points"))]
#[inline(always)]
pub fn crash_point(_: &'static str) {}

/// Ends the process here if `LONGSHORE_CRASH_AT=<name>:<nth>` says so (`nth` counts from 1). With `:freeze` behind it the process stands still here
/// instead, as after SIGSTOP, until SIGCONT.
#[cfg(feature = "crash-points")]
pub fn crash_point(name: &'static str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    static HITS: AtomicU64 = AtomicU64::new(0);
    let plan = PLAN.get_or_init(|| plan(&std::env::var("LONGSHORE_CRASH_AT").ok()?));
    if let Some(plan) = plan
        && plan.name == name
        && HITS.fetch_add(1, Ordering::Relaxed) + 1 == plan.nth
    {
        if !plan.freeze {
            std::process::abort();
        }
        let me = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-STOP", &me])
            .status();
        sent.expect("this process can be sent a signal");
    }
}

/// What a crash test asks for.
#[cfg(any(test, feature = "crash-points"))]
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    name: String,
    nth: u64,
    freeze: bool,
}

#[cfg(any(test, feature = "crash-points"))]
fn plan(text: &str) -> Option<Plan> {
    let (text, freeze) = match text.strip_suffix(":freeze") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (name, nth) = text.rsplit_once(':').unwrap_or((text, "1"));
    Some(Plan {
        name: name.to_owned(),
        nth: nth.parse().ok()?,
        freeze,
    })
}

#[cfg(test)]
mod tests {
    use super::{Plan, plan};

    #[test]
    fn a_plan_names_a_point_a_count_and_what_happens() {
        let planned = |nth, freeze| {
            Some(Plan {
                name: "after-put".into(),
                nth,
                freeze,
            })
        };
        assert_eq!(plan("after-put:3"), planned(3, false));
        assert_eq!(plan("after-put"), planned(1, false));
        assert_eq!(plan("after-put:3:freeze"), planned(3, true));
        assert_eq!(plan("after-put:x"), None);
    }
}
