//! What a user can set.

use longshore_guest::prelude::*;

/// Sends records to an HTTP API, one by one or in arrays, with idempotency keys.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// The address to send to. {topic} and {key} stand for the record's, encoded. The operator must grant its host to this plugin.
    #[schemars(length(min = 1), extend("x-importance" = "HIGH"))]
    pub(crate) url: String,
    /// The method.
    #[serde(default)]
    pub(crate) method: Method,
    /// What a request carries: single is one record, array is a JSON array of up to batch.max.records.
    #[serde(default, rename = "batch.mode")]
    pub(crate) mode: Mode,
    /// The most records of one array.
    #[serde(default = "records_max", rename = "batch.max.records")]
    #[schemars(range(min = 1, max = 5_000))]
    pub(crate) records_max: usize,
    /// The header that carries the idempotency key, made of connector, topic, partition and offset. Empty: none is sent.
    #[serde(default = "idempotency", rename = "idempotency.header")]
    pub(crate) idempotency: String,
    /// What stands before the idempotency key. A new one tells records of a topic that was deleted and made anew from those before.
    #[serde(default, rename = "idempotency.prefix")]
    pub(crate) idempotency_prefix: String,
    /// What a 409 without Retry-After says while idempotency keys are sent: refuse (the record is bad), taken (it is there already), or retry
    /// (the same request is still under way).
    #[serde(default)]
    pub(crate) conflict: Conflict,
    /// How many requests of mode single are under way at once. With more than 1, records may arrive out of order.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1, max = 64))]
    pub(crate) concurrency: u32,
    /// What becomes of records without a value: refuse (dead letter), skip, or delete (a DELETE request, in mode single).
    #[serde(default, rename = "null.values")]
    pub(crate) nulls: Nulls,
    /// The type of what is sent.
    #[serde(default = "content_type", rename = "content.type")]
    #[schemars(extend("x-importance" = "LOW"))]
    pub(crate) content_type: String,
    #[serde(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Method {
    #[default]
    Post,
    Put,
    Patch,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    #[default]
    Single,
    Array,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Conflict {
    // Nothing is lost and nothing is stuck before somebody has said what the server means.
    #[default]
    Refuse,
    Taken,
    Retry,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Nulls {
    #[default]
    Refuse,
    Skip,
    Delete,
}

fn records_max() -> usize {
    500
}
fn idempotency() -> String {
    "Idempotency-Key".to_owned()
}
fn concurrency() -> u32 {
    1
}
fn content_type() -> String {
    "application/json".to_owned()
}

impl Settings {
    /// What the schema cannot say.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Connection::check_url(&self.url).into_iter().collect();
        if self.mode == Mode::Array && self.url.contains("{key}") {
            let problem = Problem::new("url", "{key} differs within an array");
            problems.push(problem.suggest("batch.mode = single"));
        }
        if self.mode == Mode::Array && self.nulls == Nulls::Delete {
            let problem = Problem::new("null.values", "delete takes a request of its own");
            problems.push(problem.suggest("batch.mode = single"));
        }
        problems.extend(self.connection.problems());
        problems
    }
    pub(crate) fn idempotent(&self) -> bool {
        !self.idempotency.is_empty()
    }
    /// What a 409 says; `None` = no key is sent, so it is about the record.
    pub(crate) fn on_conflict(&self) -> Option<Conflict> {
        self.idempotent().then_some(self.conflict)
    }
    /// What idempotency keys begin with. A topic's name has no slash: no two connectors and topics make the same key.
    pub(crate) fn prefix(&self, connector: &str) -> String {
        // Encoded, since a header takes no other letters.
        let connector = http::encoded(connector);
        match self.idempotency_prefix.as_str() {
            "" => format!("{connector}/"),
            prefix => format!("{}/{connector}/", http::encoded(prefix)),
        }
    }
    /// A request without body.
    pub(crate) fn request(&self, delete: bool, topic: &str, key: Option<&str>) -> http::Request {
        let mut url = self.url.replace("{topic}", &http::encoded(topic));
        if url.contains("{key}") {
            url = url.replace("{key}", &http::encoded(key.unwrap_or_default()));
        }
        let method = match (delete, self.method) {
            (true, _) => "DELETE",
            (false, Method::Post) => "POST",
            (false, Method::Put) => "PUT",
            (false, Method::Patch) => "PATCH",
        };
        let mut request = http::Request::new(method, url);
        if !delete {
            request = request.header("Content-Type", &self.content_type);
        }
        self.connection.on(request)
    }
}
