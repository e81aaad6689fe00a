//! One Postgres server in a temp folder, run as user `postgres` where this process is root.

mod owner;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::leash::{Leashed, Signal, command};
use super::port::{free_port, wait_until};
use owner::{as_owner, give, owner_command, text};

/// Temp folders are called so, with the process id of their owner behind it: one whose owner is gone is swept by the next start.
const PREFIX: &str = "longshore-postgres-";

/// How a server is started; the default suits tests: durable, logical decoding on, everybody on the loopback trusted.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Whether commits wait for the disk. Proofs keep it; a suite that never kills the server may turn it off.
    pub fsync: bool,
    /// Lines of `pg_hba.conf` for connections by TCP. The starter's own way in, as superuser by a socket, is always there.
    pub hba: Vec<String>,
    /// What the server proves itself with; `None` = no TLS.
    pub tls: Option<PostgresTls>,
    /// Settings that override the starter's own.
    pub settings: Vec<(String, String)>,
}

/// Certificates of a server, each as PEM.
#[derive(Clone, Debug)]
pub struct PostgresTls {
    /// The server's certificate, and those between it and the root.
    pub cert: String,
    /// Its private key.
    pub key: String,
    /// Who signs the certificates of clients; `None` = none are asked for.
    pub client_ca: Option<String>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            fsync: true,
            hba: vec!["host all all 127.0.0.1/32 trust".into()],
            tls: None,
            settings: Vec::new(),
        }
    }
}

/// A running server with the superuser `postgres`. Dropped, it is killed and its data is deleted.
#[derive(Debug)]
pub struct Postgres {
    // Order matters: the process goes before its folder.
    process: Leashed,
    port: u16,
    binaries: PathBuf,
    databases: AtomicU32,
    dir: TempDir,
}

impl Postgres {
    /// Starts a server with the settings for tests, and waits until it answers.
    pub fn start() -> Result<Self> {
        Self::start_with(&PostgresOptions::default())
    }

    /// The server that all tests of this process share, not durable; take a database each ([`Postgres::create_database`]). It ends with the process.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
        let options = PostgresOptions {
            fsync: false,
            ..PostgresOptions::default()
        };
        let shared =
            SHARED.get_or_init(|| Self::start_with(&options).map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|text| anyhow::anyhow!("{text}"))
    }

    /// Starts a server. Errors: Postgres is not installed, no start within a minute (the error carries the end of its log).
    pub fn start_with(options: &PostgresOptions) -> Result<Self> {
        let mut last = None;
        // Another process may take the chosen port before the server does.
        for _ in 0..3 {
            match Self::start_once(options) {
                Ok(postgres) => return Ok(postgres),
                Err(error) if format!("{error:#}").contains("Address already in use") => {
                    last = Some(error)
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.context("no start was tried")?)
    }

    fn start_once(options: &PostgresOptions) -> Result<Self> {
        let binaries = binaries()?;
        sweep();
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()?;
        // The server's user has to pass through to its data, and clients of any user to its socket.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        for folder in ["data", "socket"] {
            std::fs::create_dir(dir.path().join(folder))?;
            give(&dir.path().join(folder))?;
        }
        let (data, port) = (dir.path().join("data"), free_port()?);
        let made = as_owner(
            &binaries.join("initdb"),
            &[
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
                &text(&data)?,
            ],
        )?
        .output()
        .context("cannot run initdb")?;
        ensure!(
            made.status.success(),
            "initdb failed:\n{}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
        configure(dir.path(), port, options)?;
        let process = launch(&binaries, dir.path())?;
        let mut postgres = Self {
            process,
            port,
            binaries,
            databases: AtomicU32::new(0),
            dir,
        };
        postgres.wait_ready()?;
        Ok(postgres)
    }

    fn wait_ready(&mut self) -> Result<()> {
        let (process, psql) = (&mut self.process, self.binaries.join("psql"));
        let (socket, port) = (self.dir.path().join("socket"), self.port);
        let ready = wait_until(Duration::from_secs(60), || {
            if process.exited()?.is_some() {
                bail!("Postgres ended at start:\n{}", process.log_tail());
            }
            Ok(query(&psql, &socket, port, "postgres", "SELECT 1").is_ok())
        })?;
        ensure!(
            ready,
            "Postgres does not answer on port {port} after a minute:\n{}",
            self.process.log_tail()
        );
        Ok(())
    }

    /// The loopback port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `postgresql://postgres@127.0.0.1:port/database`.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The folder that holds the data and `postgres.log`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The last lines of the server's log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Makes an empty database with a name that this server never had, and returns the name.
    pub fn create_database(&self) -> Result<String> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.query("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(name)
    }

    /// Runs SQL as superuser past every rule of `pg_hba.conf`. The last statement's rows: a line each, columns between `|`, NULL as nothing.
    /// Errors: what the server says.
    pub fn query(&self, database: &str, sql: &str) -> Result<Vec<String>> {
        let (psql, socket) = (self.binaries.join("psql"), self.dir.path().join("socket"));
        query(&psql, &socket, self.port, database, sql)
    }

    /// Freezes, thaws or ends the postmaster. Its backends are processes of their own: a frozen postmaster takes no new connections,
    /// one that was killed takes them along.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Ends the server in order, at once (a "fast" shutdown: sessions are cut, transactions rolled back).
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::Interrupt)?;
        let ended = self.process.wait(Duration::from_secs(60))?;
        ended.context("Postgres does not stop within a minute")?;
        Ok(())
    }

    /// Ends the server if it still runs, and starts it again on the same port and data.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        let mut last = None;
        // After a SIGKILL the old backends hold the shared memory until they have noticed.
        for _ in 0..50 {
            self.process = launch(&self.binaries, self.dir.path())?;
            match self.wait_ready() {
                Ok(()) => return Ok(()),
                Err(error) if format!("{error:#}").contains("pre-existing shared memory") => {
                    last = Some(error);
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(error) => return Err(error),
            }
        }
        Err(last.context("no start was tried")?)
    }
}

