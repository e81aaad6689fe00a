//! A small `cargo xtask prove points`: at every named point a crash loses nothing (I1, I2, I3).

use std::path::Path;

use longshore_crash_tests::points::{ELSEWHERE, Plan, all, is_crashed_at, prove};

#[test]
fn a_crash_at_any_named_point_loses_nothing() {
    let points = all();
    let rounds = u32::try_from(30_usize.div_ceil(points.len())).expect("few rounds");
    let plan = Plan {
        points,
        rounds,
        seed: 20_261_122,
    };
    let kills = prove(&plan).unwrap_or_else(|error| panic!("{error:#}"));
    assert!(kills >= 30, "only {kills} kills");
}

#[test]
fn a_proof_crashes_at_every_point_of_the_code() {
    let mut named = Vec::new();
    for room in ["runtime", "connectors", "plugins"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        collect(&root.join(room), &mut named);
    }
    assert!(named.len() >= 10, "only {named:?}");
    for name in named {
        assert!(
            is_crashed_at(&name) || ELSEWHERE.iter().any(|(point, _)| *point == name),
            "no proof crashes at the point {name}: add it to points.rs or to exactly_once/at_points.rs"
        );
    }
}

fn collect(dir: &Path, named: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).expect("the sources can be read") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            collect(&path, named);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("the sources can be read");
            let calls = text.split("crash_point(\"").skip(1);
            named.extend(
                calls
                    .filter_map(|rest| rest.split_once('"'))
                    .map(|(name, _)| name.to_owned()),
            );
        }
    }
}
