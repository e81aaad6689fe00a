//! Settings files that cannot be used, with the place of each mistake.

use crate::support::{command, text};
use serde_json::Value;

/// Exit code and standard error of `lint`.
async fn lint(yaml: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("f.yaml"), yaml).expect("written");
    let output = command(folder.path(), &["lint", "f.yaml"]).await;
    (output.status.code(), text(&output.stderr))
}

#[tokio::test]
async fn each_mistake_has_its_file_line_and_column() {
    let connector =
        "connectors:\n  c:\n    connector.class: file-sink\n    topics: [a]\n    file: f\n";
    let bomb: String = (1..12)
        .map(|level| {
            let before = format!("*l{}", level - 1);
            format!(
                "l{level}: &l{level} [{}]\n",
                [before.as_str(); 10].join(", ")
            )
        })
        .collect();
    let connector_with = |line: &str| format!("{connector}    {line}\n");
    for (yaml, expected) in [
        (
            connector_with("fiel: x"),
            "f.yaml:6:5: fiel: unknown key (did you mean file?)",
        ),
        (
            connector_with("tasks.max: many"),
            "f.yaml:6:5: tasks.max: expected an integer",
        ),
        (
            connector_with("file: again"),
            "f.yaml:6:5: the key file is given twice, first at line 5",
        ),
        (
            connector_with("topics.regex: 'a('"),
            "f.yaml:6:5: topics.regex: ",
        ),
        (connector_with("  x: [1"), "f.yaml:"),
        (
            "connectors:\n  c: {connector.class: datagn, topic: t}\n".to_owned(),
            "f.yaml:2:7: connector.class: there is no plugin named \"datagn\" (did you mean datagen?)",
        ),
        (
            "conectors: {}\n".to_owned(),
            "f.yaml:1:1: unknown section conectors (did you mean connectors?)",
        ),
        (
            "worker: {grup.id: x}\n".to_owned(),
            "f.yaml:1:10: grup.id: unknown key (did you mean group.id?)",
        ),
        (
            "worker: {exactly.once.source.support: disabled}\nconnectors:\n  c: {connector.class: datagen, topic: t, exactly.once.support: required}\n".to_owned(),
            "f.yaml:3:43: exactly.once.support: required, but this worker does not have exactly-once source support enabled",
        ),
        (
            "worker: {listeners: 'http://0.0.0.0:8083'}\n".to_owned(),
            "f.yaml:1:10: listeners: http://0.0.0.0:8083 can be reached from other machines",
        ),
        (format!("l0: &l0 lol\n{bomb}"), "f.yaml:"),
        (String::new(), "f.yaml: the file is empty"),
    ] {
        let (code, errors) = lint(&yaml).await;
        assert_eq!(code, Some(1), "{yaml:.200}{errors}");
        assert!(
            errors.contains(expected),
            "expected {expected}\nfound {errors}"
        );
    }
    let (_, errors) = lint(&format!("l0: &l0 lol\n{bomb}")).await;
    assert!(errors.contains("aliases written out"), "{errors}");
    let (code, errors) = lint("worker: {group.id: g, exactly.once.source.support: preparing, longshore.memory.max.bytes: 20000000}\n").await;
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        errors.contains("exactly.once.source.support: has no effect")
            && !errors.contains("longshore.memory.max.bytes"),
        "{errors}"
    );
}

#[tokio::test]
async fn findings_are_also_json() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("f.yaml"), "worker: {grup.id: x}\n").expect("written");
    let output = command(folder.path(), &["lint", "--json", "f.yaml"]).await;
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(1));
    let first = &found[0];
    assert_eq!(
        (&first["level"], &first["file"]),
        (&"error".into(), &"f.yaml".into()),
        "{found}"
    );
    assert_eq!(
        (&first["line"], &first["column"], &first["key"]),
        (&1.into(), &10.into(), &"grup.id".into()),
        "{found}"
    );
}

const FILE_PROVIDER: &str = "worker:
  config.providers: file
  config.providers.file.class: org.apache.kafka.common.config.provider.FileConfigProvider
  config.providers.file.param.allowed.paths: ";

/// I8: what a placeholder of the worker section stands for is used and never shown.
#[tokio::test]
async fn a_placeholder_of_the_worker_is_resolved_and_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("secrets.properties", "port=canary-secret-7\n");
    let bad = "  bootstrap.servers: ${file:secrets.properties:port}\n";
    write("f.yaml", &format!("{FILE_PROVIDER}.\n{bad}"));
    for command_line in [["lint", "f.yaml"], ["worker", "f.yaml"]] {
        let output = command(folder.path(), &command_line).await;
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains("f.yaml:5:3: bootstrap.servers: "),
            "{errors}"
        );
        assert!(!errors.contains("canary-secret-7"), "I8: {errors}");
    }
    let lost = "  group.id: ${file:secrets.properties:group}\n";
    write("f.yaml", &format!("{FILE_PROVIDER}.\n{lost}"));
    let output = command(folder.path(), &["worker", "f.yaml"]).await;
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    let said = "f.yaml:5:3: group.id: its placeholder stays as text: config provider file: the file secrets.properties has no key group";
    assert!(errors.contains(said), "{errors}");
    // Offline it is taken on trust: it may be there where the worker runs.
    let output = command(folder.path(), &["lint", "f.yaml"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // A declared provider reads what it is allowed to, and no other provider reads anything.
    let declared = "f.yaml:5:3: group.id: ";
    let out = "  group.id: ${file:secrets.properties:port}\n";
    write("f.yaml", &format!("{FILE_PROVIDER}/nowhere\n{out}"));
    let output = command(folder.path(), &["worker", "f.yaml"]).await;
    let errors = text(&output.stderr);
    assert!(
        errors.contains(declared) && errors.contains("is not below allowed.paths"),
        "{errors}"
    );
    write("f.yaml", "worker:\n  group.id: ${env:PATH}\n");
    for command_line in [["lint", "f.yaml"], ["worker", "f.yaml"]] {
        let output = command(folder.path(), &command_line).await;
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        let said = "f.yaml:2:3: group.id: ${env:..} stays as text: there is no config provider env";
        assert!(errors.contains(said), "{errors}");
    }
}
