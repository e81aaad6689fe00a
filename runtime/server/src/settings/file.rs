//! Settings files: `worker:` and `connectors:`, flattened to Kafka Connect's maps.

use super::{
    place::{Located, Place},
    properties,
    yaml::{self, Content, Entry, Node},
};
use indexmap::IndexMap;
use longshore_sdk::config::{Finding, Flat, nearest};
use std::{collections::BTreeMap, fs::File, io::Read, path::Path, sync::Arc};

/// How large a settings file may be.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How long a dotted key may be; nested maps make keys longer than the file says.
const KEY_BYTES_MAX: usize = 512;

/// What settings files hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// The worker's keys; `None` if no file has the section.
    pub(crate) worker: Option<Section>,
    /// The connectors by name, in the files' order.
    pub(crate) connectors: IndexMap<String, Section>,
    /// What is worth saying and no error.
    pub(crate) notes: Vec<Located>,
}

/// How a section was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// YAML: Longshore's own, strict with unknown keys.
    Yaml,
    /// Java properties: Kafka Connect's, with its defaults.
    Properties,
}

/// One flat map and where its keys stand.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// The keys and values; of a connector with its `name`.
    pub(crate) config: Flat,
    /// Where each key stands; nested maps under their dotted path too.
    pub(crate) places: BTreeMap<String, Place>,
    /// Where the section stands.
    pub(crate) place: Place,
    /// How it was written.
    pub(crate) syntax: Syntax,
}

impl Section {
    /// A section without keys: of a worker that has no file, all defaults.
    pub(crate) fn empty() -> Self {
        Self::new(Place::whole(&Arc::from("defaults")), Syntax::Yaml)
    }
    pub(super) fn new(place: Place, syntax: Syntax) -> Self {
        Self {
            config: Flat::new(),
            places: BTreeMap::new(),
            place,
            syntax,
        }
    }
    /// The place of a key, else of the nearest map around it, else of the section.
    pub(crate) fn place_of(&self, key: &str) -> &Place {
        let mut path = key.trim_end_matches('.');
        loop {
            if let Some(place) = self.places.get(path) {
                return place;
            }
            match path.rfind('.') {
                Some(dot) => path = &path[..dot],
                None => return &self.place,
            }
        }
    }
    /// A finding about one of its keys, at the key's place.
    pub(crate) fn locate(&self, finding: Finding) -> Located {
        Located::new(self.place_of(&finding.key).clone(), finding)
    }
}

