//! CPU time and memory of processes, from /proc.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Clock ticks a second in /proc/PID/stat: fixed by the kernel's ABI.
const TICKS: f64 = 100.0;

/// What one process used over a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) wall: Duration,
    /// CPU seconds of the worker, user and system, all threads.
    pub(crate) worker: f64,
    pub(crate) broker: f64,
    /// CPU seconds of the database with all its processes; 0 where none takes part.
    pub(crate) database: f64,
    /// CPU seconds of everything else on the machine, but for this process.
    pub(crate) others: f64,
    /// The worker's highest resident memory in MB within the window.
    pub(crate) peak_mb: f64,
}

/// The processes that are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties {
    pub(crate) worker: u32,
    pub(crate) broker: u32,
    /// The first process of a database, the parent of the others.
    pub(crate) database: Option<u32>,
}

/// A running measurement of a worker, and the other parties beside it.
pub(crate) struct Meter {
    parties: Parties,
    start: Instant,
    before: [f64; 5],
}

impl Meter {
    pub(crate) fn start(parties: Parties) -> Result<Self> {
        // "5" resets the peak of the resident memory.
        std::fs::write(format!("/proc/{}/clear_refs", parties.worker), "5")
            .context("cannot reset the peak of the worker's memory")?;
        Ok(Self {
            parties,
            start: Instant::now(),
            before: times(parties)?,
        })
    }

    pub(crate) fn stop(&self) -> Result<Used> {
        let wall = self.start.elapsed();
        let now = times(self.parties)?;
        let [worker, broker, database, bench, machine] =
            std::array::from_fn(|index| now[index] - self.before[index]);
        let others = (machine - worker - broker - database - bench).max(0.0);
        Ok(Used {
            wall,
            worker,
            broker,
            database,
            others,
            peak_mb: memory_mb(self.parties.worker, "status", "VmHWM")?,
        })
    }
}

/// CPU seconds so far of the worker, the broker, the database, this process, and the machine.
fn times(parties: Parties) -> Result<[f64; 5]> {
    Ok([
        cpu(parties.worker)?,
        cpu(parties.broker)?,
        parties.database.map_or(Ok(0.0), cpu_of_family)?,
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

/// User and system time of one process.
fn cpu(pid: u32) -> Result<f64> {
    let fields = stat(pid)?;
    Ok((fields[UTIME] + fields[STIME]) / TICKS)
}

/// The same of a process, its children, and the children that it had.
fn cpu_of_family(pid: u32) -> Result<f64> {
    let fields = stat(pid)?;
    let mut ticks: f64 = fields[UTIME..UTIME + 4].iter().sum();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that ends meanwhile is counted by its parent from then on.
        if let Ok(fields) = stat(child)
            && fields[PARENT] == f64::from(pid)
        {
            ticks += fields[UTIME] + fields[STIME];
        }
    }
    Ok(ticks / TICKS)
}

/// Places in [`stat`]; the times of waited-for children stand behind STIME.
const PARENT: usize = 0;
const UTIME: usize = 10;
const STIME: usize = 11;

/// The fields of /proc/PID/stat from the parent's process id on.
fn stat(pid: u32) -> Result<Vec<f64>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    // The name before the last parenthesis may hold spaces.
    let (_, fields) = stat.rsplit_once(") ").context("no /proc/PID/stat")?;
    let fields: Vec<f64> = fields
        .split(' ')
        .skip(1)
        .take(14)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    ensure!(fields.len() == 14, "/proc/{pid}/stat has too few fields");
    Ok(fields)
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

/// How many threads and open files a process has.
pub(crate) fn threads_and_files(pid: u32) -> Result<(f64, f64)> {
    let count = |what: &str| -> Result<f64> {
        let entries = std::fs::read_dir(format!("/proc/{pid}/{what}"))
            .with_context(|| format!("process {pid} is gone"))?;
        Ok(entries.count() as f64)
    };
    Ok((count("task")?, count("fd")?))
}

pub(crate) fn load() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/loadavg")?
        .split(' ')
        .take(1)
        .collect())
}
