//! `longshore up` as a person uses it: Ctrl-C drains, a second start goes on, and every id is there once (I1, I3).

use std::path::Path;

use longshore_crash_tests::ids::Ids;
use longshore_crash_tests::quickstart::without_worker;
use longshore_crash_tests::{Home, binary};

#[test]
fn ctrl_c_drains_and_a_second_start_repeats_nothing() {
    let home = Home::with("up", None, &[]).expect("a home");
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/quickstart.yaml");
    let yaml = std::fs::read_to_string(quickstart).expect("configs/quickstart.yaml can be read");
    home.write("quickstart.yaml", &without_worker(&yaml))
        .expect("writes");
    let output = home.path().join("longshore-data/quickstart.ndjson");
    let mut before = 0;
    for _ in 0..3 {
        let mut worker = home
            .start(&["up", "worker.yaml", "quickstart.yaml"], None)
            .expect("starts");
        worker
            .until("500 new records", || {
                Ok(Ids::of_file(&output, true)?.max() > before + 500)
            })
            .expect("moves");
        let status = std::process::Command::new(binary::binary().expect("a binary"))
            .args(["status", "--url", &home.url()])
            .output()
            .expect("runs");
        let shown = String::from_utf8_lossy(&status.stdout);
        assert!(
            status.status.success()
                && shown.contains("orders-to-file")
                && shown.contains("RUNNING"),
            "longshore status: {shown}"
        );
        worker.interrupt().expect("ends in order on SIGINT");
        let ids = Ids::of_file(&output, false).expect("no torn line");
        ids.without_gap("the file").expect("every id");
        assert_eq!(ids.duplicates(), 0, "of {} ids", ids.max());
        before = ids.max();
    }
}
