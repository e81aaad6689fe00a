//! Membership over memory.

use crate::ports::{Member, Membership, View};
use longshore_sdk::{Result, erased::Boxed};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::sync::watch;

/// A group of one.
pub(crate) struct Alone(watch::Sender<View>);

impl Alone {
    pub(crate) fn new(worker_id: &str) -> Arc<Self> {
        let me = Member {
            worker_id: worker_id.to_owned(),
            incarnation: "1".to_owned(),
            https: false,
        };
        let view = View {
            leader: Some(me.clone()),
            members: vec![me.clone()],
            me,
            generation: 1,
        };
        Arc::new(Self(watch::Sender::new(view)))
    }
    pub(crate) fn change(&self, change: impl FnOnce(&mut View)) {
        self.0.send_modify(change);
    }
}

impl Membership for Alone {
    fn view(&self) -> watch::Receiver<View> {
        self.0.subscribe()
    }
    fn leave(&self) -> Boxed<'_, Result<()>> {
        self.change(|view| view.members.clear());
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A group of workers. The one that has been in it longest leads, as long as it is in it. Clones are the same group.
#[derive(Clone, Default)]
pub(crate) struct MemoryGroup(Arc<Mutex<Group>>);

#[derive(Default)]
struct Group {
    /// In the order in which they came.
    members: Vec<(Member, watch::Sender<View>)>,
    /// They are members, and see nobody.
    cut_off: BTreeSet<String>,
    /// They still see what was there when they fell asleep.
    asleep: BTreeSet<String>,
    generation: i32,
}

/// One worker's membership.
pub(crate) struct InGroup {
    group: MemoryGroup,
    me: Member,
    view: watch::Receiver<View>,
}

impl MemoryGroup {
    pub(crate) fn join(&self, worker_id: &str, incarnation: &str) -> Arc<InGroup> {
        let me = Member {
            worker_id: worker_id.to_owned(),
            incarnation: incarnation.to_owned(),
            https: false,
        };
        let (sender, view) = watch::channel(View {
            me: me.clone(),
            leader: None,
            members: Vec::new(),
            generation: 0,
        });
        self.change(|group| group.members.push((me.clone(), sender)));
        Arc::new(InGroup {
            group: self.clone(),
            me,
            view,
        })
    }
    /// The broker drops every incarnation of a worker: it has left, or its session has ended.
    pub(crate) fn drop_member(&self, worker_id: &str) {
        self.change(|group| {
            group
                .members
                .retain(|(member, _)| member.worker_id != worker_id)
        });
    }
    /// The broker drops a worker that lives on and can see that it is out.
    pub(crate) fn put_out(&self, worker_id: &str, out: bool) {
        self.change(|group| match out {
            true => drop(group.cut_off.insert(worker_id.to_owned())),
            false => drop(group.cut_off.remove(worker_id)),
        });
    }
    /// The broker is away: nobody sees anybody.
    pub(crate) fn all_out(&self, out: bool) {
        self.change(|group| {
            let all = group.members.iter();
            let all = all.map(|(member, _)| member.worker_id.clone());
            group.cut_off = if out { all.collect() } else { BTreeSet::new() };
        });
    }
    /// The same, and it sees what it saw before.
    pub(crate) fn put_to_sleep(&self, worker_id: &str, asleep: bool) {
        self.change(|group| match asleep {
            true => drop(group.asleep.insert(worker_id.to_owned())),
            false => drop(group.asleep.remove(worker_id)),
        });
    }
    /// The worker that leads.
    pub(crate) fn leader(&self) -> Option<String> {
        let group = self.0.lock().expect("no panic");
        group.listed().next().map(|member| member.worker_id.clone())
    }
    fn change(&self, change: impl FnOnce(&mut Group)) {
        let mut group = self.0.lock().expect("no panic");
        change(&mut group);
        group.generation += 1;
        let mut members: Vec<Member> = group.listed().cloned().collect();
        let leader = members.first().cloned();
        members.sort();
        for (me, view) in &group.members {
            if group.asleep.contains(&me.worker_id) {
                continue;
            }
            let out = group.cut_off.contains(&me.worker_id);
            view.send_replace(View {
                me: me.clone(),
                leader: leader.clone().filter(|_| !out),
                members: if out { Vec::new() } else { members.clone() },
                generation: group.generation,
            });
        }
    }
}

impl Group {
    fn listed(&self) -> impl Iterator<Item = &Member> {
        let members = self.members.iter().map(|(member, _)| member);
        members.filter(|member| {
            !self.cut_off.contains(&member.worker_id) && !self.asleep.contains(&member.worker_id)
        })
    }
}

impl Membership for InGroup {
    fn view(&self) -> watch::Receiver<View> {
        self.view.clone()
    }
    fn leave(&self) -> Boxed<'_, Result<()>> {
        let me = &self.me;
        self.group
            .change(|group| group.members.retain(|(member, _)| member != me));
        Box::pin(std::future::ready(Ok(())))
    }
}
