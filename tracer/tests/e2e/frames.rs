//! Frames of every size: where a word lies in the copy of the stack, or beyond it, must not end a stack.

use crate::fixtures::{compile, source};
use crate::harness::{Tracer, kernel_or_skip, skip};

/// What `frames.c` allocates, one block below each size of frame.
const BLOCKS: u64 = 8192 / 16;

/// Check that every stack through such a frame is one and the same, and whole.
#[test]
fn frames_of_every_size_are_passed() {
    let name = "frames_of_every_size_are_passed";
    if !kernel_or_skip(name) {
        return;
    }
    let arguments = ["-O2", "-fomit-frame-pointer"].map(str::to_owned);
    let program = match compile("frames", "gcc", &source("frames.c"), &arguments) {
        Ok(program) => program,
        Err(reason) => return skip(name, &reason),
    };
    for mode in ["live", "alloc"] {
        let snapshot = Tracer::run(&["--mode", mode], &program, &[]).wait().success();
        let leaf = |function: &Option<String>| function.as_deref() == Some("leaf");
        let sites: Vec<_> = snapshot
            .sites
            .iter()
            .filter(|site| site.frames.iter().any(|frame| leaf(&frame.function)))
            .collect();
        let seen: Vec<_> =
            sites.iter().map(|site| (site.alloc_objects, site.frames.len(), &site.truncated)).collect();
        assert!(matches!(seen[..], [(BLOCKS, _, None)]), "mode {mode}: blocks, frames and end: {seen:?}");
    }
}
