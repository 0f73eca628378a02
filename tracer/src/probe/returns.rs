//! Where a return probe is allowed. The rules protect the target: each, when broken, makes it crash or hang.
//!
//! A [`ReturnPoint`] can only be made here, from a [`Permit`] and a placement that has not moved SP. Where none is
//! allowed, the `ret` instructions themselves are probed, which changes nothing on the stack.

use crate::allocator::{Role, Signature};
use crate::mode::Mode;
use crate::probe::Placement;
use crate::units::FileOffset;
use crate::unwind::Extent;

/// A place for a return probe: the function cannot be unwound through, and its return address is on top of
/// the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnPoint {
    offset: FileOffset,
}

/// How the end of a call is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returns {
    /// By the return address.
    Probe(ReturnPoint),
    /// At the function's `ret` instructions, which the kernel single-steps.
    Sites {
        /// All of them, also those of what it jumps to.
        offsets: Vec<FileOffset>,
        /// It also jumps through a register, or into another object. Such a call is one that was not seen to return.
        may_end_elsewhere: bool,
    },
}

/// Why a function has no return probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReturn {
    /// Only entries are wanted.
    #[error("mode alloc looks at entries only")]
    NotWanted,
    /// A freeing function returns nothing.
    #[error("it returns nothing")]
    Frees,
    /// An exception that passes the kernel's trampoline finds no frame there and ends the process.
    #[error("it has a language-specific data area: an exception through a return probe ends the process")]
    HasLsda,
    /// C++ `operator new` without `nothrow`.
    #[error("it may throw: an exception through a return probe ends the process")]
    Throws,
    /// The kernel would swap a saved register instead of the return address.
    #[error("SP has moved by {0} bytes at the probe: the kernel would replace the wrong word")]
    StackMoved(u8),
    /// It is not in the file, or not all of it is instructions.
    #[error("it may throw, and its code is not known")]
    CodeUnknown,
    /// No `ret`.
    #[error("it may throw, and it has no ret instruction")]
    NeverReturns,
    /// More than are probed.
    #[error("it may throw, and has too many ret instructions")]
    ManyReturns,
}

/// Says that a function may have a return probe, if its probe lies where SP has not moved.
pub(super) struct Permit(());

/// Checks everything that does not depend on the place of the probe.
pub(super) fn permit<'a>(
    mode: Mode,
    signature: &Signature,
    mut names: impl Iterator<Item = &'a str>,
    extent: &Extent,
) -> Result<Permit, NoReturn> {
    if signature.role == Role::Frees {
        return Err(NoReturn::Frees);
    }
    if mode == Mode::Alloc {
        return Err(NoReturn::NotWanted);
    }
    if signature.throws || names.any(throws) {
        return Err(NoReturn::Throws);
    }
    if extent.has_lsda {
        return Err(NoReturn::HasLsda);
    }
    Ok(Permit(()))
}

impl ReturnPoint {
    /// The probe's own place, if SP there is what it was at the entry.
    pub(super) fn new(_permit: Permit, probe: FileOffset, placement: &Placement) -> Result<Self, NoReturn> {
        match placement.shift_bytes {
            0 => Ok(Self { offset: probe }),
            shift => Err(NoReturn::StackMoved(shift)),
        }
    }

    /// Where the return probe goes in the file: the same instruction as the entry's probe, one trap for both.
    #[must_use]
    pub fn file_offset(&self) -> FileOffset {
        self.offset
    }
}

/// `operator new` and `operator new[]`, but not their forms that take `std::nothrow`.
fn throws(name: &str) -> bool {
    (name.starts_with("_Znw") || name.starts_with("_Zna")) && !name.contains("St9nothrow_t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ElfVaddr;

    fn placement(shift_bytes: u8) -> Placement {
        Placement {
            offset_from_entry: 9,
            shift_bytes,
            emulated: true,
            instruction: "push rbp".into(),
            note: None,
        }
    }

    fn try_return(mode: Mode, name: &str, has_lsda: bool, shift: u8) -> Result<FileOffset, NoReturn> {
        let extent = Extent { start: ElfVaddr(0x1000), end: ElfVaddr(0x1100), has_lsda };
        let signature = crate::allocator::signature::of(name).expect("tests name known functions");
        let permit = permit(mode, signature, std::iter::once(name), &extent)?;
        ReturnPoint::new(permit, FileOffset(0x1009), &placement(shift)).map(|point| point.file_offset())
    }

    /// Check that every rule forbids on its own.
    #[test]
    fn a_return_needs_all_rules() {
        use Mode::{Alloc, Live};
        let point = Ok(FileOffset(0x1009));
        assert_eq!(try_return(Live, "malloc", false, 0), point);
        assert_eq!(try_return(Alloc, "malloc", false, 0), Err(NoReturn::NotWanted));
        assert_eq!(try_return(Live, "free", false, 0), Err(NoReturn::Frees));
        assert_eq!(try_return(Live, "malloc", true, 0), Err(NoReturn::HasLsda));
        assert_eq!(try_return(Live, "malloc", false, 8), Err(NoReturn::StackMoved(8)));
        assert_eq!(try_return(Live, "_Znwm", false, 0), Err(NoReturn::Throws));
        assert_eq!(try_return(Live, "_ZnamSt11align_val_t", false, 0), Err(NoReturn::Throws));
        assert_eq!(try_return(Live, "_ZnwmRKSt9nothrow_t", false, 0), point);
    }
}
