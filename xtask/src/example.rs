//! `example`: stories with programs of their own, from the first build to the table in the docs.

mod advice;
mod document;
mod go;
mod interval;
mod load;
mod options;
mod report;
pub(crate) mod running;
mod service;
mod stats;
mod storm;
mod tables;
mod throughput;

use std::fs;

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser};

use crate::{build, process::say, setup, toolchain};

use options::Options;

/// `cargo xtask example NAME [ARG …]`
pub(crate) fn task(mut args: Parser) -> Result<()> {
    match args.next()? {
        Some(Arg::Value(name)) if name == "go-map-storm" => go_map_storm(&Options::parse(args)?),
        Some(Arg::Value(name)) => {
            bail!("there is no example {:?}; there is go-map-storm", name.to_string_lossy())
        }
        Some(other) => Err(other.unexpected().into()),
        None => bail!("which example? There is `cargo xtask example go-map-storm`"),
    }
}

/// A Go service that makes maps all the time, and its four remedies: what tracer says of each, beside what Go says.
fn go_map_storm(options: &Options) -> Result<()> {
    setup::prepare(setup::For::Examples)?;
    build::all(true)?;
    let folder = toolchain::target_dir().join("example");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let mut reports = Vec::new();
    for go in go::toolchains(&options.compilers)? {
        say(&format!("{} ({})", go.version, go.program.display()));
        reports.push(storm::run(&go, &folder, options)?);
    }
    let text = report::text(&reports, options);
    println!("{text}");
    let path = folder.join("go-map-storm.md");
    fs::write(&path, &text).with_context(|| format!("failed to write {}", path.display()))?;
    say(&format!("wrote {}", path.display()));
    let failed = report::failures(&reports);
    if failed > 0 {
        bail!("{failed} checks of the table have failed; each says above what it is about");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_that_is_not_there_is_refused_with_those_that_are() {
        for args in [&["example", "go-map-strom"][..], &["example"]] {
            let error = task(Parser::from_iter(args.iter().copied())).expect_err("there is none");
            assert!(error.to_string().contains("go-map-storm"), "{error}");
        }
    }
}
