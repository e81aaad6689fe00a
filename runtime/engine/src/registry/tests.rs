use super::*;
use longshore_sdk::{
    Capabilities, Datum,
    converter::{Codec, Part},
    erased::DynConverter,
};
use std::sync::Arc;

fn tag(name: &'static str, aliases: &'static [&'static str]) -> Plugin {
    Plugin {
        name,
        aliases,
        version: "1",
        about: "",
        unsupported: &[],
        capabilities: Capabilities::default(),
    }
}

struct Nothing;

impl Codec for Nothing {
    fn decode(&mut self, _: &str, _: Option<bytes::Bytes>) -> Result<Datum> {
        Ok(Datum::Null)
    }
    fn encode(&mut self, _: &str, _: Datum) -> Result<Option<bytes::Bytes>> {
        Ok(None)
    }
}

fn converter(
    name: &'static str,
    aliases: &'static [&'static str],
    headers: bool,
    data: bool,
) -> ConverterPlugin {
    let build = |_: &Flat, _: Part| Ok(Box::new(Nothing) as Box<dyn DynConverter>);
    ConverterPlugin {
        plugin: tag(name, aliases),
        definition: Arc::new(Definition::default),
        headers,
        data,
        build: Arc::new(build),
    }
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry
        .converters([
            converter(
                "json",
                &["org.apache.kafka.connect.json.JsonConverter"],
                true,
                true,
            ),
            converter(
                "simple-header",
                &["org.apache.kafka.connect.storage.SimpleHeaderConverter"],
                true,
                false,
            ),
            converter(
                "bytes",
                &["org.apache.kafka.connect.converters.ByteArrayConverter"],
                false,
                true,
            ),
        ])
        .transforms([TransformPlugin {
            plugin: tag(
                "mask-field-value",
                &["org.apache.kafka.connect.transforms.MaskField$Value"],
            ),
            definition: Arc::new(Definition::default),
            build: Arc::new(|_| Err(Error::bug("build", "not built here"))),
        }]);
    registry
}

#[test]
fn plugins_have_many_names() {
    let registry = registry();
    for name in [
        "json",
        "org.apache.kafka.connect.json.JsonConverter",
        "JsonConverter",
        "Json",
        " json ",
    ] {
        for headers in [false, true] {
            let found = registry.converter(name, headers).expect(name);
            assert_eq!(found.plugin.name, "json", "{name}");
        }
    }
    for name in [
        "JSON",
        "onverter",
        "",
        "Converter",
        "org.apache.kafka.connect.json.Json",
    ] {
        assert!(registry.converter(name, false).is_none(), "{name}");
    }
    assert!(registry.converter("SimpleHeader", true).is_some());
    assert!(
        registry.converter("SimpleHeaderConverter", false).is_none(),
        "not for keys and values"
    );
    assert!(
        registry.converter("bytes", true).is_none(),
        "not for headers"
    );
    assert!(registry.transform("MaskField$Value").is_some());
    assert!(registry.transform("MaskField").is_none());
    assert!(registry.connector("json").is_none());
}

#[test]
fn near_names_are_offered_of_the_same_kind() {
    let registry = registry();
    assert_eq!(
        registry.near(PluginKind::Converter, "JsonConvertor"),
        Some("JsonConverter")
    );
    assert_eq!(
        registry.near(PluginKind::Transformation, "MaskField$Valeu"),
        Some("MaskField$Value")
    );
    assert_eq!(registry.near(PluginKind::Source, "JsonConverter"), None);
    let error = registry.unknown(PluginKind::Converter, "jsno", &Missing::Name);
    assert_eq!(error.message(), "there is no plugin named \"jsno\"");
    assert_eq!(error.context()[0].1, "json");
}

#[test]
fn a_converter_of_keys_and_headers_is_listed_twice() {
    let kinds: Vec<(PluginKind, &str)> = registry()
        .plugins()
        .into_iter()
        .map(|(kind, plugin)| (kind, plugin.name))
        .collect();
    assert_eq!(
        kinds,
        [
            (PluginKind::Converter, "json"),
            (PluginKind::HeaderConverter, "json"),
            (PluginKind::HeaderConverter, "simple-header"),
            (PluginKind::Converter, "bytes"),
            (PluginKind::Transformation, "mask-field-value"),
        ]
    );
    assert_eq!(
        serde_json::to_string(&PluginKind::HeaderConverter).expect("JSON"),
        "\"header_converter\""
    );
}

fn mask(name: &'static str, version: &'static str, key: Option<&str>) -> Installed {
    let key = key.map(longshore_sdk::config::Key::new);
    let definition = Definition {
        keys: key.into_iter().collect(),
    };
    Installed::Transform(TransformPlugin {
        plugin: Plugin {
            version,
            ..tag(name, &[])
        },
        definition: Arc::new(move || definition.clone()),
        build: Arc::new(|_| Err(Error::bug("build", "not built here"))),
    })
}