/// The folder with `initdb`, `postgres` and `psql`: POSTGRES_BIN, else the newest below Debian's folder.
fn binaries() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("POSTGRES_BIN").filter(|folder| !folder.is_empty()) {
        return Ok(folder.into());
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .map(|version| {
            (
                version,
                PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")),
            )
        })
        .filter(|(_, folder)| folder.join("initdb").exists())
        .max();
    let (_, folder) = newest.context(
        "Postgres is not installed: apt install postgresql-15, or name the folder of initdb and postgres in POSTGRES_BIN",
    )?;
    Ok(folder)
}

/// Removes what killed processes left behind: a test process is gone before it can delete the shared server's folder.
fn sweep() {
    let entries = std::fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| {
            name.strip_prefix(PREFIX)?
                .split('-')
                .next()?
                .parse::<u32>()
                .ok()
        });
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Another process may sweep at the same time; what stays is swept later.
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

fn configure(dir: &Path, port: u16, options: &PostgresOptions) -> Result<()> {
    let data = dir.join("data");
    let mut settings = format!(
        "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\n\
         wal_level = logical\nmax_wal_senders = 5\nmax_replication_slots = 5\nmax_connections = 60\n\
         shared_buffers = 64MB\nfsync = {}\nlog_min_messages = warning\ntimezone = 'UTC'\n",
        dir.join("socket").display(),
        if options.fsync { "on" } else { "off" }
    );
    if let Some(tls) = &options.tls {
        secret(&data.join("server.crt"), &tls.cert)?;
        secret(&data.join("server.key"), &tls.key)?;
        settings.push_str("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n");
        if let Some(ca) = &tls.client_ca {
            secret(&data.join("client-ca.crt"), ca)?;
            settings.push_str("ssl_ca_file = 'client-ca.crt'\n");
        }
    }
    for (key, value) in &options.settings {
        settings.push_str(&format!("{key} = '{}'\n", value.replace('\'', "''")));
    }
    // Behind what initdb wrote: the last line of a key counts.
    let mut file = std::fs::read_to_string(data.join("postgresql.conf"))?;
    file.push_str(&settings);
    std::fs::write(data.join("postgresql.conf"), file)?;
    let hba = format!("local all postgres trust\n{}\n", options.hba.join("\n"));
    std::fs::write(data.join("pg_hba.conf"), hba)?;
    Ok(())
}

/// Writes a file that only the server's user may read.
fn secret(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    give(path)
}

fn launch(binaries: &Path, dir: &Path) -> Result<Leashed> {
    let (program, mut args) = owner_command(&binaries.join("postgres"))?;
    args.extend(["-D".into(), text(&dir.join("data"))?]);
    let mut postgres = command(program, args);
    postgres.current_dir(dir);
    Leashed::spawn(postgres, &dir.join("postgres.log"))
}

fn query(psql: &Path, socket: &Path, port: u16, database: &str, sql: &str) -> Result<Vec<String>> {
    let output = Command::new(psql)
        .args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
        ])
        .args(["-p", &port.to_string(), "-d", database, "-c", sql])
        .arg("-h")
        .arg(socket)
        .env_remove("PGOPTIONS")
        .output()
        .context("cannot run psql")?;
    ensure!(
        output.status.success(),
        "psql: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let rows = String::from_utf8(output.stdout).context("psql printed no UTF-8")?;
    Ok(rows.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_keeps_what_was_committed_and_a_kill_leaves_nobody() {
        let mut postgres = Postgres::start().expect("starts");
        let database = postgres.create_database().expect("makes a database");
        assert_ne!(database, postgres.create_database().expect("makes another"));
        postgres
            .query(&database, "CREATE TABLE t (a int, b text)")
            .expect("creates");
        let rows = postgres
            .query(
                &database,
                "INSERT INTO t VALUES (1, 'x'), (2, NULL) RETURNING *",
            )
            .expect("inserts");
        assert_eq!(rows, ["1|x", "2|"]);
        let error = postgres
            .query(&database, "SELECT nothing")
            .expect_err("no column");
        assert!(format!("{error:#}").contains("nothing"), "{error:#}");
        // In order, then with a SIGKILL.
        let old = postgres.pid();
        postgres.restart().expect("comes back");
        assert_ne!(old, postgres.pid());
        postgres.signal(Signal::Kill).expect("kills");
        postgres.restart().expect("comes back");
        let rows = postgres
            .query(&database, "SELECT count(*) FROM t")
            .expect("reads");
        assert_eq!(rows, ["2"]);
        let (pid, dir) = (postgres.pid(), postgres.dir().to_path_buf());
        drop(postgres);
        assert!(!Path::new(&format!("/proc/{pid}")).exists() && !dir.exists());
    }
}
