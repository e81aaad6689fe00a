//! Requests and configs that cannot be used.

use crate::support::{Worker, exchange};
use reqwest::Method;
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

#[tokio::test]
async fn a_body_that_cannot_be_read_is_the_clients_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let deep = format!(
        r#"{{"name":"x","config":{}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for (body, message, path) in [
        ("", "The request has no body", None),
        ("{\"name\": \"x\",", "EOF while parsing", None),
        ("{name: x}", "line 1 column 2", None),
        (
            "{\"name\":\"x\"} trailing",
            "trailing characters at line 1 column 14",
            None,
        ),
        ("null", "$ must be a JSON object, not null", Some("$")),
        ("[]", "$ must be a JSON object, not an array", Some("$")),
        (r#"{"name":"x"}"#, "\"config\" is missing", Some("$.config")),
        (
            r#"{"name":1,"config":{}}"#,
            "\"name\" must be a string, not a number",
            Some("$.name"),
        ),
        (
            r#"{"name":"x","config":["a"]}"#,
            "$.config must be a JSON object, not an array",
            Some("$.config"),
        ),
        (
            r#"{"name":"x","config":{"topics":["a"]}}"#,
            "$.config.topics must be a string",
            Some("$.config.topics"),
        ),
        (
            r#"{"name":"x","config":{"topics":null}}"#,
            "Null value can not be supplied as the configuration value.",
            Some("$.config.topics"),
        ),
        (
            r#"{"name":"x","config":{},"initialState":"PAUSED"}"#,
            "Unrecognized field \"initialState\"",
            Some("$.initialState"),
        ),
        (
            r#"{"name":"x","config":{},"initial_state":"ASLEEP"}"#,
            "RUNNING, PAUSED or STOPPED",
            Some("$.initial_state"),
        ),
        (deep.as_str(), "recursion limit exceeded", None),
    ] {
        let answer = worker
            .raw(Method::POST, "/connectors", &JSON, body.as_bytes().to_vec())
            .await;
        assert_eq!(answer.status, 400, "{body:.40}: {}", answer.text);
        assert!(
            answer.message().contains(message),
            "{body:.40}: {}",
            answer.text
        );
        assert_eq!(
            answer.json()["x"]["path"].as_str(),
            path,
            "{body:.40}: {}",
            answer.text
        );
    }
    let answer = worker
        .raw(
            Method::POST,
            "/connectors",
            &JSON,
            b"{\"name\":\"\xff\"}".to_vec(),
        )
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    for (method, path) in [
        (Method::PUT, "/connectors/x/config"),
        (Method::PATCH, "/connectors/x/config"),
        (Method::PATCH, "/connectors/x/offsets"),
        (Method::PUT, "/connector-plugins/datagen/config/validate"),
    ] {
        for body in ["", "{", "null", "[1]"] {
            let answer = worker
                .raw(method.clone(), path, &JSON, body.as_bytes().to_vec())
                .await;
            assert_eq!(
                (answer.status, answer.header("content-type")),
                (400, "application/json"),
                "{path} {body}"
            );
            assert!(!answer.message().is_empty());
        }
    }
    assert_eq!(worker.get("/connectors").await.text, "[]");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_while_it_is_still_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let body = vec![b' '; 50_000_000];
    let answer = worker
        .raw(Method::POST, "/connectors", &JSON, body.clone())
        .await;
    assert_eq!(answer.status, 413);
    assert!(
        answer.message().contains("1048576 bytes"),
        "{}",
        answer.text
    );
    let mut chunked = b"POST /connectors HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(1 << 20) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let answer = exchange(&worker.url, &chunked);
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("\"error_code\":413"),
        "{answer}"
    );
    let waiting = "POST /connectors HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 50000000\r\n\r\n";
    let answer = exchange(&worker.url, waiting.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(worker.get("/health").await.status, 200);
}

/// A file sink's config with other keys laid over it; `-` takes one away.
fn sink(more: Value) -> Value {
    let mut config =
        json!({ "connector.class": "FileStreamSink", "topics": "t", "file": "out.txt" });
    let fields = config.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    fields.retain(|_, value| value != "-");
    config
}

/// Puts each config and expects 400 for its key, with a text in the message or the suggestion.
async fn refused(worker: &Worker, cases: Vec<(Value, &str, &str)>) {
    for (config, key, text) in cases {
        let answer = worker.put("/connectors/c/config", config.clone()).await;
        assert_eq!(answer.status, 400, "{config}: {}", answer.text);
        let body = answer.json();
        let told =
            answer.message().contains(text) || body["x"]["suggestion"].to_string().contains(text);
        assert!(told, "{config}: {body}");
        assert_eq!(body["x"]["path"], key, "{config}: {body}");
    }
    assert_eq!(worker.get("/connectors").await.text, "[]");
}

