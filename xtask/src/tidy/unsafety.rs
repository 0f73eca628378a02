//! `unsafe` stands only in the listed files, and each use says why it is sound.

use super::{Finding, source::Source};

/// Every file (or folder, ending in `/`) that may say `unsafe`, and what for.
const ALLOWED: &[(&str, &str)] = &[
    ("tracer-ebpf/src/abi/pod.rs", "aya's promise that the shared types are plain bytes"),
    ("tracer-ebpf/src/main.rs", "the licence's link section"),
    ("tracer-ebpf/src/floor.rs", "its empty program array, and the licence's link section"),
    ("tracer-ebpf/src/programs/", "maps, registers and memory of the traced process, by BPF helpers"),
    ("tracer/src/kernel/table.rs", "tables that are shared with the BPF programs as mapped memory"),
    ("tracer/src/command/session/deep_stack.rs", "the frame pointer round a call of malloc, for calibration"),
    ("tracer/tests/fixtures/rust_allocators/src/calls.rs", "calls of the allocators under test"),
    ("tracer/tests/fixtures/rust_allocators/src/direct.rs", "calls of jemalloc's own functions"),
];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let allowed = ALLOWED.iter().any(|(place, _)| is_at(place, &source.path));
    let mut findings = Vec::new();
    for (at, line) in uses(source) {
        if !allowed {
            findings.push(Finding::new(
                source,
                line,
                "says `unsafe`, and is not on the list".to_owned(),
                "what the compiler does not check is kept where a reader looks for it",
                "use a safe function; if there is none, list the file in xtask/src/tidy/unsafety.rs with its reason",
            ));
        } else if needs_reason(source, at) && !has_reason(source, line) {
            findings.push(Finding::new(
                source,
                line,
                "has an `unsafe` without a `// SAFETY:` comment".to_owned(),
                "the next reader must be able to check what the compiler does not (clippy sees no BPF code)",
                "write the invariant that makes it sound, directly above",
            ));
        }
    }
    findings
}

/// Entries of the list that nothing needs.
pub(super) fn stale(sources: &[Source]) -> Vec<Finding> {
    let unused = ALLOWED.iter().filter(|(place, _)| {
        !sources.iter().any(|source| is_at(place, &source.path) && uses(source).next().is_some())
    });
    unused
        .map(|(place, _)| Finding {
            path: (*place).to_owned(),
            line: 1,
            what: "is on the list of files that may say `unsafe`, and does not".to_owned(),
            why: "a list longer than the truth hides what it should show",
            mend: "remove the line from xtask/src/tidy/unsafety.rs",
        })
        .collect()
}

fn is_at(place: &str, path: &str) -> bool {
    if place.ends_with('/') { path.starts_with(place) } else { path == place }
}

/// The places and lines of the keyword.
fn uses(source: &Source) -> impl Iterator<Item = (usize, usize)> {
    let tokens = source.tokens.iter().enumerate();
    tokens.filter(|(_, token)| token.ident() == Some("unsafe")).map(|(at, token)| (at, token.line))
}

/// Blocks and implementations do; an attribute and the declaration of an unsafe function do not.
fn needs_reason(source: &Source, at: usize) -> bool {
    source.tokens.get(at + 1).is_some_and(|next| next.is('{') || next.ident() == Some("impl"))
}

/// Is there a reason on the line, or above the statement that it belongs to?
fn has_reason(source: &Source, line: usize) -> bool {
    let lines: Vec<_> = source.text.lines().take(line).map(str::trim).collect();
    for (back, text) in lines.iter().rev().enumerate() {
        if text.contains("SAFETY:") {
            return true;
        }
        let beside = text.starts_with("//") || text.starts_with("#[");
        let ends_another = text.is_empty() || text.ends_with([';', '{', '}', ',']);
        if back > 0 && !beside && ends_another {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "tracer/src/kernel/table.rs";

    fn whats(path: &str, text: &str) -> Vec<String> {
        check(&Source::new(path, text)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn an_unsafe_block_outside_the_list_is_found_even_with_a_reason() {
        let text = "fn f() {\n    // SAFETY: none.\n    unsafe { g() }\n}\n";
        assert_eq!(whats("tracer/src/view/json.rs", text).len(), 1);
        assert_eq!(whats("tracer/src/view/json.rs", "#[unsafe(no_mangle)]\nfn f() {}\n").len(), 1);
    }

    #[test]
    fn a_listed_file_must_give_a_reason_for_each_block() {
        assert_eq!(whats(LISTED, "fn f() {\n    let x = 1;\n    unsafe { g(x) }\n}\n").len(), 1);
        assert_eq!(whats(LISTED, "unsafe impl Pod for A {}\n").len(), 1);
        let two = "fn f() {\n    // SAFETY: read.\n    unsafe { g() };\n    unsafe { g() };\n}\n";
        assert_eq!(whats(LISTED, two).len(), 1);
    }

    #[test]
    fn a_reason_may_stand_on_the_line_or_above_the_statement() {
        for text in [
            "// SAFETY: plain bytes.\nunsafe impl Pod for A {}\n",
            "fn f() {\n    // SAFETY: the length was checked,\n    // above.\n    let x =\n        unsafe { g() };\n}\n",
            "fn f() {\n    unsafe { g() } // SAFETY: short.\n}\n",
            "#[unsafe(link_section = \"license\")]\nstatic A: u8 = 1;\n",
        ] {
            assert!(whats(LISTED, text).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_word_in_a_comment_or_a_string_is_no_use() {
        assert!(whats("tracer/src/a.rs", "//! unsafe\nconst A: &str = \"unsafe\";\n").is_empty());
    }

    #[test]
    fn a_listed_file_that_does_not_need_it_is_found() {
        let sources = [Source::new(LISTED, "//! Safe.\n")];
        assert!(stale(&sources).iter().any(|finding| finding.path == LISTED));
        let sources = [Source::new(LISTED, "fn f() { unsafe { g() } }\n")];
        assert!(!stale(&sources).iter().any(|finding| finding.path == LISTED));
    }
}
