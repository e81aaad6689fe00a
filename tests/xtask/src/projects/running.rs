//! The plugins that were made, on one worker: each source into a topic, through a transform, into each sink, and into a file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::installed::{self, Installed};
use super::web::{self, Answer, Oracle};
use super::worker::{Worker, alone, failed, fresh, lines_in, statuses};
use super::{ENRICH, KINDS, NORMALIZE};

/// How far each source counts.
const RECORDS: u64 = 1000;
/// What every plugin here says.
const VERSION: &str = "0.1.0";
/// The first requests that the service turns away: the records must come all the same.
const AWAY: u32 = 2;

/// Runs all of them until their records have come through, and stops the worker. `compiled`: where compiled plugins are kept.
pub(super) fn run(
    longshore: &Path,
    compiled: &Path,
    languages: &[&str],
    components: &[PathBuf],
) -> Result<()> {
    let service = Oracle::start(|asked| match asked.before {
        before if before < AWAY => Answer::empty("503 Service Unavailable"),
        _ => Answer::json(&json!({ "path": asked.path })),
    })?;
    let run = Run {
        folder: fresh("projects")?,
        languages,
        service,
    };
    let (installed, beside) = installed::parted(components);
    let config = run.config(compiled, &beside);
    let file = run.folder.join("up.yaml");
    // JSON is YAML, too.
    std::fs::write(&file, serde_json::to_string_pretty(&config)?)?;
    let installed = Installed::new(longshore, &file, &installed)?;
    let mut worker = Worker::start(longshore, &file, run.folder.join("worker.log"))?;
    let connectors = config["connectors"]
        .as_object()
        .map_or(0, serde_json::Map::len);
    let outcome = worker
        .ready()
        .and_then(|rest| {
            run.known(&rest)?;
            let all_run = "every connector and task RUNNING";
            worker.until(all_run, |_| running(&rest, connectors))?;
            worker.until("every record at its end", |_| run.through(&rest))?;
            // Nothing may have failed over its records.
            worker.until(all_run, |_| running(&rest, connectors))
        })
        .and_then(|()| run.judge());
    outcome.with_context(|| format!("see {}", worker.log.display()))?;
    worker.stop()?;
    installed.remove()?;
    std::fs::remove_dir_all(&run.folder)?;
    Ok(())
}

struct Run<'a> {
    folder: PathBuf,
    languages: &'a [&'a str],
    service: Oracle,
}

