//! `transaction.boundary`: where the transactions of an exactly-once source end.

use super::{get, number};
use crate::task::{Boundary, TransactionSettings};
use longshore_sdk::{Error, Result, config::Flat};
use std::time::Duration;

/// What a config says about transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    /// `transaction.boundary`; without one whole polls are gathered for half a second or 10 MB.
    boundary: Option<Boundary>,
    /// `transaction.boundary.interval.ms`.
    interval: Option<Duration>,
    /// `producer.override.transaction.timeout.ms`.
    timeout: Option<Duration>,
}

/// The transaction timeout of a producer that is told no other.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Transactions {
    pub(super) fn read(config: &Flat) -> Result<Self> {
        let boundary = match get(config, "transaction.boundary") {
            None => None,
            Some(text) if text.eq_ignore_ascii_case("poll") => Some(Boundary::Poll),
            Some(text) if text.eq_ignore_ascii_case("interval") => Some(Boundary::Interval),
            Some(text) => {
                let text = if text.eq_ignore_ascii_case("connector") {
                    "connector is not supported: no connector of this worker ends its transactions itself; set it to poll or interval"
                } else {
                    "expected poll or interval"
                };
                let key = "transaction.boundary";
                return Err(Error::config("config", format!("{key}: {text}")).with("key", key));
            }
        };
        let millis = |key: &str| -> Result<Option<Duration>> {
            let given = get(config, key).is_some();
            let millis = number(config, key, 0_u64)?;
            Ok(given.then_some(Duration::from_millis(millis)))
        };
        Ok(Self {
            boundary,
            interval: millis("transaction.boundary.interval.ms")?,
            timeout: millis("producer.override.transaction.timeout.ms")?,
        })
    }
    /// As the task takes it. `flush` is the worker's offset.flush.interval.ms, the interval of a config that names none. The second says what the
    /// interval was shortened from: half of the transaction timeout is left to the receipts and the commit.
    pub fn settings(self, flush: Duration) -> (TransactionSettings, Option<Duration>) {
        let wanted = match self.boundary {
            Some(Boundary::Interval) => self.interval.unwrap_or(flush),
            _ => TransactionSettings::default().interval,
        };
        let bytes_max = match self.boundary {
            Some(Boundary::Interval) => usize::MAX,
            _ => TransactionSettings::default().bytes_max,
        };
        let most = self.timeout.unwrap_or(TIMEOUT) / 2;
        let settings = TransactionSettings {
            boundary: self.boundary.unwrap_or_default(),
            interval: wanted.min(most),
            bytes_max,
            restated: Vec::new(),
        };
        (settings, (wanted > most).then_some(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(keys: &[(&str, &str)]) -> (Boundary, u64, bool, Option<u64>) {
        let entry = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let config: Flat = keys.iter().map(entry).collect();
        let read = Transactions::read(&config).expect("a good config");
        let (settings, shortened) = read.settings(Duration::from_secs(1));
        let millis = |time: Duration| u64::try_from(time.as_millis()).expect("small");
        let by_size = settings.bytes_max < usize::MAX;
        (
            settings.boundary,
            millis(settings.interval),
            by_size,
            shortened.map(millis),
        )
    }

    #[test]
    fn boundaries_and_intervals() {
        let boundary = "transaction.boundary";
        let interval = "transaction.boundary.interval.ms";
        assert_eq!(settings(&[]), (Boundary::Interval, 500, true, None));
        assert_eq!(
            settings(&[(interval, "7000")]),
            (Boundary::Interval, 500, true, None)
        );
        assert_eq!(settings(&[(boundary, "poll")]).0, Boundary::Poll);
        let told = [(boundary, "INTERVAL"), (interval, "2000")];
        assert_eq!(settings(&told), (Boundary::Interval, 2000, false, None));
        assert_eq!(settings(&told[..1]).1, 1000, "the worker's flush interval");
        let long = [(boundary, "interval"), (interval, "60000")];
        assert_eq!(
            settings(&long),
            (Boundary::Interval, 5000, false, Some(60_000))
        );
        let more = [
            long[0],
            long[1],
            ("producer.override.transaction.timeout.ms", "40000"),
        ];
        assert_eq!(settings(&more).1, 20_000);
    }

    #[test]
    fn a_boundary_that_no_connector_has_is_refused_by_name() {
        let config = Flat::from([("transaction.boundary".to_owned(), "connector".to_owned())]);
        let error = Transactions::read(&config).expect_err("refused");
        assert!(
            error
                .message()
                .starts_with("transaction.boundary: connector"),
            "{error}"
        );
    }
}
