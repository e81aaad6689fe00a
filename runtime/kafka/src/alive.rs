//! How many clients there are, so that whoever ends their broker can wait for the last one.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::sync::Notify;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static NONE_LEFT: Notify = Notify::const_new();

/// Part of a client's context, which the client library releases last of all.
pub(crate) struct Alive(());

impl Default for Alive {
    fn default() -> Self {
        COUNT.fetch_add(1, Ordering::AcqRel);
        Self(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if COUNT.fetch_sub(1, Ordering::AcqRel) == 1 {
            NONE_LEFT.notify_waiters();
        }
    }
}

/// Returns once every Kafka client of this process is gone (true), or after `limit` (false). Clients are closed by threads of their own after
/// their owners dropped them; a broker that ends before them makes them complain.
pub async fn all_closed(limit: Duration) -> bool {
    let none = async {
        loop {
            let gone = NONE_LEFT.notified();
            let mut gone = std::pin::pin!(gone);
            gone.as_mut().enable();
            if COUNT.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
    };
    tokio::time::timeout(limit, none).await.is_ok()
}
