//! What the user searches for.

use regex::{Regex, RegexBuilder};

/// Bytes of a compiled filter: it is typed by hand, and every key compiles it anew.
const SIZE_MAX: usize = 1 << 20;

/// A regular expression, insensitive to case unless it has an uppercase letter.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// As typed.
    pub(super) text: String,
    pub(super) regex: Regex,
    /// It is no regular expression, so it stands for itself.
    pub(super) is_literal: bool,
}

impl Filter {
    /// `None` for what filters nothing.
    pub(super) fn new(text: &str) -> Option<Self> {
        let insensitive = !text.chars().any(char::is_uppercase);
        let build =
            |text: &str| RegexBuilder::new(text).case_insensitive(insensitive).size_limit(SIZE_MAX).build();
        let (regex, is_literal) = match build(text) {
            Ok(regex) => (regex, false),
            Err(_) => (build(&regex::escape(text)).ok()?, true),
        };
        (!text.is_empty()).then(|| Self { text: text.to_owned(), regex, is_literal })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_matters_if_the_filter_has_one() {
        let check = |filter: &str, text: &str, expect| {
            let filter = Filter::new(filter).unwrap();
            assert_eq!((filter.regex.is_match(text), filter.is_literal), expect, "{filter:?} {text}");
        };
        for (filter, text, expect) in [
            ("cache", "Cache::insert", (true, false)),
            ("Cache", "Cache::insert", (true, false)),
            ("Cache", "cache::insert", (false, false)),
            ("^in|sert$", "Cache::insert", (true, false)),
            ("insert(", "Cache::insert(int)", (true, true)),
            ("a[", "a[0]", (true, true)),
        ] {
            check(filter, text, expect);
        }
        assert!(Filter::new("").is_none());
    }
}
