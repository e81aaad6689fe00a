//! The framework's keys as `GET /connector-plugins/x/config` lists them.

use longshore_sdk::config::{Definition, Importance, Key, KeyType, Shape, Width};
use {
    Importance::{High, Low, Medium as Middle},
    KeyType::{Boolean, Class, Int, List, Long, Short, String as Text},
};

/// The framework's keys of a source.
pub fn source() -> Definition {
    let mut keys = common();
    keys.extend([
        key("topic.creation.groups", List, Low).in_group("Topic Creation", 1, Width::Long, "Topic Creation Groups").default("")
            .doc("Names of groups of settings for topics that the source creates, in the order in which their patterns are tried."),
        key("exactly.once.support", Text, Middle).in_group("Exactly Once Support", 2, Width::Short, "Exactly once support").default("requested")
            .one_of(&["requested", "required"]).doc("Whether exactly-once delivery is asked for or insisted on: \"required\" refuses a config that cannot give it."),
        key("transaction.boundary", Text, Middle).in_group("Exactly Once Support", 3, Width::Short, "Transaction Boundary").default("poll")
            .one_of(&["poll", "interval", "connector"]).doc("Where the transactions of an exactly-once source end: after each poll, after an interval, or where the connector says."),
        key("transaction.boundary.interval.ms", Long, Low).in_group("Exactly Once Support", 4, Width::Short, "Transaction boundary interval")
            .at_least(0).doc("The interval of transactions in milliseconds, if transaction.boundary is interval."),
        key("offsets.storage.topic", Text, Low).in_group("offsets.topic", 1, Width::Long, "Offsets topic")
            .doc("A topic of its own for the offsets of this source."),
    ]);
    finish(keys)
}

/// The framework's keys of a sink.
pub fn sink() -> Definition {
    let mut keys = common();
    keys.extend([
        key("topics", List, High).in_group("Common", 4, Width::Long, "Topics").default("").doc("The topics to read, separated by commas."),
        key("topics.regex", Text, High).in_group("Common", 4, Width::Long, "Topics regex").default("")
            .doc("A regular expression: all topics whose whole name matches are read. Either this or topics must be given."),
        key("errors.deadletterqueue.topic.name", Text, Middle).in_group("Error Handling", 6, Width::Medium, "Dead Letter Queue Topic Name").default("")
            .doc("The topic that takes records which could not be converted, transformed or written, if errors.tolerance is all. Empty = none."),
        key("errors.deadletterqueue.topic.replication.factor", Short, Middle)
            .in_group("Error Handling", 7, Width::Medium, "Dead Letter Queue Topic Replication Factor").default("3").at_least(1)
            .doc("The replication factor of the dead letter topic if it has to be created."),
        key("errors.deadletterqueue.context.headers.enable", Boolean, Middle)
            .in_group("Error Handling", 8, Width::Medium, "Enable Error Context Headers").default("false")
            .doc("Whether dead letters carry headers that say where they come from and what was wrong."),
    ]);
    finish(keys)
}

fn finish(keys: Vec<Draft>) -> Definition {
    let keys = keys.into_iter().map(|draft| draft.0).collect();
    Definition { keys }
}

