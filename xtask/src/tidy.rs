//! `tidy`: the invariants of this repository that neither the compiler nor clippy can hold.
//!
//! A rule is a pure function from sources to findings, one file each, with a test that proves that it can fail.

mod attributes;
mod homes;
mod order;
mod size;
mod source;
mod text;
mod unsafety;

use std::fmt::{self, Display, Formatter};

use anyhow::{Result, bail};
use lexopt::Parser;

use self::source::Source;
use crate::{no_more, process::say, toolchain};

/// One broken rule: where, what, why it is a rule, what to do.
#[derive(Debug)]
struct Finding {
    path: String,
    line: usize,
    what: String,
    why: &'static str,
    mend: &'static str,
}

impl Finding {
    fn new(source: &Source, line: usize, what: String, why: &'static str, mend: &'static str) -> Self {
        Self { path: source.path.clone(), line, what, why, mend }
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, why, mend } = self;
        write!(f, "{path}:{line}: {what}\n    why: {why}\n    do:  {mend}")
    }
}

/// `cargo xtask tidy`
pub(crate) fn task(args: Parser) -> Result<()> {
    no_more(args)?;
    all()
}

/// Holds every rule against the repository.
pub(crate) fn all() -> Result<()> {
    let sources = source::read(toolchain::repository())?;
    let mut findings = check(&sources);
    findings.extend(unsafety::stale(&sources));
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy found {} broken rules; each stands above with what to do", findings.len());
    }
    say(&format!("tidy: {} files, nothing to say", sources.len()));
    Ok(())
}

fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = order::check(sources);
    for source in sources {
        findings.extend(text::check(source));
        findings.extend(homes::check(source));
        findings.extend(unsafety::check(source));
        findings.extend(size::check(source));
        findings.extend(attributes::check(source));
        if let Some(error) = &source.unreadable {
            let line = error.span().start().line;
            let (why, mend) = ("what cannot be read cannot be held", "mend it; `cargo build` says more");
            findings.push(Finding::new(source, line, format!("is not Rust: {error}"), why, mend));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_file_breaks_no_rule() {
        let lib = Source::new("tracer/src/lib.rs", "//! Docs.\n\nmod units;\n");
        let units = Source::new("tracer/src/units.rs", "//! Docs.\n\nfn f() {}\n");
        let findings = check(&[lib, units]);
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn a_file_that_is_not_rust_is_found() {
        let lib = Source::new("tracer/src/lib.rs", "//! Docs.\nfn (\n");
        assert!(check(&[lib]).iter().any(|finding| finding.what.contains("is not Rust")));
    }

    #[test]
    fn a_finding_says_where_what_why_and_what_to_do() {
        let source = Source::new("tracer/src/a.rs", "fn f() {}\n");
        let shown = text::check(&source)[0].to_string();
        assert!(shown.starts_with("tracer/src/a.rs:1: "), "{shown}");
        assert!(shown.contains("why: ") && shown.contains("do:  "), "{shown}");
    }
}
