use super::*;
use longshore_sdk::{
    Capabilities, Error, Guarantee, Plugin, Predicate, Record, Result, Share, SinkContext,
    SourceContext, Verdict,
    config::{KeyType, Shape},
    converter::{Part, Unconverted},
    erased::{
        Boxed, ConverterPlugin, DynConverter, DynSink, DynSinkConnector, DynSource,
        DynSourceConnector, DynTransform, PredicatePlugin, TransformPlugin,
    },
};
use std::sync::Arc;

fn tag(
    name: &'static str,
    aliases: &'static [&'static str],
    unsupported: &'static [&'static str],
) -> Plugin {
    Plugin {
        name,
        aliases,
        version: "1",
        about: "",
        unsupported,
        capabilities: Capabilities::default(),
    }
}

/// `topic` required, `batch.size` a number from 1, `password` secret and a number, to see that it is not shown.
fn definition() -> Definition {
    let mut topic = Key::new("topic");
    topic.required = true;
    topic.shape = Shape::Text { min: 1, max: 100 };
    let mut size = Key::new("batch.size");
    size.kind = KeyType::Int;
    size.shape = Shape::Int {
        min: 1,
        max: i32::MAX.into(),
    };
    let mut password = Key::new("password");
    password.kind = KeyType::Password;
    password.shape = Shape::Int { min: 0, max: 9 };
    Definition {
        keys: vec![topic, size, password],
    }
}

struct Stub;

impl DynSourceConnector for Stub {
    fn plugin(&self) -> Plugin {
        tag(
            "stub-source",
            &["test.StubSourceConnector"],
            &["legacy.mode", "old."],
        )
    }
    fn definition(&self) -> Definition {
        definition()
    }
    fn guarantee(&self, _: &Flat) -> Result<Guarantee> {
        Err(Error::bug("stub", "never asked"))
    }
    fn check<'a>(&'a self, _: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn plan<'a>(&'a self, _: &'a Flat, _: u32) -> Boxed<'a, Result<Vec<Share>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn open<'a>(
        &'a self,
        _: &'a Flat,
        _: Share,
        _: SourceContext,
    ) -> Boxed<'a, Result<Box<dyn DynSource>>> {
        Box::pin(std::future::ready(Err(Error::bug("stub", "never opened"))))
    }
}

impl DynSinkConnector for Stub {
    fn plugin(&self) -> Plugin {
        tag("stub-sink", &["test.StubSinkConnector"], &[])
    }
    fn definition(&self) -> Definition {
        Definition::default()
    }
    fn guarantee(&self, _: &Flat) -> Result<Guarantee> {
        Err(Error::bug("stub", "never asked"))
    }
    fn check<'a>(&'a self, _: &'a Flat) -> Boxed<'a, Vec<Finding>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn plan<'a>(&'a self, _: &'a Flat, _: u32) -> Boxed<'a, Result<Vec<Share>>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }
    fn open<'a>(
        &'a self,
        _: &'a Flat,
        _: Share,
        _: SinkContext,
    ) -> Boxed<'a, Result<Box<dyn DynSink>>> {
        Box::pin(std::future::ready(Err(Error::bug("stub", "never opened"))))
    }
}

fn one_key(name: &str) -> Definition {
    let mut key = Key::new(name);
    key.required = true;
    Definition { keys: vec![key] }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry
        .source(Box::new(Stub))
        .sink(Box::new(Stub))
        .transforms([TransformPlugin {
            plugin: tag(
                "mask-field-value",
                &["org.apache.kafka.connect.transforms.MaskField$Value"],
                &["replacement.mode"],
            ),
            definition: Arc::new(|| one_key("fields")),
            build: Arc::new(|keys| match keys.get("fields").map(String::as_str) {
                Some("(") => Err(Error::config("transform", "fields: it is no pattern")),
                Some("wrong" | "never") => Ok(Box::new(Looks(keys["fields"] == "wrong"))),
                _ => Ok(Box::new(Built)),
            }),
        }])
        .predicates([PredicatePlugin {
            plugin: tag(
                "topic-name-matches",
                &["org.apache.kafka.connect.transforms.predicates.TopicNameMatches"],
                &[],
            ),
            definition: Arc::new(|| one_key("pattern")),
            build: Arc::new(|_| Ok(Box::new(Built))),
        }])
        .converters([ConverterPlugin {
            plugin: tag(
                "json",
                &["org.apache.kafka.connect.json.JsonConverter"],
                &[],
            ),
            definition: Arc::new(|| {
                let mut definition = one_key("schemas.enable");
                definition.keys[0].required = false;
                definition.keys[0].shape = Shape::Bool;
                definition
            }),
            headers: true,
            data: true,
            build: Arc::new(|_, _: Part| Ok(Box::new(Built))),
        }]);
    registry
}

