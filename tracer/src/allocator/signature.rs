//! The one table of allocator functions: how each is called and what it does.
//!
//! Names are those of the C standard, of glibc, of jemalloc's and mimalloc's own interfaces, and of C++ as the Itanium
//! ABI mangles them; an allocator with a prefix has the same functions under `prefix + name`.

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
/// its own: what the arguments tell before it happens. Of other allocators it is not known; there the jump itself is
/// probed.
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
    /// It throws `std::bad_alloc` where others return NULL.
    pub throws: bool,
}

/// All functions. The order is the contract's: where two names are one address, the first is the one that
/// the calls are counted under. The rest is sorted by name.
pub static SIGNATURES: [Signature; 76] = [
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
    // operator delete[] and operator delete: plain, nothrow, aligned, aligned nothrow, sized, sized aligned.
    frees("_ZdaPv"),
    frees("_ZdaPvRKSt9nothrow_t"),
    frees("_ZdaPvSt11align_val_t"),
    frees("_ZdaPvSt11align_val_tRKSt9nothrow_t"),
    frees("_ZdaPvm"),
    frees("_ZdaPvmSt11align_val_t"),
    frees("_ZdlPv"),
    frees("_ZdlPvRKSt9nothrow_t"),
    frees("_ZdlPvSt11align_val_t"),
    frees("_ZdlPvSt11align_val_tRKSt9nothrow_t"),
    frees("_ZdlPvm"),
    frees("_ZdlPvmSt11align_val_t"),
    // operator new[] and operator new: plain, nothrow, aligned, aligned nothrow.
    throws("_Znam", Argument::Size),
    allocates("_ZnamRKSt9nothrow_t", Argument::Size, None),
    throws("_ZnamSt11align_val_t", Argument::Size),
    allocates("_ZnamSt11align_val_tRKSt9nothrow_t", Argument::Size, None),
    throws("_Znwm", Argument::Size),
    allocates("_ZnwmRKSt9nothrow_t", Argument::Size, None),
    throws("_ZnwmSt11align_val_t", Argument::Size),
    allocates("_ZnwmSt11align_val_tRKSt9nothrow_t", Argument::Size, None),
    allocates("calloc_aligned", Argument::CountSize, None),
    allocates("calloc_aligned_at", Argument::CountSize, None),
    frees("dallocx"),
    allocates("expand", Argument::OldSize, None),
    frees("free"),
    frees("free_aligned"),
    frees("free_aligned_sized"),
    frees("free_size"),
    frees("free_size_aligned"),
    frees("free_sized"),
    allocates("heap_calloc", Argument::HeapCountSize, None),
    allocates("heap_calloc_aligned", Argument::HeapCountSize, None),
    allocates("heap_malloc", Argument::AlignSize, None),
    allocates("heap_malloc_aligned", Argument::AlignSize, None),
    allocates("heap_malloc_small", Argument::AlignSize, None),
    allocates("heap_mallocn", Argument::HeapCountSize, None),
    allocates("heap_realloc", Argument::HeapOldSize, None),
    allocates("heap_realloc_aligned", Argument::HeapOldSize, None),
    allocates("heap_reallocf", Argument::HeapOldSizeOrFree, None),
    allocates("heap_zalloc", Argument::AlignSize, None),
    allocates("heap_zalloc_aligned", Argument::AlignSize, None),
    allocates("malloc_aligned", Argument::Size, None),
    allocates("malloc_aligned_at", Argument::Size, None),
    allocates("malloc_skip_new_handler", Argument::Size, None),
    allocates("malloc_small", Argument::Size, None),
    allocates("mallocn", Argument::CountSize, None),
    allocates("mallocx", Argument::Size, None),
    throws("new", Argument::Size),
    throws("new_aligned", Argument::Size),
    allocates("new_aligned_nothrow", Argument::Size, None),
    throws("new_n", Argument::CountSize),
    allocates("new_nothrow", Argument::Size, None),
    throws("new_realloc", Argument::OldSize),
    throws("new_reallocn", Argument::OldCountSize),
    allocates("rallocx", Argument::OldSize, None),
    allocates("realloc_aligned", Argument::OldSize, None),
    allocates("reallocf", Argument::OldSizeOrFree, None),
    allocates("reallocn", Argument::OldCountSize, None),
    allocates("recalloc", Argument::OldCountSize, None),
    allocates("rezalloc", Argument::OldSize, None),
    allocates("rezalloc_aligned", Argument::OldSize, None),
    frees("sdallocx"),
    allocates("xallocx", Argument::Resize, None),
    allocates("zalloc", Argument::Size, None),
    allocates("zalloc_aligned", Argument::Size, None),
    allocates("zalloc_aligned_at", Argument::Size, None),
    allocates("zalloc_small", Argument::Size, None),
    // An old name of free: never the first.
    frees("cfree"),
];

const fn allocates(name: &'static str, argument: Argument, tail_jump: Option<TailJump>) -> Signature {
    Signature { name, argument, role: Role::Allocates, tail_jump, throws: false }
}

const fn throws(name: &'static str, argument: Argument) -> Signature {
    Signature { name, argument, role: Role::Allocates, tail_jump: None, throws: true }
}

const fn frees(name: &'static str) -> Signature {
    Signature { name, argument: Argument::Pointer, role: Role::Frees, tail_jump: None, throws: false }
}

/// Every name to look for.
pub fn names() -> impl Iterator<Item = &'static str> {
    SIGNATURES.iter().map(|s| s.name)
}

/// The signature of a name without prefix.
#[must_use]
pub fn of(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|s| s.name == name)
}

/// Place of a name in the contract's order; names outside the table come last, all at the same place.
#[must_use]
pub fn rank(name: &str) -> usize {
    // The last one is only ever another name.
    SIGNATURES[..SIGNATURES.len() - 1].iter().position(|s| s.name == name).unwrap_or(SIGNATURES.len())
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
        let (last, sorted) = SIGNATURES[8..].split_last().expect("it is longer");
        assert_eq!(last.name, "cfree");
        let rest: Vec<_> = sorted.iter().map(|s| s.name).collect();
        assert!(rest.is_sorted_by(|a, b| a < b), "then the rest by name: {rest:?}");
        assert_eq!(of("free").map(|s| (s.role, s.argument)), Some((Role::Frees, Argument::Pointer)));
        assert_eq!(names().count(), SIGNATURES.len());
    }

    /// Check that exactly the forms of `new` without `nothrow` throw.
    #[test]
    fn new_throws_unless_it_is_told_not_to() {
        let is_new = |name: &str| ["_Znw", "_Zna", "new"].iter().any(|start| name.starts_with(start));
        for signature in &SIGNATURES {
            let expect = is_new(signature.name) && !signature.name.contains("nothrow");
            assert_eq!(signature.throws, expect, "{}", signature.name);
        }
    }
}
