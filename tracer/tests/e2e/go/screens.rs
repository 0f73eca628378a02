//! The live view of a Go program, in a real terminal.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::toolchains::{Build, oldest_and_newest};
use crate::harness::{Target, kernel_or_skip, skip};
use crate::tmux::Terminal;

const PATIENCE: Duration = Duration::from_secs(30);

/// Check that its call sites are called by the functions of the program and not of the runtime, and that the collector's line
/// is there.
#[test]
fn the_live_view_names_a_go_programs_functions_and_its_collections() {
    let name = "the_live_view_names_a_go_programs_functions_and_its_collections";
    let tmux = Command::new("tmux").arg("-V").stdout(Stdio::null()).status();
    if !tmux.is_ok_and(|status| status.success()) {
        return skip(name, "there is no tmux: package tmux");
    }
    if !kernel_or_skip(name) {
        return;
    }
    for go in oldest_and_newest(name) {
        let mut target = Target::start(&go.build("keeper", Build::Stripped), &[]);
        let folder = tempfile::tempdir().expect("a folder");
        let command =
            format!("{} attach --interval 200ms --pid {}", env!("CARGO_BIN_EXE_tracer"), target.pid());
        let terminal = Terminal::start(folder.path().join("socket"), 140, 40, &command).expect("tmux starts");
        let wait = |what: &str, is_wanted: &dyn Fn(&str) -> bool| {
            terminal
                .wait_until(what, PATIENCE, is_wanted)
                .unwrap_or_else(|error| panic!("Go 1.{}: {error}", go.minor))
        };
        wait("a view without probes", &|screen| screen.contains("no probes"));
        target.command("work 20000");
        assert_eq!(target.next_line(), "{}");
        for _ in 0..2 {
            target.command("collect");
            assert_eq!(target.next_line(), "{}");
        }
        let sites = wait("the sites", &|screen| {
            ["main.keepSession (", "main.lookupAttributes ("].iter().all(|site| screen.contains(site))
        });
        let is_mib = |line: &&str| line.contains("main.keepSession") && line.contains(" MiB");
        assert!(sites.lines().any(|line| is_mib(&line)), "in use: {sites}");
        terminal.keys(&["4"]).expect("tmux types");
        // Both: what the terminal shows may be half of a picture.
        let process = wait("the collector's line and its pauses", &|screen| {
            screen.contains("GOGC 100") && screen.contains("GC PAUSES")
        });
        let line = process.lines().find(|line| line.contains("gc: ")).expect("it is on this screen");
        assert!(line.contains("cycles") && line.contains("pauses"), "{line}");
        terminal.keys(&["6"]).expect("tmux types");
        let quality =
            wait("its source", &|screen| screen.contains("go counts its heap by itself, without probes"));
        assert!(!quality.contains("COST"), "what probes cost is of no use here: {quality}");
        terminal.keys(&["q"]).expect("tmux types");
    }
}
