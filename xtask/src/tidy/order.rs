//! The `mod` lines of `tracer/src/lib.rs` stand in data-flow order; a module uses only modules above it.

use super::{
    Finding,
    source::{Source, Token},
};

const FOLDER: &str = "tracer/src/";
const LIST: &str = "tracer/src/lib.rs";

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(list) = sources.iter().find(|source| source.path == LIST) else {
        return Vec::new();
    };
    let modules = modules(list);
    let (mut findings, mut unlisted) = (Vec::new(), Vec::new());
    for source in sources.iter().filter(|source| source.is_rust()) {
        let Some(inside) = source.path.strip_prefix(FOLDER) else { continue };
        let path: Vec<_> = inside.trim_end_matches(".rs").trim_end_matches("/mod").split('/').collect();
        if matches!(path[..], ["lib" | "main"]) {
            continue;
        }
        let Some(own) = modules.iter().position(|module| module == path[0]) else {
            // Once per module, not for each of its files.
            if !unlisted.contains(&path[0]) {
                unlisted.push(path[0]);
                findings.push(unlisted_module(source, path[0]));
            }
            continue;
        };
        for (name, line) in references(source, path.len()) {
            let used = modules.iter().position(|module| *module == name);
            if used.is_some_and(|used| used > own) {
                findings.push(Finding::new(
                    source,
                    line,
                    format!("{} uses {name}, which stands below it in {LIST}", path[0]),
                    "data flows one way; a module that knows what comes after it cannot be read or tested alone",
                    "move the type up to the stage that makes it, or hand the value in as an argument",
                ));
            }
        }
    }
    findings
}

fn unlisted_module(source: &Source, module: &str) -> Finding {
    Finding::new(
        source,
        1,
        format!("belongs to the module {module}, which {LIST} does not list"),
        "a file that nothing compiles is dead, and has no place in the order",
        "add the `mod` line where the data flows through it, or remove the file",
    )
}

/// The names of the `mod` lines, in order.
fn modules(list: &Source) -> Vec<String> {
    let items = list.file.iter().flat_map(|file| &file.items);
    items
        .filter_map(|item| match item {
            syn::Item::Mod(module) => Some(module.ident.to_string()),
            _ => None,
        })
        .collect()
}

/// Every name directly below the root of the crate that a file mentions: by `crate::`, or by enough `super::`.
fn references(source: &Source, file_depth: usize) -> Vec<(String, usize)> {
    let tokens = &source.tokens;
    let mut found = Vec::new();
    // One entry per open brace: is it the body of an inline module?
    let mut braces = Vec::new();
    for at in 0..tokens.len() {
        if tokens[at].is('{') {
            braces.push(at >= 2 && tokens[at - 2].ident() == Some("mod"));
        } else if tokens[at].is('}') {
            braces.pop();
        }
        let depth = file_depth + braces.iter().filter(|module| **module).count();
        let after = match tokens[at].ident() {
            Some("crate") => Some(at + 1),
            Some("super") if !continues_super(source, at) => above(source, at, depth),
            _ => None,
        };
        if let Some(after) = after.filter(|after| source.path_separator(*after)) {
            found.extend(names(&tokens[after + 2..]));
        }
    }
    found
}

/// Is this `super` the second of `super::super`?
fn continues_super(source: &Source, at: usize) -> bool {
    at >= 3 && source.path_separator(at - 2) && source.tokens[at - 3].ident() == Some("super")
}

/// The place after as many `super::` as lead to the root.
fn above(source: &Source, mut at: usize, depth: usize) -> Option<usize> {
    let mut supers = 1;
    while source.path_separator(at + 1) && source.tokens.get(at + 3)?.ident() == Some("super") {
        at += 3;
        supers += 1;
    }
    (supers == depth).then_some(at + 1)
}

/// The first name of a path, or of each path of a group.
fn names(tokens: &[Token]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut first = true;
    for token in tokens {
        if let Some(name) = token.ident() {
            if first {
                found.push((name.to_owned(), token.line));
            }
            first = false;
        } else if token.is('{') {
            depth += 1;
        } else if token.is('}') {
            depth = depth.saturating_sub(1);
        } else if token.is(',') && depth == 1 {
            first = true;
        }
        if depth == 0 {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the rule says of one file beside a list `units, elf, kernel, view`.
    fn findings(path: &str, text: &str) -> Vec<String> {
        let list = Source::new(LIST, "//! D.\nmod units;\npub mod elf;\nmod kernel;\nmod view;\n");
        let found = check(&[list, Source::new(path, text)]);
        found.into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
    }

    #[test]
    fn a_module_may_use_what_stands_above_it_and_itself() {
        let text =
            "use crate::{elf::Image, kernel::x, units::{Bytes, Count}};\nfn f() { crate::elf::g(); }\n";
        assert_eq!(findings("tracer/src/kernel/attach.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_use_of_what_stands_below_is_found_with_its_line() {
        let found =
            findings("tracer/src/elf/mod.rs", "use crate::units;\nuse crate::{units::Bytes, view::Table};\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("2: elf uses view"), "{found:?}");
    }

    #[test]
    fn a_path_inside_an_expression_or_a_macro_is_found() {
        for text in ["fn f() { crate::view::g() }", "fn f() { print!(\"{}\", crate::view::g()) }"] {
            assert_eq!(findings("tracer/src/units.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn enough_supers_to_reach_the_root_are_found() {
        assert_eq!(findings("tracer/src/elf/a.rs", "use super::super::view::X;").len(), 1);
        assert_eq!(findings("tracer/src/elf/mod.rs", "use super::{units, view};").len(), 1);
        assert_eq!(findings("tracer/src/units.rs", "mod tests { use super::super::view; }").len(), 1);
        assert_eq!(findings("tracer/src/elf/a.rs", "use super::view;"), Vec::<String>::new());
        assert_eq!(findings("tracer/src/units.rs", "mod tests { use super::view; }"), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_the_list_does_not_know_is_found() {
        assert_eq!(findings("tracer/src/old.rs", "//! D.\n").len(), 1);
    }
}
