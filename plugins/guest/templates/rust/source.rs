//! Says in one sentence what it does: here, it counts.

use longshore_guest::prelude::*;

/// What a user can set. Doc comments are the documentation, keys are as people write them.
#[derive(Clone, Deserialize, JsonSchema)]
struct Settings {
    /// The topic to publish to.
    #[schemars(length(min = 1), extend("x-importance" = "HIGH"))]
    topic: String,
    /// How far to count.
    #[serde(default = "limit")]
    limit: u64,
    /// How many records a batch has at most.
    #[serde(default = "batch_size", rename = "batch.size")]
    #[schemars(range(min = 1, max = 5_000))]
    batch_size: usize,
}

fn limit() -> u64 {
    100
}

fn batch_size() -> usize {
    500
}

/// Where reading goes on after a record: stored with it, and given to `start` after a restart.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Position {
    next: u64,
}

#[derive(Serialize)]
struct Count {
    count: u64,
}

struct Plugin {
    settings: Settings,
    next: u64,
}

impl Source for Plugin {
    type Config = Settings;
    type Position = Position;
    const INFO: Info = Info::new(
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
    )
    .vendor("Example")
    .ends();

    fn promise(_: &Settings) -> Guarantee {
        Guarantee::exactly_once("the same position is always followed by the same records")
    }
    fn start(settings: Settings, stored: Positions<Position>) -> Result<Self> {
        let next = stored.of(&Lane::only()).map_or(0, |position| position.next);
        Ok(Self { settings, next })
    }
    fn poll(&mut self, _max_wait: Duration, batch: &mut Batch<Position>) -> Result<Next> {
        while self.next < self.settings.limit {
            if batch.is_full() || batch.len() >= self.settings.batch_size {
                return Ok(Next::More);
            }
            let next = self.next + 1;
            batch
                .record(&self.settings.topic)
                .key(self.next.to_string())
                .value_json(&Count { count: self.next })?
                .emit(&Lane::only(), &Position { next })?;
            self.next = next;
        }
        Ok(Next::Finished)
    }
}

longshore_guest::export_source!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_guest::testing;

    #[test]
    fn a_restart_goes_on_with_the_next_record() {
        let settings: Settings =
            serde_json::from_str(r#"{"topic":"t","limit":5,"batch.size":2}"#).expect("settings");
        let stored = vec![(Lane::only(), Position { next: 3 })];
        let mut source = Plugin::start(settings, stored.into()).expect("a source");
        let mut batch = Batch::new(&Plugin::INFO, 100, 1 << 20);
        source.poll(Duration::ZERO, &mut batch).expect("a batch");
        let records = testing::batch(batch);
        assert_eq!(
            records,
            [
                ("3".to_owned(), Position { next: 4 }),
                ("4".to_owned(), Position { next: 5 })
            ]
        );
    }
}
