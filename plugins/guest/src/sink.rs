//! Sinks.

use crate::abi::longshore::connector::types;
use crate::dictionary::count;
use crate::{Error, Guarantee, Info, Problem, PutError, Record, Records, Result, Share};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

/// One task of a sink. Export it by [`crate::export_sink!`].
pub trait Sink: Sized + 'static {
    /// What a user can set: flat fields, dotted keys by `#[serde(rename = "batch.size")]`; their doc comments are the documentation.
    type Config: DeserializeOwned + JsonSchema;
    /// Name, version, formats, and which columns come in.
    const INFO: Info;

    /// Looks beyond the schema: reaches the system, tries the credentials. Changes nothing.
    fn check(config: &Self::Config) -> Result<Vec<Problem>> {
        let _ = config;
        Ok(Vec::new())
    }
    /// One share for each task; partitions are spread over them by the consumer group.
    fn plan(config: &Self::Config, tasks_max: u32) -> Result<Vec<Share>> {
        let _ = config;
        Ok(vec![Share::new(); tasks_max as usize])
    }
    /// What can be promised. Must not call the host.
    fn promise(config: &Self::Config) -> Guarantee {
        let _ = config;
        Guarantee::at_least_once("offsets are committed after the records are written")
    }
    /// Begins.
    fn start(config: Self::Config) -> Result<Self>;
    /// Partitions came; their states are at hand from now on ([`crate::state`]). Some = the target keeps the offsets, has claimed the partitions and says where to start; what is missing there
    /// starts at its committed offset.
    fn assigned(&mut self, at: &[TopicPartition]) -> Result<Option<Vec<TopicOffset>>> {
        let _ = at;
        Ok(None)
    }
    /// Takes a batch: all of it but what is refused. An error tells how many leading records were taken, those refused among them
    /// ([`Error::after`]); the rest comes again. Nothing has to be durable before `flush`.
    fn put(&mut self, records: &Records<'_>, refused: &mut Refused) -> Result<(), PutError>;
    /// Makes everything taken durable up to `upto`, and returns exactly what may be committed: normally `upto`.
    fn flush(&mut self, upto: Vec<TopicOffset>) -> Result<Vec<TopicOffset>>;
    /// Partitions went, after a flush; or were lost, without one.
    fn revoked(&mut self, at: &[TopicPartition]) -> Result<()> {
        let _ = at;
        Ok(())
    }
    /// Releases everything.
    fn close(&mut self) {}
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

/// A place in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the next record.
    pub offset: i64,
}

/// Takes the records that the target refused for good.
#[derive(Debug, Default)]
pub struct Refused(Vec<(u32, Error)>);

impl Refused {
    /// Refuses a record; the error is normally of kind data.
    pub fn refuse(&mut self, record: &Record<'_>, error: Error) {
        self.0.push((count(record.row()), error));
    }
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Rows and reasons.
    pub fn into_rows(self) -> Vec<(u32, Error)> {
        self.0
    }
}

/// Calls a sink's `put`: the refused rows.
pub fn taken<S: Sink>(sink: &mut S, batch: &types::Batch) -> Result<Vec<(u32, Error)>, PutError> {
    let mut refused = Refused::default();
    match sink.put(&Records::new(batch), &mut refused) {
        Ok(()) => Ok(refused.0),
        Err(mut failed) => {
            // What lies behind comes again, and is judged again.
            refused.0.retain(|(row, _)| (*row as usize) < failed.taken);
            failed.refused = refused.0;
            Err(failed)
        }
    }
}

/// A failed `put` as it crosses: the error, how many were taken, and which of them were refused.
pub fn put_error(failed: PutError) -> (Error, u32, Vec<(u32, Error)>) {
    let PutError {
        error,
        taken,
        refused,
    } = failed;
    (error, u32::try_from(taken).unwrap_or(u32::MAX), refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    struct Picky;

    impl Sink for Picky {
        type Config = ();
        const INFO: Info = Info::new("picky", "1.0.0", "Refuses and fails by value.");
        fn start((): ()) -> Result<Self> {
            Ok(Self)
        }
        fn put(&mut self, records: &Records<'_>, refused: &mut Refused) -> Result<(), PutError> {
            for record in records {
                match record.value_text() {
                    Some("bad") => refused.refuse(&record, Error::data("bad")),
                    Some("fail") => return Err(Error::transient("fail").after(record.row())),
                    _ => {}
                }
            }
            Ok(())
        }
        fn flush(&mut self, upto: Vec<TopicOffset>) -> Result<Vec<TopicOffset>> {
            Ok(upto)
        }
    }

    #[test]
    fn a_failure_tells_what_was_refused_before_it() {
        let put =
            |values: &[Option<&str>]| taken(&mut Picky, &testing::incoming("t", 0, 0, values));
        let refused = put(&[Some("1"), Some("bad")]).expect("taken");
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].0, 1);
        let failed = put(&[Some("1"), Some("2"), Some("fail")]).expect_err("a failure");
        assert_eq!(failed.taken, 2);
        let failed =
            put(&[Some("1"), Some("bad"), Some("3"), Some("fail")]).expect_err("a failure");
        assert_eq!(failed.taken, 3);
        let rows: Vec<u32> = failed.refused.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [1]);
    }
}
