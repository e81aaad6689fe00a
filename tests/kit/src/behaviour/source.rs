//! The suite for sources.

use super::{
    Fault, Waiver,
    random::SEEDS,
    report::Report,
    settings::{self, Said},
    source_cases as cases,
    source_progress::progress_without_records_leaves_nothing_out,
    source_transactions::once_in_transactions,
};
use longshore_sdk::{Datum, Record, config::Flat, erased::DynSourceConnector};
use std::future::Future;

/// What the suite must know about a source and its system. Every case gets a rig, and a system, of its own.
pub trait SourceRig {
    /// Cases that cannot pass.
    const WAIVERS: &'static [Waiver] = &[];

    /// The connector.
    fn connector(&self) -> Box<dyn DynSourceConnector>;
    /// A config that reads what [`SourceRig::seed`] puts there: the connector's own keys only, for one task, as fast as it goes.
    /// A source that ends must give at least 40 records.
    fn config(&self) -> Flat;
    /// Puts `count` more records into the system; a source that makes up its records has nothing to do.
    fn seed(&mut self, count: usize) -> impl Future<Output = ()>;
    /// What tells a record from all others: by default its value.
    fn identity(&self, record: &Record) -> String {
        match &record.value {
            Datum::Bytes(bytes) | Datum::Json(bytes) | Datum::Text(bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            other => format!("{other:?}"),
        }
    }
    /// Values of the config that must never be shown.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
    /// Breaks or heals the system; false if the rig cannot do that.
    fn fault(&mut self, fault: Fault) -> impl Future<Output = bool> {
        let _ = fault;
        async { false }
    }
}

/// Runs all cases, each on a fresh rig; panics with the list of results if one fails.
pub async fn run<R: SourceRig>(make: impl AsyncFn() -> R) {
    let rig = make().await;
    let mut report = Report::new(rig.connector().plugin().name.to_owned(), R::WAIVERS);
    let (said, config) = (said(&rig).await, rig.config());
    macro_rules! settings {
        ($($case:ident($($argument:expr),*);)*) => {
            $(report.note(stringify!($case), settings::$case($($argument),*));)*
        };
    }
    settings! {
        right_config_has_no_findings(&said);
        unknown_key_is_answered_with_the_nearest(&said, &config);
        missing_keys_are_named(&said);
        secrets_stay_hidden(&said, &config, &rig.secrets());
    }
    macro_rules! cases {
        ($($case:ident,)*) => {
            $(report.note(stringify!($case), Box::pin(cases::$case(&mut make().await)).await);)*
        };
    }
    cases! {
        plan_fits_tasks_max,
        resumes_after_every_offset,
        reads_the_same_in_the_same_order_again,
        offsets_of_other_lanes_do_not_matter,
        lanes_and_offsets_are_json_objects,
        poll_honours_max_wait,
        later_records_are_found,
        batches_are_bounded,
        ends_for_good,
        commits_are_harmless,
        close_may_be_called_twice,
        outage_loses_nothing,
    }
    let case = Box::pin(progress_without_records_leaves_nothing_out(
        &mut make().await,
    ))
    .await;
    report.note("progress_without_records_leaves_nothing_out", case);
    let case = once_in_transactions(&mut make().await).await;
    report.note("once_in_transactions", case);
    let mut outcome = Ok(());
    for seed in SEEDS {
        if outcome.is_ok() {
            let mut rig = make().await;
            let case = cases::nothing_lost_between_send_and_store(&mut rig, seed);
            outcome = Box::pin(case).await;
        }
    }
    report.note("nothing_lost_between_send_and_store", outcome);
    report.finish();
}

async fn said(rig: &impl SourceRig) -> Said {
    let (connector, config) = (rig.connector(), rig.config());
    let (empty, spoilt) = (Flat::new(), settings::spoilt(&config, &rig.secrets()));
    Said {
        definition: connector.definition(),
        plan: connector.plan(&config, 1).await,
        guarantee: connector.guarantee(&config),
        findings: connector.check(&config).await,
        empty_plan: connector.plan(&empty, 1).await,
        empty_findings: connector.check(&empty).await,
        spoilt_plan: connector.plan(&spoilt, 1).await,
        spoilt_findings: connector.check(&spoilt).await,
    }
}
