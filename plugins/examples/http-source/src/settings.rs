//! What a user can set.

use longshore_guest::prelude::*;

/// Polls a JSON HTTP API, page by page or by cursor.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct Settings {
    /// The address to poll. The operator must grant its host to this plugin.
    #[schemars(length(min = 1), extend("x-importance" = "HIGH"))]
    pub(crate) url: String,
    /// The topic to publish to.
    #[schemars(length(min = 1), extend("x-importance" = "HIGH"))]
    pub(crate) topic: String,
    /// How the API goes on: page counts pages, oldest records first; cursor follows a token that each answer brings (without cursor.pointer:
    /// one list that grows at its end).
    #[serde(default)]
    pub(crate) mode: Mode,
    /// JSON pointer to the list of records in an answer: /data/items. Empty: the answer itself is the list.
    #[serde(default, rename = "records.pointer")]
    pub(crate) records_pointer: String,
    /// JSON pointer to the key within a record: /id. Empty: records have no key.
    #[serde(default, rename = "key.pointer")]
    pub(crate) key_pointer: String,
    /// The parameter that asks for a page.
    #[serde(default = "page_param", rename = "page.param")]
    #[schemars(length(min = 1))]
    pub(crate) page_param: String,
    /// The number of the first page.
    #[serde(default = "page_start", rename = "page.start")]
    pub(crate) page_start: u32,
    /// How many records a full page has: a page with fewer is the last one, and is read again until it is full.
    #[serde(default = "page_size", rename = "page.size")]
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) page_size: u32,
    /// The parameter that asks for the page size. Empty: it is not sent.
    #[serde(default, rename = "page.size.param")]
    pub(crate) page_size_param: String,
    /// The parameter that carries the cursor.
    #[serde(default = "cursor_param", rename = "cursor.param")]
    #[schemars(length(min = 1))]
    pub(crate) cursor_param: String,
    /// JSON pointer to the next cursor in an answer: /meta/next. Where it is missing, null or empty, the list ends for now.
    #[serde(default, rename = "cursor.pointer")]
    pub(crate) cursor_pointer: String,
    /// How long to wait once everything was read, in milliseconds.
    #[serde(default = "interval", rename = "poll.interval.ms")]
    #[schemars(range(min = 10, max = 86_400_000))]
    pub(crate) interval: u32,
    #[serde(flatten)]
    pub(crate) connection: Connection,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    #[default]
    Page,
    Cursor,
}

fn page_param() -> String {
    "page".to_owned()
}
fn page_start() -> u32 {
    1
}
fn page_size() -> u32 {
    100
}
fn cursor_param() -> String {
    "cursor".to_owned()
}
fn interval() -> u32 {
    5_000
}

impl Settings {
    /// What the schema cannot say.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Connection::check_url(&self.url).into_iter().collect();
        let pointers = [
            ("records.pointer", &self.records_pointer),
            ("key.pointer", &self.key_pointer),
            ("cursor.pointer", &self.cursor_pointer),
        ];
        for (key, pointer) in pointers {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                let problem = Problem::new(key, "a JSON pointer begins with a slash");
                problems.push(problem.suggest(format!("/{}", pointer.replace('.', "/"))));
            }
        }
        problems.extend(self.connection.problems());
        problems
    }
    /// Where an answer is looked into.
    pub(crate) fn pointers(&self) -> String {
        format!("{} {}", self.records_pointer, self.cursor_pointer)
    }
    /// The request for one page, without what remembers earlier answers.
    pub(crate) fn request(&self) -> http::Request {
        let request = http::get(&self.url)
            .redirects(5)
            .header("Accept", "application/json");
        self.connection.on(request)
    }
}