/// A plugin that is built and never used.
struct Built;

impl DynTransform for Built {
    fn placed(&mut self, _: &str, _: u32) {}
    fn apply(&mut self, _: Vec<Record>) -> Boxed<'_, Vec<Verdict>> {
        Box::pin(async { Vec::new() })
    }
}

/// A transform that finds something wrong, or never comes back.
struct Looks(bool);

impl DynTransform for Looks {
    fn placed(&mut self, _: &str, _: u32) {}
    fn check<'a>(&'a mut self, connector: &'a str) -> Boxed<'a, Vec<Finding>> {
        Box::pin(async move {
            if !self.0 {
                std::future::pending::<()>().await;
            }
            let known = Finding::new("fields", format!("not one of {connector}'s"));
            vec![known, Finding::new("", "nothing is there")]
        })
    }
    fn apply(&mut self, _: Vec<Record>) -> Boxed<'_, Vec<Verdict>> {
        Box::pin(async { Vec::new() })
    }
}

impl Predicate for Built {
    fn test(&self, _: &Record) -> bool {
        false
    }
}

impl DynConverter for Built {
    fn decode<'a>(&'a mut self, _: Part, _: &'a mut [Record]) -> Boxed<'a, Vec<Unconverted>> {
        Box::pin(async { Vec::new() })
    }
    fn encode<'a>(&'a mut self, _: Part, _: &'a mut [Record]) -> Boxed<'a, Vec<Unconverted>> {
        Box::pin(async { Vec::new() })
    }
}

#[test]
fn what_only_building_tells_is_a_finding_of_its_key() {
    let mask = [
        ("transforms", "m"),
        ("transforms.m.type", "MaskField$Value"),
        ("transforms.m.fields", "("),
    ];
    let found = wrong(&SOURCE, &mask);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("transforms.m.fields | "), "{found:?}");
    // What a placeholder stands for is not known here.
    let trusted = [mask[0], mask[1], ("transforms.m.fields", "${env:FIELDS}")];
    assert_eq!(wrong(&SOURCE, &trusted), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn what_transforms_find_stands_below_their_aliases_and_ends_in_time() {
    let mut config = flat(&[("name", "in"), ("transforms", "fine,odd,never,last")]);
    for (alias, fields) in [
        ("fine", "a"),
        ("odd", "wrong"),
        ("never", "never"),
        ("last", "wrong"),
    ] {
        config.insert(
            format!("transforms.{alias}.type"),
            "MaskField$Value".to_owned(),
        );
        config.insert(format!("transforms.{alias}.fields"), fields.to_owned());
    }
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let found = live(&config, &registry(), until).await;
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|finding| (&*finding.key, &*finding.problem))
        .collect();
    let late = "its check took too long, with the checks of those before it";
    let expected = [
        ("transforms.odd.fields", "not one of in's"),
        ("transforms.odd.type", "nothing is there"),
        ("transforms.never.type", late),
    ];
    assert_eq!(found, expected, "nobody is asked after the time is over");
}

