//! Offsets of connectors: of a source from the offset view, of a sink from its group.

use super::{
    ConnectorOffset, ConnectorOffsets, Control, ControlError, ControlErrorKind, ControlResult,
    TargetState,
};
use crate::{
    connector_config::{get, group_of},
    views::config::Connector,
};
use longshore_sdk::Direction;
use serde_json::{Value, json};

impl Control {
    /// A source's stored offsets, or the committed offsets of a sink's group.
    pub async fn offsets(&self, name: &str) -> ControlResult<ConnectorOffsets> {
        let connector = self.find(name, || format!("Connector {name} not found"))?;
        self.in_time("reading a connector's offsets", async {
            match self
                .plugin(&connector.config)
                .map(crate::registry::Connector::direction)
            {
                Some(Direction::Sink) => self.sink_offsets(name, &connector).await,
                _ => self.source_offsets(name).await,
            }
        })
        .await
    }
    async fn source_offsets(&self, name: &str) -> ControlResult<ConnectorOffsets> {
        let refreshed = self.cx.offsets.refresh().await;
        refreshed
            .map_err(|error| ControlError::of_log("Failed to read the offset topic", &error))?;
        let stored = self.cx.offsets.read(|stored| stored.of(name));
        let parse = |json: &[u8]| serde_json::from_slice::<Value>(json).ok();
        let offsets = stored.iter().filter_map(|(lane, offset)| {
            Some(ConnectorOffset {
                partition: parse(lane.json())?,
                offset: parse(&offset.json())?,
            })
        });
        Ok(ConnectorOffsets {
            offsets: offsets.collect(),
        })
    }
    async fn sink_offsets(
        &self,
        name: &str,
        connector: &Connector,
    ) -> ControlResult<ConnectorOffsets> {
        let group = match get(&connector.config, "consumer.override.group.id") {
            Some(own) => own.to_owned(),
            None => group_of(name),
        };
        let committed = self.cx.bus.committed(&group).await;
        let text = format!("Failed to retrieve consumer group offsets for connector {name}");
        let committed = committed.map_err(|error| ControlError::of_log(&text, &error))?;
        let offsets = committed.iter().map(|(at, offset)| ConnectorOffset {
            partition: json!({ "kafka_partition": at.partition, "kafka_topic": &*at.topic }),
            offset: json!({ "kafka_offset": offset }),
        });
        Ok(ConnectorOffsets {
            offsets: offsets.collect(),
        })
    }
    /// Alters offsets of a STOPPED source; an offset of null resets its partition. Answers the message.
    pub async fn alter_offsets(
        &self,
        name: &str,
        offsets: ConnectorOffsets,
    ) -> ControlResult<String> {
        let connector = self.find(name, || format!("Connector {name} not found"))?;
        if offsets.offsets.is_empty() {
            return Err(ControlError::invalid(
                "Partitions / offsets need to be provided for an alter offsets request",
            )
            .at("offsets"));
        }
        self.must_be_changeable(name, &connector)?;
        for (at, entry) in offsets.offsets.iter().enumerate() {
            check_shape(at, entry)?;
        }
        self.in_time("altering a connector's offsets", async {
            self.cx
                .offsets
                .refresh()
                .await
                .map_err(|error| ControlError::of_log("Failed to read the offset topic", &error))?;
            // Duplicate partitions: the last wins, as it is the last record of its key.
            let entries = self.cx.offsets.read(|stored| {
                let altered = offsets.offsets.iter();
                altered
                    .flat_map(|entry| {
                        let offset = Some(&entry.offset).filter(|offset| !offset.is_null());
                        stored.alter(name, &entry.partition, offset)
                    })
                    .collect()
            });
            let written = self.cx.offsets.put(entries).await;
            written.map_err(|error| {
                ControlError::of_log("Failed to write to the offset topic", &error)
            })
        })
        .await?;
        Ok("The offsets for this connector have been altered successfully".to_owned())
    }
    /// Resets all offsets of a STOPPED source. Answers the message.
    pub async fn reset_offsets(&self, name: &str) -> ControlResult<String> {
        let connector = self.find(name, || format!("Connector {name} not found"))?;
        self.must_be_changeable(name, &connector)?;
        self.in_time("resetting a connector's offsets", async {
            self.cx
                .offsets
                .refresh()
                .await
                .map_err(|error| ControlError::of_log("Failed to read the offset topic", &error))?;
            let entries = self.cx.offsets.read(|stored| stored.reset(name));
            let written = self.cx.offsets.put(entries).await;
            written.map_err(|error| {
                ControlError::of_log("Failed to write to the offset topic", &error)
            })
        })
        .await?;
        Ok("The offsets for this connector have been reset successfully".to_owned())
    }
    /// STOPPED, its tasks gone, and a source.
    fn must_be_changeable(&self, name: &str, connector: &Connector) -> ControlResult<()> {
        if connector.target != TargetState::Stopped {
            return Err(ControlError::invalid(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector \
                 by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
            )));
        }
        if self.cx.live.any_of(name) {
            let text = "Cannot complete request because of a conflicting operation: the connector's tasks are still stopping";
            return Err(ControlError::new(ControlErrorKind::Conflict, text)
                .suggest("try again in a moment"));
        }
        if self
            .plugin(&connector.config)
            .map(crate::registry::Connector::direction)
            == Some(Direction::Sink)
        {
            return Err(ControlError::invalid(format!("Altering the offsets of the sink connector {name} is not supported"))
                .suggest("use kafka-consumer-groups --reset-offsets on its consumer group while it is STOPPED"));
        }
        Ok(())
    }
}

fn check_shape(at: usize, entry: &ConnectorOffset) -> ControlResult<()> {
    if !entry.partition.is_object() {
        let text = "The partitions of a source connector's offsets must be JSON objects";
        return Err(ControlError::invalid(text).at(format!("offsets[{at}].partition")));
    }
    match &entry.offset {
        Value::Null => Ok(()),
        Value::Object(fields) => match fields
            .iter()
            .find(|(_, value)| value.is_object() || value.is_array())
        {
            Some((name, value)) => {
                let kind = if value.is_object() { "MAP" } else { "ARRAY" };
                let text = format!(
                    "Offsets may only contain primitive types as values, but field {name} contains {kind}"
                );
                Err(ControlError::invalid(text).at(format!("offsets[{at}].offset.{name}")))
            }
            None => Ok(()),
        },
        _ => {
            let text = "The offsets of a source connector must be JSON objects or null";
            Err(ControlError::invalid(text).at(format!("offsets[{at}].offset")))
        }
    }
}
