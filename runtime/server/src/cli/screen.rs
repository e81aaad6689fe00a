//! What commands print: tables and colour, the latter on a terminal only.

use serde_json::Value;
use std::io::{IsTerminal, Write};

/// Colours of states; empty strings where standard output is no terminal or NO_COLOR is set.
pub(crate) struct Palette {
    on: bool,
}

impl Palette {
    /// The palette that fits standard output.
    pub(crate) fn detect() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            on: !plain && std::io::stdout().is_terminal(),
        }
    }
    /// A state in its colour.
    pub(crate) fn state(&self, state: &str) -> String {
        let code = match state {
            "RUNNING" => 32,
            "FAILED" => 31,
            "PAUSED" | "STOPPED" => 33,
            _ => 36,
        };
        if self.on {
            format!("\x1b[{code}m{state}\x1b[0m")
        } else {
            state.to_owned()
        }
    }
}

/// Prints a line; a closed pipe ends the program quietly, as it should in `longshore status | head`.
pub(crate) fn line(text: &str) {
    if writeln!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints JSON, indented.
pub(crate) fn json(value: &Value) {
    line(&format!("{value:#}"));
}

/// Prints rows in columns. Widths count characters outside of colour codes.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(visible(cell));
        }
    }
    let print = |cells: Vec<&str>| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(
                ' ',
                width + 2 - visible(cell).min(*width),
            ));
        }
        line(text.trim_end());
    };
    print(head.to_vec());
    for row in rows {
        print(row.iter().map(String::as_str).collect());
    }
}

fn visible(cell: &str) -> usize {
    let mut count = 0;
    let mut escape = false;
    for c in cell.chars() {
        match c {
            '\x1b' => escape = true,
            'm' if escape => escape = false,
            _ if escape => {}
            _ => count += 1,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    #[test]
    fn colour_has_no_width() {
        assert_eq!(super::visible("\x1b[32mRUNNING\x1b[0m"), 7);
        assert_eq!(super::visible("mm"), 2);
    }
}
