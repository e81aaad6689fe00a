//! The behaviour suite over the datagen source, and what is particular to it.

use longshore_datagen::Datagen;
use longshore_kit::behaviour::source::{SourceRig, run};
use longshore_sdk::{
    Datum, ErrorKind, Offset, Offsets, Partition, SourceContext,
    config::Flat,
    erased::{self, DynSource, DynSourceConnector},
};
use std::{collections::BTreeSet, time::Duration};

const WAIT: Duration = Duration::from_secs(5);

fn config(entries: &[(&str, &str)]) -> Flat {
    let entries = entries.iter().chain(&[("topic", "orders")]);
    entries
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

struct Rig;

impl SourceRig for Rig {
    fn connector(&self) -> Box<dyn DynSourceConnector> {
        erased::source::<Datagen>()
    }
    fn config(&self) -> Flat {
        config(&[("generator", "orders"), ("count", "15000"), ("seed", "7")])
    }
    async fn seed(&mut self, _: usize) {}
}

#[tokio::test]
async fn behaves_as_a_source() {
    run(async || Rig).await;
}

async fn open(config: &Flat, tasks: u32, number: usize, offsets: Offsets) -> Box<dyn DynSource> {
    let connector = erased::source::<Datagen>();
    let shares = connector.plan(config, tasks).await.expect("a plan");
    let cx = SourceContext::detached("c", number as u32, offsets);
    connector
        .open(config, shares[number].clone(), cx)
        .await
        .expect("open")
}

#[tokio::test]
async fn every_task_counts_from_one_in_a_lane_of_its_own() {
    let config = config(&[("count", "5"), ("generator", "users")]);
    let mut lanes = BTreeSet::new();
    let mut values = BTreeSet::new();
    for number in 0..3 {
        let records = open(&config, 3, number, Offsets::new())
            .await
            .poll(WAIT)
            .await
            .expect("records");
        let keys: Vec<_> = records.iter().map(|r| r.record.key.clone()).collect();
        let wanted: Vec<_> = ["1", "2", "3", "4", "5"]
            .map(|id| Datum::Json(id.into()))
            .into();
        assert_eq!(keys, wanted);
        for record in records {
            lanes.insert(record.lane);
            values.insert(format!("{:?}", record.record.value));
        }
    }
    let lanes: Vec<_> = lanes.iter().map(|lane| format!("{lane:?}")).collect();
    assert_eq!(
        lanes,
        [0, 1, 2].map(|n| format!("{{\"generator\":\"users\",\"share\":{n}}}"))
    );
    assert_eq!(values.len(), 15, "no two records are the same");
}

#[tokio::test]
async fn goes_on_after_the_stored_id_whatever_the_order_of_the_lanes_fields() {
    let config = config(&[("seed", "3")]);
    let all = open(&config, 1, 0, Offsets::new())
        .await
        .poll(WAIT)
        .await
        .expect("records");
    let lane = Partition::from_json("{\"share\":0,\"generator\":\"orders\"}".into());
    let at = Offset::from_json("{\"id\":700}".into());
    let rest = open(&config, 1, 0, Offsets::from([(lane, at)]))
        .await
        .poll(WAIT)
        .await
        .expect("records");
    assert_eq!(rest[0].record, all[700].record);
    assert_eq!(rest[0].offset.json(), "{\"id\":701}");
}

#[tokio::test(start_paused = true)]
async fn the_rate_holds_and_a_slow_one_leaves_polls_empty() {
    let mut task = open(&config(&[("rate", "10")]), 1, 0, Offsets::new()).await;
    assert!(
        task.poll(Duration::from_millis(30))
            .await
            .expect("a poll")
            .is_empty()
    );
    let mut count = 0;
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    while tokio::time::Instant::now() < until {
        count += task
            .poll(Duration::from_millis(500))
            .await
            .expect("a poll")
            .len();
    }
    assert!((298..=301).contains(&count), "{count} records in 30 s");
}

#[tokio::test]
async fn large_records_make_small_batches() {
    let config = config(&[("record.bytes", "300000")]);
    let mut task = open(&config, 1, 0, Offsets::new()).await;
    let records = task.poll(WAIT).await.expect("records");
    assert_eq!(
        records.len(),
        4,
        "a batch ends when it has reached a mebibyte"
    );
    assert!(
        records
            .iter()
            .all(|record| record.record.value.size() == 300_000)
    );
}

#[tokio::test]
async fn a_stored_offset_of_another_shape_is_an_error_that_says_what_to_do() {
    let config = config(&[]);
    let lane = open(&config, 1, 0, Offsets::new())
        .await
        .poll(WAIT)
        .await
        .expect("records")
        .remove(0)
        .lane;
    let offsets = Offsets::from([(lane, Offset::from_json("{\"position\":1}".into()))]);
    let connector = erased::source::<Datagen>();
    let share = connector.plan(&config, 1).await.expect("a plan").remove(0);
    let opened = connector
        .open(&config, share, SourceContext::detached("c", 0, offsets))
        .await;
    let error = opened.err().expect("no id in it");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("reset"), "{error}");
}
