use super::*;
use longshore_sdk::{
    Capabilities, Datum,
    converter::{Codec, Part},
    erased::DynConverter,
};

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
        definition: Definition::default,
        headers,
        data,
        build,
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
            definition: Definition::default,
            build: |_| Err(Error::bug("build", "not built here")),
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
    let error = registry.unknown(PluginKind::Converter, "jsno");
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
