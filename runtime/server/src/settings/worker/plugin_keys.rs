//! Worker keys about plugins that come in files.

use super::WorkerSettings;
use crate::plugins::owner;
use longshore_sdk::{
    Secret,
    config::{Definition, Finding},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// `plugin.path` and what plugins may use.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[cfg_attr(
    not(feature = "wasm"),
    allow(dead_code, reason = "such a build has no host for them")
)]
pub(crate) struct PluginKeys {
    /// Folders of plugins, and plugins: .wasm files. Those that `longshore plugin install` has put below longshore.data.dir are found without it.
    #[serde(rename = "plugin.path", default)]
    pub(crate) path: Vec<String>,
    /// Where compiled plugins are kept; `wasm-cache` below longshore.data.dir unless given. It holds native code: only the worker's user may write it.
    #[serde(rename = "longshore.wasm.cache.dir")]
    pub(super) cache: Option<PathBuf>,
    /// How long one call of a plugin may take; 30000 unless given.
    #[serde(rename = "longshore.wasm.call.timeout.ms")]
    #[schemars(range(min = 10, max = 3_600_000))]
    pub(super) call_timeout_ms: Option<u64>,
    /// How much memory one task of a plugin may take; 256 MiB unless given.
    #[serde(rename = "longshore.wasm.memory.max.bytes")]
    #[schemars(range(min = 1_048_576, max = 4_294_967_296_u64))]
    pub(super) memory_bytes_max: Option<u64>,
    /// How many instances of plugins may live at once on the worker; 1000 unless given.
    #[serde(rename = "longshore.wasm.instances.max")]
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) instances_max: Option<u32>,
    /// How large a plugin's file may be; 64 MiB unless given.
    #[serde(rename = "longshore.wasm.file.max.bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub(super) file_bytes_max: Option<u64>,
    /// How many entries one table of a plugin may have; 100000 unless given.
    #[serde(rename = "longshore.wasm.table.elements.max")]
    #[schemars(range(min = 1_000, max = 1_000_000))]
    pub(super) table_elements_max: Option<u64>,
    /// How much data one call of a plugin may hand to the worker; 128 MiB unless given.
    #[serde(rename = "longshore.wasm.hostcall.max.bytes")]
    #[schemars(range(min = 1_048_576, max = 4_294_967_296_u64))]
    pub(super) hostcall_bytes_max: Option<u64>,
    /// How long the text of one lane or position of a plugin's source may be; 65536 unless given.
    #[serde(rename = "longshore.wasm.position.max.bytes")]
    #[schemars(range(min = 256, max = 1_048_576))]
    pub(super) position_bytes_max: Option<u32>,
    /// How many lines a second one task of a plugin may log in the long run; 100 unless given. Ten times as many may come at once.
    #[serde(rename = "longshore.wasm.log.lines.max")]
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) log_lines_max: Option<u32>,
    /// How long the worker's start waits for plugins that have to be compiled; 120000 unless given. What takes longer is compiled beside its work.
    #[serde(rename = "longshore.wasm.compile.timeout.ms")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub(super) compile_timeout_ms: Option<u64>,
    /// How much compiled code is kept on disk; 4 GiB unless given. What the worker needs is kept, whatever it takes.
    #[serde(rename = "longshore.wasm.cache.max.bytes")]
    #[schemars(range(min = 0, max = 1_099_511_627_776_u64))]
    pub(super) cache_bytes_max: Option<u64>,
    /// A PEM file with certificates that plugins' HTTP requests trust besides the system's.
    #[serde(rename = "longshore.wasm.http.ca")]
    pub(super) ca: Option<PathBuf>,
    /// The URL of an HTTP proxy that every request of a plugin goes through.
    #[serde(rename = "longshore.wasm.http.proxy")]
    pub(super) proxy: Option<Secret>,
    /// How long one HTTP request of a plugin may take; 30000 unless given.
    #[serde(rename = "longshore.wasm.http.timeout.ms")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub(super) http_timeout_ms: Option<u64>,
    /// How long a new connection of a plugin's HTTP requests may take; 10000 unless given.
    #[serde(rename = "longshore.wasm.http.connect.timeout.ms")]
    #[schemars(range(min = 1, max = 3_600_000))]
    pub(super) http_connect_timeout_ms: Option<u64>,
    /// How many HTTP requests one task of a plugin may have in flight; 16 unless given.
    #[serde(rename = "longshore.wasm.http.concurrency")]
    #[schemars(range(min = 1, max = 1_000))]
    pub(super) http_concurrency: Option<u32>,
    /// How large the body of a plugin's HTTP request may be; 16 MiB unless given.
    #[serde(rename = "longshore.wasm.http.request.max.bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub(super) http_request_bytes_max: Option<u32>,
    /// How large the body of an answer to a plugin's HTTP request may be; 16 MiB unless given. What a plugin reads piece by piece has no limit.
    #[serde(rename = "longshore.wasm.http.response.max.bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub(super) http_response_bytes_max: Option<u32>,
    /// How many redirects of one HTTP request of a plugin are followed; 10 unless given.
    #[serde(rename = "longshore.wasm.http.redirects.max")]
    #[schemars(range(min = 0, max = 100))]
    pub(super) http_redirects_max: Option<u32>,
    /// What a plugin may, by its name: `<plugin>.net`, `.secrets`, `.memory.max.bytes`, `.call.timeout.ms`, `.cpu`, `.http.concurrency`.
    #[serde(rename = "longshore.wasm.grants.", default)]
    pub(super) grants: BTreeMap<String, String>,
    /// Why nothing that is compiled is kept, if so: the folder for it is another user's.
    #[serde(skip)]
    pub(crate) unkept: Option<String>,
}

