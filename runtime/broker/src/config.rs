//! What a broker is started with.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of a [`Broker`](crate::Broker). `Config::default()` is a broker in memory on a free loopback port.
#[derive(Debug, Clone)]
pub struct Config {
    /// `host:port` to listen on; port 0 takes a free one. The data does not depend on it.
    pub listen: String,
    /// The host clients are told to connect to. `None`: the listen host, or for a wildcard the address a client came in on.
    pub advertised_host: Option<String>,
    /// Where everything is kept; locked while the broker runs. `None`: in memory, gone with the broker.
    pub data_dir: Option<PathBuf>,
    /// Partitions of topics that are created without saying how many.
    pub num_partitions: i32,
    /// Whether asking for an unknown topic creates it.
    pub auto_create_topics: bool,
    /// The shortest session timeout a group member may ask for, in milliseconds.
    pub group_min_session_timeout_ms: i32,
    /// The longest, in milliseconds.
    pub group_max_session_timeout_ms: i32,
    /// How long an empty group waits for more members before its first generation, in milliseconds.
    pub group_initial_rebalance_delay_ms: u64,
    /// The longest transaction timeout a producer may ask for, in milliseconds.
    pub transaction_max_timeout_ms: i32,
    /// How often retention and compaction are looked after.
    pub log_check_interval: Duration,
    /// Limits on what clients may take.
    pub limits: Limits,
}

/// What clients may take; beyond, requests are refused or connections closed.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Bytes of one request.
    pub request_bytes: usize,
    /// Bytes of all large requests that are being received.
    pub requests_in_flight_bytes: usize,
    /// Bytes of records in one fetch answer.
    pub fetch_bytes: usize,
    /// Partitions of all topics together.
    pub partitions: usize,
    /// Consumer groups with members, and groups with offsets.
    pub groups: usize,
    /// Members of one group.
    pub group_members: usize,
    /// Transactional ids; 0: no transactions, which clients are told (other brokers may have none).
    pub transactional_ids: usize,
    /// Bytes of the metadata stored with a committed offset.
    pub offset_metadata_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:0".into(),
            advertised_host: None,
            data_dir: None,
            num_partitions: 1,
            auto_create_topics: true,
            group_min_session_timeout_ms: 500,
            group_max_session_timeout_ms: 1_800_000,
            group_initial_rebalance_delay_ms: 0,
            transaction_max_timeout_ms: 900_000,
            log_check_interval: Duration::from_secs(5),
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 1000,
            request_bytes: 100 * 1024 * 1024,
            requests_in_flight_bytes: 256 * 1024 * 1024,
            fetch_bytes: 55 * 1024 * 1024,
            partitions: 10_000,
            groups: 10_000,
            group_members: 1000,
            transactional_ids: 10_000,
            offset_metadata_bytes: 4096,
        }
    }
}
