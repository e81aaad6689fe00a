//! The behaviour suite over the file source and the file sink.

use longshore_file::{FileSink, FileSource};
use longshore_kit::behaviour::{
    Fault,
    sink::{self, SinkRig},
    source::{self, SourceRig},
};
use longshore_sdk::{
    Datum, Record, Value,
    config::Flat,
    erased::{self, DynSinkConnector, DynSourceConnector},
};
use std::{fs::OpenOptions, io::Write, path::PathBuf};
use tempfile::TempDir;

struct Rig {
    folder: TempDir,
    lines: u64,
}

impl Rig {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            lines: 0,
        }
    }
    fn path(&self) -> PathBuf {
        self.folder.path().join("file")
    }
    fn file(&self) -> (String, String) {
        ("file".to_owned(), self.path().display().to_string())
    }
}

impl SourceRig for Rig {
    fn connector(&self) -> Box<dyn DynSourceConnector> {
        erased::source::<FileSource>()
    }
    fn config(&self) -> Flat {
        Flat::from([self.file(), ("topic".to_owned(), "lines".to_owned())])
    }
    async fn seed(&mut self, count: usize) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.path())
            .expect("a file");
        for _ in 0..count {
            self.lines += 1;
            let end = ["\n", "\r", "\r\n"][self.lines as usize % 3];
            write!(file, "line {} é{end}", self.lines).expect("written");
        }
        // A carriage return at the very end may be half of an end of line.
        if self.lines % 3 == 1 {
            self.lines += 1;
            writeln!(file, "line {}", self.lines).expect("written");
        }
    }
    async fn fault(&mut self, fault: Fault) -> bool {
        let away = self.folder.path().join("away");
        match fault {
            Fault::Unavailable => std::fs::rename(self.path(), away).expect("moved"),
            Fault::Healed => std::fs::rename(away, self.path()).expect("moved back"),
            Fault::AnswerLost => return false,
        }
        true
    }
}

impl SinkRig for Rig {
    fn connector(&self) -> Box<dyn DynSinkConnector> {
        erased::sink::<FileSink>()
    }
    fn config(&self) -> Flat {
        Flat::from([self.file()])
    }
    fn poison(&self) -> Option<Record> {
        let mut record = Record::new(sink::TOPIC.into());
        record.value = Datum::Value(Value::Struct(vec![Value::Bool(true)]), None);
        Some(record)
    }
    async fn read_back(&mut self) -> Vec<u64> {
        let text = std::fs::read_to_string(self.path()).expect("the file");
        let id = |line: &str| {
            let value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            value["id"].as_u64().expect("an id")
        };
        text.lines().map(id).collect()
    }
}

#[tokio::test]
async fn behaves_as_a_source() {
    source::run(async || Rig::new()).await;
}

#[tokio::test]
async fn behaves_as_a_sink() {
    sink::run(async || Rig::new()).await;
}
