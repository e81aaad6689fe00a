//! What a source costs that has nothing to do: no Kafka client.

use crate::support::{EMBEDDED, Worker, eventually};
use serde_json::json;
use std::io::Write;

/// Threads of a process by name; each producer has one of this name, beside those of the library.
fn producers(process: u32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let names = tasks.flatten().map(|task| {
        // A thread that has just ended has no name.
        std::fs::read_to_string(task.path().join("comm")).unwrap_or_default()
    });
    names.filter(|name| name.trim() == "kafka produce").count()
}

#[tokio::test]
async fn quiet_sources_hold_no_producer() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!("{EMBEDDED}  exactly.once.source.support: disabled\n");
    let worker = Worker::with(folder.path(), &settings).await;
    let pid = worker.process.id();
    let before = producers(pid);
    for number in 0..20 {
        let file = folder.path().join(format!("{number}.txt"));
        std::fs::write(&file, "").expect("written");
        let config = json!({ "connector.class": "file-source", "file": file, "topic": "quiet" });
        worker.create(&format!("quiet-{number}"), config).await;
    }
    for number in 0..20 {
        worker.task(&format!("quiet-{number}"), "RUNNING").await;
    }
    assert_eq!(producers(pid), before);
    // The first line of one of them opens its producer, and nobody else's.
    let file = folder.path().join("7.txt");
    let mut file = std::fs::File::options()
        .append(true)
        .open(file)
        .expect("it is there");
    file.write_all(b"a line\n").expect("written");
    eventually("the line is delivered", || async {
        let offsets = worker.get("/connectors/quiet-7/offsets").await.json();
        let stored = offsets["offsets"].as_array()?;
        (!stored.is_empty()).then_some(())
    })
    .await;
    assert_eq!(producers(pid), before + 1);
}
