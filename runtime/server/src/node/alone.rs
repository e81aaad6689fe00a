//! Stand-in for the group of workers until it is joined through Kafka.

use longshore_engine::ports::{Member, Membership, View};
use longshore_sdk::{Result, erased::Boxed};
use tokio::sync::watch;

/// A group of one.
pub(super) struct Alone(watch::Sender<View>);

impl Alone {
    pub(super) fn new(worker_id: &str) -> Self {
        let me = Member {
            worker_id: worker_id.to_owned(),
            incarnation: uuid::Uuid::new_v4().to_string(),
        };
        Self(
            watch::channel(View {
                leader: Some(me.clone()),
                members: vec![me.clone()],
                me,
                generation: 1,
            })
            .0,
        )
    }
}

impl Membership for Alone {
    fn view(&self) -> watch::Receiver<View> {
        self.0.subscribe()
    }
    fn leave(&self) -> Boxed<'_, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
