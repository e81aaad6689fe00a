//! Notices that files changed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::sleep;

/// What a file looked like: contents' hash, or none while it cannot be read.
type Print = Option<u64>;

/// The files and how they looked last. Looking works on every file system and with every editor's way of saving, links that are swapped included.
pub(crate) struct Watch {
    files: Vec<PathBuf>,
    seen: Vec<Print>,
    every: Duration,
}

impl Watch {
    /// Starts from how the files look now; looks at them again after each `every`.
    pub(crate) fn new(files: Vec<PathBuf>, every: Duration) -> Self {
        let seen = files.iter().map(|file| print(file)).collect();
        Self { files, seen, every }
    }
    /// Returns once the contents of some file differ from the last time, and have stood still for one look: an editor may write in pieces. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        loop {
            sleep(self.every).await;
            let now = self.prints();
            if now == self.seen {
                continue;
            }
            sleep(self.every).await;
            if self.prints() == now {
                self.seen = now;
                return;
            }
        }
    }
    fn prints(&self) -> Vec<Print> {
        self.files.iter().map(|file| print(file)).collect()
    }
}

fn print(file: &Path) -> Print {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let bytes = std::fs::read(file).ok()?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(hasher.finish())
}

/// Warns of a file with secrets that every user of the machine can read.
pub(crate) fn warn_if_readable_by_all(file: &Path, what: &str) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        const OTHERS_READ: u32 = 0o004;
        let mode = std::fs::metadata(file).map(|metadata| metadata.permissions().mode());
        if mode.is_ok_and(|mode| mode & OTHERS_READ != 0) {
            let file = file.display();
            tracing::warn!(%file, "{what} can be read by every user of this machine: chmod 600 it");
        }
    }
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
        let mut watch = Watch::new(vec![file.clone()], Duration::from_millis(500));
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
