//! Go's runtime: what it says of a process's heap and of its collections, read out of the process's memory without a probe.
//!
//! A Go program carries its own tables of functions and lines, whatever was stripped ([`lines`]). Its runtime samples every
//! allocation already (`runtime.mbuckets`), counts objects by size class (`memstats.heapStats`) and keeps what its
//! collections did (`memstats`): [`runtime`] finds all that and reads it.

pub mod heap;
pub mod lines;
pub mod program;
pub mod runtime;
pub mod version;

pub use heap::{Bucket, GcState, HeapProfile, HeapTotals, Pause, SizeClass};
pub use lines::{GoFrame, Lines};
pub use program::{GoProgram, Module};
pub use runtime::{NoRuntime, Places, Runtime, Unread};
pub use version::GoVersion;
