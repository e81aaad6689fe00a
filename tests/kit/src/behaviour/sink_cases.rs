//! The cases for sinks in which no task dies.

use super::{
    Fault,
    driver::{Driver, PARTITIONS, read},
    report::{Fail, Outcome, bounded, hold},
    sink::{SinkRig, TOPIC},
};
use bytes::Bytes;
use longshore_sdk::{Datum, ErrorKind, Record, TopicOffsets, Value};

/// What a sink may hold at once beyond the batch that it is given.
const HELD_MAX: usize = 32 * 1024 * 1024;
const MANY_BATCHES: usize = 64;
const BATCH_RECORDS: usize = 1024;
const RECORD_BYTES: usize = 1024;

pub(super) async fn plan_fits_tasks_max(rig: &mut impl SinkRig) -> Outcome {
    let (connector, config) = (rig.connector(), rig.config());
    for tasks_max in [1, 2, 7] {
        let shares = bounded("plan", connector.plan(&config, tasks_max)).await??;
        hold!(
            (1..=tasks_max as usize).contains(&shares.len()),
            "{} shares for {tasks_max} tasks",
            shares.len()
        );
        let again = bounded("plan", connector.plan(&config, tasks_max)).await??;
        hold!(
            shares == again,
            "two plans for {tasks_max} tasks differ: tasks would restart without need"
        );
    }
    Ok(())
}

pub(super) async fn empty_calls_are_harmless(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 20);
    driver.open().await?;
    let none = TopicOffsets::new();
    for _ in 0..2 {
        bounded("put", driver.task().put(&[])).await??;
        bounded("flush", driver.task().flush(&none)).await??;
        bounded("revoked", driver.task().revoked(&[])).await??;
        bounded("assigned", driver.task().assigned(&[])).await??;
    }
    driver.put(10).await?;
    // Offsets go on even where no record was for the sink: transforms dropped it.
    driver.commit().await?;
    driver.commit().await?;
    driver.finish("with empty calls between").await
}

pub(super) async fn close_may_be_called_twice(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 20);
    for count in [0, 5] {
        driver.open().await?;
        driver.put(count).await?;
        for _ in 0..2 {
            bounded("close", driver.task().close()).await??;
        }
        driver.kill();
    }
    driver.finish("closed twice, without a flush").await
}

pub(super) async fn refused_indices_are_exact(rig: &mut impl SinkRig) -> Outcome {
    if !rig.connector().plugin().capabilities.refuses {
        return Err(Fail::Beside("the sink refuses no single records"));
    }
    if rig.poison().is_none() {
        return Err(Fail::Broken(
            "the sink refuses records, but the rig has none of that kind".to_owned(),
        ));
    }
    let mut driver = Driver::new(rig, 25);
    driver.open().await?;
    for poisoned in [vec![0], vec![3], vec![7], vec![0, 1, 5, 7]] {
        // Poison stands at places of its own in the log, behind all good records: it is not looked for in the target.
        let mut good = driver.next(8 - poisoned.len());
        let taken = good.clone();
        for index in &poisoned {
            if let Some(record) = driver.rig.poison() {
                let beyond = driver.total as i64 * 2 + *index as i64;
                good.insert(*index, read(record, PARTITIONS - 1, beyond));
            }
        }
        let refused = bounded("put", driver.task().put(&good)).await??;
        let indices: Vec<_> = refused.iter().map(|refused| refused.index).collect();
        hold!(
            indices == poisoned,
            "refused {indices:?}, poison was at {poisoned:?}"
        );
        for refused in refused {
            hold!(
                refused.error.kind() == ErrorKind::Data,
                "refused for {}",
                refused.error
            );
        }
        driver.advance(&taken);
    }
    let upto = driver.position.clone();
    let flushed = bounded("flush", driver.task().flush(&upto)).await??;
    hold!(flushed == upto, "flushed {flushed:?}, asked for {upto:?}");
    let mut ids = driver.rig.read_back().await;
    ids.sort_unstable();
    let wanted: Vec<u64> = (0..ids.len() as u64).collect();
    hold!(
        ids == wanted && ids.len() == 25,
        "beside refused records, {ids:?} are there"
    );
    Ok(())
}