fn file(file: &str) -> PluginFile {
    PluginFile {
        file: file.to_owned(),
        sha256: "ab".repeat(32),
        grants: serde_json::Value::Null,
    }
}

#[test]
fn versions_stand_side_by_side_and_the_newest_is_taken() {
    let mut registry = registry();
    for version in ["1.9.0", "1.10.0", "2.0.0-rc.1", "1.2.0"] {
        let file = file(&format!("pii-{version}.wasm"));
        let installed = registry.install(mask("pii", version, Some("fields")), file);
        assert_eq!(installed, Ok(()));
    }
    let version = |wanted: Option<&str>| {
        let found = registry.transform_at("pii", wanted);
        found.map(|found| found.plugin.version)
    };
    assert_eq!(version(None), Ok("2.0.0-rc.1"));
    assert_eq!(version(Some("latest")), Ok("2.0.0-rc.1"));
    assert_eq!(version(Some("[1,2.0.0-a)")), Ok("1.10.0"));
    assert_eq!(version(Some("1.2")), Ok("1.2.0"));
    assert_eq!(
        version(Some("3.0")),
        Err(Missing::Version {
            wanted: "3.0".into(),
            there: vec!["2.0.0-rc.1", "1.10.0", "1.9.0", "1.2.0"],
        })
    );
    assert!(matches!(version(Some("[")), Err(Missing::Requirement(_))));
    let (kind, definition) = registry
        .definition("pii", Some("1.9.0"))
        .expect("it is there");
    assert_eq!(
        (kind, definition.keys.len()),
        (PluginKind::Transformation, 1)
    );
    assert!(registry.definition("pii", Some("1.9.1")).is_err());
    assert!(registry.definition("json", Some("2")).is_err());
    assert!(
        registry
            .transform_at("MaskField$Value", Some("4.1.0"))
            .is_ok()
    );
    assert!(
        registry
            .definition("MaskField$Value", Some("4.1.0"))
            .is_err()
    );
    assert!(registry.definition("json", Some("1.0")).is_ok());
    let listed = registry.plugins().into_iter();
    let listed: Vec<&str> = listed
        .filter(|(_, plugin)| plugin.name == "pii")
        .map(|(_, plugin)| plugin.version)
        .collect();
    assert_eq!(listed, ["1.9.0", "1.10.0", "2.0.0-rc.1", "1.2.0"]);
    let pii = registry.transform("pii").expect("it is there").plugin;
    assert_eq!(
        registry.origin(pii),
        Origin::File(file("pii-2.0.0-rc.1.wasm"))
    );
    let json = registry.converter("json", false).expect("bundled").plugin;
    assert_eq!(registry.origin(json), Origin::Bundled);
}

#[test]
fn a_plugin_whose_file_was_skipped_is_missed_with_the_reason() {
    let mut registry = registry();
    registry.note_broken("pii-1.0.0.wasm", "it is cut off");
    registry.note_broken("other.wasm", "it is no component");
    let why = |class: &str| {
        let error = registry.unknown(PluginKind::Source, class, &Missing::Name);
        let why = error.context().iter().find(|(name, _)| *name == "why");
        why.map(|(_, why)| why.clone())
    };
    let expected = "the file pii-1.0.0.wasm was skipped: it is cut off";
    assert_eq!(why("pii").as_deref(), Some(expected));
    assert!(why("other").is_some());
    assert_eq!(why("pi"), None);
    assert_eq!(registry.broken().len(), 2);
}

#[test]
fn a_name_stays_with_who_had_it_first() {
    let mut registry = registry();
    let mut install = |name, version, key| {
        let installed = registry.install(mask(name, version, key), file("b.wasm"));
        installed.expect_err(name)
    };
    for name in [
        "json",
        "Json",
        "JsonConverter",
        "mask-field-value",
        "MaskField$Value",
        "org.apache.kafka.connect.json.JsonConverter",
    ] {
        let problem = install(name, "9.0.0", None);
        assert!(problem.contains("part of Longshore"), "{problem}");
    }
    for key in ["type", "predicate", "negate"] {
        let problem = install("pii", "1.0.0", Some(key));
        assert!(problem.contains(key), "{problem}");
    }
    assert_eq!(
        registry.install(mask("pii", "1.0.0", None), file("a.wasm")),
        Ok(())
    );
    for version in ["1.0.0", "1.0", "1.0.0+other"] {
        let again = registry.install(mask("pii", version, None), file("b.wasm"));
        let problem = again.expect_err("it is there already");
        assert!(problem.contains("in a.wasm"), "{problem}");
    }
    assert_eq!(
        registry.install(mask("pii", "1.0.1", None), file("c.wasm")),
        Ok(())
    );
}
