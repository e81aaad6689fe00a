//! What the worker's settings say about plugins.

use std::{path::PathBuf, time::Duration};

/// One mebibyte.
const MIB: u64 = 1024 * 1024;

/// Everything that the host of plugins can be told. The default is what a worker uses without settings of its own.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The folder that keeps compiled plugins; it is made if it is missing. `None` compiles at every start.
    ///
    /// Compiled code is native code: whoever can write this folder can run anything as the worker. It must belong to the worker's user and be
    /// writable by nobody else, else it is not used.
    pub cache: Option<PathBuf>,
    /// Whether a worker is starting: it waits for [`Limits::compile_timeout`] in all, not for a plugin that was late before, and then removes
    /// compiled code that nobody has used for a month, or that is too much.
    pub starting: bool,
    /// What a plugin may use.
    pub limits: Limits,
}

/// What one plugin may use; sizes in bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Linear memory of one task (all its memories together). Growth beyond it fails inside the guest.
    pub memory: u64,
    /// Elements of one table.
    pub table_elements: u64,
    /// Instances that may live at once on the worker; more wait for nobody: their task fails and is started again by its retries.
    pub instances: u32,
    /// How long one call of a guest's function may take, the waits in its calls of the host included. `poll` may take its `max-wait` on top.
    pub call_timeout: Duration,
    /// Data that one call may hand to the host.
    pub hostcall_bytes: u64,
    /// A plugin's file.
    pub file: u64,
    /// The text of one lane or position.
    pub position: usize,
    /// How long a plugin may be compiled while others wait for it. What takes longer is compiled beside the worker's work, and kept for its
    /// next start.
    pub compile_timeout: Duration,
    /// All compiled code that the cache keeps; what the worker itself needs stays, whatever it takes.
    pub cache: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 * MIB,
            table_elements: 100_000,
            instances: 1_000,
            call_timeout: Duration::from_secs(30),
            hostcall_bytes: 128 * MIB,
            file: 64 * MIB,
            position: 64 * 1024,
            compile_timeout: Duration::from_secs(120),
            cache: 4096 * MIB,
        }
    }
}