#[tokio::test]
async fn a_config_that_could_not_run_is_refused_by_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let source = |key: &str, value: &str| json!({ "connector.class": "FileStreamSource", "topic": "t", "file": "f", key: value });
    refused(
        &worker,
        vec![
            (
                json!({ "topic": "t" }),
                "connector.class",
                "contains no connector type",
            ),
            (
                json!({ "connector.class": "FileStreamSnk" }),
                "connector.class",
                "which name matches FileStreamSnk, available connectors are: ",
            ),
            (
                json!({ "connector.class": "FileStreamSnk" }),
                "connector.class",
                "FileStreamSink",
            ),
            (
                sink(json!({ "topics": "-" })),
                "topics",
                "Must configure one of topics or topics.regex",
            ),
            (
                sink(json!({ "topics": "-", "topics.regex": "a(" })),
                "topics.regex",
                "Invalid value a( for configuration topics.regex: Invalid regex",
            ),
            (
                sink(json!({ "tasks.max": "many" })),
                "tasks.max",
                "Invalid value many for configuration tasks.max: Not a number of type INT",
            ),
            (
                sink(json!({ "tasks.max": 0 })),
                "tasks.max",
                "Value must be at least 1",
            ),
            (
                sink(json!({ "errors.tolerance": "some" })),
                "errors.tolerance",
                "String must be one of: none, all",
            ),
            (
                sink(json!({ "longshore.format": "xml" })),
                "longshore.format",
                "String must be one of: lines, ndjson",
            ),
            (sink(json!({ "file": "-" })), "file", "set file to the path"),
            (
                source("transaction.boundary", "connector"),
                "transaction.boundary",
                "not supported",
            ),
            (
                source("offsets.storage.topic", "o"),
                "offsets.storage.topic",
                "not supported",
            ),
            (
                json!({ "connector.class": "FileStreamSource", "file": "f" }),
                "topic",
                "Missing required configuration \"topic\"",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn plugins_and_clients_of_a_config_are_checked_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let router = |key: &str, value: &str| {
        let mut config = json!({
            "transforms": "r", "transforms.r.type": "org.apache.kafka.connect.transforms.RegexRouter",
            "transforms.r.regex": "a", "transforms.r.replacement": "x",
        });
        config[key] = json!(value);
        sink(config)
    };
    refused(
        &worker,
        vec![
            (
                sink(json!({ "value.converter": "AvroConverter" })),
                "value.converter",
                "there is no plugin named \"AvroConverter\"",
            ),
            (
                sink(json!({ "transforms": "r" })),
                "transforms.r.type",
                "required",
            ),
            (
                router("transforms.r.type", "RegexRuter"),
                "transforms.r.type",
                "did you mean",
            ),
            (
                router("transforms.r.regex", "("),
                "transforms.r.regex",
                "a group is not closed at position 0",
            ),
            (
                router("transforms.r.replacement", "-"),
                "transforms.r.replacement",
                "Missing required configuration",
            ),
            (
                router("transforms.r.predicate", "p"),
                "transforms.r.predicate",
                "there is no predicate p",
            ),
            (
                sink(json!({ "connector.plugin.version": "[" })),
                "connector.plugin.version",
                "it is no version",
            ),
            (
                sink(json!({ "consumer.override.max.poll.recods": 5 })),
                "consumer.override.max.poll.recods",
                "did you mean consumer.override.max.poll.records?",
            ),
            (
                sink(json!({ "consumer.override.sasl.login.class": "Evil" })),
                "consumer.override.sasl.login.class",
                "cannot be set",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_name_that_could_not_be_addressed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = Worker::embedded(folder.path()).await;
    let config = json!({ "connector.class": "datagen", "topic": "t" });
    for (name, message) in [
        ("", "String may not be empty"),
        ("  ", "String may not be empty"),
        ("a\tb", "ASCII chars: 9"),
        ("a/b", "could not be addressed"),
        ("a%b", "could not be addressed"),
        ("a\\b", "could not be addressed"),
    ] {
        let answer = worker
            .post("/connectors", json!({ "name": name, "config": config }))
            .await;
        assert_eq!(answer.status, 400, "{name:?}: {}", answer.text);
        assert!(
            answer.message().contains(message),
            "{name:?}: {}",
            answer.text
        );
    }
    for (name, segment) in [
        ("a b", "a%20b"),
        ("é☃", "%C3%A9%E2%98%83"),
        ("a;b?c#d+e", "a%3Bb%3Fc%23d%2Be"),
        ("..", "%2E%2E"),
    ] {
        let answer = worker
            .post(
                "/connectors",
                json!({ "name": name, "config": config, "initial_state": "STOPPED" }),
            )
            .await;
        assert_eq!(answer.status, 201, "{name:?}: {}", answer.text);
        if name == ".." {
            // Clients take dot segments out of paths, encoded or not: only a raw request can address it.
            let request = "DELETE /connectors/%2E%2E HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            let answer = exchange(&worker.url, request.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
            continue;
        }
        assert_eq!(
            answer.header("location"),
            format!("{}/connectors/{segment}", worker.url)
        );
        assert_eq!(
            worker.get(&format!("/connectors/{segment}")).await.json()["name"],
            name
        );
        assert_eq!(
            worker
                .call(Method::DELETE, &format!("/connectors/{segment}"), None)
                .await
                .status,
            204
        );
    }
    assert_eq!(worker.get("/connectors").await.text, "[]");
}
