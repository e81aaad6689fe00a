//! Says in one sentence what it does: here, it adds a field to values that are JSON objects.

use longshore_guest::prelude::*;
use serde_json::{Map, Value};

/// What a user can set. Doc comments are the documentation, keys are as people write them.
#[derive(Clone, Deserialize, JsonSchema)]
struct Settings {
    /// The field to add.
    #[schemars(length(min = 1), extend("x-importance" = "HIGH"))]
    field: String,
    /// Its value.
    #[serde(default)]
    text: String,
}

struct Plugin {
    settings: Settings,
}

impl Transform for Plugin {
    type Config = Settings;
    const INFO: Info = Info::new(
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
    )
    .vendor("Example")
    .needs(Columns::VALUE)
    .formats(Format::Bytes, Format::Json);

    fn start(settings: Settings) -> Result<Self> {
        Ok(Self { settings })
    }
    /// What is not changed here stays, and costs nothing.
    fn apply(&mut self, records: &Records<'_>, edit: &mut Edit<'_>) -> Result<()> {
        for record in records {
            if record.value().is_none() {
                continue;
            }
            match record.value_json::<Map<String, Value>>() {
                Ok(mut fields) => {
                    let text = self.settings.text.as_str();
                    fields.insert(self.settings.field.clone(), text.into());
                    edit.value_json(&record, &fields)?;
                }
                Err(error) => edit.fail(&record, error),
            }
        }
        Ok(())
    }
}

longshore_guest::export_transform!(Plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_guest::testing;

    #[test]
    fn objects_get_the_field_and_everything_else_fails() {
        let settings = Settings {
            field: "from".to_owned(),
            text: "here".to_owned(),
        };
        let mut plugin = Plugin::start(settings).expect("a transform");
        let batch = testing::incoming("t", 0, 0, &[Some(r#"{"id":1}"#), None, Some("7")]);
        let (values, failed) = testing::applied(&mut plugin, &batch).expect("applied");
        assert_eq!(values[0].as_deref(), Some(r#"{"id":1,"from":"here"}"#));
        assert_eq!((values[1].as_deref(), failed.as_slice()), (None, &[2][..]));
    }
}
