//! `tracer doctor`: what works here, what is missing, what would be probed and why. Changes nothing.

mod bindings;
mod machine;
mod process;
mod runtime;

use std::fmt::Write as _;

use serde::Serialize;

use super::{Failure, print};
use crate::cli::{DoctorArgs, TextOrJson};

/// One thing that was tried.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// What.
    pub(super) name: &'static str,
    /// It works.
    pub(super) works: bool,
    /// What was seen.
    pub(super) found: String,
    /// What would help, if it does not work.
    pub(super) help: Option<String>,
}

/// Everything that the doctor says.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    /// Probes can be placed and fire.
    uprobes: bool,
    checks: Vec<Check>,
    process: Option<process::Evidence>,
}

/// Looks at this machine, and at a process if one is named.
///
/// # Errors
///
/// Nothing can be traced here, or not this process.
pub fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let (checks, uprobes) = machine::checks();
    let process = args.pid.map(process::examine).transpose()?;
    let report = Report { schema: "tracer-doctor/1", uprobes, checks, process };
    let traceable = report.process.as_ref().is_none_or(|evidence| evidence.refusal.is_none());
    print(|out| match args.format {
        TextOrJson::Json => {
            serde_json::to_writer_pretty(&mut *out, &report)?;
            out.push(b'\n');
            Ok(())
        }
        TextOrJson::Text => {
            out.extend_from_slice(text(&report).as_bytes());
            Ok(())
        }
    })?;
    match (uprobes, traceable) {
        (false, _) => Err(Failure::CannotTrace(
            "nothing can be traced here: what is missing is marked above".to_owned(),
        )),
        (true, false) => {
            Err(Failure::CannotTrace("this process cannot be traced: the reason stands above".to_owned()))
        }
        (true, true) => Ok(()),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let width = report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in &report.checks {
        let mark = if check.works { "ok  " } else { "no  " };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark}{:width$}  {}", check.name, check.found);
        if let Some(help) = &check.help {
            let _ = writeln!(text, "    {:width$}  → {help}", "");
        }
    }
    if let Some(process) = &report.process {
        text.push('\n');
        text.push_str(&process.text());
    }
    text
}
