//! Offsets of connectors: of a source from the offset view, of a sink from its group.

use super::{
    ConnectorOffset, ConnectorOffsets, Control, ControlError, ControlErrorKind, ControlResult,
    TargetState,
    carry_out::unwritten,
    command::{Command, Miss},
};
use crate::{
    connector_config::{get, group_of},
    views::{
        config::{Connector, records::Pair},
        offset::StoredOffsets,
    },
};
use bytes::Bytes;
use longshore_sdk::{Direction, Error};
use serde_json::{Value, json};

impl Control {
    /// A source's stored offsets, or the committed offsets of a sink's group.
    pub async fn offsets(&self, name: &str) -> ControlResult<ConnectorOffsets> {
        let connector = self.find(name, || format!("Connector {name} not found"))?;
        self.in_time("reading a connector's offsets", async {
            match self.direction(&connector)? {
                Direction::Sink => self.sink_offsets(name, &connector).await,
                Direction::Source => self.source_offsets(name).await,
            }
        })
        .await
    }
    async fn source_offsets(&self, name: &str) -> ControlResult<ConnectorOffsets> {
        // Where the topic is gone, what this worker knew of it is all there is to put back.
        if self.cx.offsets.trouble().is_none() {
            let refreshed = self.cx.offsets.refresh().await;
            refreshed.map_err(|error| unread("offset", &error))?;
        }
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
        let name = name.to_owned();
        let command = Command::AlterOffsets { name, offsets };
        self.order(command).await?.into_message()
    }
    /// Resets all offsets of a STOPPED source. Answers the message.
    pub async fn reset_offsets(&self, name: &str) -> ControlResult<String> {
        let name = name.to_owned();
        let command = Command::ResetOffsets { name };
        self.order(command).await?.into_message()
    }
    /// As the leader.
    pub(super) async fn do_alter_offsets(
        &self,
        name: &str,
        offsets: &ConnectorOffsets,
        request: &Bytes,
    ) -> Result<&'static str, Miss> {
        let altered = "The offsets for this connector have been altered successfully";
        if self.has_changed(request).await? {
            return Ok(altered);
        }
        let connector = self.find(name, || format!("Connector {name} not found"))?;
        if offsets.offsets.is_empty() {
            return Err(ControlError::invalid(
                "Partitions / offsets need to be provided for an alter offsets request",
            )
            .at("offsets")
            .into());
        }
        self.must_be_changeable(name, &connector)?;
        for (at, entry) in offsets.offsets.iter().enumerate() {
            check_shape(at, entry)?;
        }
        // Duplicate partitions: the last wins, as it is the last record of its key.
        let change = |stored: &StoredOffsets| {
            let entries = offsets.offsets.iter();
            entries
                .flat_map(|entry| {
                    let offset = Some(&entry.offset).filter(|offset| !offset.is_null());
                    stored.alter(name, &entry.partition, offset)
                })
                .collect()
        };
        self.change_offsets(name, change, request).await?;
        Ok(altered)
    }
    /// As the leader.
    pub(super) async fn do_reset_offsets(
        &self,
        name: &str,
        request: &Bytes,
    ) -> Result<&'static str, Miss> {
        let reset = "The offsets for this connector have been reset successfully";
        if self.has_changed(request).await? {
            return Ok(reset);
        }
        self.changeable(name)?;
        self.change_offsets(name, |stored| stored.reset(name), request)
            .await?;
        Ok(reset)
    }
    /// Whether this very request has changed offsets at an earlier try. A leader that was frozen learns here that the connector runs again, before it
    /// fences its tasks.
    async fn has_changed(&self, request: &Bytes) -> Result<bool, Miss> {
        let read = self.cx.config.refresh().await;
        read.map_err(|error| unread("config", &error))?;
        let read = self.cx.offsets.refresh().await;
        read.map_err(|error| unread("offset", &error))?;
        Ok(self.cx.offsets.read(|stored| stored.has_written(request)))
    }
    async fn change_offsets(
        &self,
        name: &str,
        change: impl FnOnce(&StoredOffsets) -> Vec<Pair>,
        request: &Bytes,
    ) -> Result<(), Miss> {
        self.fence_former(name).await?;
        // Fencing may have taken long: who leads no more leaves it to its successor, and a connector that was resumed meanwhile has tasks. The
        // lock is held until it is written: no task set is written in between, so that no task starts at the offsets before.
        let _writing = self.cx.writing.lock().await;
        self.must_lead()?;
        self.changeable(name)?;
        let refreshed = self.cx.offsets.refresh().await;
        refreshed.map_err(|error| unread("offset", &error))?;
        if self.cx.offsets.read(|stored| stored.has_written(request)) {
            // Another try of the same request came first, and somebody may have changed them again since.
            return Ok(());
        }
        let entries = self.cx.offsets.read(change);
        // I4: in this worker's term. A leader that was replaced while it was frozen changes nothing under the tasks that its successor started.
        let written = self.cx.put_offsets(entries, request).await;
        written.map_err(|error| unwritten("offset", &error))
    }
    /// The connector is there, and its offsets may be changed.
    fn changeable(&self, name: &str) -> ControlResult<()> {
        let connector = self.find(name, || format!("Connector {name} not found"))?;
        self.must_be_changeable(name, &connector)
    }
    /// Whether another worker of the group has tasks of the connector that are not gone yet: a task's status goes with it.
    fn has_tasks_elsewhere(&self, name: &str) -> bool {
        let members = self.cx.view().members;
        let tasks = self.cx.status.tasks(name);
        tasks.values().any(|status| {
            let there = members
                .iter()
                .any(|member| member.worker_id == status.worker_id);
            there && status.worker_id != self.cx.settings.worker_id && status.state.is_live()
        })
    }
    /// I4: a zombie's open transaction must not be committed over what is written now.
    async fn fence_former(&self, name: &str) -> ControlResult<()> {
        let fenced = self.cx.fence_source(name).await;
        fenced.map_err(|error| {
            ControlError::of_log("Failed to fence the connector's former tasks", &error)
        })
    }
    /// Which way a connector moves data. Only its plugin tells, and a sink's offsets are not where a source's are.
    fn direction(&self, connector: &Connector) -> ControlResult<Direction> {
        let plugin = self.cx.needed(&connector.config);
        let plugin = plugin.map_err(|error| ControlError::invalid(error.message()))?;
        Ok(plugin.direction())
    }
    /// STOPPED, its tasks gone, and a source.
    fn must_be_changeable(&self, name: &str, connector: &Connector) -> ControlResult<()> {
        if connector.target != TargetState::Stopped {
            return Err(ControlError::invalid(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector \
                 by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
            )));
        }
        if self.cx.live.any_of(name) || self.has_tasks_elsewhere(name) {
            let text = "Cannot complete request because of a conflicting operation: the connector's tasks are still stopping";
            return Err(ControlError::new(ControlErrorKind::Conflict, text)
                .suggest("try again in a moment"));
        }
        if self.direction(connector)? == Direction::Sink {
            return Err(ControlError::invalid(format!("Altering the offsets of the sink connector {name} is not supported"))
                .suggest("use kafka-consumer-groups --reset-offsets on its consumer group while it is STOPPED"));
        }
        Ok(())
    }
}

fn unread(topic: &str, error: &Error) -> ControlError {
    ControlError::of_log(&format!("Failed to read the {topic} topic"), error)
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
