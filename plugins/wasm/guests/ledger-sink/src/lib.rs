//! A sink whose target keeps the offsets: ids and offsets reach a service in one request, which counts only from the owner of the claim.

use longshore_guest::prelude::*;

#[derive(Deserialize, JsonSchema)]
struct Settings {
    /// Where the service is: it answers POST on claim and flush below this.
    url: String,
    /// The credential.
    #[serde(default)]
    token: Option<Secret>,
    /// A promise to break.
    #[serde(default)]
    bug: Bug,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Bug {
    #[default]
    None,
    /// Each flush takes the claim back.
    Unfenced,
    /// Offsets are not told to the service.
    ForgetsOffsets,
    /// `assigned` answers none.
    KeepsNone,
    /// The record behind the bad one is refused.
    RefusesTheNeighbour,
    /// An outage is said to be the config's fault.
    BlamesTheConfig,
    /// A close without a record before it panics.
    NeedsARecord,
}

struct Ledger {
    settings: Settings,
    /// The number of the claim; 0 = none yet.
    owner: u64,
    /// What was taken since the last flush.
    taken: Vec<(TopicPartition, u64)>,
}

/// A partition, and the offset of its next record.
#[derive(Deserialize, Serialize)]
struct Place {
    topic: String,
    partition: i32,
    offset: i64,
}

#[derive(Deserialize)]
struct Claimed {
    owner: u64,
    offsets: Vec<Place>,
}

#[derive(Deserialize)]
struct Value {
    id: u64,
}

impl Sink for Ledger {
    type Config = Settings;
    const INFO: Info = Info::new(
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
    )
    .vendor("Longshore")
    .needs(Columns::VALUE.union(Columns::POSITION))
    .formats(Format::Bytes, Format::Json)
    .keeps_offsets()
    .refuses();

    fn promise(_: &Settings) -> Guarantee {
        Guarantee::exactly_once("ids and offsets change in one request of the claim's owner")
    }
    fn start(settings: Settings) -> Result<Self> {
        Ok(Self {
            settings,
            owner: 0,
            taken: Vec::new(),
        })
    }
    fn assigned(&mut self, at: &[TopicPartition]) -> Result<Option<Vec<TopicOffset>>> {
        let claimed: Claimed = self.ask("claim", &serde_json::json!({}))?.json()?;
        self.owner = claimed.owner;
        if self.settings.bug == Bug::KeepsNone {
            return Ok(None);
        }
        let offsets = claimed.offsets.into_iter().map(|place| TopicOffset {
            topic: place.topic,
            partition: place.partition,
            offset: place.offset,
        });
        let asked = |place: &TopicOffset| {
            at.iter()
                .any(|at| at.topic == place.topic && at.partition == place.partition)
        };
        Ok(Some(offsets.filter(asked).collect()))
    }
    fn put(&mut self, records: &Records<'_>, refused: &mut Refused) -> Result<(), PutError> {
        for record in records {
            match record.value_json::<Value>() {
                Ok(value) => {
                    let at = TopicPartition {
                        topic: record.origin().to_owned(),
                        partition: record.partition(),
                    };
                    self.taken.push((at, value.id));
                }
                Err(error) => {
                    let neighbour = record.row() + 1;
                    let neighbour = records.get(neighbour).unwrap_or(record);
                    let of = match self.settings.bug {
                        Bug::RefusesTheNeighbour => neighbour,
                        _ => record,
                    };
                    refused.refuse(&of, Error::data(error.message()));
                }
            }
        }
        Ok(())
    }
    fn flush(&mut self, upto: Vec<TopicOffset>) -> Result<Vec<TopicOffset>> {
        if upto.is_empty() {
            return Ok(upto);
        }
        let ids: Vec<u64> = self.taken.iter().map(|(_, id)| *id).collect();
        if self.settings.bug == Bug::Unfenced {
            let claimed: Claimed = self.ask("claim", &serde_json::json!({}))?.json()?;
            self.owner = claimed.owner;
        }
        let place = |at: &TopicOffset| Place {
            topic: at.topic.clone(),
            partition: at.partition,
            offset: at.offset,
        };
        let mut offsets: Vec<Place> = upto.iter().map(place).collect();
        if self.settings.bug == Bug::ForgetsOffsets {
            offsets.clear();
        }
        let body = serde_json::json!({ "owner": self.owner, "ids": ids, "offsets": offsets });
        self.ask("flush", &body)?;
        self.taken.clear();
        Ok(upto)
    }
    /// What was taken of partitions that were lost is somebody else's now.
    fn revoked(&mut self, at: &[TopicPartition]) -> Result<()> {
        self.taken.retain(|(of, _)| !at.contains(of));
        Ok(())
    }
    fn close(&mut self) {
        let broken = self.settings.bug == Bug::NeedsARecord && self.taken.is_empty();
        assert!(!broken, "there was no record");
    }
}

impl Ledger {
    fn ask(&self, what: &str, body: &serde_json::Value) -> Result<http::Response> {
        let url = format!("{}/{what}", self.settings.url.trim_end_matches('/'));
        let mut request = http::post(url).json(body)?;
        if let Some(token) = &self.settings.token {
            request = request.bearer(token);
        }
        let response = match request.send() {
            Err(error) if self.settings.bug == Bug::BlamesTheConfig => {
                return Err(Error::config(error.message()));
            }
            answer => answer?,
        };
        match response.status {
            409 => Err(Error::fenced("another task has the claim")),
            _ => response.ok(),
        }
    }
}

longshore_guest::export_sink!(Ledger);