fn common() -> Vec<Draft> {
    let mut keys = vec![
        key("name", Text, High).in_group("Common", 1, Width::Medium, "Connector name").required()
            .doc("The connector's name, unique among the workers of a group."),
        key("connector.class", Text, High).in_group("Common", 2, Width::Long, "Connector class").required()
            .doc("The connector: its short name, or the class name of the connector that it stands in for, in full, without its package, or without the word Connector."),
        key("connector.plugin.version", Text, Middle).in_group("Common", 3, Width::Medium, "Connector version")
            .doc("The version of the connector that runs, or a range of versions such as [1.0,2.0), of which the newest is taken; without it the newest there is."),
        key("tasks.max", Int, High).in_group("Common", 4, Width::Short, "Tasks max").default("1").at_least(1)
            .doc("How many tasks the connector may use."),
        key("tasks.max.enforce", Boolean, Low).in_group("Common", 5, Width::Short, "Enforce tasks max").default("true")
            .doc("(Deprecated) Whether a connector that plans more tasks than tasks.max fails."),
    ];
    for (order, part, class) in [
        (6, "key", super::DEFAULT_CONVERTER),
        (8, "value", super::DEFAULT_CONVERTER),
        (10, "header", super::DEFAULT_HEADER_CONVERTER),
    ] {
        let label = format!("{}{} converter class", part[..1].to_uppercase(), &part[1..]);
        keys.push(
            key(&format!("{part}.converter"), Class, Low).in_group("Common", order, Width::Short, &label).default(class)
                .doc("The converter between bytes in topics and data; without one the worker's is used, with the worker's settings."),
        );
        let label = format!(
            "{}{} converter version",
            part[..1].to_uppercase(),
            &part[1..]
        );
        keys.push(
            key(&format!("{part}.converter.plugin.version"), Text, Low).in_group("Common", order + 1, Width::Short, &label)
                .doc("The version of the converter, or a range of versions; converters are part of Longshore, and the one that is there is used."),
        );
    }
    keys.extend([
        key("transforms", List, Low).in_group("Transforms", 12, Width::Long, "Transforms").default("")
            .doc("Aliases of the transforms that each record passes, in order."),
        key("predicates", List, Low).in_group("Predicates", 13, Width::Long, "Predicates").default("")
            .doc("Aliases of the predicates that transforms use."),
        key("config.action.reload", Text, Low).in_group("Common", 14, Width::Medium, "Reload Action").default("restart").one_of(&["none", "restart"])
            .doc("What happens when a config provider says that a value changed."),
        key("errors.retry.timeout", Long, Middle).in_group("Error Handling", 1, Width::Medium, "Retry Timeout for Errors").default("0").at_least(-1)
            .doc("How long a transform or converter that fails for a while is tried again, in milliseconds; -1 = for ever."),
        key("errors.retry.delay.max.ms", Long, Middle).in_group("Error Handling", 2, Width::Medium, "Maximum Delay Between Retries for Errors")
            .default("60000").at_least(0).doc("The longest wait between two tries, in milliseconds."),
        key("errors.tolerance", Text, Middle).in_group("Error Handling", 3, Width::Short, "Error Tolerance").default("none").one_of(&["none", "all"])
            .doc("What a bad record does: fail the task (none), or be skipped or sent to the dead letter topic (all)."),
        key("errors.log.enable", Boolean, Middle).in_group("Error Handling", 4, Width::Short, "Log Errors").default("false")
            .doc("Whether tolerated errors are logged."),
        key("errors.log.include.messages", Boolean, Middle).in_group("Error Handling", 5, Width::Short, "Log Error Details").default("false")
            .doc("Whether the log names the topic, partition and offset of a bad record."),
    ]);
    keys
}

/// A key that is being described.
struct Draft(Key);

fn key(name: &str, kind: KeyType, importance: Importance) -> Draft {
    let mut key = Key::new(name);
    key.kind = kind;
    key.importance = importance;
    key.shape = match kind {
        Boolean => Shape::Bool,
        Int => Shape::Int {
            min: i32::MIN.into(),
            max: i32::MAX.into(),
        },
        Short => Shape::Int {
            min: i16::MIN.into(),
            max: i16::MAX.into(),
        },
        Long => Shape::Int {
            min: i64::MIN.into(),
            max: i64::MAX.into(),
        },
        _ => Shape::TEXT,
    };
    Draft(key)
}

impl Draft {
    fn in_group(mut self, group: &str, order: i32, width: Width, label: &str) -> Self {
        self.0.group = Some(group.to_owned());
        self.0.order = order;
        self.0.width = width;
        label.clone_into(&mut self.0.display_name);
        self
    }
    fn doc(mut self, text: &str) -> Self {
        text.clone_into(&mut self.0.documentation);
        self
    }
    fn default(mut self, value: &str) -> Self {
        self.0.default = Some(value.to_owned());
        self
    }
    fn required(mut self) -> Self {
        self.0.required = true;
        self
    }
    fn at_least(mut self, least: i128) -> Self {
        if let Shape::Int { min, .. } = &mut self.0.shape {
            *min = least;
        }
        self
    }
    fn one_of(mut self, names: &[&str]) -> Self {
        self.0.shape = Shape::Choice(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }
}
