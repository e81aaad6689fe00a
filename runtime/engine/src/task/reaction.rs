//! The one table of what an error kind does where. Pure: no clock, no call.

use super::ErrorPolicy;
use longshore_sdk::ErrorKind;
use std::time::Duration;

/// Where an error came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `Source::poll`, or the consumer's.
    Poll,
    /// A transform or converter, for one record.
    Chain,
    /// The broker's answer to one record, or `Producer::send` as a whole.
    Send,
    /// `OffsetStore::put`, `Source::commit`, the consumer's commit.
    Commit,
    /// `Sink::put` as a whole.
    Put,
    /// `Sink::put`, for one refused record.
    Refused,
    /// `Sink::flush`: whatever the kind, it is never called again on the same task.
    Flush,
    /// `Sink::assigned`, `Sink::revoked`, starting and releasing partitions.
    Rebalance,
    /// The dead letter queue's answer.
    DeadLetter,
}

/// What the loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same call again, after backoff, until the retry timeout; then [`Next::Reopen`].
    Again,
    /// The same call again after this time; it costs no attempt.
    Wait(Duration),
    /// Nobody can mend this record: into the dead letter queue.
    DeadLetter,
    /// Nobody can mend this record: leave it out, count it.
    Skip,
    /// The source has finished.
    Finish,
    /// Close; the task may be opened again after this time.
    Reopen(Duration),
    /// Close; FAILED.
    Fail,
}

/// The wait when the other side asks for patience and does not say how long.
const THROTTLED: Duration = Duration::from_secs(1);
/// The longest wait that another side can impose (I6).
const THROTTLED_MAX: Duration = Duration::from_secs(300);
/// The wait before a task is opened again; the supervisor adds its own backoff.
pub(super) const REOPEN: Duration = Duration::from_secs(1);

/// The table.
pub fn react(place: Place, kind: ErrorKind, policy: &ErrorPolicy) -> Next {
    use ErrorKind as Kind;
    use Place as At;
    match (kind, place) {
        (Kind::Config | Kind::Auth | Kind::Bug, _) => Next::Fail,
        (Kind::Fenced, _) => Next::Reopen(REOPEN),
        (Kind::End, At::Poll) => Next::Finish,
        (Kind::End, _) => Next::Fail,
        (Kind::Data, At::Chain | At::Refused) if policy.tolerance_all => match policy.dead_letter {
            Some(_) => Next::DeadLetter,
            None => Next::Skip,
        },
        (Kind::Data, At::Send) if policy.tolerance_all => Next::Skip,
        (Kind::Data, _) => Next::Fail,
        // What the client gave up cannot be sent again in its old place; what flush lost is lost with the task.
        (Kind::Transient, At::Send | At::Flush | At::Rebalance | At::DeadLetter | At::Refused) => {
            Next::Reopen(REOPEN)
        }
        (
            Kind::Throttled(after),
            At::Send | At::Flush | At::Rebalance | At::DeadLetter | At::Refused,
        ) => Next::Reopen(patience(after)),
        (Kind::Transient, At::Poll | At::Chain | At::Commit | At::Put) => Next::Again,
        (Kind::Throttled(after), At::Poll | At::Chain | At::Commit | At::Put) => {
            Next::Wait(patience(after))
        }
    }
}

fn patience(after: Option<Duration>) -> Duration {
    after.unwrap_or(THROTTLED).min(THROTTLED_MAX)
}

/// What a person can do about a failure of this kind.
pub fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Config => "change the connector's config; the task starts again with it",
        ErrorKind::Auth => "renew the credential or its rights, then restart the task",
        ErrorKind::Data => {
            "mend or remove the record, or set errors.tolerance=all (for a sink with errors.deadletterqueue.topic.name), then restart the task"
        }
        ErrorKind::Transient => {
            "the system did not recover within the retry timeout (longshore.retry.timeout.ms); the task is opened again by itself"
        }
        ErrorKind::Throttled(_) => {
            "the system asks for patience; the task is opened again by itself"
        }
        ErrorKind::Fenced => {
            "another instance has the work; the task is opened again if it is still assigned here"
        }
        ErrorKind::End => "the connector ended where it must not: report it",
        ErrorKind::Bug => {
            "this is a defect of Longshore or the connector: report it with the trace, then restart the task"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::DeadLetterSpec;
    use super::*;

    const PLACES: [Place; 9] = [
        Place::Poll,
        Place::Chain,
        Place::Send,
        Place::Commit,
        Place::Put,
        Place::Refused,
        Place::Flush,
        Place::Rebalance,
        Place::DeadLetter,
    ];

    fn policy(tolerance_all: bool, queue: bool) -> ErrorPolicy {
        let dead_letter = queue.then(|| DeadLetterSpec {
            topic: "dlq".into(),
            context_headers: false,
        });
        ErrorPolicy {
            tolerance_all,
            dead_letter,
            ..ErrorPolicy::default()
        }
    }

    /// One row per kind, one column per place.
    fn row(kind: ErrorKind, policy: &ErrorPolicy) -> Vec<Next> {
        PLACES
            .iter()
            .map(|place| react(*place, kind, policy))
            .collect()
    }

    #[test]
    fn the_table_without_tolerance() {
        let none = policy(false, true);
        let (r, f, a) = (Next::Reopen(REOPEN), Next::Fail, Next::Again);
        for kind in [
            ErrorKind::Config,
            ErrorKind::Auth,
            ErrorKind::Bug,
            ErrorKind::Data,
        ] {
            assert_eq!(row(kind, &none), [f; 9], "{kind:?}");
        }
        assert_eq!(row(ErrorKind::Fenced, &none), [r; 9]);
        assert_eq!(
            row(ErrorKind::End, &none),
            [Next::Finish, f, f, f, f, f, f, f, f]
        );
        assert_eq!(
            row(ErrorKind::Transient, &none),
            [a, a, r, a, a, r, r, r, r]
        );
        let (w, o) = (
            Next::Wait(Duration::from_secs(7)),
            Next::Reopen(Duration::from_secs(7)),
        );
        assert_eq!(
            row(ErrorKind::Throttled(Some(Duration::from_secs(7))), &none),
            [w, w, o, w, w, o, o, o, o]
        );
    }

    #[test]
    fn tolerance_touches_bad_records_only() {
        let (f, s, d) = (Next::Fail, Next::Skip, Next::DeadLetter);
        assert_eq!(
            row(ErrorKind::Data, &policy(true, false)),
            [f, s, s, f, f, s, f, f, f]
        );
        assert_eq!(
            row(ErrorKind::Data, &policy(true, true)),
            [f, d, s, f, f, d, f, f, f]
        );
        for kind in [
            ErrorKind::Config,
            ErrorKind::Auth,
            ErrorKind::Transient,
            ErrorKind::Throttled(None),
            ErrorKind::Fenced,
            ErrorKind::End,
            ErrorKind::Bug,
        ] {
            assert_eq!(
                row(kind, &policy(true, true)),
                row(kind, &policy(false, false)),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn nobody_can_impose_an_endless_wait() {
        let asked = ErrorKind::Throttled(Some(Duration::MAX));
        assert_eq!(
            react(Place::Put, asked, &policy(false, false)),
            Next::Wait(THROTTLED_MAX)
        );
        assert_eq!(
            react(
                Place::Put,
                ErrorKind::Throttled(None),
                &policy(false, false)
            ),
            Next::Wait(THROTTLED)
        );
    }
}
