//! Cases of transforms.

use super::{Cases, allowed, in_time, none_breaks, sample, sink};
use longshore_sdk::{
    Error, ErrorKind, Record, Result as Answer, Verdict, config::Flat, erased::TransformPlugin,
};

pub(super) async fn check(transform: &TransformPlugin, good: &Flat, cases: &mut Cases) {
    let mut answers = Vec::new();
    for (what, config) in sample::bad(&(transform.definition)(), good) {
        answers.push((what, applied(transform, &config).await.err()));
    }
    cases.add("bad configs", none_breaks(&answers));
    cases.add(
        "apply",
        match applied(transform, good).await {
            Ok(note) => Ok(note),
            Err(error) => allowed(&error),
        },
    );
}

/// What became of no records, of records that are not easy to take, and of them again.
async fn applied(transform: &TransformPlugin, config: &Flat) -> Answer<String> {
    let mut built = (transform.build)(config)?;
    built.placed("check", 0);
    let records = || -> Vec<Record> {
        let records = sink::records().into_iter();
        records.map(|record| record.record).collect()
    };
    let (mut kept, mut dropped, mut refused) = (0, 0, 0);
    for batch in [Vec::new(), records(), records()] {
        let count = batch.len();
        let verdicts = in_time(async { Ok(built.apply(batch).await) }).await?;
        if verdicts.len() != count {
            let text = format!("{} verdicts for {count} records", verdicts.len());
            return Err(Error::bug("apply", text));
        }
        for verdict in verdicts {
            match verdict {
                Verdict::Keep(_) => kept += 1,
                Verdict::Drop => dropped += 1,
                Verdict::Refuse(error) if error.kind() == ErrorKind::Data => refused += 1,
                Verdict::Refuse(error) => return Err(error),
            }
        }
    }
    Ok(format!(
        "{kept} records kept, {dropped} dropped, {refused} refused"
    ))
}
