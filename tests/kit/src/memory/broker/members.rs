//! The group of workers as the broker has it, and as each of them sees it, later.

use super::{Broker, Link, SESSION};
use longshore_engine::ports::{Member, Membership, View};
use longshore_sdk::{Result, erased::Boxed};
use rand::{Rng, rngs::StdRng};
use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// How long a worker may take to see a change, in milliseconds.
const SEEN_AFTER: (u64, u64) = (50, 1_200);

#[derive(Default)]
pub(super) struct Workers {
    known: Vec<Worker>,
    /// The owner of partition 0: it stays until its session ends.
    leader: Option<Member>,
    generation: i32,
    changed: bool,
}

struct Worker {
    member: Member,
    link: Link,
    heard: Instant,
    /// It is a member.
    joined: bool,
    look_at: Instant,
    view: watch::Sender<View>,
}

impl Workers {
    pub(super) fn leader(&self) -> Option<&Member> {
        self.leader.as_ref()
    }
    fn join(&mut self, member: &Member, link: &Link) -> watch::Receiver<View> {
        let empty = View {
            me: member.clone(),
            leader: None,
            members: Vec::new(),
            generation: 0,
        };
        let (view, seen) = watch::channel(empty);
        self.known.push(Worker {
            member: member.clone(),
            link: link.clone(),
            heard: Instant::now(),
            joined: false,
            look_at: Instant::now(),
            view,
        });
        seen
    }
    fn leave(&mut self, member: &Member) {
        if let Some(at) = self.known.iter().position(|of| of.member == *member) {
            let left = self.known.remove(at);
            self.generation += i32::from(left.joined);
            let empty = |view: &mut View| {
                view.members.clear();
                view.leader = None;
            };
            left.view.send_modify(empty);
        }
        self.elect();
    }
    /// Sessions, leader, views. True = another leads.
    pub(super) fn look(&mut self, now: Instant, rng: &mut StdRng) -> bool {
        for worker in &mut self.known {
            if worker.link.is_up() {
                worker.heard = now;
                if !worker.joined {
                    worker.joined = true;
                    self.generation += 1;
                }
            } else if worker.joined && now - worker.heard >= SESSION {
                worker.joined = false;
                self.generation += 1;
            }
        }
        self.known
            .retain(|worker| worker.joined || !worker.link.is_dead());
        self.elect();
        let view = self.seen_by(None);
        for worker in &mut self.known {
            if worker.link.is_up() {
                if now >= worker.look_at {
                    let wait = rng.random_range(SEEN_AFTER.0..SEEN_AFTER.1);
                    worker.look_at = now + Duration::from_millis(wait);
                    show(worker, view.clone());
                }
            } else if !worker.link.is_frozen() && now - worker.heard >= SESSION {
                // It knows that its session has ended.
                let nobody = View {
                    members: Vec::new(),
                    leader: None,
                    ..view.clone()
                };
                show(worker, nobody);
            }
        }
        std::mem::take(&mut self.changed)
    }
    fn elect(&mut self) {
        let stays = |leader: &Member| {
            let of = self.known.iter().find(|worker| worker.member == *leader);
            of.is_some_and(|worker| worker.joined)
        };
        if self.leader.as_ref().is_some_and(stays) {
            return;
        }
        let next = self.known.iter().find(|worker| worker.joined);
        let next = next.map(|worker| worker.member.clone());
        self.changed |= next != self.leader;
        self.leader = next;
    }
    fn seen_by(&self, me: Option<&Member>) -> View {
        let joined = self.known.iter().filter(|worker| worker.joined);
        let mut members: Vec<Member> = joined.map(|worker| worker.member.clone()).collect();
        members.sort();
        let nobody = || Member {
            worker_id: String::new(),
            incarnation: String::new(),
            https: false,
        };
        View {
            me: me.cloned().unwrap_or_else(nobody),
            leader: self.leader.clone(),
            members,
            generation: self.generation,
        }
    }
}

fn show(worker: &Worker, mut view: View) {
    view.me = worker.member.clone();
    worker.view.send_if_modified(|shown| {
        let other = (&shown.members, &shown.leader) != (&view.members, &view.leader);
        if other {
            *shown = view;
        }
        other
    });
}

/// The group as one worker sees it.
pub struct BrokerMembership {
    broker: Broker,
    link: Link,
    member: Member,
    view: watch::Receiver<View>,
}

impl BrokerMembership {
    /// Joins: the worker is a member from the broker's next look on.
    pub fn join(broker: &Broker, link: &Link, member: Member) -> Self {
        let view = broker.state().workers.join(&member, link);
        Self {
            broker: broker.clone(),
            link: link.clone(),
            member,
            view,
        }
    }
}

impl Membership for BrokerMembership {
    fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }
    fn leave(&self) -> Boxed<'_, Result<()>> {
        let leave = || {
            self.broker.state().workers.leave(&self.member);
            Ok(())
        };
        Box::pin(self.link.call("leave", leave))
    }
}
