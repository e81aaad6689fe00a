//! Notices that files changed.

use std::{path::PathBuf, time::Duration};
use tokio::time::sleep;

/// How often the files are looked at. Looking is one stat per file, and works on every file system and with every editor's way of saving.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a file looked like: contents' hash, or none while it cannot be read.
type Print = Option<u64>;

/// The files and how they looked last.
pub(crate) struct Watch {
    files: Vec<PathBuf>,
    seen: Vec<Print>,
}

impl Watch {
    /// Starts from how the files look now.
    pub(crate) fn new(files: Vec<PathBuf>) -> Self {
        let seen = files.iter().map(print).collect();
        Self { files, seen }
    }
    /// Returns once the contents of some file differ from the last time, and have stood still for one look: an editor may write in pieces. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            sleep(LOOK_EVERY).await;
            let now: Vec<Print> = self.files.iter().map(print).collect();
            if now == self.seen {
                continue;
            }
            sleep(LOOK_EVERY).await;
            if self.files.iter().map(print).collect::<Vec<_>>() == now {
                self.seen = now;
                return;
            }
        }
    }
}

fn print(file: &PathBuf) -> Print {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let bytes = std::fs::read(file).ok()?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::Watch;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn an_edit_is_noticed_and_a_rewrite_of_the_same_text_is_not() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, "one").expect("written");
        let mut watch = Watch::new(vec![file.clone()]);
        std::fs::write(&file, "one").expect("written");
        assert!(
            tokio::time::timeout(Duration::from_secs(5), watch.changed())
                .await
                .is_err()
        );
        std::fs::write(&file, "two").expect("written");
        tokio::time::timeout(Duration::from_secs(5), watch.changed())
            .await
            .expect("the edit is noticed");
    }
}
