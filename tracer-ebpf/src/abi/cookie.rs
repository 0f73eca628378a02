//! What a probe tells its program: which target, which function, and where its arguments are.

/// Where an allocator function keeps what it is asked for (System V AMD64 ABI argument numbers, from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Argument {
    /// `f(size)`: malloc, valloc, pvalloc.
    Size = 0,
    /// `f(count, size)`: calloc.
    CountSize = 1,
    /// `f(old, size)`: realloc.
    OldSize = 2,
    /// `f(alignment, size)`: aligned_alloc, memalign.
    AlignSize = 3,
    /// `f(out, alignment, size)`: posix_memalign, which returns an error number.
    OutAlignSize = 4,
    /// `f(pointer, …)`: free, free_sized, dallocx, operator delete.
    Pointer = 5,
    /// `f(old, size, extra, flags)`: xallocx, which changes a block where it is and returns its usable size.
    Resize = 6,
    /// `f(old, count, size)`: reallocarray of mimalloc (`mi_reallocn`, `mi_recalloc`).
    OldCountSize = 7,
    /// `f(heap, count, size)`: mi_heap_calloc.
    HeapCountSize = 8,
    /// `f(heap, old, size)`: mi_heap_realloc.
    HeapOldSize = 9,
    /// `f(old, size)`: reallocf, which frees the old block when it fails.
    OldSizeOrFree = 10,
    /// `f(heap, old, size)`: mi_heap_reallocf, likewise.
    HeapOldSizeOrFree = 11,
    /// `f(size, type, needzero)` in Go: the size is in RAX (`cmd/compile/abi-internal.md` of Go 1.17 and later).
    GoSize = 12,
    /// The same, at the branch that is taken where the stack must grow: then the function begins again.
    GoSizeAtCheck = 13,
}

impl Argument {
    /// The value in a cookie, or `None` if no variant has it.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Size,
            1 => Self::CountSize,
            2 => Self::OldSize,
            3 => Self::AlignSize,
            4 => Self::OutAlignSize,
            5 => Self::Pointer,
            6 => Self::Resize,
            7 => Self::OldCountSize,
            8 => Self::HeapCountSize,
            9 => Self::HeapOldSize,
            10 => Self::OldSizeOrFree,
            11 => Self::HeapOldSizeOrFree,
            12 => Self::GoSize,
            13 => Self::GoSizeAtCheck,
            _ => return None,
        })
    }

    /// Whether a success ends an old block.
    #[inline(always)]
    #[must_use]
    pub const fn moves(self) -> bool {
        matches!(self, Self::OldSize | Self::Resize | Self::OldCountSize | Self::HeapOldSize)
            || self.frees_on_failure()
    }

    /// Whether a failure ends it too.
    #[inline(always)]
    #[must_use]
    pub const fn frees_on_failure(self) -> bool {
        matches!(self, Self::OldSizeOrFree | Self::HeapOldSizeOrFree)
    }
}

/// The 64-bit attach cookie of a probe.
///
/// | bits | meaning |
/// |---|---|
/// | 0..16 | slot index |
/// | 16..24 | function index in the slot's plan |
/// | 24..32 | [`Argument`] |
/// | 32..40 | bytes that SP has moved down between the function's entry and the probe |
/// | 40 | the function may tail-jump into another probed function |
/// | 41 | the function may call or jump to another probed function |
/// | 42 | its arguments say whether it jumps (glibc); else probes on its jumps do |
/// | 43 | it has no return probe, but probes on its `ret` instructions |
/// | 44 | another probed function may call or jump to it |
/// | 48..64 | index of the function's totals |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Slot index.
    pub slot: u16,
    /// Function index in the slot's plan.
    pub function: u8,
    /// Where the arguments are.
    pub argument: Argument,
    /// Bytes that SP has moved down since the entry.
    pub shift_bytes: u8,
    /// The function may tail-jump into another probed function.
    pub may_tail_jump: bool,
    /// The function may call or jump to another probed function, whose call is then part of its own.
    pub is_outer: bool,
    /// The function's arguments say whether it jumps.
    pub tells_jump: bool,
    /// The function's `ret` instructions are probed, not its return address.
    pub has_ret_sites: bool,
    /// Another probed function may call or jump to this one.
    pub is_inner: bool,
    /// Index of the function's totals.
    pub totals: u16,
}

impl Cookie {
    /// Packs the cookie.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.slot as u64
            | (self.function as u64) << 16
            | (self.argument as u64) << 24
            | (self.shift_bytes as u64) << 32
            | (self.may_tail_jump as u64) << 40
            | (self.is_outer as u64) << 41
            | (self.tells_jump as u64) << 42
            | (self.has_ret_sites as u64) << 43
            | (self.is_inner as u64) << 44
            | (self.totals as u64) << 48
    }

    /// Unpacks a cookie; `None` if the argument kind is unknown.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let Some(argument) = Argument::from_bits((bits >> 24) as u8) else { return None };
        Some(Self {
            slot: bits as u16,
            function: (bits >> 16) as u8,
            argument,
            shift_bytes: (bits >> 32) as u8,
            may_tail_jump: bits >> 40 & 1 == 1,
            is_outer: bits >> 41 & 1 == 1,
            tells_jump: bits >> 42 & 1 == 1,
            has_ret_sites: bits >> 43 & 1 == 1,
            is_inner: bits >> 44 & 1 == 1,
            totals: (bits >> 48) as u16,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_survives_the_round_trip() {
        for bits in 0..14 {
            let argument = Argument::from_bits(bits).expect("all of 0..14 are variants");
            let cookie = Cookie {
                slot: 0xfffe,
                function: 31,
                argument,
                shift_bytes: 200,
                may_tail_jump: bits % 2 == 0,
                is_outer: bits % 3 == 0,
                tells_jump: bits % 4 == 0,
                has_ret_sites: bits % 5 == 0,
                is_inner: bits % 2 == 1,
                totals: 0xfedc,
            };
            assert_eq!(Cookie::from_bits(cookie.to_bits()), Some(cookie));
        }
        assert_eq!(Cookie::from_bits(0xff << 24), None);
    }
}
