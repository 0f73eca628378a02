//! Plans of the libc that this test runs with, and of broken objects.

use super::{NoReturn, Plan, ProbePoint, Returns, SkipReason, plan};
use crate::allocator::{self, Allocator, Role, Wanted};
use crate::elf::Image;
use crate::elf::testing::{Builder, Defined, TEXT, file_of, real_libc};
use crate::mode::Mode;
use crate::units::{ElfVaddr, FileOffset};

fn libc() -> Option<(Image, Allocator)> {
    let path = real_libc()?;
    let image = Image::open(std::fs::File::open(&path).expect("it is mapped")).expect("it runs");
    let found = allocator::detect(&image, &path, &Wanted::default()).pop()?;
    Some((image, found))
}

fn offset(point: &ProbePoint) -> u64 {
    point.offset.0 - point.entry_offset.0
}

fn nested_has(plan: &Plan, address: u64) -> bool {
    plan.nested.iter().any(|range| range.contains(&ElfVaddr(address)))
}

/// Check what holds for every version of the C library.
#[test]
fn the_real_libc_has_a_good_plan() {
    let Some((image, glibc)) = libc() else { return };
    let live = plan(&image, std::slice::from_ref(&glibc), Mode::Live);
    assert_eq!(live.skipped, []);
    assert_eq!(live.points.len(), glibc.functions.len());
    for point in &live.points {
        assert!(point.placement.emulated, "{point:?}");
        assert_eq!(image.vaddr_to_file_offset(point.entry), Some(point.entry_offset));
        assert!(nested_has(&live, point.entry.0));
        assert_eq!(point.returns.is_ok(), point.role == Role::Allocates, "{point:?}");
        assert!(point.returns == Err(NoReturn::Frees) || point.placement.shift_bytes == 0);
    }
    let tail_jumps = |name| live.points.iter().any(|p| p.function == name && p.may_tail_jump);
    assert!(tail_jumps("realloc") && !tail_jumps("malloc") && !tail_jumps("free"));
    assert!(live.nested.is_sorted_by_key(|range| range.start));
    let exported = image.functions_named(&["malloc_trim", "malloc_usable_size", "mallopt"]);
    assert!(exported.iter().all(|symbol| !nested_has(&live, symbol.address.0)));
}

/// Check that entries alone need neither the freeing functions nor a return.
#[test]
fn mode_alloc_is_the_allocating_entries() {
    let Some((image, glibc)) = libc() else { return };
    let alloc = plan(&image, std::slice::from_ref(&glibc), Mode::Alloc);
    assert!(alloc.points.iter().all(|p| p.role == Role::Allocates && p.returns == Err(NoReturn::NotWanted)));
    assert!(alloc.points.iter().any(|p| p.function == "malloc"));
}

/// Check the plan of Debian 12 to the byte: these places have been tried on a kernel.
#[test]
fn the_plan_of_glibc_2_36() {
    let Some((image, glibc)) = libc().filter(|(_, glibc)| glibc.version.as_deref() == Some("2.36")) else {
        return;
    };
    let live = plan(&image, std::slice::from_ref(&glibc), Mode::Live);
    let found: Vec<_> = live
        .points
        .iter()
        .map(|p| {
            (
                p.function.as_str(),
                offset(p),
                p.placement.instruction.as_str(),
                p.placement.shift_bytes,
                p.may_tail_jump,
            )
        })
        .collect();
    let expect = [
        ("malloc", 0, "push r12", 0, false),
        ("calloc", 0, "push r13", 0, false),
        ("realloc", 0, "push r15", 0, true),
        ("posix_memalign", 7, "push r12", 0, false),
        ("aligned_alloc", 7, "je", 0, true),
        ("valloc", 7, "push rbx", 0, true),
        ("pvalloc", 7, "push rbx", 0, true),
        ("free", 9, "push rbp", 0, false),
    ];
    assert_eq!(found, expect);
    assert_eq!(live.points[4].aliases, ["memalign", "__libc_memalign"]);
    // Helpers without a symbol: _mid_memalign is behind malloc, the end of a thread's cache behind free.
    let end = |name: &str| {
        image.functions_named(&[name])[0].address.0 + image.functions_named(&[name])[0].size_bytes
    };
    assert!(nested_has(&live, end("malloc").next_multiple_of(16)));
    assert!(nested_has(&live, end("free").next_multiple_of(16)));
    assert!(live.nested.len() <= 3, "{:x?}", live.nested);
}

/// Check that a function whose code is missing or picked at start is left out with its reason.
#[test]
fn what_cannot_be_probed_is_said() {
    let built = Builder {
        code: [&[0x55, 0xc3][..], &[0x90; 30]].concat(),
        dynamic: [("malloc", 0), ("__libc_malloc", 0), ("malloc_info", 8), ("free", 1 << 40), ("calloc", 16)]
            .map(|(name, at)| Defined { name, at, size: 2, is_local: false })
            .to_vec(),
        ..Builder::default()
    };
    let image = Image::open(file_of(&built.build())).expect("the file is valid");
    let mut found = allocator::detect(&image, "/libc.so.6", &Wanted::default());
    found[0].functions[1].is_indirect = true;
    let live = plan(&image, &found, Mode::Live);
    let reasons: Vec<_> = live.skipped.iter().map(|s| (s.function.as_str(), s.reason.clone())).collect();
    assert_eq!(reasons, [("calloc", SkipReason::Indirect), ("free", SkipReason::NoCode)]);
    assert_eq!(live.points.len(), 1);
    assert_eq!(live.points[0].offset, FileOffset(TEXT));
    let Ok(Returns::Probe(point)) = &live.points[0].returns else { panic!("{:?}", live.points[0]) };
    assert_eq!(point.file_offset(), FileOffset(TEXT));
    assert_eq!(live.nested, [ElfVaddr(TEXT)..ElfVaddr(TEXT + 2)]);
    assert_eq!(plan(&image, &[], Mode::Live), Plan::default());
}
