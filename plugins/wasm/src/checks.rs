//! What a guest of any world finds wrong with a config when it looks at its system.

use crate::{
    bindings::{sink, source, transform},
    connector::Answer,
    installed::{Guest, Installed, Seat},
    refusal::cut,
    services::Journal,
    worlds::{Sink, Source, Transform},
};
use longshore_sdk::{
    ErrorKind, Result,
    config::{Finding, Flat},
};
use std::future::Future;

/// Findings of one check, and the length of each text.
const FINDINGS_MAX: usize = 200;
const TEXT_MAX: usize = 2_000;
const KEY_MAX: usize = 200;

/// A world whose guests can be asked.
pub(crate) trait Checking: Sized + Send + 'static {
    fn check<'a>(guest: &'a mut Guest<Self>, config: &'a str) -> Answer<'a, Vec<Finding>>;
}

macro_rules! checking {
    ($world:ident, $module:ident) => {
        impl Checking for $world {
            fn check<'a>(guest: &'a mut Guest<Self>, config: &'a str) -> Answer<'a, Vec<Finding>> {
                use $module::exports::longshore::connector::plugin::Problem;
                Box::pin(async move {
                    let plugin = guest.world.longshore_connector_plugin();
                    let answer = plugin.call_check(&mut guest.store, config).await?;
                    let journal = guest.store.data().services.journal();
                    let finding = |problem: Problem| {
                        let Problem {
                            key,
                            message,
                            suggestion,
                        } = &problem;
                        finding(journal, key, message, suggestion)
                    };
                    Ok(answer
                        .map(|found| found.into_iter().take(FINDINGS_MAX).map(finding).collect()))
                })
            }
        }
    };
}

checking!(Source, source);
checking!(Sink, sink);
checking!(Transform, transform);

/// Asks a guest, within the time of any call. That it gives no answer is a finding, too, about no key.
pub(crate) async fn look<W: Checking>(
    installed: &Installed,
    config: &Flat,
    opened: impl Future<Output = Result<Seat<W>>>,
) -> Vec<Finding> {
    let found = installed.check_net(config);
    if !found.is_empty() {
        return found;
    }
    let mut seat = match opened.await {
        Ok(seat) => seat,
        // No room for an instance is nothing that a config could do better; perhaps this one is to make some.
        Err(error) if matches!(error.kind(), ErrorKind::Transient | ErrorKind::Throttled(_)) => {
            tracing::warn!(error = %error, "a config is not looked at by its plugin");
            return Vec::new();
        }
        Err(error) => return vec![Finding::new("", error.to_string())],
    };
    let asked = async {
        let json = installed.json(config);
        seat.ask("check", &json, |guest, json| W::check(guest, json))
            .await
    };
    let found: Result<Vec<Finding>> = asked.await;
    found.unwrap_or_else(|error| vec![Finding::new("", error.to_string())])
}

/// I8: scrubbed before it is cut.
fn finding(journal: &Journal, key: &str, message: &str, suggestion: &str) -> Finding {
    let shown = |text: &str, max| cut(&journal.clean(text), max).to_owned();
    Finding::new(shown(key, KEY_MAX), shown(message, TEXT_MAX)).suggest(shown(suggestion, TEXT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{Caller, Provisions, ServicesSettings};
    use longshore_sdk::Secret;

    #[test]
    fn i8_findings_are_scrubbed_before_they_are_cut() {
        let provisions = Provisions::new(ServicesSettings::default()).expect("settings");
        let services = provisions.services(Caller {
            secrets: [("key".to_owned(), Secret::new("hunter2-hunter2"))].into(),
            ..Caller::plugin("probe")
        });
        let at = |max: usize| format!("{}hunter2-hunter2 and more", "x".repeat(max - 7));
        let (key, text) = (at(KEY_MAX), at(TEXT_MAX));
        let finding = finding(services.journal(), &key, &text, &text);
        for shown in [&finding.key, &finding.problem, &finding.suggestion] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(finding.key.len(), KEY_MAX);
        let odd = super::finding(services.journal(), "a\n\u{1b}[31mhunter2-hunter2", "", "");
        assert!(!odd.key.contains(char::is_control), "{}", odd.key);
        assert!(!odd.key.contains("hunter2"), "{}", odd.key);
    }
}
