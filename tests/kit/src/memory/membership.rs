//! A cluster's membership, moved by the test.

use longshore_engine::ports::{Member, Membership, View};
use longshore_sdk::{Result, erased::Boxed};
use tokio::sync::watch;

/// A membership that says what the test tells it.
pub struct MemoryMembership(watch::Sender<View>);

impl MemoryMembership {
    /// A cluster of one, which leads.
    pub fn alone(worker_id: &str) -> Self {
        let me = Member {
            worker_id: worker_id.to_owned(),
            incarnation: "1".to_owned(),
            https: false,
        };
        Self::new(View {
            leader: Some(me.clone()),
            members: vec![me.clone()],
            me,
            generation: 1,
        })
    }
    /// A cluster as `view` describes it.
    pub fn new(view: View) -> Self {
        Self(watch::Sender::new(view))
    }
    /// Changes the view.
    pub fn set(&self, view: View) {
        self.0.send_replace(view);
    }
}

impl Membership for MemoryMembership {
    fn view(&self) -> watch::Receiver<View> {
        self.0.subscribe()
    }
    fn leave(&self) -> Boxed<'_, Result<()>> {
        self.0.send_modify(|view| {
            let me = view.me.clone();
            view.members.retain(|member| *member != me);
            view.leader = view.members.first().cloned();
            view.generation += 1;
        });
        Box::pin(std::future::ready(Ok(())))
    }
}
