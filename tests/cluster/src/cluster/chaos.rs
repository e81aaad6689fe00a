//! What goes wrong while the group works.

use super::{plan::Fault, workers::Cluster};
use rand::{Rng, rngs::StdRng};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Until calm: faults of the kinds that the seed drew. Answers how many struck.
pub(super) async fn suffer(cluster: &Cluster, rng: &mut StdRng) -> u64 {
    let end = Instant::now() + cluster.plan.chaos;
    let mut struck = 0;
    while Instant::now() < end {
        let wait = cluster.plan.every.mul_f64(rng.random_range(0.2..1.8));
        sleep(wait.min(end - Instant::now())).await;
        let kinds = &cluster.plan.faults;
        if kinds.is_empty() || Instant::now() >= end {
            continue;
        }
        let fault = kinds[rng.random_range(0..kinds.len())];
        let any = rng.random_range(0..cluster.plan.workers);
        let leader = matches!(
            fault,
            Fault::KillLeader | Fault::FreezeLeader | Fault::CutLeader
        );
        let number = if leader { cluster.leader() } else { Some(any) };
        if let Some(number) = number {
            strike(cluster, fault, number, rng);
            struck += 1;
        }
    }
    struck
}

fn strike(cluster: &Cluster, fault: Fault, number: usize, rng: &mut StdRng) {
    cluster.world.say(|| format!("{fault:?} strikes w{number}"));
    let mut wait = |least: u64, most: u64| Duration::from_millis(rng.random_range(least..most));
    let this = cluster.clone();
    match fault {
        Fault::Kill | Fault::KillLeader => {
            let back = wait(0, 12_000);
            this.kill(number);
            tokio::spawn(async move {
                sleep(back).await;
                this.start(number);
            });
        }
        Fault::Leave => {
            let back = wait(0, 6_000);
            tokio::spawn(async move {
                this.shut_down(number).await;
                sleep(back).await;
                this.start(number);
            });
        }
        Fault::Freeze | Fault::FreezeLeader => {
            let thaw = wait(300, 15_000);
            let Some(link) = this.link(number) else {
                return;
            };
            link.freeze(true);
            tokio::spawn(async move {
                sleep(thaw).await;
                this.world.say(|| format!("w{number} thaws"));
                link.freeze(false);
            });
        }
        Fault::Cut | Fault::CutLeader => {
            let mend = wait(300, 15_000);
            let Some(link) = this.link(number) else {
                return;
            };
            link.cut(true);
            tokio::spawn(async move {
                sleep(mend).await;
                this.world.say(|| format!("w{number} is mended"));
                link.cut(false);
            });
        }
        Fault::Shake => {
            for sink in cluster.plan.sunk.keys() {
                cluster.broker.shake(&format!("connect-{sink}"));
            }
        }
    }
}
