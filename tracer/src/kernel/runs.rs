//! Which parts of an array are free: runs of entries, first fit.

use std::collections::BTreeMap;

/// The free runs of an array: first entry and length, none of them neighbours.
#[derive(Debug)]
pub struct Runs(BTreeMap<u32, u32>);

impl Runs {
    /// An array of which all is free.
    #[must_use]
    pub fn new(length: u32) -> Self {
        Self(if length > 0 { [(0, length)].into() } else { BTreeMap::new() })
    }

    /// Takes a run; `None` if there is none of that length. A run of nothing lies anywhere.
    pub fn take(&mut self, length: u32) -> Option<u32> {
        if length == 0 {
            return Some(0);
        }
        let (&first, &free) = self.0.iter().find(|&(_, &free)| free >= length)?;
        self.0.remove(&first);
        if free > length {
            self.0.insert(first + length, free - length);
        }
        Some(first)
    }

    /// Makes a run free, which was taken or lies behind the array's end so far.
    pub fn give_back(&mut self, mut first: u32, mut length: u32) {
        if length == 0 {
            return;
        }
        if let Some((&before, &free)) = self.0.range(..first).next_back()
            && before + free == first
        {
            self.0.remove(&before);
            (first, length) = (before, free + length);
        }
        if let Some(free) = self.0.remove(&(first + length)) {
            length += free;
        }
        self.0.insert(first, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_taken_given_back_and_joined() {
        let mut runs = Runs::new(10);
        assert_eq!(runs.take(4), Some(0));
        assert_eq!(runs.take(4), Some(4));
        assert_eq!(runs.take(4), None);
        assert_eq!(runs.take(0), Some(0));
        runs.give_back(0, 4);
        assert_eq!(runs.take(5), None);
        runs.give_back(4, 4);
        assert_eq!(runs.0, BTreeMap::from([(0, 10)]));
        assert_eq!(runs.take(10), Some(0));
        runs.give_back(10, 6);
        assert_eq!(runs.take(7), None);
        assert_eq!(runs.take(6), Some(10));
    }
}
