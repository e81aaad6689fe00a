//! Checking the connectors of files.

use super::{file::Section, place::Located};
use longshore_sdk::config::{Finding, Flat};

/// Judges each connector and puts the findings at their places: errors, then warnings, both in the files' order.
pub(crate) fn lint<'a>(
    connectors: impl IntoIterator<Item = &'a Section>,
    judge: impl Fn(&Flat) -> (Vec<Finding>, Vec<Finding>),
) -> (Vec<Located>, Vec<Located>) {
    let (mut errors, mut warnings) = (Vec::new(), Vec::new());
    for section in connectors {
        let (wrong, odd) = judge(&section.config);
        let locate = |finding| section.locate(finding);
        errors.extend(wrong.into_iter().map(locate));
        warnings.extend(odd.into_iter().map(locate));
    }
    (errors, warnings)
}
