//! Sources.

use crate::{
    plugins::{alone, source},
    web::{PAGE, TOKEN, Web},
};
use longshore_kit::behaviour::{
    Fault,
    source::{SourceRig, run},
};
use longshore_sdk::{config::Flat, erased::DynSourceConnector};

pub(crate) fn config(pairs: &[(&str, &str)]) -> Flat {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

/// The HTTP source of the examples.
struct Pages {
    web: Web,
    by_cursor: bool,
}

impl Pages {
    async fn new(by_cursor: bool) -> Self {
        Self {
            web: Web::start().await,
            by_cursor,
        }
    }
}

impl SourceRig for Pages {
    fn connector(&self) -> Box<dyn DynSourceConnector> {
        source("http-source")
    }
    fn config(&self) -> Flat {
        let mut entries = config(&[
            ("topic", "records"),
            ("poll.interval.ms", "10"),
            ("auth.secret", TOKEN),
        ]);
        entries.extend(if self.by_cursor {
            config(&[
                ("url", &self.web.url("list")),
                ("mode", "cursor"),
                ("records.pointer", "/items"),
                ("cursor.pointer", "/meta/next"),
            ])
        } else {
            config(&[
                ("url", &self.web.url("pages")),
                ("page.size", &PAGE.to_string()),
                ("key.pointer", "/id"),
            ])
        });
        entries
    }
    async fn seed(&mut self, count: usize) {
        self.web.held().seeded += count as u64;
    }
    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }
    async fn fault(&mut self, fault: Fault) -> bool {
        self.web.held().fault = Some(fault);
        true
    }
}

/// The probe, which makes up its records, lane by lane, and ends.
struct Numbers;

impl SourceRig for Numbers {
    fn connector(&self) -> Box<dyn DynSourceConnector> {
        source("probe-source")
    }
    fn config(&self) -> Flat {
        config(&[
            ("topic", "numbers"),
            ("count", "7000"),
            ("lanes", "2"),
            ("batch", "30"),
        ])
    }
    async fn seed(&mut self, _: usize) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn http_source_behaves_page_by_page() {
    let _alone = alone().await;
    run(async || Pages::new(false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_source_behaves_by_cursor() {
    let _alone = alone().await;
    run(async || Pages::new(true).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_against_the_bare_abi_behaves() {
    let _alone = alone().await;
    run(async || Numbers).await;
}
