//! Names of tables and columns, as people write them and as SQL takes them.

use std::fmt;

/// Bytes of a name that Postgres keeps; it cuts off the rest, with a notice that nobody reads.
pub(crate) const NAME_BYTES_MAX: usize = 63;

/// `name` as an identifier of SQL: quoted always, so that its case stays and no word is reserved.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as a string constant of SQL, whatever `standard_conforming_strings` says.
pub(crate) fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// The name of a table: `table`, `schema.table` or `database.schema.table`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TableName {
    /// The database, where a name has three parts: it must be the one that is connected to.
    pub(crate) database: Option<String>,
    /// The schema; without one the search path decides.
    pub(crate) schema: Option<String>,
    /// The table.
    pub(crate) table: String,
}

impl TableName {
    /// A table of a schema, both taken as they are.
    pub(crate) fn new(schema: Option<&str>, table: &str) -> Self {
        Self {
            database: None,
            schema: schema.map(str::to_owned),
            table: table.to_owned(),
        }
    }

    /// Reads one to three parts between dots. A part in double quotes may hold dots, and quotes when doubled; other parts are taken as they
    /// are, case included. Errors say what is wrong with the name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = parts(text)?;
        let wrong = |problem: &str| Err(format!("the table name {text} {problem}"));
        for part in &parts {
            if part.is_empty() {
                return wrong("has an empty part");
            }
            if part.contains('\0') {
                return wrong("contains a NUL byte");
            }
            if part.len() > NAME_BYTES_MAX {
                return wrong(&format!(
                    "has a part of {} bytes, Postgres keeps {NAME_BYTES_MAX}",
                    part.len()
                ));
            }
        }
        if parts.len() > 3 {
            return wrong(&format!(
                "has {} parts: expected table, schema.table or database.schema.table; a part with dots stands in double quotes",
                parts.len()
            ));
        }
        let table = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        Ok(Self {
            database: parts.pop(),
            schema,
            table,
        })
    }

    /// The name in SQL: quoted, without the database.
    pub(crate) fn sql(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&self.table)),
            None => quote(&self.table),
        }
    }
}

/// For messages: parts are quoted only where they would be misread.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.database, &self.schema].into_iter().flatten();
        for part in parts.chain([&self.table]) {
            if !std::ptr::eq(part, &self.table) {
                write_part(f, part)?;
                f.write_str(".")?;
                continue;
            }
            write_part(f, part)?;
        }
        Ok(())
    }
}

fn write_part(f: &mut fmt::Formatter<'_>, part: &str) -> fmt::Result {
    if part.is_empty() || part.contains(['.', '"', ' ', ',']) {
        f.write_str(&quote(part))
    } else {
        f.write_str(part)
    }
}

fn parts(text: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let part;
        (part, rest) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_part(quoted).ok_or_else(|| {
                format!("the table name {text} has a double quote that is never closed")
            })?
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            (rest[..end].to_owned(), &rest[end..])
        };
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(parts),
            None => {
                return Err(format!(
                    "the table name {text} goes on behind a closed double quote: expected a dot"
                ));
            }
        }
    }
}

/// The content up to the closing quote, and what follows it.
fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        part.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        let name = |text: &str| TableName::parse(text).expect(text);
        assert_eq!(name("Orders"), TableName::new(None, "Orders"));
        assert_eq!(name("s.t"), TableName::new(Some("s"), "t"));
        assert_eq!(name("\"Weird.Name\".\"t\"").sql(), "\"Weird.Name\".\"t\"");
        assert_eq!(name("\"a\"\"b\"").table, "a\"b");
        assert_eq!(name("d.s.t").database.as_deref(), Some("d"));
        assert_eq!(name("d.\"s.s\".t").to_string(), "d.\"s.s\".t");
        // A quote inside a bare part is a character of the name.
        assert_eq!(name("it\"s").table, "it\"s");
        for (text, says) in [
            ("", "empty part"),
            ("a..b", "empty part"),
            ("a.", "empty part"),
            ("\"\"", "empty part"),
            ("\"a", "never closed"),
            ("\"a\"b", "goes on"),
            ("a.b.c.d", "4 parts"),
            ("a\0b", "NUL"),
        ] {
            let error = TableName::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(TableName::parse(&"ä".repeat(31)).is_ok());
        let error = TableName::parse(&"ä".repeat(32)).expect_err("64 bytes");
        assert!(error.contains("64 bytes"), "{error}");
    }

    #[test]
    fn constants_hold_quotes_and_backslashes() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\'b"), " E'a\\\\''b'");
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(schema in "[^\\x00]{1,12}", table in "[^\\x00]{1,12}") {
            let name = TableName::new(Some(&schema), &table);
            prop_assert_eq!(TableName::parse(&name.sql()), Ok(name.clone()));
            let shown = TableName::parse(&name.to_string());
            prop_assert_eq!(shown, Ok(name));
        }
    }
}
