//! A folder of recordings.

use anyhow::{Context, Result};
use serde_json::Value as Json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// One recorded line.
#[derive(Debug)]
pub struct Case {
    /// File and line.
    pub place: String,
    /// The class without its package.
    pub class: String,
    /// The line.
    pub line: Json,
}

/// Every case of a folder.
#[derive(Debug)]
pub struct Corpus {
    /// Of transforms and predicates.
    pub transforms: Vec<Case>,
    /// Of converters.
    pub converters: Vec<Case>,
}

impl Corpus {
    /// Reads a folder. A folder without cases is an error: nothing would be compared.
    pub fn read(folder: &Path) -> Result<Self> {
        let corpus = Self {
            transforms: cases(&folder.join("smt"), "smt")?,
            converters: cases(&folder.join("converters"), "converter")?,
        };
        anyhow::ensure!(
            corpus.transforms.len() + corpus.converters.len() > 0,
            "{} holds no cases: set COMPAT_DIR to a folder with smt/*.jsonl or converters/*.jsonl",
            folder.display()
        );
        Ok(corpus)
    }
}

fn cases(folder: &Path, class: &str) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    if !folder.is_dir() {
        return Ok(cases);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    for file in files {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = match name.strip_suffix(".zst") {
            Some(_) => zstd::decode_all(fs::File::open(&file)?)?,
            None if name.ends_with(".jsonl") => fs::read(&file)?,
            None => continue,
        };
        let text = String::from_utf8(text).with_context(|| format!("{name} is not UTF-8"))?;
        for (number, line) in text.lines().enumerate() {
            let place = format!("{name}:{}", number + 1);
            let line: Json = serde_json::from_str(line).with_context(|| place.clone())?;
            let class = line[class].as_str().with_context(|| place.clone())?;
            let class = class.rsplit('.').next().unwrap_or_default().to_owned();
            cases.push(Case { place, class, line });
        }
    }
    Ok(cases)
}

impl Case {
    /// The settings.
    pub(crate) fn config(&self) -> Result<longshore_sdk::config::Flat> {
        let config = self.line["config"].as_object().context("no config")?;
        let entries = config.iter().map(|(key, value)| {
            let value = value.as_str().context("a setting is no text")?;
            Ok((key.clone(), value.to_owned()))
        });
        entries.collect()
    }
    /// Whether the recording ended in an error.
    pub(crate) fn fails(&self) -> bool {
        self.line["output"].get("error").is_some()
    }
    /// Whether it ended there before any data was looked at.
    pub(crate) fn fails_at_start(&self) -> bool {
        self.fails() && self.line.get("input").is_none_or(Json::is_null)
    }
}
