//! The matrix: every allocator in every link form, exact against a program that counts itself, or refused.
//!
//! Each program calls every entry point that its allocator has (`entries.c`, `entries.cpp`, `rust_allocators`), in
//! two threads, with refusals and every end of a realloc. Each is traced in mode `live`, in mode `alloc` and
//! sampled, by `attach` and by `run`. `cargo xtask allocators` writes the result to `docs/allocators.md`.

mod build;
mod cell;
mod check;
mod judge;
mod source;
mod table;

use std::path::{Path, PathBuf};

pub(crate) use self::build::system as system_library;
use self::build::{entries, entries_cpp, path_text, run_path, system};
use self::cell::{Cell, Sites, check_all};
use crate::fixtures::{library, source as file};
use crate::harness::{kernel_or_skip, skip};

const GLIBC: [&str; 2] = ["WITH_MEMALIGN", "WITH_PVALLOC"];
const JEMALLOC: [&str; 2] = ["WITH_MEMALIGN", "WITH_X"];
const TCMALLOC: [&str; 3] = ["WITH_MEMALIGN", "WITH_PVALLOC", "WITH_TC"];
const MIMALLOC: [&str; 3] = ["WITH_MEMALIGN", "WITH_PVALLOC", "WITH_MI"];
/// What a refusal of a program without symbols says.
const NOTHING_FOUND: &[&str] = &["no allocator"];

/// Check the GNU C library: shared, static, position-independent static; stripped static is refused.
#[test]
fn glibc_is_exact_in_every_link_form() {
    let name = "glibc_is_exact_in_every_link_form";
    if kernel_or_skip(name) {
        let cell = |link: &str, flags: &[&str]| Ok(Cell::new("glibc", link, entries("gcc", &GLIBC, flags)?));
        check_all(
            name,
            vec![
                cell("shared", &[]),
                cell("static", &["-static"]),
                cell("static, position-independent", &["-static-pie"]),
                cell("static, stripped", &["-static", "-s"]).map(|cell| cell.refused(NOTHING_FOUND)),
                cell("static, position-independent, stripped", &["-static-pie", "-s"])
                    .map(|cell| cell.refused(NOTHING_FOUND)),
            ],
        );
    }
}

/// Check libstdc++'s `new` and `delete`, which call libc's malloc and free.
#[test]
fn operators_of_libstdcxx_are_counted_as_the_calls_of_malloc_that_they_make() {
    let name = "operators_of_libstdcxx_are_counted_as_the_calls_of_malloc_that_they_make";
    if kernel_or_skip(name) {
        let shared = || {
            let program = entries_cpp(&["ON_LIBC"], &[])?;
            Ok(Cell::new("glibc", "C++, libstdc++'s operators, shared", program).with_sites(Sites::OfLibrary))
        };
        // There the operators lie beside malloc, and are functions of the same allocator.
        let in_program = || {
            let program = entries_cpp(&["NOTHROW_THROWS=1"], &["-static"])?;
            Ok(Cell::new("glibc", "C++, libstdc++'s operators, static", program))
        };
        check_all(name, vec![shared(), in_program()]);
    }
}

/// Check Debian's jemalloc 5.3: linked, preloaded, static, and its C++ operators.
#[test]
fn jemalloc_5_3_is_exact_in_every_link_form() {
    let name = "jemalloc_5_3_is_exact_in_every_link_form";
    if kernel_or_skip(name) {
        let shared = || system("libjemalloc.so.2", "libjemalloc2");
        let archive = || system("libjemalloc.a", "libjemalloc-dev");
        let cell = |link: &str, program: PathBuf| Ok(Cell::new("jemalloc", link, program));
        check_all(
            name,
            vec![
                shared().and_then(|file| cell("shared, linked", entries("gcc", &JEMALLOC, &[&file])?)),
                shared().and_then(|file| {
                    let program = entries("gcc", &["WITH_MEMALIGN"], &[])?;
                    cell("shared, preloaded", program).map(|cell| cell.with_preload(&file))
                }),
                archive().and_then(|file| {
                    cell("static library", entries("gcc", &JEMALLOC, &[&file, "-lm", "-lstdc++"])?)
                }),
                archive().and_then(|file| {
                    let flags = ["-static", &file, "-lm", "-lstdc++"];
                    cell("static program", entries("gcc", &JEMALLOC, &flags)?)
                }),
                shared().and_then(|file| cell("C++, shared, linked", entries_cpp(&[], &[&file])?)),
                shared().and_then(|file| {
                    let program = entries_cpp(&[], &[])?;
                    cell("C++, shared, preloaded", program).map(|cell| cell.with_preload(&file))
                }),
                archive().and_then(|file| cell("C++, static library", entries_cpp(&[], &[&file, "-lm"])?)),
            ],
        );
    }
}