impl Settings {
    /// Reads files and lays them together. `.properties` files hold a worker's keys; all others are YAML.
    ///
    /// Every problem of every file is reported. One file may have the worker section, and a connector may be in one file.
    pub(crate) fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self, Vec<Located>> {
        let mut all = Self::default();
        let mut problems = Vec::new();
        for path in paths {
            match read_one(path.as_ref()) {
                Ok(settings) => all.join(settings, &mut problems),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() {
            Ok(all)
        } else {
            Err(problems)
        }
    }
    /// Reads YAML text; `file` is the name that places show.
    pub(crate) fn from_yaml(file: &str, text: &str) -> Result<Self, Vec<Located>> {
        let file = Arc::from(file);
        let root = yaml::parse(&file, text).map_err(|problem| vec![problem])?;
        // An editor that saves in two steps shows an empty file for a moment: it must not mean "delete all connectors".
        let Some(root) = root.filter(|root| !matches!(root.content, Content::Null)) else {
            let problem = "the file is empty: expected worker: or connectors:";
            return Err(vec![Located::text(Place::whole(&file), problem)]);
        };
        let mut reading = Reading::default();
        reading.root(root);
        if reading.problems.is_empty() {
            Ok(reading.settings)
        } else {
            Err(reading.problems)
        }
    }
    /// Reads the text of a .properties file with a worker's keys.
    pub(crate) fn from_properties(file: &str, bytes: &[u8]) -> Result<Self, Vec<Located>> {
        let (worker, notes) =
            properties::parse(&Arc::from(file), bytes).map_err(|problem| vec![problem])?;
        Ok(Self {
            worker: Some(worker),
            connectors: IndexMap::new(),
            notes,
        })
    }

    fn join(&mut self, other: Self, problems: &mut Vec<Located>) {
        match (&self.worker, other.worker) {
            (Some(first), Some(second)) => {
                let problem = format!("a second worker section: the first is at {}", first.place);
                problems.push(Located::text(second.place, problem));
            }
            (None, second) => self.worker = second,
            (Some(_), None) => {}
        }
        for (name, section) in other.connectors {
            if let Some(first) = self.connectors.get(&name) {
                let problem = format!("the connector {name} is at {} already", first.place);
                problems.push(Located::text(section.place, problem));
            } else {
                self.connectors.insert(name, section);
            }
        }
        self.notes.extend(other.notes);
    }
}

fn read_one(path: &Path) -> Result<Settings, Vec<Located>> {
    let file = path.display().to_string();
    let whole = |problem: String| vec![Located::text(Place::whole(&Arc::from(&*file)), problem)];
    let mut bytes = Vec::new();
    let limited = File::open(path).map(|file| file.take(FILE_BYTES_MAX + 1));
    limited
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|error| whole(format!("the file cannot be read: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let problem = format!("the file is too large: at most {FILE_BYTES_MAX} bytes");
        return Err(whole(problem));
    }
    if path.extension().is_some_and(|ext| ext == "properties") {
        return Settings::from_properties(&file, &bytes);
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = good.matches('\n').count() + 1;
        let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let place = Place::at(&Arc::from(&*file), line, column);
        vec![Located::text(place, "this is not UTF-8 text")]
    })?;
    Settings::from_yaml(&file, text)
}

/// Reads the tree of one YAML file, and goes on after a problem.
#[derive(Default)]
struct Reading {
    settings: Settings,
    problems: Vec<Located>,
}

impl Reading {
    fn problem(&mut self, place: &Place, problem: impl Into<String>) {
        self.problems.push(Located::text(place.clone(), problem));
    }

    fn root(&mut self, root: Node) {
        let Some(sections) = self.map("the file", &root.place, root.content) else {
            return;
        };
        for (name, entry) in sections {
            match name.as_str() {
                "worker" => {
                    self.settings.worker = Some(self.section("worker", entry, |_| false));
                }
                "connectors" => self.connectors(entry),
                _ => self.unknown_section(&name, entry.place),
            }
        }
    }

    fn unknown_section(&mut self, name: &str, place: Place) {
        let finding = Finding::new("", format!("unknown section {name}"));
        let finding = match nearest(name, ["worker", "connectors"]) {
            Some(near) => finding.suggest(format!("did you mean {near}?")),
            None => finding.suggest("a file has worker: and connectors:"),
        };
        self.problems.push(Located::new(place, finding));
    }

    fn connectors(&mut self, entry: Entry) {
        let Some(connectors) = self.map("connectors", &entry.value.place, entry.value.content)
        else {
            return;
        };
        for (name, entry) in connectors {
            let mut section = self.section(&name, entry, |key| {
                matches!(key, "transforms" | "predicates")
            });
            match section.config.get("name") {
                Some(own) if *own != name => {
                    let place = section.place_of("name").clone();
                    let problem = format!("the connector is called {name} above, {own} here");
                    self.problem(&place, problem);
                }
                Some(_) => {}
                None => {
                    section.config.insert("name".to_owned(), name.clone());
                }
            }
            self.settings.connectors.insert(name, section);
        }
    }

    /// A section's entries; null is none at all.
    fn map(
        &mut self,
        what: &str,
        place: &Place,
        content: Content,
    ) -> Option<IndexMap<String, Entry>> {
        match content {
            Content::Map(entries) => Some(entries),
            Content::Null => Some(IndexMap::new()),
            Content::Scalar(_) => {
                self.problem(place, format!("expected a map in {what}, got text"));
                None
            }
            Content::List(_) => {
                self.problem(place, format!("expected a map in {what}, got a list"));
                None
            }
        }
    }

    /// Flattens one section; `ordered` says for which of its keys a map's order is a list of its names.
    fn section(&mut self, name: &str, entry: Entry, ordered: impl Fn(&str) -> bool) -> Section {
        let mut section = Section::new(entry.place, Syntax::Yaml);
        let entries = self
            .map(name, &entry.value.place, entry.value.content)
            .unwrap_or_default();
        for (key, entry) in entries {
            if ordered(&key)
                && let Content::Map(aliases) = &entry.value.content
            {
                let list = names(aliases);
                self.set(&mut section, &key, &entry.place, list);
            }
            self.flatten(&mut section, key, entry);
        }
        section
    }

    fn flatten(&mut self, section: &mut Section, key: String, entry: Entry) {
        if key.len() > KEY_BYTES_MAX {
            let problem =
                format!("the key is too long: at most {KEY_BYTES_MAX} bytes, dots included");
            return self.problem(&entry.place, problem);
        }
        match entry.value.content {
            Content::Null => {}
            Content::Scalar(text) => self.set(section, &key, &entry.place, text),
            Content::List(items) => {
                if let Some(list) = self.list(items) {
                    self.set(section, &key, &entry.place, list);
                }
            }
            Content::Map(entries) => {
                for (name, inner) in entries {
                    self.flatten(section, format!("{key}.{name}"), inner);
                }
                section.places.entry(key).or_insert(entry.place);
            }
        }
    }

    fn set(&mut self, section: &mut Section, key: &str, place: &Place, text: String) {
        if section.config.contains_key(key) {
            let first = section.place_of(key).line;
            let problem = format!("the key {key} is given twice, first at line {first}");
            return self.problem(place, problem);
        }
        section.config.insert(key.to_owned(), text);
        section.places.insert(key.to_owned(), place.clone());
    }

    fn list(&mut self, items: Vec<Node>) -> Option<String> {
        let mut texts = Vec::with_capacity(items.len());
        for item in &items {
            match &item.content {
                Content::Scalar(text) if text.contains(',') => {
                    let problem = "an item of a list cannot hold a comma: commas part the items";
                    self.problem(&item.place, problem);
                }
                Content::Scalar(text) if !text.trim().is_empty() => texts.push(text.as_str()),
                Content::Scalar(_) | Content::Null => {
                    self.problem(&item.place, "an empty item in a list");
                }
                Content::List(_) | Content::Map(_) => {
                    self.problem(&item.place, "an item of a list must be text");
                }
            }
        }
        (texts.len() == items.len()).then(|| texts.join(","))
    }
}

/// The names that an ordered map lists: `{mask: {..}, route.type: ..}` lists mask and route.
fn names(entries: &IndexMap<String, Entry>) -> String {
    let mut names: Vec<&str> = Vec::with_capacity(entries.len());
    for (key, entry) in entries {
        let name = match &entry.value.content {
            Content::Null => continue,
            Content::Map(_) => key,
            _ => key.split_once('.').map_or(key.as_str(), |(name, _)| name),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(",")
}
