//! Names by number: a batch says each topic and header name once.

use longshore_sdk::Topic;
use std::collections::HashMap;

/// Numbers names in the order in which they come.
#[derive(Default)]
pub(crate) struct Dictionary {
    numbers: HashMap<Topic, u32>,
    /// The last name asked for: records of one topic follow one another.
    last: Option<(Topic, u32)>,
}

impl Dictionary {
    /// The name's number; a new name is added to `names`.
    pub(crate) fn number(&mut self, name: &Topic, names: &mut Vec<String>) -> u32 {
        if let Some((last, number)) = &self.last
            && (std::sync::Arc::ptr_eq(last, name) || last == name)
        {
            return *number;
        }
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                // A batch has fewer rows and headers than a u32 can count: see `Rows`.
                let number = u32::try_from(names.len()).unwrap_or(u32::MAX);
                names.push(name.to_string());
                self.numbers.insert(name.clone(), number);
                number
            }
        };
        self.last = Some((name.clone(), number));
        number
    }
    /// Forgets all names.
    pub(crate) fn clear(&mut self) {
        self.numbers.clear();
        self.last = None;
    }
}
