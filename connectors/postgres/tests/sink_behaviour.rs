//! The behaviour suite over the sink; alone in its process, whose memory it measures.

use longshore_kit::{
    behaviour::{
        Fault,
        sink::{self, SinkRig},
    },
    servers::{Postgres, Proxy},
};
use longshore_postgres::PostgresSink;
use longshore_sdk::{
    Datum, Record,
    config::Flat,
    erased::{self, DynSinkConnector},
};

const SECRET: &str = "a-secret-that-nobody-shows";

struct Rig {
    server: &'static Postgres,
    database: String,
    proxy: Proxy,
    /// Upsert instead of insert.
    upsert: bool,
}

impl Rig {
    fn new(upsert: bool) -> Self {
        let server = Postgres::shared().expect("a server");
        let database = server.create_database().expect("a database");
        let key = if upsert { "PRIMARY KEY" } else { "NOT NULL" };
        let sql = format!("CREATE TABLE behaviour (place bigserial, id bigint {key}, pad text)");
        server.query(&database, &sql).expect("a table");
        let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port())).expect("a proxy");
        Self {
            server,
            database,
            proxy,
            upsert,
        }
    }
}

impl SinkRig for Rig {
    fn connector(&self) -> Box<dyn DynSinkConnector> {
        erased::sink::<PostgresSink>()
    }
    fn config(&self) -> Flat {
        let url = format!(
            "postgresql://postgres@{}/{}",
            self.proxy.address(),
            self.database
        );
        let mut config = Flat::from([
            ("connection.url".to_owned(), url),
            ("connection.password".to_owned(), SECRET.to_owned()),
            ("table.name.format".to_owned(), "public.${topic}".to_owned()),
        ]);
        if self.upsert {
            let more = [
                ("insert.mode", "upsert"),
                ("pk.mode", "record_value"),
                ("pk.fields", "id"),
            ];
            config.extend(more.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
        config
    }
    fn poison(&self) -> Option<Record> {
        let mut record = Record::new(sink::TOPIC.into());
        // Only the server can tell: a null in a column that takes none.
        record.value = Datum::Json("{\"id\":null}".into());
        Some(record)
    }
    async fn read_back(&mut self) -> Vec<u64> {
        let rows = self
            .server
            .query(&self.database, "SELECT id FROM behaviour ORDER BY place");
        rows.expect("rows")
            .iter()
            .map(|id| id.parse().expect("a number"))
            .collect()
    }
    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
    async fn fault(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::Unavailable => self.proxy.refuse().expect("refused"),
            Fault::Healed => self.proxy.heal().expect("healed"),
            Fault::AnswerLost => return false,
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_a_sink() {
    sink::run(async || Rig::new(false)).await;
    sink::run(async || Rig::new(true)).await;
}
