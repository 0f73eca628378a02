//! Attributes that hide a test: none is allowed.

use super::{Finding, source::Source};

const HIDING: &[(&str, &str, &str)] = &[
    (
        "ignore",
        "a test that nobody runs proves nothing, and nobody is told",
        "run it; if it cannot run everywhere, print `SKIP <name>: <reason>` and return",
    ),
    (
        "should_panic",
        "it passes on any panic, also on the wrong one",
        "return an error and check it, or catch the panic and check its message",
    ),
];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let starts = source.tokens.windows(3).filter(|window| window[0].is('#') && window[1].is('['));
    starts
        .filter_map(|window| {
            let (name, why, mend) = HIDING.iter().find(|(name, ..)| window[2].ident() == Some(name))?;
            Some(Finding::new(source, window[2].line, format!("has #[{name}]"), why, mend))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_ignored_or_should_panic_is_found_with_its_line() {
        let text = "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n#[test]\n#[should_panic(expected = \"x\")]\nfn b() {}\n";
        let lines: Vec<_> =
            check(&Source::new("a.rs", text)).into_iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2, 5]);
    }

    #[test]
    fn the_word_elsewhere_is_fine() {
        assert!(check(&Source::new("a.rs", "//! #[ignore]\nfn ignore() { should_panic() }\n")).is_empty());
    }
}
