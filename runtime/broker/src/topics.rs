//! The topics of the broker: creation, deletion, growth, configs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kafka_protocol::error::ResponseError;
use uuid::Uuid;

use crate::clock::now_ms;
use crate::log::{Log, Partition};
use crate::settings::{self, Overrides, Settings};
use crate::store::Store;
use crate::store::model::{Entry, TopicRecord};

const MAX_NAME: usize = 249;

/// One topic; what can change is replaced as a whole.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    shape: RwLock<Shape>,
}

#[derive(Debug, Clone)]
struct Shape {
    partitions: Arc<[Arc<Partition>]>,
    settings: Arc<Settings>,
}

impl Topic {
    fn shape(&self) -> Shape {
        self.shape
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn partitions(&self) -> Arc<[Arc<Partition>]> {
        self.shape().partitions
    }

    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        self.partitions().get(usize::try_from(index).ok()?).cloned()
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.shape().settings
    }
}

/// Why a topic cannot be created or changed: the protocol's error and a sentence for people.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) ResponseError, pub(crate) String);

impl From<ResponseError> for Refused {
    fn from(error: ResponseError) -> Refused {
        Refused(error, error.to_string())
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        tracing::error!(%error, "storing a topic failed");
        Refused(
            ResponseError::KafkaStorageError,
            format!("storing the topic failed: {error}"),
        )
    }
}

/// All topics. Changes are serialized by one lock; look-ups take only the map.
#[derive(Debug)]
pub(crate) struct Topics {
    dir: Option<PathBuf>,
    max_partitions: usize,
    changing: Mutex<()>,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
}

impl Topics {
    /// Opens every topic of the store; folders of topics that are gone are removed.
    pub(crate) fn open(
        dir: Option<PathBuf>,
        store: &Store,
        max_partitions: usize,
    ) -> io::Result<Topics> {
        let topics = Topics {
            dir,
            max_partitions,
            changing: Mutex::new(()),
            by_name: RwLock::default(),
        };
        if let Some(dir) = &topics.dir {
            fs::create_dir_all(dir)?;
            let live: HashMap<&str, ()> = store
                .model()
                .topics
                .values()
                .map(|t| (t.id.as_str(), ()))
                .collect();
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                if entry
                    .file_name()
                    .to_str()
                    .is_none_or(|id| !live.contains_key(id))
                {
                    fs::remove_dir_all(entry.path())?;
                }
            }
        }
        let mut opened = BTreeMap::new();
        for (name, record) in &store.model().topics {
            let partitions = (0..record.partitions)
                .map(|p| topics.open_partition(record, p))
                .collect::<io::Result<_>>()?;
            opened.insert(name.clone(), topic(name, record, partitions));
        }
        *topics
            .by_name
            .write()
            .unwrap_or_else(PoisonError::into_inner) = opened;
        Ok(topics)
    }

    fn open_partition(&self, record: &TopicRecord, index: i32) -> io::Result<Arc<Partition>> {
        let log = match &self.dir {
            None => Log::in_memory()?,
            Some(dir) => {
                let start = record.starts.get(&index).copied().unwrap_or(0);
                Log::open(
                    &dir.join(&record.id).join(index.to_string()),
                    start,
                    now_ms(),
                )?
            }
        };
        Ok(Arc::new(Partition::new(index, log)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
    }

    /// All topics, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn partition(
        &self,
        topic: &str,
        index: i32,
    ) -> Result<Arc<Partition>, ResponseError> {
        self.get(topic)
            .and_then(|t| t.partition(index))
            .ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// Creates a topic, or with `only_check` tells whether it could be.
    pub(crate) fn create(
        &self,
        store: &Mutex<Store>,
        name: &str,
        partitions: i32,
        configs: Overrides,
        only_check: bool,
    ) -> Result<Arc<Topic>, Refused> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        check_name(name)?;
        if self.get(name).is_some() {
            return Err(Refused(
                ResponseError::TopicAlreadyExists,
                format!("Topic '{name}' already exists."),
            ));
        }
        self.check_count(partitions, partitions)?;
        settings::check(&configs)
            .map_err(|settings::Invalid(text)| Refused(ResponseError::InvalidConfig, text))?;
        let record = TopicRecord {
            id: Uuid::new_v4().simple().to_string(),
            partitions,
            configs,
            starts: BTreeMap::new(),
        };
        if only_check {
            return Ok(topic(name, &record, Arc::new([])));
        }
        let opened = (0..partitions)
            .map(|p| self.open_partition(&record, p))
            .collect::<io::Result<_>>()?;
        let created = topic(name, &record, opened);
        commit(
            store,
            Entry::Topic {
                name: name.to_owned(),
                topic: record,
            },
        )?;
        self.by_name
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), created.clone());
        Ok(created)
    }

    fn check_count(&self, partitions: i32, more: i32) -> Result<(), Refused> {
        let used: usize = self.all().iter().map(|t| t.partitions().len()).sum();
        if partitions < 1 {
            return Err(Refused(
                ResponseError::InvalidPartitions,
                "Number of partitions must be larger than 0.".into(),
            ));
        }
        if used + more.max(0) as usize > self.max_partitions {
            let text = format!(
                "The broker's limit of {} partitions is reached.",
                self.max_partitions
            );
            return Err(Refused(ResponseError::InvalidPartitions, text));
        }
        Ok(())
    }

    /// Deletes a topic with its records, its offsets in all groups, and its part in transactions.
    pub(crate) fn delete(&self, store: &Mutex<Store>, name: &str) -> Result<(), Refused> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self
            .get(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let id = lock(store).model().topics.get(name).map(|t| t.id.clone());
        commit(
            store,
            Entry::TopicDeleted {
                name: name.to_owned(),
            },
        )?;
        self.by_name
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
        for partition in topic.partitions().iter() {
            partition.log().delete();
        }
        if let (Some(dir), Some(id)) = (&self.dir, id) {
            // Only the empty folder is left; if it stays, the next start removes it.
            let _ = fs::remove_dir(dir.join(id));
        }
        Ok(())
    }

    /// Adds partitions up to `count` in all.
    pub(crate) fn grow(
        &self,
        store: &Mutex<Store>,
        name: &str,
        count: i32,
        only_check: bool,
    ) -> Result<(), Refused> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self
            .get(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let shape = topic.shape();
        let have = shape.partitions.len() as i32;
        if count <= have {
            let text = format!(
                "The topic {name} currently has {have} partition(s); {count} would not be an increase."
            );
            return Err(Refused(ResponseError::InvalidPartitions, text));
        }
        self.check_count(count, count - have)?;
        if only_check {
            return Ok(());
        }
        let mut record = lock(store)
            .model()
            .topics
            .get(name)
            .cloned()
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let mut partitions = shape.partitions.to_vec();
        for index in have..count {
            partitions.push(self.open_partition(&record, index)?);
        }
        record.partitions = count;
        commit(
            store,
            Entry::Topic {
                name: name.to_owned(),
                topic: record,
            },
        )?;
        topic
            .shape
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .partitions = partitions.into();
        Ok(())
    }

    /// Replaces a topic's overrides by what `change` makes of them.
    pub(crate) fn configure(
        &self,
        store: &Mutex<Store>,
        name: &str,
        only_check: bool,
        change: impl FnOnce(&mut Overrides) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self
            .get(name)
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        let mut record = lock(store)
            .model()
            .topics
            .get(name)
            .cloned()
            .ok_or(ResponseError::UnknownTopicOrPartition)?;
        change(&mut record.configs)?;
        settings::check(&record.configs)
            .map_err(|settings::Invalid(text)| Refused(ResponseError::InvalidConfig, text))?;
        if only_check {
            return Ok(());
        }
        let settings = Arc::new(Settings::parse(&record.configs));
        commit(
            store,
            Entry::Topic {
                name: name.to_owned(),
                topic: record,
            },
        )?;
        topic
            .shape
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .settings = settings;
        Ok(())
    }
}

