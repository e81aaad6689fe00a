use super::*;
use crate::memory::MemoryLog;

#[derive(Default)]
struct Keys(Vec<Bytes>);

impl Fold for Keys {
    fn apply(&mut self, entry: &Entry) {
        self.0.push(entry.key.clone());
    }
}

fn pair(key: &str) -> (Bytes, Option<Bytes>) {
    (Bytes::copy_from_slice(key.as_bytes()), None)
}

/// The reader is held up by a dead writer's open transaction: what stands behind it is there, though no reader sees it yet.
#[tokio::test(start_paused = true)]
async fn reading_to_the_end_waits_for_what_a_reader_does_not_see_yet() {
    let log = MemoryLog::new();
    log.append(vec![pair("a"), pair("b")]);
    log.hide_from(1);
    let fold = Arc::new(Folded::<Keys>::new("keys", Arc::new(log.clone())));
    let follower = Arc::clone(&fold);
    let mut followers = tokio::task::JoinSet::new();
    followers.spawn(async move { follower.follow().await });
    let second = Duration::from_secs(1);
    assert!(tokio::time::timeout(second, fold.ready()).await.is_err());
    log.hide_from(usize::MAX);
    fold.ready().await;
    assert_eq!(fold.read(|keys| keys.0.len()), 2);
    log.hide_from(2);
    log.append(vec![pair("c")]);
    assert!(tokio::time::timeout(second, fold.refresh()).await.is_err());
    log.hide_from(usize::MAX);
    fold.refresh().await.expect("read");
    assert_eq!(fold.read(|keys| keys.0.len()), 3);
}
