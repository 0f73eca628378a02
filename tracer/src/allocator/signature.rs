//! The one table of allocator functions: how each is called and what it does.
//!
//! Names are those of the C standard and of glibc; an allocator with a prefix has the same functions under
//! `prefix + name`.

use tracer_ebpf::abi::Argument;

/// What a call does to the heap. `realloc` counts as allocating, though it also frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Returns a block.
    Allocates,
    /// Gives one back.
    Frees,
}

/// When glibc's implementation passes the call on by a jump, so that the caller's return address is not
/// its own: what the arguments tell before it happens.
///
/// Source: glibc 2.36, `malloc/malloc.c`, `__libc_realloc` and `_mid_memalign`
/// (<https://sourceware.org/git/?p=glibc.git;a=blob;f=malloc/malloc.c;hb=refs/tags/glibc-2.36>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TailJump {
    /// To `malloc`, if the old block is NULL.
    IfOldIsNull,
    /// To `malloc`, if the alignment is at most [`MALLOC_ALIGNMENT_BYTES`].
    IfAlignIsMalloc,
}

/// Alignment of every block that glibc's `malloc` returns on x86-64.
pub const MALLOC_ALIGNMENT_BYTES: u64 = 16;

/// A function of an allocator.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Signature {
    /// Without a prefix.
    pub name: &'static str,
    /// Where its arguments are.
    pub argument: Argument,
    /// What it does.
    pub role: Role,
    /// When it jumps on to `malloc` in glibc; `None` is never.
    pub tail_jump: Option<TailJump>,
}

/// All functions. The order is the contract's: where two names are one address, the first is the one that
/// the calls are counted under.
pub static SIGNATURES: [Signature; 11] = [
    allocates("malloc", Argument::Size, None),
    allocates("calloc", Argument::CountSize, None),
    allocates("realloc", Argument::OldSize, Some(TailJump::IfOldIsNull)),
    // It calls the helper that the others jump to, because it has to store the result.
    allocates("posix_memalign", Argument::OutAlignSize, None),
    allocates("aligned_alloc", Argument::AlignSize, Some(TailJump::IfAlignIsMalloc)),
    allocates("memalign", Argument::AlignSize, Some(TailJump::IfAlignIsMalloc)),
    // These two jump to the same helper with the size of a page as the alignment.
    allocates("valloc", Argument::Size, None),
    allocates("pvalloc", Argument::Size, None),
    frees("free"),
    frees("free_aligned_sized"),
    frees("free_sized"),
];

/// Names that are only ever another name of a function above.
const ALIASES: [&str; 1] = ["cfree"];

const fn allocates(name: &'static str, argument: Argument, tail_jump: Option<TailJump>) -> Signature {
    Signature { name, argument, role: Role::Allocates, tail_jump }
}

const fn frees(name: &'static str) -> Signature {
    Signature { name, argument: Argument::Pointer, role: Role::Frees, tail_jump: None }
}

/// Every name to look for.
pub fn names() -> impl Iterator<Item = &'static str> {
    SIGNATURES.iter().map(|s| s.name).chain(ALIASES)
}

/// The signature of a name without prefix.
#[must_use]
pub fn of(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|s| s.name == name)
}

/// Place of a name in the contract's order; names outside the table come last, all at the same place.
#[must_use]
pub fn rank(name: &str) -> usize {
    SIGNATURES.iter().position(|s| s.name == name).unwrap_or(SIGNATURES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the table has each name once and keeps the contract's order.
    #[test]
    fn the_order_is_the_contracts() {
        let contract = "malloc calloc realloc posix_memalign aligned_alloc memalign valloc pvalloc";
        for (place, name) in contract.split(' ').enumerate() {
            assert_eq!(rank(name), place);
            assert_eq!(of(name).map(|s| s.role), Some(Role::Allocates));
        }
        let rest: Vec<_> = SIGNATURES[8..].iter().map(|s| s.name).collect();
        assert!(rest.is_sorted(), "then the rest by name: {rest:?}");
        assert_eq!(of("free").map(|s| (s.role, s.argument)), Some((Role::Frees, Argument::Pointer)));
        assert_eq!(of("cfree"), None);
        assert!(names().any(|name| name == "cfree"));
    }
}
