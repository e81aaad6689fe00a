//! The suite for sinks.

use super::{
    Fault, Waiver,
    report::Report,
    settings::{self, Said},
    sink_cases as cases, sink_crash as crash,
};
use longshore_sdk::{Datum, Record, config::Flat, erased::DynSinkConnector};
use std::future::Future;

/// The topic that the suite's records are read from.
pub const TOPIC: &str = "behaviour";

/// What the suite must know about a sink and its system. Every case gets a rig, and an empty target, of its own.
pub trait SinkRig {
    /// Cases that cannot pass.
    const WAIVERS: &'static [Waiver] = &[];
    /// Whether [`SinkRig::read_back`] gives records in the order in which they were written.
    const ORDERED: bool = true;

    /// The connector.
    fn connector(&self) -> Box<dyn DynSinkConnector>;
    /// A config that writes where [`SinkRig::read_back`] reads: the connector's own keys only.
    fn config(&self) -> Flat;
    /// A record that is known by `id` when it is read back; by default `{"id":<id>}` with the id as key.
    fn record(&self, id: u64) -> Record {
        let mut record = Record::new(TOPIC.into());
        record.key = Datum::Json(id.to_string().into());
        record.value = Datum::Json(format!("{{\"id\":{id}}}").into());
        record
    }
    /// A record that the target refuses for good, if the rig can make one.
    fn poison(&self) -> Option<Record> {
        None
    }
    /// The ids of all records that a reader of the target sees, each as often as it is there.
    fn read_back(&mut self) -> impl Future<Output = Vec<u64>>;
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
pub async fn run<R: SinkRig>(make: impl AsyncFn() -> R) {
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
        ($($room:ident::$case:ident,)*) => {
            $(report.note(stringify!($case), Box::pin($room::$case(&mut make().await)).await);)*
        };
    }
    cases! {
        cases::plan_fits_tasks_max,
        cases::empty_calls_are_harmless,
        cases::close_may_be_called_twice,
        cases::refused_indices_are_exact,
        cases::strange_records_do_no_harm,
        cases::memory_is_bounded,
        cases::outage_loses_nothing,
        cases::lost_answer_is_harmless,
        crash::flushed_survives_a_crash,
        crash::unflushed_comes_again,
        crash::kills_at_random_lose_nothing,
        crash::calls_dropped_half_way_lose_nothing,
        crash::revoked_after_flush_loses_nothing,
        crash::lost_partitions_come_again,
        crash::two_owners_exclude_each_other,
    }
    report.finish();
}

async fn said(rig: &impl SinkRig) -> Said {
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
