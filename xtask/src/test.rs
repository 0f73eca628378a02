//! `test`: everything that CI holds, in one run, with one count at the end.

mod libtest;
mod report;
pub(crate) mod suites;

use std::process::Command;

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt as _};

use self::report::Report;
use crate::{
    build, lint,
    process::{is_root, on_path},
    setup, tidy, toolchain,
};

/// What of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Only {
    Everything,
    /// Tests that need no kernel: libraries, programs, `tracer/tests/it`.
    Unit,
    /// `tracer/tests/e2e`: root, real kernel.
    EndToEnd,
}

/// `cargo xtask test [--only unit|e2e] [FILTER]`
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let (mut only, mut filter) = (Only::Everything, None);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("only") => {
                only = match args.value()?.string()?.as_str() {
                    "unit" => Only::Unit,
                    "e2e" => Only::EndToEnd,
                    other => bail!("--only takes `unit` or `e2e`, not {other:?}"),
                }
            }
            Arg::Value(text) if filter.is_none() => filter = Some(text.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut report = Report::default();
    everything(only, filter.as_deref(), &mut report);
    print!("{report}");
    if report.failed() > 0 {
        bail!("{} failed; what, and why, stands above the count", report.failed());
    }
    Ok(())
}

fn everything(only: Only, filter: Option<&str>, report: &mut Report) {
    let purpose = if only == Only::Unit { setup::For::Building } else { setup::For::Testing };
    // Without these two nothing else can be said; they count only when they fail.
    if let Err(error) = setup::prepare(purpose) {
        return report.fail("setup", &format!("{error:#}"));
    }
    if let Err(error) = build::with_tests() {
        return report.fail("build", &format!("{error:#}"));
    }
    if only == Only::Everything && filter.is_none() {
        report.check("lint", lint::all());
        report.check("tidy", tidy::all());
    }
    if only != Only::EndToEnd {
        suites::unit(filter, report);
    }
    if only != Only::Unit {
        match uprobes_work() {
            Ok(work) => report.kernel_must_work(work),
            Err(error) => report.fail("doctor", &format!("{error:#}")),
        }
        suites::end_to_end(filter, report);
    }
}

/// What `tracer doctor` says of this machine.
fn uprobes_work() -> Result<bool> {
    let mut doctor = Command::new(toolchain::tracer(true));
    if !is_root() && on_path("sudo") {
        // The end-to-end tests run as root, so its answer is asked as root.
        doctor = crate::process::privileged(toolchain::tracer(true))?;
    }
    // Its exit code may say that this machine cannot trace; the document is there all the same.
    let output =
        doctor.args(["doctor", "--format", "json"]).output().context("failed to start tracer doctor")?;
    let says = uprobes_in(&output.stdout)
        .with_context(|| format!("its stderr: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    Ok(says)
}

fn uprobes_in(document: &[u8]) -> Result<bool> {
    let document: serde_json::Value =
        serde_json::from_slice(document).context("`tracer doctor --format json` printed no JSON")?;
    document
        .get("uprobes")
        .and_then(serde_json::Value::as_bool)
        .context("the doctor's JSON has no bool `uprobes`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctors_answer_is_read_and_its_silence_is_an_error() {
        assert!(uprobes_in(br#"{"uprobes": true}"#).unwrap());
        assert!(!uprobes_in(br#"{"uprobes": false, "checks": []}"#).unwrap());
        assert!(uprobes_in(br#"{"uprobes": "yes"}"#).is_err());
        assert!(uprobes_in(b"").is_err());
    }

    #[test]
    fn a_part_that_does_not_exist_is_refused() {
        assert!(task(Parser::from_args(["--only", "some"])).is_err());
    }
}
