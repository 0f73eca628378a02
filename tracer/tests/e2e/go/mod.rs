//! What is read out of the memory of real Go programs, against what they say of themselves.
//!
//! By Debian's Go and the newest of the project's Python environment; further ones, as roots of toolchains, by the environment
//! variable `TRACER_TEST_GO_ROOTS=FOLDER:FOLDER`.

mod attach;
mod collections;
mod endings;
mod exact;
mod forms;
mod layouts;
mod load;
mod probed;
mod probes;
mod program;
mod screens;
mod stops;
mod toolchains;
