//! The example that asks an HTTP service, with services as they are: away, busy, slow, refusing, and answering nonsense.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::ENRICH;
use super::web::{self, Answer, Asked, Oracle};
use super::worker::{Worker, alone, fresh, lines_in};

/// Records, and how many of them ask for the same: `{"n": 0, "id": "k0"}`.
const RECORDS: u64 = 200;
const KEYS: u64 = 20;
/// What `Retry-After` says.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of a request; the service is slower once.
const TIMEOUT: Duration = Duration::from_secs(1);
const SECRET: &str = "s3cret-of-the-service";

/// What becomes of a connector.
enum End {
    /// So many records get into its file.
    Lines(u64),
    /// Its task fails, and its trace has these words.
    Failed(&'static [&'static str]),
}

/// A connector that asks the service at a path of its own name.
struct Case {
    name: &'static str,
    /// Of the transform, beside what all have.
    asks: Value,
    /// Of the connector.
    own: Value,
    end: End,
}

fn cases() -> Vec<Case> {
    let retried = json!({ "errors.retry.timeout": -1 });
    let tolerant = json!({ "errors.tolerance": "all" });
    let case = |name, asks, own: &Value, end| Case {
        name,
        asks,
        own: own.clone(),
        end,
    };
    let all = || End::Lines(RECORDS);
    let but_one_key = || End::Lines(RECORDS - RECORDS / KEYS);
    let none = json!({});
    // Where requests are counted none is made again because of a slow machine.
    let counted = |asks: Value| {
        let mut asks = asks;
        laid_over(&mut asks, &json!({ "request.timeout.ms": 60_000 }));
        asks
    };
    vec![
        case(
            "known",
            counted(json!({ "auth.secret": SECRET })),
            &none,
            all(),
        ),
        case(
            "missing",
            counted(json!({ "missing": "null" })),
            &none,
            all(),
        ),
        case("busy", counted(json!({})), &retried, all()),
        // Without a retry timeout the task is opened again, after the time that the service asks for.
        case("busy-reopened", counted(json!({})), &none, all()),
        case("ill", json!({}), &retried, all()),
        case(
            "slow",
            json!({ "request.timeout.ms": TIMEOUT.as_millis() as u64 }),
            &retried,
            all(),
        ),
        case("garbled", json!({}), &tolerant, but_one_key()),
        case("deep", json!({}), &tolerant, but_one_key()),
        case("wrong", json!({}), &none, End::Failed(&["no JSON"])),
        case(
            "refused",
            json!({ "auth.secret": "wrong" }),
            &retried,
            End::Failed(&["auth.secret", "401"]),
        ),
        case(
            "elsewhere",
            json!({ "url": "http://127.0.0.1:9/{key}" }),
            &retried,
            End::Failed(&["longshore.wasm.grants.enrich-http.net", "127.0.0.1:9"]),
        ),
        case(
            "large",
            json!({ "answer.max.bytes": 100 }),
            &tolerant,
            End::Failed(&["more than 100 bytes"]),
        ),
    ]
}

/// `/CASE/KEY`: what the service says.
fn answered(asked: &Asked) -> Answer {
    let mut parts = asked.path.split('/').skip(1);
    let (case, key) = (parts.next().unwrap_or_default(), parts.next());
    let odd = key == Some("k7");
    let first = odd && asked.before == 0;
    match case {
        "known" | "refused" => {
            let right = asked.authorization == Some(format!("Bearer {SECRET}"));
            if !right {
                return Answer::empty("401 Unauthorized");
            }
        }
        "missing" if key.is_some_and(|key| key.len() > 2) => {
            return Answer::empty("404 Not Found");
        }
        "busy" | "busy-reopened" if first => {
            return Answer::empty("429 Too Many Requests").with("Retry-After: 1\r\n");
        }
        "ill" if odd && asked.before < 2 => return Answer::empty("500 Internal Server Error"),
        "slow" if first => return Answer::json(&json!("too late")).after(TIMEOUT * 3),
        "garbled" | "wrong" if odd => return Answer::text("{\"path\":".to_owned()),
        "deep" if odd => return Answer::text("[".repeat(500) + &"]".repeat(500)),
        "large" if odd => return Answer::json(&json!("x".repeat(200))),
        _ => {}
    }
    Answer::json(&json!({ "path": asked.path }))
}

/// Runs every case on one worker. `compiled`: where compiled plugins are kept; `component`: the example.
pub(super) fn run(longshore: &Path, compiled: &Path, component: &Path) -> Result<()> {
    let service = Oracle::start(answered)?;
    let run = Run {
        folder: fresh("enriched")?,
        service,
        cases: cases(),
    };
    let lines: String = (0..RECORDS)
        .map(|n| format!("{}\n", json!({ "n": n, "id": format!("k{}", n % KEYS) })))
        .collect();
    std::fs::write(run.file("orders"), lines)?;
    let file = run.folder.join("up.yaml");
    let config = run.config(compiled, component);
    std::fs::write(&file, serde_json::to_string_pretty(&config)?)?;
    let mut worker = Worker::start(longshore, &file, run.folder.join("worker.log"))?;
    let outcome = worker
        .ready()
        .and_then(|rest| {
            for case in &run.cases {
                let what = format!("the end of {}", case.name);
                worker.until(&what, |_| run.ended(&rest, case))?;
            }
            Ok(())
        })
        .and_then(|()| run.judge())
        .and_then(|()| run.kept_the_secret(&worker.log));
    outcome.with_context(|| format!("see {}", worker.log.display()))?;
    worker.stop()?;
    std::fs::remove_dir_all(&run.folder)?;
    Ok(())
}

