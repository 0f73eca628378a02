//! End-to-end tests: the built program against real processes whose truth is known.
//!
//! Each test starts its own target, is independent of the others and leaves nothing behind. A test
//! that cannot run here says `SKIP name: reason`; reasons that concern the kernel begin with
//! `kernel:`. Run by `cargo xtask test`; alone: `cargo xtask test --only e2e`.

mod advise;
mod allocators;
mod bad_input;
mod bad_machine;
mod bad_objects;
mod canary;
mod chains;
mod compare;
mod containers;
mod copies;
mod crowd;
mod daemon;
mod damage;
mod debug_files;
mod exceptions;
mod family;
mod fixtures;
mod frames;
mod go;
mod groups;
mod harness;
mod inspect;
mod interrupted;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod limits;
mod live;
mod namespaces;
mod own_profile;
mod pprof;
mod processes;
mod real_programs;
mod redis;
mod rivals;
mod run;
mod sampling;
mod selection;
mod servants;
mod servers;
mod shim;
mod stacks;
mod survive;
mod tally;
mod threads;
mod tmux;
mod traps;
mod truth;
mod valgrind;