fn flat(entries: &[(&str, &str)]) -> Flat {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

const SOURCE: [(&str, &str); 3] = [
    ("name", "c"),
    ("connector.class", "StubSource"),
    ("topic", "t"),
];
const SINK: [(&str, &str); 3] = [
    ("name", "c"),
    ("connector.class", "stub-sink"),
    ("topics", "a,b"),
];

fn checked(base: &[(&str, &str)], more: &[(&str, &str)], unknown: UnknownKeys) -> (Report, Flat) {
    let mut config = flat(base);
    config.extend(flat(more));
    config.retain(|_, value| value != "-");
    let overrides = Overrides::default();
    let support = SourceSupport::Disabled;
    let report = check(
        &config,
        &registry(),
        &Flat::new(),
        unknown,
        &overrides,
        support,
    );
    (report, config)
}

/// What is wrong, as `key: text`.
fn wrong(base: &[(&str, &str)], more: &[(&str, &str)]) -> Vec<String> {
    let (report, config) = checked(base, more, UnknownKeys::Warn);
    let keys = report.findings.iter().map(|finding| finding.key.clone());
    keys.zip(report.texts(&config))
        .map(|(key, text)| format!("{key} | {text}"))
        .collect()
}

#[test]
fn good_configs() {
    assert_eq!(wrong(&SOURCE, &[]), Vec::<String>::new());
    assert_eq!(wrong(&SINK, &[]), Vec::<String>::new());
    assert_eq!(
        wrong(&SINK, &[("topics", "-"), ("topics.regex", "a(?!b).*")]),
        Vec::<String>::new()
    );
    // A placeholder is taken on trust.
    assert_eq!(
        wrong(
            &SOURCE,
            &[("batch.size", "${env:SIZE}"), ("tasks.max", "${env:N}")]
        ),
        Vec::<String>::new()
    );
}

#[test]
fn findings_are_told_in_the_words_of_the_reference() {
    for (more, wanted) in [
        (
            &[("topic", "-")][..],
            "topic | Missing required configuration \"topic\" which has no default value.",
        ),
        (
            &[("topic", "")],
            "topic | Invalid value  for configuration topic: String must be non-empty",
        ),
        (
            &[("tasks.max", "0")],
            "tasks.max | Invalid value 0 for configuration tasks.max: Value must be at least 1",
        ),
        (
            &[("tasks.max", "abc")],
            "tasks.max | Invalid value abc for configuration tasks.max: Not a number of type INT",
        ),
        (
            &[("tasks.max", "9999999999")],
            "tasks.max | Invalid value 9999999999 for configuration tasks.max: Not a number of type INT",
        ),
        (
            &[("errors.retry.timeout", "z")],
            "errors.retry.timeout | Invalid value z for configuration errors.retry.timeout: Not a number of type LONG",
        ),
        (
            &[("errors.tolerance", "bogus")],
            "errors.tolerance | Invalid value bogus for configuration errors.tolerance: String must be one of: none, all",
        ),
        (
            &[("errors.log.enable", "maybe")],
            "errors.log.enable | Invalid value maybe for configuration errors.log.enable: Expected value to be either true or false",
        ),
        (
            &[("batch.size", "x")],
            "batch.size | Invalid value x for configuration batch.size: Not a number of type INT",
        ),
        (
            &[("name", "-")],
            "name | Missing required configuration \"name\" which has no default value.",
        ),
        (
            &[("name", "")],
            "name | Invalid value  for configuration name: String may not be empty",
        ),
        (
            &[("name", "a\tb")],
            "name | Invalid value a\tb for configuration name: String may not contain control sequences but had the following ASCII chars: 9",
        ),
        (
            &[("name", "a/b")],
            "name | Invalid value a/b for configuration name: String may not contain '/', '%' or '\\': such a connector could not be addressed",
        ),
        // A secret is not shown (I8).
        (
            &[("password", "hunter2")],
            "password | Invalid value [hidden] for configuration password: Not a number of type LONG",
        ),
    ] {
        assert_eq!(wrong(&SOURCE, more), [wanted]);
    }
}

#[test]
fn topics_of_sinks() {
    let both = |text: &str| vec![format!("topics | {text}"), format!("topics.regex | {text}")];
    for none in ["-", " ", ","] {
        assert_eq!(
            wrong(&SINK, &[("topics", none)]),
            both("Must configure one of topics or topics.regex")
        );
    }
    assert_eq!(
        wrong(&SINK, &[("topics.regex", "x")]),
        both("topics and topics.regex are mutually exclusive options, but both are set.")
    );
    let queue = ("errors.deadletterqueue.topic.name", "a");
    assert_eq!(
        wrong(&SINK, &[queue]),
        [
            "topics | The DLQ topic 'a' may not be included in the list of topics ('topics=[a, b]') consumed by the connector"
        ]
    );
    assert_eq!(
        wrong(&SINK, &[("topics", "-"), ("topics.regex", "a+"), queue]),
        [
            "topics.regex | The DLQ topic 'a' may not be matched by the regex for the topics ('topics.regex=a+') consumed by the connector"
        ]
    );
    let open = wrong(&SINK, &[("topics", "-"), ("topics.regex", "(")]);
    assert!(
        open.len() == 1
            && open[0].starts_with(
                "topics.regex | Invalid value ( for configuration topics.regex: Invalid regex: "
            ),
        "{open:?}"
    );
}

#[test]
fn classes_that_are_not_there() {
    let near = wrong(&SOURCE, &[("connector.class", "StubSuorce")]);
    assert_eq!(
        near,
        [
            "connector.class | connector.class: there is no plugin named \"StubSuorce\" (did you mean StubSource?)"
        ]
    );
    assert_eq!(
        wrong(&SOURCE, &[("connector.class", "-")]),
        [
            "connector.class | Missing required configuration \"connector.class\" which has no default value."
        ]
    );
    let converter = wrong(
        &SOURCE,
        &[
            ("key.converter", "JsonConvertor"),
            ("key.converter.any", "1"),
        ],
    );
    assert_eq!(
        converter,
        [
            "key.converter | key.converter: there is no plugin named \"JsonConvertor\" (did you mean JsonConverter?)"
        ]
    );
}

#[test]
fn transforms_and_predicates_are_checked_where_they_stand() {
    let mask = [
        ("transforms", "m"),
        ("transforms.m.type", "MaskField$Value"),
        ("transforms.m.fields", "f"),
    ];
    let with = |more: &[(&'static str, &'static str)]| wrong(&SOURCE, &[&mask[..], more].concat());
    assert_eq!(with(&[]), Vec::<String>::new());
    assert_eq!(
        with(&[
            ("transforms.m.type", "MaskFeild$Value"),
            ("transforms.m.what", "1")
        ]),
        [
            "transforms.m.type | transforms.m.type: there is no plugin named \"MaskFeild$Value\" (did you mean MaskField$Value?)"
        ]
    );
    assert_eq!(
        with(&[("transforms.m.type", "-")]),
        [
            "transforms.m.type | Missing required configuration \"transforms.m.type\" which has no default value."
        ]
    );
    assert_eq!(
        with(&[("transforms.m.fields", "-")]),
        [
            "transforms.m.fields | Missing required configuration \"transforms.m.fields\" which has no default value."
        ]
    );
    assert_eq!(
        with(&[("transforms.m.replacement.mode", "x")]),
        [
            "transforms.m.replacement.mode | transforms.m.replacement.mode: not supported (remove it)"
        ]
    );
    assert_eq!(
        with(&[("transforms.m.predicate", "p")]),
        [
            "transforms.m.predicate | transforms.m.predicate: there is no predicate p (add p to predicates)"
        ]
    );
    assert_eq!(
        with(&[("transforms.m.negate", "x")]),
        ["transforms.m.negate | transforms.m.negate: expected true or false"]
    );
    assert_eq!(
        with(&[("transforms", "m,m")]),
        ["transforms | Duplicate alias provided: m"]
    );
    let predicate = [
        ("transforms.m.predicate", "p"),
        ("predicates", "p"),
        ("predicates.p.type", "TopicNameMatches"),
        ("predicates.p.pattern", "x"),
    ];
    assert_eq!(with(&predicate), Vec::<String>::new());
    let bare = [
        ("predicates", "p"),
        ("predicates.p.type", "TopicNameMatches"),
    ];
    assert_eq!(
        with(&bare),
        [
            "predicates.p.pattern | Missing required configuration \"predicates.p.pattern\" which has no default value."
        ]
    );
}

#[test]
fn of_what_is_bundled_a_version_that_is_not_there_is_odd_and_what_is_no_version_wrong() {
    let smt = [
        ("transforms", "m"),
        ("transforms.m.type", "MaskField$Value"),
        ("transforms.m.fields", "a"),
    ];
    let predicate = [
        ("predicates", "p"),
        ("predicates.p.type", "TopicNameMatches"),
        ("predicates.p.pattern", "x"),
    ];
    for key in [
        "connector.plugin.version",
        "transforms.m.plugin.version",
        "predicates.p.plugin.version",
        "key.converter.plugin.version",
    ] {
        for (value, problem) in [
            ("4.1.0", "there is no version \"4.1.0\", there is 1"),
            ("[2,)", "there is no version \"[2,)\", there is 1"),
            ("[", "it is no version"),
        ] {
            let more = [("key.converter", "json"), (key, value)];
            let (report, _) = checked(
                &SOURCE,
                &[&smt[..], &predicate[..], &more[..]].concat(),
                UnknownKeys::Refuse,
            );
            let (told, others) = match value {
                "[" => (&report.findings, &report.warnings),
                _ => (&report.warnings, &report.findings),
            };
            assert_eq!(told.len(), 1, "{key}={value}: {told:?}");
            assert_eq!(others.len(), 0, "{key}={value}: {others:?}");
            assert_eq!(told[0].key, key);
            assert!(told[0].problem.contains(problem), "{:?}", told[0]);
        }
    }
    for (key, value) in [
        ("connector.plugin.version", "1.0.0"),
        ("connector.plugin.version", "[1,2)"),
        ("connector.plugin.version", "latest"),
        ("transforms.m.plugin.version", "1"),
        ("key.converter.plugin.version", "1"),
    ] {
        let more = [("key.converter", "json"), (key, value)];
        let (report, _) = checked(
            &SOURCE,
            &[&smt[..], &more[..]].concat(),
            UnknownKeys::Refuse,
        );
        assert_eq!(report.findings, [], "{key}={value}");
    }
}

#[test]
fn what_the_reference_knows_and_we_do_not_do_is_refused_by_name() {
    for (key, value) in [
        ("legacy.mode", "x"),
        ("old.key", "x"),
        ("transaction.boundary", "connector"),
        ("offsets.storage.topic", "own"),
    ] {
        let (report, _) = checked(&SOURCE, &[(key, value)], UnknownKeys::Warn);
        let keys: Vec<&str> = report
            .findings
            .iter()
            .map(|finding| finding.key.as_str())
            .collect();
        assert_eq!(keys, [key]);
        assert_eq!(report.findings[0].problem, "not supported");
    }
    assert_eq!(
        wrong(
            &SOURCE,
            &[
                ("exactly.once.support", "requested"),
                ("offsets.storage.topic", "")
            ]
        ),
        Vec::<String>::new()
    );
}

#[test]
fn exactly_once_is_not_required_where_it_is_not_given() {
    let (report, _) = checked(
        &SOURCE,
        &[("exactly.once.support", "required")],
        UnknownKeys::Warn,
    );
    assert_eq!(report.findings.len(), 1);
    let finding = &report.findings[0];
    assert_eq!(finding.key, "exactly.once.support");
    assert!(
        finding.problem.contains("source support enabled"),
        "{finding}"
    );
}

#[test]
fn unknown_keys_are_refused_or_told() {
    let odd = [
        ("batch.siez", "1"),
        ("transforms.x.type", "MaskField$Value"),
        ("producer.override.acks", "1"),
        ("topic.creation.default.partitions", "1"),
    ];
    let (report, _) = checked(&SOURCE, &odd, UnknownKeys::Warn);
    assert!(report.is_ok());
    let keys: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert_eq!(
        keys[0],
        "batch.siez: unknown key (did you mean batch.size?)"
    );
    let (report, _) = checked(&SOURCE, &odd, UnknownKeys::Refuse);
    assert_eq!(report.findings.len(), 2);
    let own = [
        ("key.converter", "json"),
        ("key.converter.schemas.enable", "true"),
        ("key.converter.shcemas.enable", "true"),
    ];
    let (report, _) = checked(&SOURCE, &own, UnknownKeys::Refuse);
    assert_eq!(
        report
            .findings
            .iter()
            .map(|finding| finding.key.as_str())
            .collect::<Vec<_>>(),
        ["key.converter.shcemas.enable"]
    );
    // Without a converter of its own its keys do nothing: that is told, not refused.
    let (report, _) = checked(
        &SOURCE,
        &[("value.converter.schemas.enable", "false")],
        UnknownKeys::Refuse,
    );
    assert!(report.is_ok());
    assert_eq!(
        report.warnings[0].problem,
        "has no effect without value.converter"
    );
}

#[test]
fn infos_have_the_shape_of_the_reference() {
    let (report, config) = checked(
        &SOURCE,
        &[
            ("tasks.max", "0"),
            ("password", "5"),
            ("transforms", "m"),
            ("transforms.m.type", "MaskField$Value"),
        ],
        UnknownKeys::Warn,
    );
    let infos = report.infos("StubSource", &config);
    assert_eq!((infos.name.as_str(), infos.error_count), ("StubSource", 2));
    assert_eq!(
        infos.groups[..4],
        ["Common", "Transforms", "Predicates", "Error Handling"]
    );
    assert!(infos.groups.contains(&"Transforms: m".to_owned()));
    let value = |name: &str| {
        let found = infos.configs.iter().find(|info| info.value.name == name);
        found.map(|info| info.value.clone()).expect("listed")
    };
    assert_eq!(
        value("tasks.max").errors,
        ["Invalid value 0 for configuration tasks.max: Value must be at least 1"]
    );
    assert_eq!(value("transforms.m.fields").errors.len(), 1);
    assert_eq!(value("password").value.as_deref(), Some("[hidden]"));
    let versions = value("connector.plugin.version").recommended_values;
    assert_eq!(versions, ["1"]);
    assert_eq!(value("errors.tolerance").value.as_deref(), Some("none"));
    let first: Vec<&str> = infos
        .configs
        .iter()
        .take(4)
        .map(|info| info.value.name.as_str())
        .collect();
    assert_eq!(
        first,
        [
            "name",
            "connector.class",
            "connector.plugin.version",
            "tasks.max"
        ]
    );
}
