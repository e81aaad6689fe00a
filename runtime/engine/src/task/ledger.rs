//! Which source offsets are safe to store: those up to which everything in their lane is settled (I1).

use crate::{mutant::mutant, ports::Ticket};
use bytes::Bytes;
use longshore_sdk::{Error, Offset, Offsets, Partition, Result};
use std::collections::{HashMap, VecDeque};

/// Tickets carry their lane's place in the table above, their number within the lane below these bits.
const NUMBER_BITS: u32 = 40;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;

/// What a lane takes whose offset waits for its commit, beside name and offset: its places in the ledger, in a commit and in what is told.
const LANE_BYTES: usize = 256;

/// The records of one source task between poll and delivery. It is the task's only queue: when it is full, polling stops (I6).
pub struct Ledger {
    lanes: Vec<Lane>,
    by_name: HashMap<Partition, usize>,
    idle: Vec<usize>,
    moved: Vec<usize>,
    last: usize,
    open: usize,
    bytes: usize,
    safe_bytes: usize,
    open_max: usize,
    bytes_max: usize,
}

struct Lane {
    name: Partition,
    /// The number of the first entry.
    first: u64,
    entries: VecDeque<Entry>,
    safe: Option<Offset>,
    /// False = its place waits for another lane.
    live: bool,
}

struct Entry {
    offset: Offset,
    bytes: usize,
    settled: bool,
}

impl Ledger {
    /// An empty ledger with room for about `open_max` records or `bytes_max` bytes.
    pub fn new(open_max: usize, bytes_max: usize) -> Self {
        Self {
            lanes: Vec::new(),
            by_name: HashMap::new(),
            idle: Vec::new(),
            moved: Vec::new(),
            last: 0,
            open: 0,
            bytes: 0,
            safe_bytes: 0,
            open_max,
            bytes_max,
        }
    }
    /// Whether there is room for another batch of records.
    pub fn has_room(&self) -> bool {
        self.open < self.open_max && self.bytes < self.bytes_max
    }
    /// Whether every record is settled.
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }
    /// Records that are not settled, or wait for one before them in their lane.
    pub fn len(&self) -> usize {
        self.open
    }
    /// Their rough size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    /// Enters a record, in the order of its lane.
    pub fn open(&mut self, lane: &Partition, offset: Offset, bytes: usize) -> Ticket {
        let at = self.lane(lane);
        self.open += 1;
        self.bytes += bytes;
        let lane = &mut self.lanes[at];
        let number = lane.first + lane.entries.len() as u64;
        lane.entries.push_back(Entry {
            offset,
            bytes,
            settled: false,
        });
        Ticket(((at as u64) << NUMBER_BITS) | (number & NUMBER_MASK))
    }
    /// Reading goes on at `offset` once every record of the lane that was entered so far is settled: the last one's offset gives way to it, so
    /// that it never overtakes a record (I1) and takes no place of its own (I6). A lane without open records is safe there at once.
    pub fn advance(&mut self, lane: &Partition, offset: Offset) {
        let at = self.lane(lane);
        let lane = &mut self.lanes[at];
        match lane.entries.back_mut() {
            Some(last) if !mutant!("advance-overtakes") => last.offset = offset,
            _ => self.make_safe(at, offset),
        }
    }
    /// The record is delivered, or left out on purpose; answers its bytes. O(1), amortized. An unknown ticket is a bug (I5).
    pub fn settle(&mut self, ticket: Ticket) -> Result<usize> {
        let unknown = || {
            Error::bug(
                "settle",
                "a receipt was answered twice, or was never given out",
            )
        };
        let at = usize::try_from(ticket.0 >> NUMBER_BITS).map_err(|_| unknown())?;
        let lane = self.lanes.get_mut(at).ok_or_else(unknown)?;
        let place =
            usize::try_from((ticket.0 & NUMBER_MASK).wrapping_sub(lane.first) & NUMBER_MASK)
                .map_err(|_| unknown())?;
        let entry = lane.entries.get_mut(place).ok_or_else(unknown)?;
        if std::mem::replace(&mut entry.settled, true) {
            return Err(unknown());
        }
        let bytes = entry.bytes;
        if mutant!("ledger-out-of-order") {
            (0..place).for_each(|before| lane.entries[before].settled = true);
        }
        let mut safe = None;
        while let Some(entry) = lane.entries.pop_front_if(|entry| entry.settled) {
            // I1: an offset becomes safe only when it is at the front of its lane.
            safe = Some(entry.offset);
            lane.first += 1;
            self.open -= 1;
            self.bytes -= entry.bytes;
        }
        if let Some(offset) = safe {
            self.make_safe(at, offset);
        }
        Ok(bytes)
    }
    /// Whether [`Ledger::take_safe`] would return something.
    pub fn has_safe(&self) -> bool {
        !self.moved.is_empty()
    }
    /// The rough size of what [`Ledger::take_safe`] would return: records that are settled take no room any more, the lanes they moved do.
    pub fn safe_bytes(&self) -> usize {
        self.safe_bytes
    }
    /// Takes what became safe since the last call.
    pub fn take_safe(&mut self) -> Offsets {
        let mut safe = Offsets::new();
        self.safe_bytes = 0;
        for at in self.moved.drain(..) {
            let lane = &mut self.lanes[at];
            let offset = lane.safe.take();
            // A source may have any number of lanes in its life (files): those at rest give their place back, and forget their name. Numbers go
            // on, so that old tickets stay unknown.
            let name = if lane.entries.is_empty() {
                lane.live = false;
                self.by_name.remove(&lane.name);
                self.idle.push(at);
                std::mem::replace(&mut lane.name, Partition::from_json(Bytes::new()))
            } else {
                lane.name.clone()
            };
            if let Some(offset) = offset {
                safe.insert(name, offset);
            }
        }
        safe
    }
    fn make_safe(&mut self, at: usize, offset: Offset) {
        let lane = &mut self.lanes[at];
        self.safe_bytes += offset.size();
        match lane.safe.replace(offset) {
            Some(before) => self.safe_bytes -= before.size(),
            None => {
                self.safe_bytes += LANE_BYTES + lane.name.json().len();
                self.moved.push(at);
            }
        }
    }
    fn lane(&mut self, name: &Partition) -> usize {
        // Batches mostly stay in one lane.
        if self
            .lanes
            .get(self.last)
            .is_some_and(|lane| lane.live && lane.name == *name)
        {
            return self.last;
        }
        self.last = match self.by_name.get(name) {
            Some(at) => *at,
            None => self.add(name),
        };
        self.last
    }
    fn add(&mut self, name: &Partition) -> usize {
        let at = match self.idle.pop() {
            Some(at) => {
                let lane = &mut self.lanes[at];
                lane.name = name.clone();
                lane.live = true;
                at
            }
            None => {
                self.lanes.push(Lane {
                    name: name.clone(),
                    first: 0,
                    entries: VecDeque::new(),
                    safe: None,
                    live: true,
                });
                self.lanes.len() - 1
            }
        };
        self.by_name.insert(name.clone(), at);
        at
    }
}

