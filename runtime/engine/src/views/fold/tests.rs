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
    let fold = Arc::new(Folded::<Keys>::new(
        "keys",
        Loss::Keep,
        Arc::new(log.clone()),
    ));
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

fn followed(loss: Loss, log: &MemoryLog) -> (Arc<Folded<Keys>>, tokio::task::JoinSet<()>) {
    let fold = Arc::new(Folded::<Keys>::new(
        "g-configs (config.storage.topic)",
        loss,
        Arc::new(log.clone()),
    ));
    let follower = Arc::clone(&fold);
    let mut followers = tokio::task::JoinSet::new();
    followers.spawn(async move { follower.follow().await });
    (fold, followers)
}

/// Somebody deletes the topic, and an empty one has its name: taken at its word, all connectors would be deleted.
#[tokio::test(start_paused = true)]
async fn what_was_known_of_a_topic_that_was_made_anew_stays_and_nothing_is_written_any_more() {
    let log = MemoryLog::new();
    log.append(vec![pair("a"), pair("b")]);
    let (fold, _follower) = followed(Loss::Keep, &log);
    fold.ready().await;
    assert_eq!(fold.trouble(), None);
    log.make_anew();
    log.append(vec![pair("c")]);
    log.break_reads(1);
    let mut troubles = fold.troubles();
    troubles.wait_for(Option::is_some).await.expect("told");
    let trouble = fold.trouble().expect("told");
    for part in [
        "g-configs (config.storage.topic)",
        "deleted or cut",
        "restart all workers",
    ] {
        assert!(trouble.contains(part), "{part}: {trouble}");
    }
    while !fold.is_lost() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fold.read(|keys| keys.0.len()), 2, "what was known stays");
    let error = fold.put(vec![pair("d")]).await.expect_err("refused");
    assert!(error.message().contains("config.storage.topic"), "{error}");
    fold.write(vec![pair("d")]).await.expect_err("refused");
    fold.refresh().await.expect_err("there is no end any more");
    assert_eq!(log.keys(), ["c"], "nothing was written");
    // However many others write: it is not the topic that was read.
    log.append(vec![pair("e"), pair("f"), pair("g")]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(fold.read(|keys| keys.0.len()), 2);
}

/// A broker that has just taken over may know less for a moment.
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_whole_again_at_the_next_look_is_no_loss() {
    let log = MemoryLog::new();
    log.append(vec![pair("a"), pair("b")]);
    let (fold, _follower) = followed(Loss::Keep, &log);
    fold.ready().await;
    log.make_anew();
    log.append(vec![pair("a")]);
    log.break_reads(1);
    let mut troubles = fold.troubles();
    troubles.wait_for(Option::is_some).await.expect("told");
    log.append(vec![pair("b"), pair("c")]);
    troubles.wait_for(Option::is_none).await.expect("over");
    assert_eq!(fold.read(|keys| keys.0.len()), 3);
    assert!(!fold.is_lost());
    fold.put(vec![pair("d")]).await.expect("written");
}

/// Statuses are said again.
#[tokio::test(start_paused = true)]
async fn a_fold_that_follows_takes_an_empty_topic_at_its_word() {
    let log = MemoryLog::new();
    log.append(vec![pair("a"), pair("b")]);
    let (fold, _follower) = followed(Loss::Follow, &log);
    fold.ready().await;
    log.make_anew();
    log.break_reads(1);
    while fold.read(|keys| keys.0.len()) > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(fold.trouble(), None);
    fold.put(vec![pair("c")]).await.expect("written");
}
