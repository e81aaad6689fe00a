//! The connector and its task.

use crate::{
    Config,
    lanes::Lanes,
    selection::{PARTITIONS, PLANNED, Parts, Selection, deal, fingerprint},
};
use longshore_kafka::{Admin, Properties, Reader, check_overrides};
use longshore_sdk::{
    Capabilities, Error, Guarantee, Level, Plugin, Result, Share, Source, SourceConnector,
    SourceContext, SourceRecord, config::Finding,
};
use std::time::Duration;
use tokio::time::Instant;

/// The `mirror` source connector.
#[derive(Debug)]
pub struct Mirror;

impl SourceConnector for Mirror {
    const PLUGIN: Plugin = Plugin {
        name: "mirror",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Copies topics of another Kafka cluster, undecoded.",
        unsupported: &[],
        capabilities: Capabilities {
            ends: false,
            idempotent: false,
            keeps_offsets: false,
            refuses: false,
        },
    };
    type Config = Config;
    type Task = MirrorTask;

    fn guarantee(_: &Config) -> Guarantee {
        Guarantee {
            level: Level::ExactlyOnce,
            method: "the stored offset is the record's own in the source cluster".into(),
        }
    }

    async fn check(config: &Config) -> Vec<Finding> {
        let found = |key: &str, error: Error| Finding::new(key, error.message());
        if let Err(error) = check_overrides("source.cluster.", &config.client) {
            let key = error.context().iter().find(|(name, _)| *name == "key");
            let key = key.map_or("source.cluster.", |(_, key)| key.as_str());
            return vec![Finding::new(key, error.message())];
        }
        if let Err(error) = Selection::new(&config.topics) {
            return vec![found("topics", error)];
        }
        match Admin::connect(&config.settings()).await {
            Ok(_) => Vec::new(),
            Err(error) => vec![found("source.cluster.bootstrap.servers", error)],
        }
    }

    async fn plan(config: &Config, tasks_max: u32) -> Result<Vec<Share>> {
        check_overrides("source.cluster.", &config.client)?;
        let selection = Selection::new(&config.topics)?;
        let admin = Admin::connect(&config.settings()).await?;
        deal(&selection.of(admin.topics().await?), tasks_max)
    }

    async fn open(config: Config, share: Share, cx: SourceContext) -> Result<MirrorTask> {
        check_overrides("source.cluster.", &config.client)?;
        let text = share.get(PARTITIONS).map_or("{}", String::as_str);
        let parts: Parts = serde_json::from_str(text).map_err(|error| {
            Error::bug("open", "the share's partitions are not JSON").because(error)
        })?;
        let (lanes, starts) = Lanes::new(&config, &parts, &cx)?;
        let settings = config.settings();
        let reader = if starts.is_empty() {
            None
        } else {
            let client_id = format!("connector-consumer-{}-{}", cx.connector, cx.task);
            let none = Properties::new();
            Some(Reader::open(&settings, &client_id, &none, starts, false).await?)
        };
        let watch = match share.get(PLANNED) {
            Some(planned) => Some(Watch {
                admin: Admin::connect(&settings).await?,
                selection: Selection::new(&config.topics)?,
                planned: planned.clone(),
                every: Duration::from_secs(config.refresh_seconds),
                next: Instant::now() + Duration::from_secs(config.refresh_seconds),
            }),
            None => None,
        };
        Ok(MirrorTask {
            reader,
            lanes,
            watch,
            cx,
        })
    }
}

/// A task: copies the partitions of one share.
pub struct MirrorTask {
    reader: Option<Reader>,
    lanes: Lanes,
    watch: Option<Watch>,
    cx: SourceContext,
}

/// Looks for topics and partitions that the plan does not know.
struct Watch {
    admin: Admin,
    selection: Selection,
    planned: String,
    every: Duration,
    next: Instant,
}

impl Watch {
    /// Whether the plan is out of date; asks at most for `max_wait`, and only when it is time.
    async fn outdated(&mut self, max_wait: Duration) -> bool {
        if Instant::now() < self.next {
            return false;
        }
        self.next = Instant::now() + self.every;
        match tokio::time::timeout(max_wait, self.admin.topics()).await {
            Ok(Ok(all)) => fingerprint(&self.selection.of(all)) != self.planned,
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "the source cluster's topics cannot be listed for now");
                false
            }
            Err(_) => false,
        }
    }
}

impl Source for MirrorTask {
    async fn poll(&mut self, max_wait: Duration) -> Result<Vec<SourceRecord>> {
        let started = Instant::now();
        if let Some(watch) = &mut self.watch
            && watch.outdated(max_wait).await
        {
            self.cx.request_replan();
        }
        let left = max_wait.saturating_sub(started.elapsed());
        let Some(reader) = &mut self.reader else {
            tokio::time::sleep(left).await;
            return Ok(Vec::new());
        };
        let taken = reader.poll(left).await?;
        let lanes = &mut self.lanes;
        Ok(taken
            .records
            .into_iter()
            .filter_map(|record| lanes.forward(record))
            .collect())
    }

    async fn close(&mut self) -> Result<()> {
        match self.reader.take() {
            Some(reader) => reader.close().await,
            None => Ok(()),
        }
    }
}