/// Records of every shape are taken or refused; they break neither the task nor what follows them (F10).
pub(super) async fn strange_records_do_no_harm(rig: &mut impl SinkRig) -> Outcome {
    let deep = (0..1000).fold(Value::Null, |value, _| Value::Array(vec![value]));
    let values = [
        Datum::Null,
        Datum::Bytes(Bytes::new()),
        Datum::Bytes(Bytes::from_static(b"\xff\xfe\0\n")),
        Datum::Text(Bytes::from_static("☃".as_bytes())),
        Datum::Json(Bytes::from_static(b"[1, 2]")),
        Datum::Value(Value::Null, None),
        Datum::Value(Value::Struct(vec![Value::Bool(true)]), None),
        Datum::Value(Value::Timestamp(i64::MAX), None),
        Datum::Value(deep, None),
    ];
    let mut driver = Driver::new(rig, 20);
    driver.open().await?;
    driver.put(10).await?;
    let strange: Vec<_> = values
        .into_iter()
        .enumerate()
        .map(|(index, value)| {
            let mut record = Record::new(TOPIC.into());
            record.value = value;
            read(record, PARTITIONS - 1, 1_000_000 + index as i64)
        })
        .collect();
    for record in strange {
        match bounded("put", driver.task().put(std::slice::from_ref(&record))).await? {
            Ok(refused) => hold!(
                refused.iter().all(|refused| refused.index == 0),
                "refused {refused:?} of one record"
            ),
            Err(error) => hold!(
                error.kind() == ErrorKind::Data,
                "{:?}: {error}",
                record.record.value
            ),
        }
    }
    while driver.put(10).await? {}
    let upto = driver.position.clone();
    bounded("flush", driver.task().flush(&upto)).await??;
    bounded("close", driver.task().close()).await??;
    Ok(())
}

pub(super) async fn memory_is_bounded(rig: &mut impl SinkRig) -> Outcome {
    let Some(before) = resident() else {
        return Err(Fail::Beside(
            "the system does not say how much memory is in use",
        ));
    };
    let mut driver = Driver::new(rig, 1);
    driver.open().await?;
    let pad = "x".repeat(RECORD_BYTES);
    let mut record = Record::new(TOPIC.into());
    record.value = Datum::Json(format!("{{\"id\":0,\"pad\":\"{pad}\"}}").into());
    for batch in 0..MANY_BATCHES {
        let start = (batch * BATCH_RECORDS) as i64;
        let records: Vec<_> = (start..start + BATCH_RECORDS as i64)
            .map(|offset| read(record.clone(), 0, offset))
            .collect();
        bounded("put", driver.task().put(&records)).await??;
        driver.advance(&records);
        if batch % 16 == 15 {
            driver.commit().await?;
        }
        let grown = resident().unwrap_or(before).saturating_sub(before);
        hold!(
            grown < HELD_MAX,
            "{} MiB put, {} MiB more in use",
            batch + 1,
            grown >> 20
        );
    }
    bounded("close", driver.task().close()).await??;
    Ok(())
}

/// An outage that ends before the flush shows whether `taken` was exact; one that lasts over the flush ends the task.
pub(super) async fn outage_loses_nothing(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 60);
    driver.open().await?;
    for over_flush in [false, true] {
        driver.put(10).await?;
        driver.commit().await?;
        if !driver.rig.fault(Fault::Unavailable).await {
            return Err(Fail::Beside("the rig cannot break its system"));
        }
        for _ in 0..3 {
            put_in_outage(&mut driver).await?;
        }
        if !over_flush {
            driver.rig.fault(Fault::Healed).await;
        }
        let upto = driver.position.clone();
        let flushed = bounded("flush", driver.task().flush(&upto)).await?;
        driver.rig.fault(Fault::Healed).await;
        match flushed {
            Ok(flushed) => driver.committed.extend(flushed),
            // A flush that failed is never called again on its task (I3).
            Err(_) => driver.open().await?,
        }
    }
    driver.finish("with an outage").await
}

async fn put_in_outage(driver: &mut Driver<'_, impl SinkRig>) -> Outcome {
    let batch = driver.next(5);
    match bounded("put", driver.task().put(&batch)).await? {
        Ok(_) => driver.advance(&batch),
        Err(error) => {
            let passing = matches!(error.kind(), ErrorKind::Transient | ErrorKind::Throttled(_));
            let kind = error.kind().name();
            hold!(passing, "an outage is an error of kind {kind}");
            driver.advance(&batch[..error.taken().min(batch.len())]);
        }
    }
    Ok(())
}

pub(super) async fn lost_answer_is_harmless(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 40);
    driver.open().await?;
    driver.put(10).await?;
    driver.commit().await?;
    if !driver.rig.fault(Fault::AnswerLost).await {
        return Err(Fail::Beside("the rig cannot lose an answer"));
    }
    let batch = driver.next(10);
    match bounded("put", driver.task().put(&batch)).await? {
        Ok(_) => driver.advance(&batch),
        Err(error) => driver.advance(&batch[..error.taken().min(batch.len())]),
    }
    let upto = driver.position.clone();
    match bounded("flush", driver.task().flush(&upto)).await? {
        Ok(flushed) => driver.committed.extend(flushed),
        Err(_) => driver.kill(),
    }
    driver.rig.fault(Fault::Healed).await;
    driver.finish("with a lost answer").await
}

/// Bytes of memory that the process has in use.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
