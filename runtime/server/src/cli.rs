//! The command line: names, flags and help. What each command does stands in the modules below.

pub(crate) mod apply;
pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod connectors;
pub(crate) mod lint;
pub(crate) mod plugin;
pub(crate) mod plugin_new;
pub(crate) mod screen;
pub(crate) mod status;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A managed-connector runtime: moves data between Kafka and other systems.
#[derive(Parser)]
#[command(name = "longshore", version, about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

/// How log lines look.
#[derive(Args, Debug)]
pub(crate) struct Logging {
    /// Log lines for people, or one JSON object a line.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, env = "LONGSHORE_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or directives such as longshore_engine=debug.
    #[arg(long, global = true, env = "LONGSHORE_LOG", default_value = "info")]
    pub(crate) log: String,
}

/// Formats of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Where the REST API is, who calls, and how answers are printed. It has no Debug: it holds a token.
#[derive(Args, Clone)]
pub(crate) struct Remote {
    /// The worker's REST address.
    #[arg(long, env = "LONGSHORE_URL", default_value = "http://127.0.0.1:8083")]
    pub(crate) url: String,
    /// The user's name; the password is taken from LONGSHORE_PASSWORD, or asked for.
    #[arg(long, value_name = "NAME", env = "LONGSHORE_USER")]
    pub(crate) user: Option<String>,
    /// A bearer token. Other users of this machine see flags: the environment is the better place.
    #[arg(long, env = "LONGSHORE_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// A PEM file with the certificates that the worker's is trusted by, in place of the system's.
    #[arg(long, value_name = "FILE", env = "LONGSHORE_CACERT")]
    pub(crate) cacert: Option<PathBuf>,
    /// A PEM file with the certificate to show to a worker that asks for one.
    #[arg(long, value_name = "FILE", env = "LONGSHORE_CERT")]
    pub(crate) cert: Option<PathBuf>,
    /// A PEM file with its private key, where that is not in the file of --cert.
    #[arg(long, value_name = "FILE", env = "LONGSHORE_KEY", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run one worker and the connectors of the files, in step with the files while it runs.
    Up {
        /// YAML files with `worker:` and `connectors:`.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Run a worker; connectors come by REST.
    Worker {
        /// YAML with a `worker:` section, or .properties with Kafka Connect's worker keys.
        file: Option<PathBuf>,
    },
    /// Run the embedded development broker alone.
    Broker {
        /// Host and port to listen on.
        #[arg(long, default_value = "127.0.0.1:9092")]
        listen: String,
        /// Folder of its data.
        #[arg(long, default_value = "./longshore-data/broker")]
        data: PathBuf,
    },
    /// Check files offline; exit code 1 when something is wrong.
    Lint {
        /// YAML files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what `apply` would change; exit code 2 when something would.
    Plan {
        /// YAML files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Make the worker's connectors those of the files; connectors of no file are left alone.
    Apply {
        /// YAML files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        remote: Remote,
    },
    /// List, create and steer connectors.
    Connectors {
        #[command(subcommand)]
        action: ConnectorAction,
    },
    /// Show connectors, their tasks and progress.
    Status {
        /// One connector; without it, all.
        name: Option<String>,
        #[command(flatten)]
        remote: Remote,
    },
    /// Users of the REST API.
    Auth {
        #[command(subcommand)]
        action: AuthAction,
    },
    /// Install, list, remove and check plugins: .wasm files of this machine. A worker takes them at its next start.
    Plugin {
        #[command(subcommand)]
        action: PluginAction,
    },
    /// List the plugins of the worker.
    Plugins {
        /// Connectors only.
        #[arg(long)]
        connectors_only: bool,
        #[command(flatten)]
        remote: Remote,
    },
}

#[derive(Subcommand)]
pub(crate) enum ConnectorAction {
    /// Names of all connectors.
    List {
        #[command(flatten)]
        remote: Remote,
    },
    /// A connector's config and tasks.
    Get {
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Create a connector from JSON: {"name": .., "config": {..}}.
    Create {
        /// A file, or - for standard input.
        file: PathBuf,
        #[command(flatten)]
        remote: Remote,
    },
    /// Delete a connector.
    Delete {
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Pause a connector's tasks; they keep their resources.
    Pause {
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Resume a paused or stopped connector.
    Resume {
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Stop a connector's tasks and release their resources.
    Stop {
        name: String,
        #[command(flatten)]
        remote: Remote,
    },
    /// Restart a connector.
    Restart {
        name: String,
        /// Its tasks too.
        #[arg(long)]
        include_tasks: bool,
        /// Only what has failed.
        #[arg(long)]
        only_failed: bool,
        #[command(flatten)]
        remote: Remote,
    },
}

/// Which worker's folder of plugins, grants and limits are meant.
#[derive(Args, Clone, Debug)]
pub(crate) struct OfWorker {
    /// The worker's settings file; without it, what a worker without settings uses.
    #[arg(long, value_name = "FILE")]
    pub(crate) worker: Option<PathBuf>,
    /// The worker's data folder, in place of longshore.data.dir.
    #[arg(long, value_name = "FOLDER", env = "LONGSHORE_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
pub(crate) enum PluginAction {
    /// Begin a plugin: a project that builds into a component.
    New {
        /// What it is called: lower case letters, digits and hyphens.
        name: String,
        /// What it is written in.
        #[arg(long, value_enum)]
        lang: plugin_new::Language,
        /// What it is.
        #[arg(long, value_enum)]
        kind: plugin_new::PluginKind,
        /// The folder that the project's folder is made in.
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Check a plugin and copy it to the worker's folder of plugins, beside other versions of it.
    Install {
        /// A WASM component.
        file: PathBuf,
        /// What the file's SHA-256 must be, in hexadecimal digits.
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
        #[command(flatten)]
        of: OfWorker,
    },
    /// The plugins that a worker would take, what they are granted, and the files that it would skip.
    List {
        #[command(flatten)]
        of: OfWorker,
    },
    /// Remove an installed plugin.
    Remove {
        /// NAME, or NAME@VERSION where several versions are installed.
        plugin: String,
        #[command(flatten)]
        of: OfWorker,
    },
    /// Look for what is wrong with a plugin: what it says of itself, its schema, and how it answers bad input.
    Check {
        /// A WASM component.
        file: PathBuf,
        /// A config that works, as a JSON object; without it one is made up from the schema, and less can be seen.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        of: OfWorker,
    },
}

#[derive(Subcommand)]
pub(crate) enum AuthAction {
    /// Make a line of the credentials file (longshore.rest.auth.credentials.file). The password is asked for, or read from standard input.
    Hash {
        /// The user's name.
        name: String,
        /// read looks, operate also pauses, stops and restarts, admin does everything.
        #[arg(long, value_enum)]
        role: RoleName,
    },
}

/// Roles of the REST API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    Read,
    Operate,
    Admin,
}
