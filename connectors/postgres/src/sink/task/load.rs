//! A batch into rows, and the tables that they need.

use super::{OP, PostgresSinkTask};
use crate::{
    client::{Failure, Outcome, Table, TableName, catalogue},
    sink::{
        Refusal,
        batch::Rows,
        config::PkMode,
        evolve,
        record::{Object, Wish},
        route::{Loader, Route, Slot, Unloaded},
        settings::Settings,
        table::Plan,
        write::{Refused as Refusals, Writer},
    },
};
use longshore_sdk::{Datum, Error, Result, SinkRecord, Value};
use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

/// How often the tables may turn out to be other than thought while one batch is put into rows (I6).
const RESTARTS_MAX: usize = 64;

impl PostgresSinkTask {
    /// Writes a batch within the open transaction; says what was refused.
    pub(super) async fn put_all(&mut self, batch: &[SinkRecord]) -> Outcome<Refusals> {
        let mut refusals = Refusals::new();
        self.load(batch, &mut refusals).await?;
        if self.routes.slots.iter().all(|slot| slot.rows.is_empty()) {
            return Ok(refusals);
        }
        self.link.begin(OP).await?;
        // Tables in the order of their names: two tasks lock them in the same order.
        let mut order: Vec<usize> = (0..self.routes.slots.len()).collect();
        order.sort_by(|a, b| {
            self.routes.slots[*a]
                .plan
                .table
                .name
                .cmp(&self.routes.slots[*b].plan.table.name)
        });
        for at in order {
            let slot = &mut self.routes.slots[at];
            if slot.rows.is_empty() {
                continue;
            }
            let mut writer = Writer {
                link: &mut self.link,
                plan: &slot.plan,
                mode: self.settings.mode,
                rows_max: self.settings.rows_max,
                apart: BTreeSet::new(),
            };
            Box::pin(writer.write(&mut slot.rows, &mut refusals)).await?;
        }
        Ok(refusals)
    }

    /// Puts the batch into rows. Where a table turns out to be other than thought, it begins again.
    async fn load(&mut self, batch: &[SinkRecord], refusals: &mut Refusals) -> Outcome<()> {
        let mut asked = BTreeSet::new();
        for _ in 0..RESTARTS_MAX {
            refusals.clear();
            for slot in &mut self.routes.slots {
                slot.rows.clear();
            }
            if Box::pin(self.load_once(batch, refusals, &mut asked))
                .await?
                .is_continue()
            {
                return Ok(());
            }
        }
        let text = "the tables change faster than a batch can be put into rows: somebody alters them all the time";
        Err(Failure::own(Error::config(OP, text)))
    }

