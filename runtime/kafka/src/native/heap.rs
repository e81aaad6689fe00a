//! The C library's heap, which the Kafka client allocates from.

/// Arenas for this many cores.
const CORES_PER_ARENA: usize = 4;
const ARENAS_MAX: usize = 8;

/// Caps the arenas of the C library's heap; to be called once, before other threads start. Each client has threads of its own, and glibc gives
/// every one an arena until there are eight per core: what one thread allocates and another frees then piles up in all of them (measured: 150 MB
/// instead of 80 after a few connectors, at the same CPU time). Elsewhere than on glibc it does nothing.
pub fn cap_heap_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let arenas = (cores / CORES_PER_ARENA).clamp(1, ARENAS_MAX);
        // SAFETY: mallopt takes two numbers; it is called before other threads allocate.
        let taken = unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas as libc::c_int) };
        if taken == 0 {
            tracing::debug!(arenas, "the heap's arenas cannot be capped");
        }
    }
}

/// Gives what closed clients have left free back to the system; for a thread that has just closed one and ends. What lies between memory that is in use
/// the C library keeps otherwise (measured: 0.3 MB for each producer that is gone). Clients often go together: the thread waits a little, and the last
/// one of them searches the heap for all. Elsewhere than on glibc it does nothing.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::{
            sync::atomic::{AtomicU64, Ordering},
            time::Duration,
        };
        /// How long no other client was closed.
        const SETTLED: Duration = Duration::from_secs(2);
        static CLOSED: AtomicU64 = AtomicU64::new(0);
        let mine = CLOSED.fetch_add(1, Ordering::Relaxed) + 1;
        std::thread::sleep(SETTLED);
        if CLOSED.load(Ordering::Relaxed) == mine {
            // SAFETY: malloc_trim takes a number and may be called by any thread at any time; it touches free memory only.
            let trimmed = unsafe { libc::malloc_trim(0) };
            tracing::debug!(trimmed, "free memory of closed clients is given back");
        }
    }
}
