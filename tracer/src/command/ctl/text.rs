//! Answers of a daemon, for people.

use std::fmt::Write as _;

use crate::cli::{CtlCommand, CtlTarget};
use crate::serve::control::{Status, StatusTarget};
use crate::units::{Age, Bytes, Count};
use crate::view::frame::printable;
use crate::view::table::grid;

/// What a change did.
pub(super) fn done(command: &CtlCommand, processes: u64) -> String {
    let what = match command {
        CtlCommand::Target(CtlTarget::Add { pid }) => return format!("process {pid} is traced\n"),
        CtlCommand::Target(CtlTarget::Remove { pid }) => return format!("process {pid} is traced no more\n"),
        CtlCommand::Rate { .. } => "rate",
        CtlCommand::Mode { .. } => "mode",
        CtlCommand::Status { .. } => "status",
    };
    let noun = if processes == 1 { "process" } else { "processes" };
    format!("{what} changed for {} {noun}\n", Count(processes))
}

/// What a daemon does at present.
pub(super) fn status(status: &Status) -> String {
    let mut out = String::new();
    let up = jiff::Timestamp::now().duration_since(status.started_at);
    let age = Age(std::time::Duration::try_from(up).unwrap_or_default());
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "tracer {}, running for {age}, http://{}",
        printable(&status.version),
        printable(&status.listen)
    );
    if let Some(error) = &status.config_error {
        let _ = writeln!(out, "The configuration was not taken at the last reload; the one before it holds:");
        for line in error.lines() {
            let _ = writeln!(out, "  {}", printable(line));
        }
    }
    if status.targets.is_empty() {
        out.push_str("\nNo process is traced.\n");
        return out;
    }
    let header = ["COMM", "PID", "RULE", "MODE", "ONE SAMPLE PER", "ALLOC/S", "IN USE", "OVERHEAD"];
    let rows: Vec<_> = status.targets.iter().map(row).collect();
    out.push('\n');
    for line in grid(&header.map(str::to_owned), &rows, true) {
        let _ = writeln!(out, "{line}");
    }
    out
}

fn row(target: &StatusTarget) -> Vec<String> {
    let unknown = || "-".to_owned();
    vec![
        printable(&target.comm),
        target.id().map_or_else(|| printable(&target.id), |id| id.pid.to_string()),
        printable(&target.rule),
        target.mode.to_string(),
        if target.sample_bytes == 0 {
            "allocation".to_owned()
        } else {
            Bytes(target.sample_bytes).to_string()
        },
        Bytes(target.alloc_bytes_per_second.max(0.0) as u64).to_string(),
        target.inuse_bytes.map_or_else(unknown, |bytes| Bytes(bytes).to_string()),
        target.overhead_ratio.map_or_else(unknown, |ratio| format!("{:.2}%", ratio * 100.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{CtlMode, CtlScope};
    use crate::mode::Mode;

    fn target(id: &str, mode: Mode) -> StatusTarget {
        StatusTarget {
            id: id.to_owned(),
            comm: "api\u{1b}[31m".to_owned(),
            rule: "api-canary".to_owned(),
            mode,
            sample_bytes: if mode == Mode::Live { 64 << 10 } else { 0 },
            alloc_bytes_per_second: 1_258_291.2,
            inuse_bytes: (mode == Mode::Live).then_some(123 << 20),
            overhead_ratio: (mode == Mode::Live).then_some(0.0123),
        }
    }

    fn sample(targets: Vec<StatusTarget>) -> Status {
        Status {
            version: "1.2.3".to_owned(),
            started_at: jiff::Timestamp::now() - jiff::SignedDuration::from_secs(3900),
            listen: "127.0.0.1:9464".to_owned(),
            config_error: None,
            targets,
        }
    }

    #[test]
    fn a_status_is_a_table_with_a_line_for_each_process() {
        let targets = vec![target("7-100", Mode::Live), target("1234567-200", Mode::Alloc)];
        let expect = "tracer 1.2.3, running for 1h 5m, http://127.0.0.1:9464\n\n\
            COMM          PID        RULE   MODE  ONE SAMPLE PER   ALLOC/S   IN USE  OVERHEAD\n\
            api\u{fffd}[31m        7  api-canary   live        64.0 KiB  1.20 MiB  123 MiB     1.23%\n\
            api\u{fffd}[31m  1234567  api-canary  alloc      allocation  1.20 MiB        -         -\n";
        assert_eq!(status(&sample(targets)), expect);
    }

    #[test]
    fn a_status_without_processes_says_so_and_what_is_wrong_with_the_configuration() {
        let text = status(&Status { config_error: Some("a:1: x\nb".to_owned()), ..sample(Vec::new()) });
        assert!(text.contains("\n  a:1: x\n  b\n"), "{text}");
        assert!(text.ends_with("\n\nNo process is traced.\n"), "{text}");
    }

    #[test]
    fn a_change_says_how_many_processes_it_was_for() {
        let check =
            |command: CtlCommand, processes, expect: &str| assert_eq!(done(&command, processes), expect);
        let of = CtlScope::default;
        let rate = || CtlCommand::Rate { size: "0".to_owned(), of: of() };
        check(rate(), 1, "rate changed for 1 process\n");
        check(rate(), 1234, "rate changed for 1,234 processes\n");
        check(CtlCommand::Mode { mode: CtlMode::Live, of: of() }, 0, "mode changed for 0 processes\n");
        check(CtlCommand::Target(CtlTarget::Add { pid: 7 }), 1, "process 7 is traced\n");
        check(CtlCommand::Target(CtlTarget::Remove { pid: 7 }), 1, "process 7 is traced no more\n");
    }
}