/// The rough size of offsets on their way from the ledger to the source.
pub(super) fn size(offsets: &Offsets) -> usize {
    let one =
        |(lane, offset): (&Partition, &Offset)| LANE_BYTES + lane.json().len() + offset.size();
    offsets.iter().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn lane(n: usize) -> Partition {
        Partition::from_json(format!("{{\"lane\":{n}}}").into())
    }
    fn offset(n: u64) -> Offset {
        Offset::counter("at", n)
    }

    #[test]
    fn only_the_settled_front_is_safe() {
        let mut ledger = Ledger::new(100, 1000);
        let tickets: Vec<_> = (1..=3)
            .map(|n| ledger.open(&lane(0), offset(n), 10))
            .collect();
        let other = ledger.open(&lane(1), offset(7), 10);
        ledger.settle(tickets[1]).expect("open");
        assert!(
            ledger.take_safe().is_empty(),
            "I1: the first record is not delivered"
        );
        ledger.settle(tickets[0]).expect("open");
        ledger.settle(other).expect("open");
        assert_eq!(
            ledger.take_safe(),
            Offsets::from([(lane(0), offset(2)), (lane(1), offset(7))])
        );
        assert_eq!(ledger.len(), 1);
        ledger.settle(tickets[2]).expect("open");
        assert!(ledger.is_empty() && ledger.has_safe());
    }

    #[test]
    fn a_ticket_is_settled_once_even_if_its_lane_has_gone() {
        let mut ledger = Ledger::new(100, 1000);
        let first = ledger.open(&lane(0), offset(1), 0);
        let second = ledger.open(&lane(0), offset(2), 0);
        ledger.settle(second).expect("open");
        assert!(ledger.settle(second).is_err(), "I5: twice");
        ledger.settle(first).expect("open");
        assert!(ledger.settle(first).is_err(), "I5: after it was removed");
        ledger.take_safe();
        ledger.open(&lane(5), offset(1), 0);
        assert!(
            ledger.settle(first).is_err(),
            "I5: after another lane took the place"
        );
        assert!(ledger.settle(Ticket(u64::MAX)).is_err());
    }

    #[test]
    fn progress_never_overtakes_a_record() {
        let mut ledger = Ledger::new(100, 1000);
        let first = ledger.open(&lane(0), offset(1), 10);
        let second = ledger.open(&lane(0), offset(2), 10);
        ledger.advance(&lane(0), offset(8));
        ledger.advance(&lane(0), offset(9));
        assert!(ledger.take_safe().is_empty(), "I1: nothing is delivered");
        ledger.settle(second).expect("open");
        assert!(ledger.take_safe().is_empty(), "I1: the first is not");
        ledger.settle(first).expect("open");
        assert_eq!(ledger.take_safe(), Offsets::from([(lane(0), offset(9))]));
        let third = ledger.open(&lane(0), offset(10), 10);
        ledger.advance(&lane(0), offset(11));
        let fourth = ledger.open(&lane(0), offset(12), 10);
        ledger.settle(third).expect("open");
        assert_eq!(ledger.take_safe(), Offsets::from([(lane(0), offset(11))]));
        ledger.settle(fourth).expect("open");
        assert_eq!(ledger.take_safe(), Offsets::from([(lane(0), offset(12))]));
    }

    #[test]
    fn progress_in_a_lane_at_rest_is_safe_at_once_and_takes_no_room() {
        let mut ledger = Ledger::new(1, 1);
        let open = ledger.open(&lane(0), offset(1), 1);
        ledger.advance(&lane(1), offset(4));
        ledger.advance(&lane(1), offset(5));
        assert_eq!(ledger.len(), 1, "I6: only records count");
        assert_eq!(ledger.take_safe(), Offsets::from([(lane(1), offset(5))]));
        assert!(!ledger.has_safe());
        ledger.settle(open).expect("open");
        assert!(ledger.is_empty() && ledger.has_room());
    }

    #[test]
    fn what_waits_for_a_commit_is_counted_once_per_lane() {
        let mut ledger = Ledger::new(100, 1000);
        ledger.advance(&lane(0), offset(1));
        let one = ledger.safe_bytes();
        assert!(one > lane(0).json().len());
        ledger.advance(&lane(0), offset(2));
        assert_eq!(ledger.safe_bytes(), one);
        ledger.advance(&lane(0), Offset::from_json(vec![b'9'; 5000].into()));
        assert!(ledger.safe_bytes() > 5000, "I6: an offset has any size");
        ledger.advance(&lane(0), offset(3));
        let open = ledger.open(&lane(1), offset(1), 10);
        assert_eq!(ledger.safe_bytes(), one, "an open record is counted itself");
        ledger.settle(open).expect("open");
        assert_eq!(ledger.safe_bytes(), 2 * one);
        assert_eq!(size(&ledger.take_safe()), 2 * one);
        assert_eq!(ledger.safe_bytes(), 0);
    }

    #[test]
    fn it_is_full_by_records_or_bytes() {
        let mut ledger = Ledger::new(2, 100);
        let one = ledger.open(&lane(0), offset(1), 100);
        assert!(!ledger.has_room());
        ledger.settle(one).expect("open");
        assert!(ledger.has_room());
        ledger.open(&lane(0), offset(2), 1);
        ledger.open(&lane(0), offset(3), 1);
        assert!(!ledger.has_room());
    }

    proptest! {
        /// Against a model: per lane, the longest settled prefix.
        #[test]
        fn it_agrees_with_the_model(steps in proptest::collection::vec((0usize..4, 0u8..10, any::<prop::sample::Index>()), 1..200)) {
            let mut ledger = Ledger::new(usize::MAX, usize::MAX);
            let mut opened: BTreeMap<usize, Vec<Ticket>> = BTreeMap::new();
            let mut settled: BTreeSet<Ticket> = BTreeSet::new();
            let mut open: Vec<Ticket> = Vec::new();
            let mut stored = Offsets::new();
            // By lane: behind how many records, and where.
            let mut advances: BTreeMap<usize, Vec<(usize, u64)>> = BTreeMap::new();
            for (step, (at, what, pick)) in (1000u64..).zip(steps) {
                match what {
                    0..=3 => {
                        let lane_tickets = opened.entry(at).or_default();
                        let ticket = ledger.open(&lane(at), offset(lane_tickets.len() as u64 + 1), 1);
                        prop_assert!(!settled.contains(&ticket) && !open.contains(&ticket));
                        lane_tickets.push(ticket);
                        open.push(ticket);
                    }
                    4..=6 if !open.is_empty() => {
                        let ticket = open.swap_remove(pick.index(open.len()));
                        ledger.settle(ticket).expect("open");
                        settled.insert(ticket);
                    }
                    8..=9 => {
                        let behind = opened.get(&at).map_or(0, Vec::len);
                        ledger.advance(&lane(at), offset(step));
                        advances.entry(at).or_default().push((behind, step));
                    }
                    _ => stored.extend(ledger.take_safe()),
                }
            }
            stored.extend(ledger.take_safe());
            let mut left = 0;
            for at in 0..4 {
                let tickets = opened.get(&at).map_or(&[][..], Vec::as_slice);
                let prefix = tickets.iter().take_while(|ticket| settled.contains(ticket)).count();
                let mut advanced = advances.get(&at).into_iter().flatten();
                let advanced = advanced.rfind(|(behind, _)| *behind == prefix);
                let recorded = (prefix > 0).then(|| offset(prefix as u64));
                let expected = advanced.map(|(_, to)| offset(*to)).or(recorded);
                prop_assert_eq!(stored.get(&lane(at)), expected.as_ref());
                left += tickets.len() - prefix;
            }
            prop_assert_eq!((ledger.len(), ledger.safe_bytes()), (left, 0));
        }
    }
}
