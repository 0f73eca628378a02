//! What `.eh_frame` says about an object's code: where each function begins and ends, and how to find the caller.
//!
//! It is there in stripped objects too, since the C++ runtime needs it, and it is what this module trusts
//! instead of symbols. What cannot be read is left out, or said in a row; it is never a panic.

#[cfg(test)]
mod damage_tests;
mod extents;
mod fill;
mod frames;
#[cfg(test)]
mod hostile_tests;
mod pack;
mod pages;
mod rules;
mod table;
#[cfg(test)]
mod testing;
mod trampoline;

pub use extents::{Extent, Extents};
pub use rules::Unsupported;
pub use table::{Statistics, UnwindSource, UnwindTable};
