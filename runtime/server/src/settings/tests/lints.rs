use super::{texts, yaml};
use crate::cli::lint::check;

/// Errors and warnings of a good file sink whose lines are 3 to 5, with more lines below.
fn with(lines: &str) -> (Vec<String>, Vec<String>) {
    let sink = "connectors:\n  c:\n    connector.class: file-sink\n    topics: [a]\n    file: f\n";
    let (errors, warnings) = check(&yaml(&format!("{sink}{lines}")));
    (texts(errors), texts(warnings))
}

#[test]
fn a_good_connector_passes() {
    let lines = "    tasks.max: 2
    errors: {tolerance: ALL, deadletterqueue.topic.name: dead}
    value.converter: org.apache.kafka.connect.json.JsonConverter
    value.converter.schemas.enable: false
    consumer.override.max.poll.records: 5
    longshore.format: ${env:FORMAT}
    predicates:
      orders: {type: org.apache.kafka.connect.transforms.predicates.TopicNameMatches, pattern: orders.*}
    transforms:
      mask: {type: org.apache.kafka.connect.transforms.MaskField$Value, fields: [email], predicate: orders, negate: true}
";
    let (errors, warnings) = with(lines);
    assert_eq!(errors, [""; 0]);
    // A provider that nobody declared gives no value.
    assert_eq!(
        warnings,
        [
            "f.yaml:11:5: longshore.format: ${env:..} stays as text: there is no config provider env (the worker's config.providers declares none)"
        ]
    );
}

#[test]
fn each_kind_of_mistake_has_its_place() {
    let mask = "org.apache.kafka.connect.transforms.MaskField$Value";
    for (lines, expected) in [
        ("    fil: f\n", "f.yaml:6:5: fil: unknown key (did you mean file?)".to_owned()),
        ("    qqq: 5\n", "f.yaml:6:5: qqq: unknown key".to_owned()),
        ("    tasks:\n      maxx: 5\n", "f.yaml:7:7: tasks.maxx: unknown key (did you mean tasks.max?)".to_owned()),
        ("    tasks.max: 0\n", "f.yaml:6:5: tasks.max: out of range: ".to_owned()),
        ("    tasks.max: many\n", "f.yaml:6:5: tasks.max: expected an integer, got a string of 4 characters: many".to_owned()),
        ("    errors.tolerance: some\n", "f.yaml:6:5: errors.tolerance: expected one of its names, got a string of 4 characters: some (use none, all)".to_owned()),
        ("    transforms: {m: {type: MaskFeild$Value, fields: [a]}}\n", "f.yaml:6:22: transforms.m.type: ".to_owned()),
        ("    transforms: {m: {fields: [a]}}\n", "f.yaml:6:18: transforms.m.type: required, but missing".to_owned()),
        (&format!("    transforms: {{m: {{type: {mask}}}}}\n"), "f.yaml:6:18: transforms.m.fields: required, but missing".to_owned()),
        (&format!("    transforms: {{m: {{type: {mask}, feilds: [a], fields: [a]}}}}\n"), "f.yaml:6:81: transforms.m.feilds: unknown key (did you mean transforms.m.fields?)".to_owned()),
        (&format!("    transforms: {{m: {{type: {mask}, fields: [a], predicate: p}}}}\n"), "f.yaml:6:94: transforms.m.predicate: ".to_owned()),
        (&format!("    transforms: 'a,a'\n    transforms.a: {{type: {mask}, fields: [a]}}\n"), "f.yaml:6:5: transforms: ".to_owned()),
        ("    value.converter: AvroConverter\n", "f.yaml:6:5: value.converter: ".to_owned()),
        ("worker:\n  grp.id: x\n", "f.yaml:7:3: grp.id: unknown key (did you mean group.id?)".to_owned()),
    ] {
        let (errors, warnings) = with(lines);
        assert_eq!(errors.len(), 1, "{lines}{errors:?}");
        assert!(errors[0].starts_with(&expected), "expected {expected}\nfound    {}", errors[0]);
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn an_unknown_class_is_named_with_the_nearest_one() {
    let (errors, _) = check(&yaml("connectors:\n  c:\n    connector.class: datagn\n"));
    let found = texts(errors);
    assert!(
        found.len() == 1
            && found[0].starts_with("f.yaml:3:5: connector.class: ")
            && found[0].ends_with("(did you mean datagen?)"),
        "{found:?}"
    );
}

#[test]
fn settings_that_would_be_lost_are_warned_about() {
    let (errors, warnings) = with("    value.converter.schemas.enable: false\n");
    assert!(errors.is_empty(), "{errors:?}");
    let start = "f.yaml:6:5: value.converter.schemas.enable: has no effect without value.converter";
    assert!(
        warnings.len() == 1 && warnings[0].starts_with(start),
        "{warnings:?}"
    );
}