fn lock(store: &Mutex<Store>) -> std::sync::MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

fn commit(store: &Mutex<Store>, entry: Entry) -> io::Result<()> {
    lock(store).commit(entry)
}

fn topic(name: &str, record: &TopicRecord, partitions: Arc<[Arc<Partition>]>) -> Arc<Topic> {
    let shape = Shape {
        partitions,
        settings: Arc::new(Settings::parse(&record.configs)),
    };
    Arc::new(Topic {
        name: name.to_owned(),
        shape: RwLock::new(shape),
    })
}

/// Kafka's rule for topic names.
fn check_name(name: &str) -> Result<(), Refused> {
    let letters = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if name.is_empty() || name == "." || name == ".." || name.len() > MAX_NAME || !letters {
        let text = format!(
            "Topic name '{name}' is illegal: 1 to {MAX_NAME} of ASCII letters, digits, '.', '_' and '-', but not '.' or '..'"
        );
        return Err(Refused(ResponseError::InvalidTopicException, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_come_back_and_deleted_ones_do_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let open = || {
            let store = Store::open(dir.path()).expect("opens");
            let topics = Topics::open(Some(dir.path().join("topics")), &store, 100).expect("opens");
            (Mutex::new(store), topics)
        };
        let (store, topics) = open();
        topics
            .create(&store, "a", 2, Overrides::new(), false)
            .expect("created");
        topics
            .create(&store, "b", 1, Overrides::new(), false)
            .expect("created");
        topics.grow(&store, "a", 3, false).expect("grown");
        topics
            .configure(&store, "a", false, |c| {
                c.insert("retention.ms".into(), "5".into());
                Ok(())
            })
            .expect("configured");
        topics.delete(&store, "b").expect("deleted");
        drop((store, topics));
        let (_, topics) = open();
        let a = topics.get("a").expect("there");
        assert_eq!(
            (a.partitions().len(), a.settings().retention_ms),
            (3, Some(5))
        );
        assert!(topics.get("b").is_none());
        assert_eq!(
            fs::read_dir(dir.path().join("topics"))
                .expect("a folder")
                .count(),
            1
        );
    }

    #[test]
    fn the_limit_on_partitions_holds() {
        let store = Mutex::new(Store::in_memory());
        let topics = Topics::open(None, &Store::in_memory(), 4).expect("opens");
        topics
            .create(&store, "a", 3, Overrides::new(), false)
            .expect("created");
        let Refused(error, _) = topics
            .create(&store, "b", 2, Overrides::new(), false)
            .expect_err("too many");
        assert_eq!(error, ResponseError::InvalidPartitions);
    }
}