    /// `Break`: a table was changed, or read again; rows that were made before may not fit it.
    async fn load_once(
        &mut self,
        batch: &[SinkRecord],
        refusals: &mut Refusals,
        asked: &mut BTreeSet<usize>,
    ) -> Outcome<ControlFlow<()>> {
        let settings = Arc::clone(&self.settings);
        let mut loader = Loader {
            settings: &settings,
            cells: Vec::new(),
            columns: Vec::new(),
        };
        for (index, record) in batch.iter().enumerate() {
            let topic = &record.record.topic;
            if !self.routes.topics.contains_key(topic) {
                match Box::pin(self.route(record)).await? {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => {
                        refusals.insert(index, Refusal(error));
                        continue;
                    }
                }
            }
            if settings.evolve
                && self.routes.is_news(record)
                && Box::pin(self.evolve(record)).await?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            let Some(route) = self.routes.topics.get_mut(topic) else {
                continue;
            };
            let (number, slots) = (route.slot, &mut self.routes.slots);
            let Some(slot) = slots.get_mut(number) else {
                continue;
            };
            match loader.load(slot, route, index, record) {
                Ok(()) => {}
                // Perhaps the column was added since the table was read.
                Err(Unloaded::Missing(_) | Unloaded::Refused(_, Some(_)))
                    if asked.insert(number) =>
                {
                    if Box::pin(self.read_again(number)).await? {
                        return Ok(ControlFlow::Break(()));
                    }
                    // It is as it was: the record is judged again.
                    let (Some(slot), Some(route)) = (
                        self.routes.slots.get_mut(number),
                        self.routes.topics.get_mut(topic),
                    ) else {
                        continue;
                    };
                    if let Err(unloaded) = loader.load(slot, route, index, record) {
                        refusals
                            .insert(index, Refusal(unloaded.error(&slot.plan, settings.evolve)));
                    }
                }
                Err(unloaded) => {
                    refusals.insert(index, Refusal(unloaded.error(&slot.plan, settings.evolve)));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Finds the table of a topic that was not seen before, or makes it. `Ok(false)`: the record asks for nothing that needs a table;
    /// an error inside is the record's.
    async fn route(&mut self, record: &SinkRecord) -> Outcome<Result<bool>> {
        let topic = &record.record.topic;
        let config = |text: String| Failure::own(Error::config(OP, text).with("topic", topic));
        let name = self.settings.table(topic).map_err(config)?;
        if let Some(database) = &name.database
            && database != self.link.session(OP)?.database()
        {
            return Err(config(format!(
                "the table {name} is of another database than the connection's"
            )));
        }
        let key = match key_names(&self.settings, record) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error)),
        };
        let mut found = catalogue::table(self.link.session(OP)?, OP, &name).await?;
        if found.is_none() && self.settings.create {
            if record.record.value.is_null() {
                return Ok(Ok(false));
            }
            let sql = match evolve::create(&name, &key, &self.settings, record) {
                Ok(sql) => sql,
                Err(fault) => return Ok(Err(Error::data(OP, fault).with("table", &name))),
            };
            tracing::info!(table = %name, "table is made");
            self.define(&sql).await?;
            found = catalogue::table(self.link.session(OP)?, OP, &name).await?;
        }
        let Some(table) = found else {
            let text = format!(
                "there is no table {name} that user {} can see: make it, correct table.name.format, or set auto.create=true",
                self.link.session(OP)?.user()
            );
            return Err(config(text));
        };
        let same = |slot: &Slot| slot.plan.table.oid == table.oid && slot.key == key;
        let number = match self.routes.slots.iter().position(same) {
            Some(number) => number,
            None => {
                let plan = self.plan(table, &key).await?;
                self.routes.slots.push(Slot {
                    plan,
                    rows: Rows::default(),
                    key,
                });
                self.routes.slots.len() - 1
            }
        };
        self.routes.topics.insert(topic.clone(), Route::new(number));
        Ok(Ok(true))
    }

    async fn plan(&mut self, table: Table, key: &[String]) -> Outcome<Plan> {
        self.numbers += 1;
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = {} AND condeferrable)",
            table.oid
        );
        let deferred = self.link.ask(OP, &sql).await? == "t";
        let plan = Plan::new(table, key, self.settings.mode, self.numbers);
        let mut plan = plan.map_err(Failure::own)?;
        plan.deferred = deferred;
        Ok(plan)
    }

    /// Runs a statement that defines something; somebody else may have done the same just now.
    async fn define(&mut self, sql: &str) -> Outcome<()> {
        match self.link.run(OP, sql).await {
            Err(failure)
                if !self.link.is_open()
                    && matches!(
                        failure.code().map(tokio_postgres::error::SqlState::code),
                        Some("42P07" | "23505" | "42701" | "XX000")
                    ) =>
            {
                Ok(())
            }
            done => done,
        }
    }

    /// Makes the table as wide as a record's schema asks for. `Break`: it was changed.
    async fn evolve(&mut self, record: &SinkRecord) -> Outcome<ControlFlow<()>> {
        let topic = &record.record.topic;
        let Datum::Value(Value::Struct(_), Some(schema)) = &record.record.value else {
            return Ok(ControlFlow::Continue(()));
        };
        // What asks for no row tells nothing about the rows to come.
        let (Some(wanted), Some(route)) =
            (evolve::schema_of(record), self.routes.topics.get_mut(topic))
        else {
            return Ok(ControlFlow::Continue(()));
        };
        let number = route.slot;
        let table = &self.routes.slots[number].plan.table;
        let sql = evolve::alter(table, &self.settings, topic, wanted)
            .map_err(|fault| Failure::own(Error::config(OP, fault).with("table", &table.name)))?;
        let Some(sql) = sql else {
            route.seen = Some(Arc::clone(schema));
            return Ok(ControlFlow::Continue(()));
        };
        tracing::info!(table = %table.name, "table is altered for a new schema");
        self.define(&sql).await?;
        self.read_again(number).await?;
        Ok(ControlFlow::Break(()))
    }

    /// Reads a table's columns again; true if they are others now.
    async fn read_again(&mut self, number: usize) -> Outcome<bool> {
        let slot = &self.routes.slots[number];
        let (name, key) = (slot.plan.table.name.clone(), slot.key.clone());
        let Some(table) = catalogue::table(self.link.session(OP)?, OP, &name).await? else {
            return Err(missing(&name));
        };
        let before = &self.routes.slots[number].plan.table;
        if before.oid == table.oid
            && before.columns == table.columns
            && before.unique == table.unique
        {
            return Ok(false);
        }
        let plan = self.plan(table, &key).await?;
        self.routes.slots[number].plan = plan;
        for route in self
            .routes
            .topics
            .values_mut()
            .filter(|route| route.slot == number)
        {
            *route = Route::new(number);
        }
        Ok(true)
    }
}

/// The columns of the key, as the config or the first record names them.
fn key_names(settings: &Settings, record: &SinkRecord) -> Result<Vec<String>> {
    if settings.pk == PkMode::None {
        return Ok(Vec::new());
    }
    if !settings.pk_fields.is_empty() {
        return Ok(settings
            .pk_fields
            .iter()
            .map(|name| settings.name(name))
            .collect());
    }
    let mut names = Vec::new();
    let mut collect = |object: Object<'_>| {
        object.each(|_, name, _| {
            names.push(settings.name(&String::from_utf8_lossy(name)));
            Ok(())
        })
    };
    let named = match settings.pk {
        PkMode::RecordKey => match Object::of(&record.record.key) {
            Ok(object) => collect(object),
            Err("null") => Err("the record has no key, and pk.mode is record_key".into()),
            Err(instead) => {
                let text = format!("the record's key is no object but {instead}: pk.fields must name the column for it");
                return Err(Error::config(OP, text));
            }
        },
        _ => match Wish::of(&record.record.value) {
            Ok(Wish::Write(object, _)) => collect(object),
            Ok(_) => Err("the first record of a topic has no value to take the key's columns from: set pk.fields".into()),
            Err(fault) => Err(fault),
        },
    };
    named.map_err(|fault| Error::data(OP, fault))?;
    Ok(names)
}

fn missing(name: &TableName) -> Failure {
    let text = format!(
        "the table {name} was dropped while records came: make it again, or stop the connector"
    );
    Failure::own(Error::config(OP, text))
}
