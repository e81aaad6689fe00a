use super::*;

fn flat(entries: &[(&str, &str)]) -> Flat {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(entries: &[(&str, &str)], direction: Direction) -> Result<ConnectorConfig> {
    let worker = flat(&[
        ("key.converter", "string"),
        ("value.converter", "json"),
        ("value.converter.schemas.enable", "false"),
    ]);
    let mut config = flat(&[("name", "c"), ("connector.class", "x")]);
    config.extend(flat(entries));
    ConnectorConfig::read(&config, &worker, direction)
}

#[test]
fn defaults() {
    let config = read(&[], Direction::Source).expect("readable");
    assert_eq!((config.tasks_max, config.tasks_max_enforce), (1, true));
    assert!(
        config.subscription.is_none()
            && config.topic_creation.is_none()
            && config.transforms.is_empty()
    );
    assert!(!config.errors.tolerance_all && config.errors.retry_timeout.is_zero());
    assert_eq!(config.header.class, DEFAULT_HEADER_CONVERTER);
    assert_eq!(config.group("c"), "connect-c");
}

#[test]
fn a_converter_has_its_own_keys_or_the_workers_never_both() {
    let config = read(
        &[
            ("key.converter", "json"),
            ("key.converter.schemas.enable", "true"),
            ("value.converter.schemas.enable", "true"),
        ],
        Direction::Source,
    )
    .expect("readable");
    assert_eq!(
        config.key,
        PluginConfig {
            class: "json".to_owned(),
            version: None,
            config: flat(&[("schemas.enable", "true")])
        }
    );
    assert_eq!(
        config.value,
        PluginConfig {
            class: "json".to_owned(),
            version: None,
            config: flat(&[("schemas.enable", "false")])
        }
    );
}

#[test]
fn transforms_keep_their_order_and_their_keys() {
    let config = read(
        &[
            ("transforms", " b, a ,"),
            ("transforms.a.type", "A"),
            ("transforms.b.type", "B$Value"),
            ("transforms.b.field", "f"),
            ("transforms.b.predicate", "p"),
            ("transforms.b.negate", "TRUE"),
            ("predicates", "p"),
            ("predicates.p.type", "P"),
            ("predicates.p.pattern", "x.*"),
        ],
        Direction::Source,
    )
    .expect("readable");
    let [b, a] = &config.transforms[..] else {
        panic!("two transforms")
    };
    assert_eq!(
        (b.alias.as_str(), &b.plugin.config),
        ("b", &flat(&[("field", "f")]))
    );
    assert_eq!(b.predicate, Some(("p".to_owned(), true)));
    assert_eq!((a.plugin.class.as_str(), &a.predicate), ("A", &None));
    assert_eq!(config.predicates["p"].config, flat(&[("pattern", "x.*")]));
    let missing = read(&[("transforms", "a")], Direction::Source).expect_err("no type");
    assert_eq!(
        missing.message(),
        "transforms.a.type: required, but missing"
    );
}

#[test]
fn sinks() {
    let config = read(
        &[
            ("topics", "a, b"),
            ("errors.tolerance", "ALL"),
            ("errors.deadletterqueue.topic.name", "dlq"),
            ("errors.deadletterqueue.context.headers.enable", "true"),
            ("errors.retry.timeout", "-1"),
            ("consumer.override.group.id", "own"),
        ],
        Direction::Sink,
    )
    .expect("readable");
    assert_eq!(
        config.subscription,
        Some(Subscription::Topics(vec!["a".to_owned(), "b".to_owned()]))
    );
    assert!(config.errors.tolerance_all && config.errors.retry_timeout == Duration::MAX);
    let dead_letter = config.errors.dead_letter.as_ref().expect("a queue");
    assert!(
        &*dead_letter.topic == "dlq"
            && dead_letter.context_headers
            && config.dead_letter_replication == 3
    );
    assert_eq!(config.group("c"), "own");
    let regex = read(&[("topics.regex", "a.*")], Direction::Sink).expect("readable");
    assert_eq!(
        regex.subscription,
        Some(Subscription::Regex("a.*".to_owned()))
    );
    for bad in [
        &[][..],
        &[("topics", "a"), ("topics.regex", "a")],
        &[("topics", " , ")],
        &[("topics", "a"), ("tasks.max", "x")],
    ] {
        assert!(read(bad, Direction::Sink).is_err(), "{bad:?}");
    }
}

#[test]
fn topics_are_created_by_the_first_group_that_matches() {
    let config = read(
        &[
            ("topic.creation.groups", "small,logs"),
            ("topic.creation.default.partitions", "6"),
            ("topic.creation.default.replication.factor", "-1"),
            ("topic.creation.default.cleanup.policy", "delete"),
            ("topic.creation.small.include", "s.*, tiny"),
            ("topic.creation.small.exclude", "s[0-9]+"),
            ("topic.creation.small.partitions", "1"),
            ("topic.creation.logs.include", ".*log"),
            ("topic.creation.logs.replication.factor", "2"),
            ("topic.creation.logs.cleanup.policy", "compact"),
        ],
        Direction::Source,
    )
    .expect("readable");
    let creation = config.topic_creation.expect("rules");
    for (topic, partitions, replication, policy) in [
        ("slog", 1, None, None),
        ("s12", 6, None, Some("delete")),
        ("tiny", 1, None, None),
        ("tiny2", 6, None, Some("delete")),
        ("a-log", 6, Some(2), Some("compact")),
        ("x", 6, None, Some("delete")),
    ] {
        let spec = creation.spec(topic);
        let found = (
            spec.partitions,
            spec.replication,
            spec.config.get("cleanup.policy").map(String::as_str),
        );
        assert_eq!(found, (Some(partitions), replication, policy), "{topic}");
    }
    let missing = read(
        &[
            ("topic.creation.groups", "a"),
            ("topic.creation.a.include", "x"),
        ],
        Direction::Source,
    )
    .expect_err("no default");
    assert_eq!(
        missing.message(),
        "topic.creation.default.replication.factor: required, but missing"
    );
}

#[test]
fn the_framework_lists_the_reference_keys_in_their_groups() {
    let listed = |definition: longshore_sdk::config::Definition| -> Vec<String> {
        definition
            .key_infos()
            .into_iter()
            .map(|key| key.name)
            .collect()
    };
    let (source, sink) = (listed(source()), listed(sink()));
    for key in [
        "name",
        "connector.class",
        "tasks.max",
        "key.converter",
        "transforms",
        "predicates",
        "errors.tolerance",
        "config.action.reload",
    ] {
        assert!(
            source.iter().any(|name| name == key) && sink.iter().any(|name| name == key),
            "{key}"
        );
    }
    assert!(
        source.contains(&"topic.creation.groups".to_owned())
            && !source.contains(&"topics".to_owned())
    );
    assert!(
        sink.contains(&"errors.deadletterqueue.topic.name".to_owned())
            && !sink.contains(&"exactly.once.support".to_owned())
    );
    let tasks_max = super::source()
        .key_infos()
        .into_iter()
        .find(|key| key.name == "tasks.max")
        .expect("there");
    let json = serde_json::to_value(tasks_max).expect("JSON");
    assert_eq!(
        (
            json["type"].as_str(),
            json["default_value"].as_str(),
            json["order"].as_i64(),
            json["width"].as_str()
        ),
        (Some("INT"), Some("1"), Some(4), Some("SHORT"))
    );
}
