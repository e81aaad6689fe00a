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
