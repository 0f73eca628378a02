//! One function on a stack, as every view shows it and as JSON holds it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One function on a stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Return address in the process, `0x…`.
    pub address: String,
    /// Demangled name.
    pub function: Option<String>,
    /// Path of the file, as the target sees it.
    pub module: Option<String>,
    /// Of the module, in hex.
    pub build_id: Option<String>,
    /// Of the return address in the module.
    pub file_offset: Option<u64>,
    /// Source file.
    pub file: Option<String>,
    /// Line in it of the call.
    pub line: Option<u32>,
    /// Inlined into the frame that follows.
    pub inlined: bool,
    /// Why there is no function name.
    pub reason: Option<String>,
}

/// A call stack or a part of one, leaf first. Shared: most stacks pass the same functions, and each snapshot of a run has
/// the same stacks.
pub type Frames = Arc<[Arc<Frame>]>;
