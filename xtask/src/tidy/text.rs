//! What every file looks like: docs first, no stray blanks, a last newline.

use super::{Finding, source::Source};

const BLANKS: &str = "a blank that nobody sees makes a difference that nobody meant";

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |line, what: &str, why, mend| {
        findings.push(Finding::new(source, line, what.to_owned(), why, mend));
    };
    if source.is_rust() && !source.text.starts_with("//! ") {
        find(
            1,
            "does not start with `//!` docs",
            "the first thing a reader wants to know is what the file is for and what it must never do",
            "say it in one or two sentences on the first line",
        );
    }
    for (index, line) in source.text.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            find(index + 1, "ends with a blank", BLANKS, "remove it; `cargo fmt` does so in code");
        }
        if source.is_rust() && line.contains('\t') {
            find(index + 1, "holds a tab", BLANKS, "indent with spaces; write \\t in a string");
        }
    }
    if !source.text.is_empty() && !source.text.ends_with('\n') || source.text.ends_with("\n\n") {
        let last = source.text.lines().count();
        find(
            last,
            "does not end with exactly one newline",
            BLANKS,
            "make the end of the last line the end of the file",
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        check(&Source::new(path, text)).into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn a_rust_file_without_docs_on_its_first_line_is_found() {
        assert_eq!(found("a.rs", "#![no_std]\n//! Docs.\n").len(), 1);
        assert_eq!(found("a.rs", "").len(), 1);
        assert!(found("a.rs", "//! Docs.\n").is_empty());
        assert!(found("a.md", "# Title\n").is_empty());
    }

    #[test]
    fn a_blank_at_the_end_of_a_line_is_found_with_its_line() {
        assert_eq!(found("a.md", "one\ntwo \n"), [(2, "ends with a blank".to_owned())]);
        assert_eq!(found("a.md", "one\r\n").len(), 1);
    }

    #[test]
    fn a_tab_is_found_in_rust_only() {
        assert_eq!(found("a.rs", "//! Docs.\n\tfn f() {}\n"), [(2, "holds a tab".to_owned())]);
        assert!(found("a.c", "\tint x;\n").is_empty());
    }

    #[test]
    fn a_missing_or_doubled_last_newline_is_found() {
        assert_eq!(found("a.md", "one").len(), 1);
        assert_eq!(found("a.md", "one\n\n").len(), 1);
    }
}
