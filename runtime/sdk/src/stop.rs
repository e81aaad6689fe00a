//! The order to stop, for tasks whose calls may take long.

use crate::erased::Boxed;
use std::{fmt, future::pending, sync::Arc};

/// Tells a task that it is to stop. Whoever waits inside a call can end it early, so that what was taken is flushed and committed within the grace
/// period; nobody has to look at it.
#[derive(Clone)]
pub struct Stop(Arc<dyn Fn() -> Boxed<'static, ()> + Send + Sync>);

impl Stop {
    /// `signalled` gives a future that ends once the task is to stop; at once, if it is already.
    pub fn new(signalled: impl Fn() -> Boxed<'static, ()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(signalled))
    }
    /// One that never comes, for tests and tools.
    pub fn never() -> Self {
        Self::new(|| Box::pin(pending()))
    }
    /// Ends once the task is to stop.
    pub fn signalled(&self) -> Boxed<'static, ()> {
        (self.0)()
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stop")
    }
}