/// Check jemalloc 5.2, built as others build it: without a prefix, and with two.
#[test]
fn jemalloc_5_2_is_exact_with_any_prefix() {
    let name = "jemalloc_5_2_is_exact_with_any_prefix";
    if !kernel_or_skip(name) {
        return;
    }
    let plain = || source::jemalloc_5_2("");
    let cell = |link: &str, program: PathBuf| Ok(Cell::new("jemalloc", link, program));
    let shared = |folder: &Path| folder.join("libjemalloc.so.2");
    let archive = |folder: &Path| folder.join("libjemalloc.a");
    check_all(
        name,
        vec![
            plain().and_then(|folder| {
                let file = shared(&folder);
                let flags = [path_text(&file), &run_path(&file)];
                cell("5.2, shared, linked", entries("gcc", &JEMALLOC, &flags)?)
            }),
            plain().and_then(|folder| {
                let file = archive(&folder);
                let flags = [path_text(&file), "-lm", "-ldl", "-lstdc++"];
                cell("5.2, static library", entries("gcc", &JEMALLOC, &flags)?)
            }),
            plain().and_then(|folder| {
                let file = shared(&folder);
                let flags = [path_text(&file), &run_path(&file)];
                cell("5.2, C++, shared, linked", entries_cpp(&["NO_ALIGNED_NEW"], &flags)?)
            }),
            source::jemalloc_5_2("je_").and_then(|folder| {
                let file = shared(&folder);
                let definitions = ["PREFIX=je_", "WITH_MEMALIGN", "WITH_X", "WITH_LIBC"];
                let flags = [path_text(&file), &run_path(&file)];
                cell(
                    "5.2, prefix je_, shared, libc's malloc beside it",
                    entries("gcc", &definitions, &flags)?,
                )
            }),
            source::jemalloc_5_2("je_").and_then(|folder| {
                let file = archive(&folder);
                let definitions = ["PREFIX=je_", "WITH_MEMALIGN", "WITH_X", "WITH_LIBC"];
                let program = entries("gcc", &definitions, &[path_text(&file), "-lm", "-ldl"])?;
                cell("5.2, prefix je_, static library, libc's malloc beside it", program)
            }),
            source::jemalloc_5_2("foo_je_").and_then(|folder| {
                let file = archive(&folder);
                let definitions = ["PREFIX=foo_je_", "WITH_MEMALIGN", "WITH_X"];
                let program = entries("gcc", &definitions, &[path_text(&file), "-lm", "-ldl"])?;
                let options = ["--symbol-prefix", "foo_je_"];
                cell("5.2, --symbol-prefix foo_je_, static library", program)
                    .map(|cell| cell.with_options(&options))
            }),
        ],
    );
}

/// Check gperftools' tcmalloc: linked, preloaded, static, and its C++ operators.
#[test]
fn tcmalloc_is_exact_in_every_link_form() {
    let name = "tcmalloc_is_exact_in_every_link_form";
    if kernel_or_skip(name) {
        let shared = || system("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4");
        let archive = || system("libtcmalloc_minimal.a", "libgoogle-perftools-dev");
        let cell = |link: &str, program: PathBuf| Ok(Cell::new("tcmalloc", link, program));
        check_all(
            name,
            vec![
                shared().and_then(|file| cell("shared, linked", entries("gcc", &TCMALLOC, &[&file])?)),
                shared().and_then(|file| {
                    let program = entries("gcc", &GLIBC, &[])?;
                    cell("shared, preloaded", program).map(|cell| cell.with_preload(&file))
                }),
                archive().and_then(|file| {
                    cell("static library", entries("gcc", &TCMALLOC, &[&file, "-lstdc++", "-lm"])?)
                }),
                archive().and_then(|file| {
                    let flags = ["-static", &file, "-lstdc++", "-lm"];
                    cell("static program", entries("gcc", &TCMALLOC, &flags)?)
                }),
                shared().and_then(|file| cell("C++, shared, linked", entries_cpp(&[], &[&file])?)),
                archive().and_then(|file| cell("C++, static library", entries_cpp(&[], &[&file, "-lm"])?)),
            ],
        );
    }
}

