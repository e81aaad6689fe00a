//! What happens on its own: logs roll, expire and are compacted; idle transactional ids are forgotten.

use std::sync::Arc;

use crate::clock::now_ms;
use crate::log::Partition;
use crate::node::Node;
use crate::settings::Settings;

/// Looks after everything, once per `log_check_interval`, off the threads that serve clients.
pub(crate) async fn run(node: Arc<Node>) {
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return,
            () = tokio::time::sleep(node.config.log_check_interval) => {}
        }
        let at = node.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || round(&at)).await {
            tracing::error!(%error, "looking after the logs failed");
        }
    }
}

fn round(node: &Node) {
    for topic in node.topics.all() {
        let settings = topic.settings();
        for partition in topic.partitions().iter() {
            if node.stop.is_cancelled() {
                return;
            }
            if let Err(error) = tend(partition, &settings) {
                tracing::error!(topic = topic.name, partition = partition.index, %error, "looking after a log failed");
            }
        }
    }
    if let Err(error) = node.transactions.forget_idle(node) {
        tracing::error!(%error, "forgetting idle transactional ids failed");
    }
}

fn tend(partition: &Partition, settings: &Settings) -> std::io::Result<()> {
    let plan = {
        let mut log = partition.log();
        log.tend(settings, now_ms())?;
        log.plan_cleaning(settings, now_ms())
    };
    let Some(plan) = plan else { return Ok(()) };
    let cleaned = plan.run();
    let mut log = partition.log();
    if log.is_deleted() {
        // Its files are gone, whatever became of the pass.
        return Ok(());
    }
    log.install(cleaned?, now_ms())?;
    Ok(())
}
