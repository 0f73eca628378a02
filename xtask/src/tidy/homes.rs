//! Each heavy dependency has one home in `tracer/src`.

use super::{Finding, source::Source};

const FOLDER: &str = "tracer/src/";

/// A crate and where it may be named: a file, or a folder (ending in `/`, its `.rs` beside it included).
const HOMES: &[(&str, &[&str])] = &[
    ("aya", &["kernel/"]),
    ("aya_log", &["kernel/"]),
    ("aya_obj", &["kernel/"]),
    ("axum", &["serve/"]),
    ("blazesym", &["symbolize/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("crc32fast", &["elf/debug/"]),
    ("gimli", &["unwind/", "go/runtime/layout/"]),
    ("http_body_util", &["command/compare/http.rs"]),
    ("hyper", &["command/compare/http.rs", "serve/"]),
    ("hyper_util", &["command/compare/http.rs", "serve/"]),
    ("iced_x86", &["go/runtime/locate/", "probe/", "symbolize/call_site.rs"]),
    ("k8s_openapi", &["target/kubernetes/"]),
    ("kube", &["target/kubernetes/"]),
    ("lzma_rust2", &["elf/debug/"]),
    ("object", &["elf/"]),
    ("prometheus_client", &["view/prometheus/"]),
    ("ratatui", &["view/tui/"]),
    ("rustls_native_certs", &["command/compare/http.rs"]),
    ("tokio_rustls", &["command/compare/http.rs", "serve/"]),
];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let Some(inside) = source.path.strip_prefix(FOLDER) else { return Vec::new() };
    let mut findings = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let Some((dependency, homes)) = HOMES.iter().find(|(name, _)| token.ident() == Some(name)) else {
            continue;
        };
        if names_a_crate(source, at) && !homes.iter().any(|home| is_home(home, inside)) {
            findings.push(Finding::new(
                source,
                token.line,
                format!(
                    "names {dependency}, whose home is {FOLDER}{}",
                    homes.join(&format!(" and {FOLDER}"))
                ),
                "a dependency with one home can be replaced, faked in tests and read about in one place",
                "call a function of the home; if it is missing there, add it there",
            ));
        }
    }
    findings
}

/// Is this name the start of a path, or the whole of a `use`? (A field or a module of another path is not.)
fn names_a_crate(source: &Source, at: usize) -> bool {
    let tokens = &source.tokens;
    let before = |back: usize| at.checked_sub(back).map(|at| &tokens[at]);
    let inside_path = at >= 3
        && source.path_separator(at - 2)
        && before(3).is_some_and(|token| token.ident().is_some_and(|name| name != "use") || token.is('>'));
    let imported =
        before(1).and_then(super::source::Token::ident).is_some_and(|word| matches!(word, "use" | "crate"));
    !inside_path && (imported || source.path_separator(at + 1))
}

fn is_home(home: &str, inside: &str) -> bool {
    match home.strip_suffix('/') {
        Some(folder) => inside.starts_with(home) || inside.strip_suffix(".rs") == Some(folder),
        None => inside == home,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Source::new(path, text)).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_dependency_outside_its_home_is_found_in_every_spelling() {
        let spellings = [
            "use aya::Ebpf;",
            "use aya;",
            "use {aya::maps::HashMap, std::fs};",
            "use ::aya::Ebpf;",
            "fn f(_: aya::Ebpf) {}",
            "#[derive(clap::Parser)] struct A;",
            "fn f() { m!(gimli::X) }",
        ];
        for text in spellings {
            assert_eq!(lines("tracer/src/model/live.rs", text), [1], "{text}");
        }
    }

    #[test]
    fn a_dependency_at_home_is_fine() {
        assert!(lines("tracer/src/kernel/attach.rs", "use aya::Ebpf;").is_empty());
        assert!(lines("tracer/src/probe.rs", "use iced_x86::Decoder;").is_empty());
        assert!(lines("tracer/src/symbolize/call_site.rs", "use iced_x86::Decoder;").is_empty());
        assert_eq!(lines("tracer/src/symbolize/mod.rs", "use iced_x86::Decoder;"), [1]);
        assert!(lines("tracer/tests/it/main.rs", "use object::Object;").is_empty());
    }

    #[test]
    fn a_variable_field_or_module_of_that_name_is_fine() {
        for text in ["fn f(object: u8) -> u8 { self.object + object }", "use crate::target::object::Path;"] {
            assert!(lines("tracer/src/model/live.rs", text).is_empty(), "{text}");
        }
    }
}
