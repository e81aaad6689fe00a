//! Cases about settings: the same for sources and sinks.

use super::report::{Fail, Outcome, hold};
use longshore_sdk::{
    ErrorKind, Guarantee, Result, Share,
    config::{Definition, Finding, Flat},
};

/// What a connector says about a config.
pub(super) struct Said {
    pub(super) definition: Definition,
    /// What it says about the rig's config.
    pub(super) plan: Result<Vec<Share>>,
    pub(super) guarantee: Result<Guarantee>,
    pub(super) findings: Vec<Finding>,
    /// What it says about no config at all.
    pub(super) empty_plan: Result<Vec<Share>>,
    pub(super) empty_findings: Vec<Finding>,
    /// What it says about the rig's config with every value spoilt but the secrets.
    pub(super) spoilt_plan: Result<Vec<Share>>,
    pub(super) spoilt_findings: Vec<Finding>,
}

/// Spoils every value that is no secret.
pub(super) fn spoilt(config: &Flat, secrets: &[String]) -> Flat {
    let mut spoilt = config.clone();
    for value in spoilt.values_mut() {
        if !secrets.contains(value) {
            *value = "\u{1}spoilt".to_owned();
        }
    }
    spoilt
}

/// Every key of the rig's config is defined, and a slip of the pen is answered with the right name.
pub(super) fn unknown_key_is_answered_with_the_nearest(said: &Said, config: &Flat) -> Outcome {
    let unknown = said.definition.unknown(config);
    hold!(
        unknown.is_empty(),
        "keys of the rig's config are not defined: {unknown:?}"
    );
    for key in config.keys().filter(|key| {
        said.definition
            .get(key)
            .is_some_and(|found| found.name == **key)
    }) {
        let slip = format!("{}{}", key, key.chars().last().unwrap_or('x'));
        if said.definition.knows(&slip) {
            continue;
        }
        let answer = said
            .definition
            .unknown(&Flat::from([(slip.clone(), String::new())]));
        let named = answer
            .first()
            .is_some_and(|finding| finding.suggestion.contains(key.as_str()));
        hold!(named, "{slip} is answered with {answer:?}, not with {key}");
    }
    Ok(())
}

/// Without a config, a plan fails with an error of kind Config, and each required key is a finding.
pub(super) fn missing_keys_are_named(said: &Said) -> Outcome {
    let required: Vec<_> = said
        .definition
        .keys
        .iter()
        .filter(|key| key.required)
        .collect();
    match &said.empty_plan {
        Err(error) => hold!(
            error.kind() == ErrorKind::Config,
            "no config is an error of kind {}",
            error.kind().name()
        ),
        Ok(_) if required.is_empty() => return Err(Fail::Beside("every key has a default")),
        Ok(_) => hold!(false, "a plan without the required keys"),
    }
    for key in required {
        let named = said
            .empty_findings
            .iter()
            .any(|finding| finding.key == key.name);
        hold!(
            named,
            "{} is missing, but no finding of {:?} says so",
            key.name,
            said.empty_findings
        );
    }
    Ok(())
}

/// The rig's config is found to be right.
pub(super) fn right_config_has_no_findings(said: &Said) -> Outcome {
    hold!(said.findings.is_empty(), "findings: {:?}", said.findings);
    hold!(said.plan.is_ok(), "no plan: {:?}", said.plan);
    hold!(said.guarantee.is_ok(), "no guarantee: {:?}", said.guarantee);
    Ok(())
}

/// No secret appears in shares, findings and errors (I8).
pub(super) fn secrets_stay_hidden(said: &Said, config: &Flat, secrets: &[String]) -> Outcome {
    if secrets.is_empty() {
        return Err(Fail::Beside("the rig names no secrets"));
    }
    for secret in secrets {
        let keys = config.iter().filter(|(_, value)| *value == secret);
        for (key, _) in keys {
            hold!(
                said.definition.is_secret(key),
                "{key} holds a secret, but is not defined as one"
            );
        }
    }
    let shown = [
        format!("{:?} {:?}", said.plan, said.findings),
        format!("{:?} {:?}", said.spoilt_plan, said.spoilt_findings),
        format!("{:?}", said.guarantee),
    ];
    for text in shown {
        for (number, secret) in secrets.iter().enumerate() {
            hold!(
                !text.contains(secret.as_str()),
                "secret {number} of the rig is shown"
            );
        }
    }
    Ok(())
}
