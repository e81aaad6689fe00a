//! Sinks.

use crate::{
    plugins::{alone, sink},
    sources::config,
    web::{TOKEN, Web},
};
use longshore_kit::behaviour::{
    Fault,
    sink::{SinkRig, TOPIC, run},
};
use longshore_sdk::{Datum, Record, config::Flat, erased::DynSinkConnector};

/// A sink with the server that it writes to.
struct Target {
    web: Web,
    plugin: &'static str,
    entries: &'static [(&'static str, &'static str)],
    /// Where it writes.
    path: &'static str,
}

impl SinkRig for Target {
    fn connector(&self) -> Box<dyn DynSinkConnector> {
        sink(self.plugin)
    }
    fn config(&self) -> Flat {
        let mut entries = config(self.entries);
        entries.insert("url".to_owned(), self.web.url(self.path));
        entries
    }
    fn poison(&self) -> Option<Record> {
        let mut record = Record::new(TOPIC.into());
        record.value = Datum::Json("{\"no\":\"id\"}".into());
        Some(record)
    }
    async fn read_back(&mut self) -> Vec<u64> {
        self.web.held().ids.clone()
    }
    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }
    async fn fault(&mut self, fault: Fault) -> bool {
        self.web.held().fault = Some(fault);
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_sink_behaves_record_by_record() {
    let _alone = alone().await;
    let make = async || Target {
        web: Web::start().await,
        plugin: "http-sink",
        entries: &[("auth.secret", TOKEN)],
        path: "one",
    };
    run(make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_sink_behaves_array_by_array() {
    let _alone = alone().await;
    let make = async || Target {
        web: Web::start().await,
        plugin: "http-sink",
        entries: &[
            ("auth.secret", TOKEN),
            ("batch.mode", "array"),
            ("batch.max.records", "300"),
        ],
        path: "many",
    };
    run(make).await;
}

/// One that promises exactly once.
#[tokio::test(flavor = "multi_thread")]
async fn a_sink_whose_target_keeps_the_offsets_behaves() {
    let _alone = alone().await;
    let make = async || Target {
        web: Web::start().await,
        plugin: "ledger-sink",
        entries: &[("token", TOKEN)],
        path: "",
    };
    run(make).await;
}
