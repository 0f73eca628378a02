//! Unwinding by tables: the part that needs neither BPF nor a process, so that it is tested on the host.
//!
//! A [`Row`] says how to find the caller of the code in a range of addresses; [`page`] says where the row of an
//! address lies; [`step()`] applies it; [`cache`] keeps rows by address. x86-64, System V ABI.

pub mod cache;
pub mod page;
mod row;
mod step;

pub use row::{Cfa, Row, Rule, SavedFp};
pub use step::{MAX_FRAME_BYTES, Registers, Stop, frame_pointer_step, step};
