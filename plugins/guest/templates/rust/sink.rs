//! Says in one sentence what it does: here, it counts what it is given.

use longshore_guest::{metrics, prelude::*};

/// What a user can set. Doc comments are the documentation, keys are as people write them.
#[derive(Clone, Deserialize, JsonSchema)]
struct Settings {
    /// A field that every value must have; other records are refused. Empty: none.
    #[serde(default, rename = "required.field")]
    required_field: String,
}

struct Plugin {
    settings: Settings,
    taken: u64,
}

impl Sink for Plugin {
    type Config = Settings;
    const INFO: Info = Info::new(
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
    )
    .vendor("Example")
    .needs(Columns::VALUE.union(Columns::POSITION))
    .formats(Format::Text, Format::Json)
    .refuses();

    fn start(settings: Settings) -> Result<Self> {
        Ok(Self { settings, taken: 0 })
    }
    /// What is taken here may stay in memory until `flush`.
    fn put(&mut self, records: &Records<'_>, refused: &mut Refused) -> Result<(), PutError> {
        let field = &self.settings.required_field;
        for record in records {
            if !field.is_empty() {
                let value: serde_json::Value = match record.value_json() {
                    Ok(value) => value,
                    Err(error) => {
                        refused.refuse(&record, error);
                        continue;
                    }
                };
                if value.get(field).is_none() {
                    let error = Error::data(format!("the value has no field {field}"));
                    refused.refuse(&record, error.with("offset", record.offset()));
                    continue;
                }
            }
            // Write it here. When the target fails: return Err(Error::transient("..").after(record.row())).
            self.taken += 1;
        }
        Ok(())
    }
    /// Makes what was taken durable; only then its offsets may be committed.
    fn flush(&mut self, upto: Vec<TopicOffset>) -> Result<Vec<TopicOffset>> {
        metrics::add("records", &[], self.taken);
        self.taken = 0;
        Ok(upto)
    }
}

longshore_guest::export_sink!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_guest::testing;

    #[test]
    fn records_without_the_field_are_refused() {
        let settings: Settings =
            serde_json::from_str(r#"{"required.field":"id"}"#).expect("settings");
        let mut sink = Plugin::start(settings).expect("a sink");
        let batch = testing::incoming("t", 0, 0, &[Some(r#"{"id":1}"#), Some("{}"), None]);
        let mut refused = Refused::default();
        sink.put(&Records::new(&batch), &mut refused).expect("taken");
        assert_eq!((sink.taken, refused.len()), (1, 2));
    }
}