/// Check mimalloc: linked and preloaded, and its C++ operators, which end the process where others throw.
#[test]
fn mimalloc_is_exact_in_every_link_form() {
    let name = "mimalloc_is_exact_in_every_link_form";
    if kernel_or_skip(name) {
        let shared = || system("libmimalloc.so.2.0", "libmimalloc-dev");
        let cell = |link: &str, program: PathBuf| Ok(Cell::new("mimalloc", link, program));
        check_all(
            name,
            vec![
                shared().and_then(|file| cell("shared, linked", entries("gcc", &MIMALLOC, &[&file])?)),
                shared().and_then(|file| {
                    let program = entries("gcc", &GLIBC, &[])?;
                    cell("shared, preloaded", program).map(|cell| cell.with_preload(&file))
                }),
                shared().and_then(|file| {
                    cell("C++, shared, linked", entries_cpp(&["NEW_ABORTS", "NO_NOTHROW_DELETE"], &[&file])?)
                }),
            ],
        );
    }
}

/// Check musl: shared and static; stripped static is refused.
#[test]
fn musl_is_exact_in_every_link_form() {
    let name = "musl_is_exact_in_every_link_form";
    if kernel_or_skip(name) {
        let cell = |link: &str, flags: &[&str]| {
            Ok(Cell::new("musl", link, entries("musl-gcc", &["WITH_MEMALIGN"], flags)?))
        };
        check_all(
            name,
            vec![
                cell("shared", &[]),
                cell("static", &["-static"]),
                cell("static, stripped", &["-static", "-s"]).map(|cell| cell.refused(NOTHING_FOUND)),
            ],
        );
    }
}

/// Check Rust programs, with C code's malloc beside their own allocator.
#[test]
fn rust_programs_are_exact_with_every_global_allocator() {
    let name = "rust_programs_are_exact_with_every_global_allocator";
    if kernel_or_skip(name) {
        let cell = |allocator, link: &str, feature| {
            let cell = Cell::new(allocator, link, source::rust_program(feature)?);
            Ok(cell.with_sites(Sites::BehindShims))
        };
        check_all(
            name,
            vec![
                cell("glibc", "Rust's system allocator", ""),
                cell("jemalloc", "Rust's tikv-jemallocator, libc's malloc beside it", "jemalloc"),
                cell("mimalloc", "Rust's mimalloc, libc's malloc beside it", "mimalloc"),
            ],
        );
    }
}

/// Check an allocator that nobody knows, in a library and in the program, when it is named.
#[test]
fn custom_allocator_that_is_named_is_exact() {
    let name = "custom_allocator_that_is_named_is_exact";
    if kernel_or_skip(name) {
        let definitions = ["PREFIX=arena_", "ONLY_BASIC"];
        let in_library = || {
            let file = library("arena");
            let program = entries("gcc", &definitions, &[path_text(&file), &run_path(&file)])?;
            let options = ["--object", path_text(&file), "--symbol-prefix", "arena_"];
            Ok(Cell::new("custom", "shared, --object and --symbol-prefix", program).with_options(&options))
        };
        let in_program = || {
            let arena = file("arena.c");
            let program = entries("gcc", &definitions, &[path_text(&arena)])?;
            let options = ["--object", path_text(&program), "--symbol-prefix", "arena_"];
            Ok(Cell::new("custom", "in the program, --object and --symbol-prefix", program.clone())
                .with_options(&options))
        };
        check_all(name, vec![in_library(), in_program()]);
    }
}

/// Check a library that is preloaded before libc and passes each call on: two functions, one allocation.
#[test]
fn calls_that_a_preloaded_library_passes_on_are_counted_once() {
    let name = "calls_that_a_preloaded_library_passes_on_are_counted_once";
    if kernel_or_skip(name) {
        let program = entries("gcc", &["WITH_MEMALIGN"], &[]);
        let shim = library("counting_shim");
        let cell = program.map(|program| {
            Cell::new("glibc", "shared, under a preloaded library that passes calls on", program)
                .with_preload(path_text(&shim))
                .with_sites(Sites::BehindShims)
        });
        check_all(name, vec![cell]);
    }
}

/// Check the programs themselves against another judge: what they count is what passes through the counting shim.
#[test]
fn programs_of_the_matrix_count_what_a_shim_in_them_counts() {
    let name = "programs_of_the_matrix_count_what_a_shim_in_them_counts";
    let jemalloc = || system("libjemalloc.so.2", "libjemalloc2");
    let tcmalloc = || system("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4");
    let mimalloc = || system("libmimalloc.so.2.0", "libmimalloc-dev");
    let programs = [
        entries("gcc", &[], &[]),
        jemalloc().and_then(|file| entries("gcc", &[], &[&file])),
        tcmalloc().and_then(|file| entries("gcc", &[], &[&file])),
        mimalloc().and_then(|file| entries("gcc", &[], &[&file])),
        entries_cpp(&["ON_LIBC"], &[]),
        source::rust_program(""),
    ];
    for program in programs {
        match program {
            Ok(program) => judge::assert_agreed(&program),
            Err(reason) => skip(name, &reason),
        }
    }
}