/// Where `longshore plugin install` puts files, below the data folder.
const INSTALLED: &str = "plugins";

impl WorkerSettings {
    /// Where plugins come from and what they may use.
    pub(crate) fn plugins(&self) -> &PluginKeys {
        &self.plugins
    }
    /// The folder of installed plugins.
    pub(crate) fn installed_plugins(&self) -> PathBuf {
        self.data_dir.join(INSTALLED)
    }
    /// The folder of compiled plugins.
    fn compiled_plugins(&self) -> PathBuf {
        let own = self.plugins.cache.clone();
        own.unwrap_or_else(|| self.data_dir.join("wasm-cache"))
    }
    /// For tools that load plugins beside a worker: where its folders are another user's, none is made there for it. A worker refuses native
    /// code that is not its own, and could not keep its own in such a folder.
    pub(crate) fn leave_to_its_user(&mut self) {
        let folder = self.compiled_plugins();
        self.plugins.unkept = owner::another(&folder).map(|user| {
            let folder = folder.display();
            format!(
                "{folder} is, or would be, in a folder of user {user}: compiled plugins are not kept there, and are compiled anew each time; \
                 run this as the worker's user"
            )
        });
    }
}

pub(super) fn definition() -> Definition {
    Definition::of::<PluginKeys>()
}

#[cfg(feature = "wasm")]
mod host {
    use super::{Finding, PluginKeys, WorkerSettings};
    use longshore_engine::providers::scrub;
    use longshore_sdk::config::Flat;
    use longshore_wasm::{
        Ceilings, Limits, Settings,
        grants::PREFIX,
        services::{HttpLimits, HttpSettings, ServicesSettings},
    };
    use std::{sync::Arc, time::Duration};

    impl PluginKeys {
        /// What is wrong with the grants.
        pub(in super::super) fn findings(&self) -> Vec<Finding> {
            self.granted().1
        }
        /// What is granted to which plugin.
        pub(crate) fn ceilings(&self) -> Ceilings {
            self.granted().0
        }
        fn granted(&self) -> (Ceilings, Vec<Finding>) {
            let keys = self.grants.iter();
            let keys = keys.map(|(name, value)| (format!("{PREFIX}{name}"), value.clone()));
            Ceilings::read(&keys.collect::<Flat>())
        }
        /// What plugins are offered.
        pub(crate) fn services(&self) -> ServicesSettings {
            ServicesSettings {
                host_version: env!("CARGO_PKG_VERSION").to_owned(),
                // I8: what a plugin says may hold what it was given.
                scrub: Arc::new(|text| scrub(text).into_owned()),
                http: HttpSettings {
                    ca: self.ca.clone(),
                    proxy: self.proxy.clone(),
                    limits: self.http_limits(),
                    ..HttpSettings::default()
                },
                log_lines: (self.log_lines_max).unwrap_or(ServicesSettings::default().log_lines),
            }
        }
        fn http_limits(&self) -> HttpLimits {
            let limits = HttpLimits::default();
            let bytes = |given: Option<u32>, default| given.map_or(default, |bytes| bytes as usize);
            let time = |given: Option<u64>, default| given.map_or(default, Duration::from_millis);
            let response = bytes(self.http_response_bytes_max, limits.response);
            HttpLimits {
                timeout: time(self.http_timeout_ms, limits.timeout),
                connect_timeout: time(self.http_connect_timeout_ms, limits.connect_timeout),
                concurrency: bytes(self.http_concurrency, limits.concurrency),
                request: bytes(self.http_request_bytes_max, limits.request),
                response,
                // Of several at once each may be as large as one alone.
                responses: limits.responses.max(response),
                redirects: self.http_redirects_max.unwrap_or(limits.redirects),
                ..limits
            }
        }
    }

    impl WorkerSettings {
        /// What plugins may use.
        pub(crate) fn wasm(&self) -> Settings {
            let keys = self.plugins();
            let limits = Limits::default();
            let cache = keys.unkept.is_none().then(|| self.compiled_plugins());
            Settings {
                cache,
                limits: Limits {
                    memory: keys.memory_bytes_max.unwrap_or(limits.memory),
                    instances: keys.instances_max.unwrap_or(limits.instances),
                    call_timeout: keys
                        .call_timeout_ms
                        .map_or(limits.call_timeout, Duration::from_millis),
                    file: keys.file_bytes_max.unwrap_or(limits.file),
                    table_elements: keys.table_elements_max.unwrap_or(limits.table_elements),
                    hostcall_bytes: keys.hostcall_bytes_max.unwrap_or(limits.hostcall_bytes),
                    position: keys
                        .position_bytes_max
                        .map_or(limits.position, |bytes| bytes as usize),
                    compile_timeout: keys
                        .compile_timeout_ms
                        .map_or(limits.compile_timeout, Duration::from_millis),
                    cache: keys.cache_bytes_max.unwrap_or(limits.cache),
                },
                ..Settings::default()
            }
        }
    }
}

#[cfg(not(feature = "wasm"))]
impl PluginKeys {
    pub(super) fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }
}
