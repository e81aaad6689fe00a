//! A small `cargo xtask prove quickstart`: loses nothing under SIGKILL (I1, I2, I3), and the topics alone carry the state.

use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_crash_tests::quickstart::{Plan, prove};

#[test]
fn the_quick_start_survives_kills_and_goes_on_without_its_yaml() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/quickstart.yaml");
    let plan = Plan {
        kills: 5,
        seed: 20_261_122,
        yaml: std::fs::read_to_string(file).expect("configs/quickstart.yaml can be read"),
        output: PathBuf::from("longshore-data/quickstart.ndjson"),
        topic: "orders".into(),
        run_max: Duration::from_millis(1500),
    };
    let outcome = prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(outcome.kills, 5);
    assert!(outcome.ids > 1000, "only {} ids", outcome.ids);
}
