//! CPU time and memory of processes, from /proc.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Clock ticks a second in /proc/PID/stat: fixed by the kernel's ABI.
const TICKS: f64 = 100.0;

/// What one process used over a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) wall: Duration,
    /// CPU seconds of the worker, user and system, all threads.
    pub(crate) worker: f64,
    pub(crate) broker: f64,
    /// CPU seconds of everything else on the machine, but for this process.
    pub(crate) others: f64,
    /// The worker's highest resident memory in MB within the window.
    pub(crate) peak_mb: f64,
}

/// A running measurement of a worker, and the broker beside it.
pub(crate) struct Meter {
    worker: u32,
    broker: u32,
    start: Instant,
    before: [f64; 4],
}

impl Meter {
    pub(crate) fn start(worker: u32, broker: u32) -> Result<Self> {
        // "5" resets the peak of the resident memory.
        std::fs::write(format!("/proc/{worker}/clear_refs"), "5")
            .context("cannot reset the peak of the worker's memory")?;
        Ok(Self {
            worker,
            broker,
            start: Instant::now(),
            before: times(worker, broker)?,
        })
    }

    pub(crate) fn stop(&self) -> Result<Used> {
        let wall = self.start.elapsed();
        let now = times(self.worker, self.broker)?;
        let [worker, broker, bench, machine] =
            std::array::from_fn(|index| now[index] - self.before[index]);
        let others = (machine - worker - broker - bench).max(0.0);
        Ok(Used {
            wall,
            worker,
            broker,
            others,
            peak_mb: memory_mb(self.worker, "status", "VmHWM")?,
        })
    }
}

/// CPU seconds so far of the worker, the broker, this process, and the machine.
fn times(worker: u32, broker: u32) -> Result<[f64; 4]> {
    Ok([
        cpu(worker)?,
        cpu(broker)?,
        cpu(std::process::id())?,
        machine()?,
    ])
}

/// Busy CPU seconds of all cores, with what a hypervisor stole.
fn machine() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(8)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    // user nice system idle iowait irq softirq steal
    let idle: f64 = fields.iter().skip(3).take(2).sum();
    Ok((fields.iter().sum::<f64>() - idle) / TICKS)
}

fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    // The name before the last parenthesis may hold spaces.
    let (_, fields) = stat.rsplit_once(") ").context("no /proc/PID/stat")?;
    let mut fields = fields.split(' ').skip(11).map(str::parse::<f64>);
    let (user, system) = (
        fields.next().context("no utime")??,
        fields.next().context("no stime")??,
    );
    Ok((user + system) / TICKS)
}

/// A figure of /proc/PID/`file` that is given in kB, in MB: `VmRSS` and `VmHWM` of status, `Pss` of smaps_rollup.
pub(crate) fn memory_mb(pid: u32, file: &str, key: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))
        .with_context(|| format!("process {pid} is gone"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .with_context(|| format!("no {key}"))?;
    let kb: f64 = line
        .split_whitespace()
        .next()
        .context("no figure")?
        .parse()?;
    Ok(kb * 1024.0 / 1e6)
}

pub(crate) fn load() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/loadavg")?
        .split(' ')
        .take(1)
        .collect())
}
