//! Names that rows mention by number.

use std::collections::HashMap;

/// Up to so many names are looked through one by one.
const FEW: usize = 8;

/// Numbers names in the order of their first use. A name that comes again costs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    names: Vec<String>,
    numbers: HashMap<String, u32>,
    last: usize,
}

impl Dictionary {
    pub(crate) fn number(&mut self, name: &str) -> u32 {
        if self.names.get(self.last).is_some_and(|last| last == name) {
            return count(self.last);
        }
        let known = if self.names.len() <= FEW {
            self.names.iter().position(|known| known == name)
        } else {
            self.numbers.get(name).map(|number| *number as usize)
        };
        self.last = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            if self.names.len() > FEW {
                if self.numbers.is_empty() {
                    let all = self.names.iter().enumerate();
                    self.numbers = all.map(|(at, name)| (name.clone(), count(at))).collect();
                }
                self.numbers
                    .insert(name.to_owned(), count(self.names.len() - 1));
            }
            self.names.len() - 1
        });
        count(self.last)
    }
    pub(crate) fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// A length as the ABI has it. What a 32-bit memory holds never exceeds it.
pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_however_many_there_are() {
        let mut dictionary = Dictionary::default();
        for round in 0..3 {
            for name in 0..20 {
                assert_eq!(
                    dictionary.number(&format!("t{name}")),
                    name,
                    "round {round}"
                );
            }
        }
        assert_eq!(dictionary.into_names().len(), 20);
    }
}
