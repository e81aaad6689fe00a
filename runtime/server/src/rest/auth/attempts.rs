//! How many wrong credentials come from where.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How many wrong ones an address may send in a window.
const WRONG_MAX: u32 = 30;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; beyond them all others share one count.
const ADDRESSES_MAX: usize = 4096;

/// Counts wrong credentials by address.
#[derive(Default)]
pub(super) struct Attempts {
    wrong: Mutex<HashMap<Option<IpAddr>, (u32, Instant)>>,
}

impl Attempts {
    /// How long an address has to wait, if it has sent too many.
    pub(super) fn wait(&self, address: Option<IpAddr>) -> Option<Duration> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let address = address.map(network);
        let known = wrong.contains_key(&address) || wrong.len() < ADDRESSES_MAX;
        let (count, since) = wrong.get(if known { &address } else { &None })?;
        let left = WINDOW.saturating_sub(since.elapsed());
        (*count >= WRONG_MAX && !left.is_zero()).then_some(left)
    }
    /// Counts one.
    pub(super) fn wrong(&self, address: Option<IpAddr>) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let mut address = address.map(network);
        if !wrong.contains_key(&address) && wrong.len() >= ADDRESSES_MAX {
            wrong.retain(|_, (_, since)| since.elapsed() < WINDOW);
            if wrong.len() >= ADDRESSES_MAX {
                address = None;
            }
        }
        let now = Instant::now();
        let (count, since) = wrong.entry(address).or_insert((0, now));
        if since.elapsed() >= WINDOW {
            (*count, *since) = (0, now);
        }
        *count = count.saturating_add(1);
    }
}

/// One subscriber has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::{ADDRESSES_MAX, Attempts, WINDOW, WRONG_MAX};
    use std::net::{IpAddr, Ipv4Addr};

    #[tokio::test(start_paused = true)]
    async fn an_address_waits_after_too_many_and_others_do_not() {
        let attempts = Attempts::default();
        let [one, other] = [1, 2].map(|last| Some(IpAddr::from([10, 0, 0, last])));
        for _ in 0..WRONG_MAX {
            assert_eq!(attempts.wait(one), None);
            attempts.wrong(one);
        }
        assert!(attempts.wait(one).is_some() && attempts.wait(other).is_none());
        tokio::time::advance(WINDOW).await;
        assert_eq!(attempts.wait(one), None);
        attempts.wrong(one);
        assert_eq!(attempts.wait(one), None, "the count starts anew");
    }

    #[tokio::test(start_paused = true)]
    async fn i6_addresses_are_not_remembered_without_end() {
        let attempts = Attempts::default();
        for number in 0..20_000 {
            attempts.wrong(Some(IpAddr::V4(Ipv4Addr::from_bits(number))));
        }
        let count = attempts.wrong.lock().expect("not poisoned").len();
        assert!(count <= ADDRESSES_MAX + 1, "{count}");
        let late = Some(IpAddr::from([99, 0, 0, 1]));
        assert!(
            attempts.wait(late).is_some(),
            "those that are not remembered share a count"
        );
    }
}
