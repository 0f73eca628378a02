//! The only reads of registers and of user memory.

use aya_ebpf::{
    EbpfContext,
    bindings::pt_regs,
    helpers::{bpf_get_attach_cookie, bpf_probe_read_user, generated::bpf_probe_read_user as raw_read_user},
};

/// The registers that a probe needs (System V AMD64 ABI).
#[derive(Clone, Copy)]
pub(crate) struct Registers(*const pt_regs);

impl Registers {
    /// The target's registers at the probe.
    #[inline(always)]
    pub(crate) fn of<C: EbpfContext>(ctx: &C) -> Self {
        Self(ctx.as_ptr() as *const pt_regs)
    }

    /// Integer argument `N`, from 0.
    #[inline(always)]
    pub(crate) fn argument<const N: u8>(self) -> u64 {
        // SAFETY: the context of a uprobe program is a valid `pt_regs` for the whole run.
        unsafe {
            match N {
                0 => (*self.0).rdi,
                1 => (*self.0).rsi,
                _ => (*self.0).rdx,
            }
        }
    }

    /// Stack pointer.
    #[inline(always)]
    pub(crate) fn sp(self) -> u64 {
        // SAFETY: as in `argument`.
        unsafe { (*self.0).rsp }
    }

    /// Frame pointer, or whatever the function uses its register for.
    #[inline(always)]
    pub(crate) fn fp(self) -> u64 {
        // SAFETY: as in `argument`.
        unsafe { (*self.0).rbp }
    }

    /// Instruction pointer; at a return probe it is the address that the function returns to.
    #[inline(always)]
    pub(crate) fn ip(self) -> u64 {
        // SAFETY: as in `argument`.
        unsafe { (*self.0).rip }
    }

    /// Whether a conditional jump is taken: the low half of its opcode (Intel SDM volume 1, appendix B).
    #[inline(always)]
    pub(crate) fn fulfil(self, condition: u8) -> bool {
        // SAFETY: as in `argument`.
        let flags = unsafe { (*self.0).eflags };
        let bit = |number: u32| flags >> number & 1 == 1;
        let (carry, parity, zero, sign, overflow) = (bit(0), bit(2), bit(6), bit(7), bit(11));
        let is = match condition >> 1 {
            0 => overflow,
            1 => carry,
            2 => zero,
            3 => carry || zero,
            4 => sign,
            5 => parity,
            6 => sign != overflow,
            _ => zero || sign != overflow,
        };
        is != (condition & 1 == 1)
    }

    /// The goroutine, in Go's code (`cmd/compile/abi-internal.md`).
    #[inline(always)]
    pub(crate) fn goroutine(self) -> u64 {
        // SAFETY: as in `argument`.
        unsafe { (*self.0).r14 }
    }

    /// The first word of the arguments, in Go's code.
    #[inline(always)]
    pub(crate) fn go_argument(self) -> u64 {
        // SAFETY: as in `argument`.
        unsafe { (*self.0).rax }
    }

    /// Returned value.
    #[inline(always)]
    pub(crate) fn returned(self) -> u64 {
        // SAFETY: as in `argument`.
        unsafe { (*self.0).rax }
    }
}

/// The cookie of the probe, packed.
#[inline(always)]
pub(crate) fn cookie_bits<C: EbpfContext>(ctx: &C) -> u64 {
    // SAFETY: the helper takes the program's own context.
    unsafe { bpf_get_attach_cookie(ctx.as_ptr()) }
}

/// Reads 8 bytes of the target.
#[inline(always)]
pub(crate) fn read_u64(address: u64) -> Option<u64> {
    // SAFETY: the helper checks the address and fails on a fault.
    unsafe { bpf_probe_read_user(address as *const u64) }.ok()
}

/// Copies the target's memory into map memory; false on a fault.
#[inline(always)]
pub(crate) fn read_into(destination: &mut [u64], bytes: u32, address: u64) -> bool {
    // SAFETY: `bytes` is at most the size of `destination` (the verifier proves it too); the helper checks the
    // address.
    unsafe { raw_read_user(destination.as_mut_ptr().cast(), bytes, address as *const _) == 0 }
}