struct Run {
    folder: PathBuf,
    service: Oracle,
    cases: Vec<Case>,
}

impl Run {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.ndjson"))
    }
    fn config(&self, compiled: &Path, component: &Path) -> Value {
        let address = self.service.address;
        let mut connectors = json!({ "orders": {
            "connector.class": "file-source", "topic": "orders", "file": self.file("orders"),
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        } });
        for case in &self.cases {
            let mut transform = json!({
                "type": ENRICH, "url": format!("http://{address}/{}/{{key}}", case.name),
                "key.field": "id", "target.field": "about",
            });
            laid_over(&mut transform, &case.asks);
            let mut connector = json!({
                "connector.class": "file-sink", "topics": "orders", "file": self.file(case.name),
                "transforms": { "ask": transform },
            });
            laid_over(&mut connector, &case.own);
            connectors[case.name] = connector;
        }
        let component = component.to_string_lossy();
        alone(&self.folder, compiled, &component, address, &connectors)
    }
    /// Some, once the case has come to its end. Another end is an error.
    fn ended(&self, rest: &str, case: &Case) -> Result<Option<()>> {
        // The worker may be starting still.
        let Ok(status) = web::get(rest, &format!("/connectors/{}/status", case.name)) else {
            return Ok(None);
        };
        let task = &status["tasks"][0];
        let trace = task["trace"].as_str().unwrap_or_default();
        let failed = task["state"] == "FAILED";
        match case.end {
            End::Failed(words) if failed => {
                let missing = words.iter().find(|word| !trace.contains(**word));
                ensure!(
                    missing.is_none(),
                    "{} does not say {missing:?}: {trace}",
                    case.name
                );
                Ok(Some(()))
            }
            End::Failed(_) => Ok(None),
            End::Lines(count) => {
                ensure!(!failed, "{}: {trace}", case.name);
                let lines = lines_in(&self.file(case.name));
                ensure!(
                    lines <= count,
                    "{} has {lines} lines, not {count}",
                    case.name
                );
                Ok((lines == count).then_some(()))
            }
        }
    }
    /// The files have what the service said, each record once; and it was not asked more than it takes.
    fn judge(&self) -> Result<()> {
        for case in &self.cases {
            let End::Lines(count) = case.end else {
                continue;
            };
            let text = std::fs::read_to_string(self.file(case.name))?;
            let mut numbers = BTreeSet::new();
            for line in text.lines() {
                let value: Value = serde_json::from_str(line)?;
                let id = value["id"].as_str().unwrap_or_default();
                let unknown = case.name == "missing" && id.len() > 2;
                let right = match &value["about"]["path"] {
                    Value::Null => unknown && value.get("about") == Some(&Value::Null),
                    path => *path == format!("/{}/{id}", case.name),
                };
                ensure!(right, "{} made {line}", case.name);
                numbers.extend(value["n"].as_u64());
            }
            ensure!(
                numbers.len() as u64 == count,
                "{} has {} different records",
                case.name,
                numbers.len()
            );
        }
        self.asked_no_more_than_needed()
    }
    fn asked_no_more_than_needed(&self) -> Result<()> {
        let requests = self.service.requests();
        let of = |case: &str| -> Vec<&Asked> {
            let prefix = format!("/{case}/");
            requests
                .iter()
                .filter(|one| one.path.starts_with(&prefix))
                .collect()
        };
        for case in ["known", "missing"] {
            let asked = of(case);
            let more = asked.iter().find(|one| one.before > 0);
            ensure!(
                more.is_none() && asked.len() as u64 == KEYS,
                "{case}: {} requests, and {more:?}",
                asked.len()
            );
        }
        for case in ["busy", "busy-reopened"] {
            let odd: Vec<_> = of(case)
                .into_iter()
                .filter(|one| one.path.ends_with("/k7"))
                .collect();
            let [first, second] = odd[..] else {
                anyhow::bail!("{case}: the busy service was asked {} times", odd.len());
            };
            let waited = second.at - first.at;
            ensure!(waited >= PATIENCE, "{case}: asked again after {waited:?}");
        }
        // Not once for every record.
        let refused = of("refused").len();
        ensure!(
            (1..=8).contains(&refused),
            "refused {refused} times: a wrong credential is not tried again and again"
        );
        Ok(())
    }
    fn kept_the_secret(&self, log: &Path) -> Result<()> {
        let said = std::fs::read_to_string(log)?;
        ensure!(!said.contains(SECRET), "the log has the secret");
        Ok(())
    }
}

fn laid_over(config: &mut Value, more: &Value) {
    if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
        config.extend(more.clone());
    }
}
