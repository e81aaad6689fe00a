//! The leader keeps the session key fresh, as long as there is anybody to sign for.

use crate::{views::config::SessionKey, worker::Context};
use std::{sync::Arc, time::Duration};

/// How long after a key that could not be written the next one is tried.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often it is looked at, whatever the clocks say.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Writes a session key whenever this worker leads others and there is none, or an old one. Never returns.
pub(crate) async fn keep_session_key(cx: Arc<Context>) {
    let mut leading = cx.leading.changes();
    let mut view = cx.membership.view();
    loop {
        leading.borrow_and_update();
        let others = view.borrow_and_update().members.len() > 1;
        let wait = if others && cx.leading.is_held() {
            keep(&cx).await
        } else {
            LOOK_EVERY
        };
        tokio::select! {
            Ok(()) = leading.changed() => {}
            Ok(()) = view.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Returns how long to wait until the next look.
async fn keep(cx: &Context) -> Duration {
    let now_ms = cx.wall_clock_ms();
    let ttl = cx.settings.session_key_ttl;
    let lasts = cx
        .config
        .read(|configs| configs.session_key_lasts(now_ms, ttl));
    if let Some(lasts) = lasts {
        return lasts.min(LOOK_EVERY);
    }
    let record = SessionKey::generate(now_ms).record();
    match cx.put_config(vec![record], None).await {
        Ok(_) => {
            tracing::info!("a new session key for the calls between workers is written");
            ttl.min(LOOK_EVERY)
        }
        Err(error) => {
            tracing::warn!(%error, "the session key could not be written, it is tried again");
            TRY_AGAIN
        }
    }
}
