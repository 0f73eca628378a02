//! What `.eh_frame` says about an object's code: today where each function begins and ends.
//!
//! It is there in stripped objects too, since the C++ runtime needs it, and it is what this module trusts
//! instead of symbols. A table that cannot be read is an empty one, never an error.

mod extents;

pub use extents::{Extent, Extents};