impl Run<'_> {
    fn has(&self, language: &str) -> bool {
        self.languages.contains(&language)
    }
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.ndjson"))
    }
    /// What `longshore up` takes.
    fn config(&self, compiled: &Path, components: &[&PathBuf]) -> Value {
        let mut connectors = json!({});
        for language in self.languages {
            let topic = format!("{language}-counts");
            connectors[format!("{language}-source")] = json!({
                "connector.class": format!("{language}-source"), "connector.plugin.version": VERSION,
                "topic": topic, "limit": RECORDS,
                "transforms": { "add": {
                    "type": format!("{language}-transform"), "plugin.version": VERSION, "field": "by", "text": language,
                } },
            });
            // A record that was not transformed is refused and fails the task.
            connectors[format!("{language}-sink")] = json!({
                "connector.class": format!("{language}-sink"), "connector.plugin.version": VERSION,
                "topics": [topic], "required.field": "by",
            });
        }
        let topics: Vec<String> = self
            .languages
            .iter()
            .map(|one| format!("{one}-counts"))
            .collect();
        let mut to_file = |name: &str, topics: &[String], more: Value| {
            connectors[name] = json!({ "connector.class": "file-sink", "topics": topics, "file": self.file(name) });
            if let (Some(config), Value::Object(more)) = (connectors[name].as_object_mut(), more) {
                config.extend(more);
            }
        };
        to_file("lines", &topics, json!({}));
        if self.has("python") {
            let transform =
                json!({ "type": NORMALIZE, "time.fields": ["count"], "time.input": "s" });
            to_file(
                NORMALIZE,
                &topics[..1],
                json!({ "transforms": { "tidy": transform } }),
            );
        }
        let address = self.service.address;
        if self.has("js") {
            let transform = json!({
                "type": ENRICH, "url": format!("http://{address}/languages/{{key}}"), "key.field": "by", "target.field": "about",
            });
            let more = json!({ "errors.retry.timeout": -1, "transforms": { "ask": transform } });
            to_file(ENRICH, &topics[..1], more);
        }
        let plugins: Vec<_> = components.iter().map(|one| one.to_string_lossy()).collect();
        alone(
            &self.folder,
            compiled,
            &plugins.join(","),
            address,
            &connectors,
        )
    }
    /// Every project's plugin is there, from its file.
    fn known(&self, rest: &str) -> Result<()> {
        let plugins = web::get(rest, "/connector-plugins?connectorsOnly=false")?;
        let known: BTreeSet<&str> = plugins
            .as_array()
            .into_iter()
            .flatten()
            .filter(|plugin| plugin["version"] == VERSION && plugin["x"]["origin"] != "bundled")
            .filter_map(|plugin| plugin["class"].as_str())
            .collect();
        for language in self.languages {
            for kind in KINDS {
                let name = format!("{language}-{kind}");
                ensure!(
                    known.contains(name.as_str()),
                    "the worker does not know {name} {VERSION}: {plugins}"
                );
            }
        }
        Ok(())
    }
    /// Some, once every source has stored its last position, every sink its last offset, and every file has its lines.
    fn through(&self, rest: &str) -> Result<Option<()>> {
        failed(rest)?;
        for language in self.languages {
            for (kind, key) in [("source", "next"), ("sink", "kafka_offset")] {
                let offsets = web::get(rest, &format!("/connectors/{language}-{kind}/offsets"))?;
                if offsets["offsets"][0]["offset"][key] != RECORDS {
                    return Ok(None);
                }
            }
        }
        let mut expected = vec![("lines", self.languages.len() as u64 * RECORDS)];
        expected.extend(self.has("python").then_some((NORMALIZE, RECORDS)));
        expected.extend(self.has("js").then_some((ENRICH, RECORDS)));
        for (name, count) in expected {
            let lines = lines_in(&self.file(name));
            ensure!(
                lines <= count,
                "{name} has {lines} lines: {count} records were made"
            );
            if lines < count {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
    /// What stands in the files is what the plugins made.
    fn judge(&self) -> Result<()> {
        let mut counts: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for line in self.lines("lines")? {
            let (by, count) = (line["by"].as_str(), line["count"].as_u64());
            let (Some(by), Some(count)) = (by, count) else {
                bail!("a record has not both fields: {line}");
            };
            counts.entry(by.to_owned()).or_default().insert(count);
        }
        for language in self.languages {
            let numbers = counts.get(*language).map_or(0, BTreeSet::len) as u64;
            ensure!(
                numbers == RECORDS,
                "{numbers} different records of {language}, not {RECORDS}"
            );
        }
        let first = self.languages.first().context("no language")?;
        if self.has("python") {
            let lines = self.lines(NORMALIZE)?;
            let wrong = lines.iter().find(|line| {
                !line["count"]
                    .as_str()
                    .is_some_and(|time| time.starts_with("1970-01-01T00:") && time.ends_with('Z'))
            });
            ensure!(wrong.is_none(), "{NORMALIZE} made {wrong:?}");
        }
        if self.has("js") {
            let lines = self.lines(ENRICH)?;
            let path = format!("/languages/{first}");
            let wrong = lines.iter().find(|line| line["about"]["path"] != path);
            ensure!(wrong.is_none(), "{ENRICH} made {wrong:?}");
            // One answer for all, and the requests that were turned away.
            let asked = self.service.asked();
            let known = BTreeMap::from([(path, AWAY + 1)]);
            ensure!(
                asked == known,
                "the service was asked {asked:?}, not {known:?}"
            );
        }
        Ok(())
    }
    fn lines(&self, name: &str) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.file(name))?;
        let lines = text.lines().map(|line| {
            serde_json::from_str(line).with_context(|| format!("{name} wrote no JSON: {line}"))
        });
        lines.collect()
    }
}

/// Some, once all are RUNNING with one task or more; those of plugins in files with their version. A source that has finished is PAUSED, and says so.
fn running(rest: &str, connectors: usize) -> Result<Option<()>> {
    failed(rest)?;
    let statuses = statuses(rest)?;
    let all = statuses.iter().all(|status| {
        let name = status["name"].as_str().unwrap_or_default();
        let plugin = KINDS.iter().any(|kind| name.ends_with(&format!("-{kind}")));
        let source = name.ends_with("-source");
        let runs = |one: &Value| {
            let finished = source && one["state"] == "PAUSED" && one["x"]["finished"] == true;
            (finished || one["state"] == "RUNNING") && (!plugin || one["version"] == VERSION)
        };
        let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        !tasks.is_empty() && runs(&status["connector"]) && tasks.iter().all(runs)
    });
    Ok((statuses.len() == connectors && all).then_some(()))
}
