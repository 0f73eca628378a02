//! Names of Go code, from the tables that a Go program carries: they are the same when it was stripped, and its debug
//! information need not be read.

use std::cell::Cell;
use std::sync::Arc;

use crate::elf::Image;
use crate::frame::Frame;
use crate::go::{GoFrame, GoProgram, Lines};
use crate::units::ElfVaddr;

/// The tables of one object.
#[derive(Debug, Default)]
pub(super) struct GoTables {
    lines: Option<Arc<Lines>>,
    /// Go has built it, and they cannot be read.
    pub(super) failure: Option<String>,
}

impl GoTables {
    /// Reads them, if Go has built this object, as far as the budget allows.
    pub(super) fn open(image: &Image, budget: &Cell<u64>) -> Self {
        let lines = match GoProgram::open(image) {
            Ok(None) => return Self::default(),
            Ok(Some(program)) => program.lines,
            Err(failure) => return Self { lines: None, failure: Some(failure) },
        };
        match budget.get().checked_sub(lines.bytes()) {
            Some(left) => {
                budget.set(left);
                Self { lines: Some(lines), failure: None }
            }
            None => {
                let failure =
                    "its table of functions is larger than what is left of the limit of all objects";
                Self { lines: None, failure: Some(failure.to_owned()) }
            }
        }
    }

    /// The functions at an instruction, those inlined there first; `None` if it is no code of Go.
    pub(super) fn frames(&self, code: ElfVaddr, base: &Frame) -> Option<Vec<Frame>> {
        let found = self.lines.as_ref()?.frames(code);
        let named = |GoFrame { function, file, line, inlined }| Frame {
            function: Some(function),
            file,
            line,
            inlined,
            ..base.clone()
        };
        (!found.is_empty()).then(|| found.into_iter().map(named).collect())
    }
}
