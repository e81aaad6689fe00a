//! Names are looked up in turn.

use crate::services::http::{
    HttpSettings, Network,
    resolve::{Checked, Names},
};
use crate::{
    Grants,
    grants::{Host, Scheme, Target},
};
use futures::{FutureExt, future::BoxFuture};
use reqwest::dns::Resolve;
use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// Answers once the test says so.
struct Held {
    asked: AtomicUsize,
    go: Arc<Semaphore>,
}

impl Names for Held {
    fn lookup(&self, _: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let go = self.go.clone();
        Box::pin(async move {
            let _go = go.acquire().await.map_err(io::Error::other)?;
            Ok(vec![[1, 1, 1, 1].into()])
        })
    }
}

fn ask(network: &Network, plugin: &str) -> reqwest::dns::Resolving {
    let resolver = Checked {
        names: network.lookups(plugin),
        grants: Arc::new(Grants::none(plugin)),
        target: Target {
            scheme: Scheme::Http,
            host: Host::Name("slow.test".to_owned()),
            port: 80,
        },
    };
    resolver.resolve("slow.test".parse().expect("a name"))
}

#[tokio::test]
async fn a_plugin_does_not_take_all_turns() {
    let held = Arc::new(Held {
        asked: AtomicUsize::new(0),
        go: Arc::new(Semaphore::new(0)),
    });
    let network = Network::with(HttpSettings::default(), held.clone()).expect("settings");
    let settle = || tokio::time::sleep(Duration::from_millis(20));
    // Nobody waits for these any more: they keep their turns.
    for _ in 0..20 {
        let asked = ask(&network, "greedy");
        let _ = tokio::time::timeout(Duration::from_millis(1), asked).await;
    }
    settle().await;
    assert_eq!(held.asked.load(Ordering::SeqCst), 4);
    let mut again = ask(&network, "greedy");
    assert!((&mut again).now_or_never().is_none());
    let other = ask(&network, "other");
    let other = tokio::spawn(async move { other.await.is_ok() });
    settle().await;
    assert_eq!(held.asked.load(Ordering::SeqCst), 5, "another has its own");
    held.go.add_permits(1);
    assert!(other.await.expect("it ends"));
    assert!(again.await.is_ok(), "turns are given back");
}
