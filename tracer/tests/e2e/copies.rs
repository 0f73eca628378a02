//! Copies of programs.

use std::path::Path;
use std::process::Command;

/// Copies a program, in a process of its own: while one of ours had the copy open for writing, a child that another test
/// starts in that moment would have it open too, and the kernel executes nothing that is (`ETXTBSY`).
#[track_caller]
pub(crate) fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status().expect("cp is everywhere");
    assert!(copied.success(), "cp {} {}: {copied}", from.display(), to.display());
}
