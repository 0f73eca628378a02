//! Tables of real objects against gimli's own evaluation of their frame descriptions, row by row: the table's row of an
//! address, applied by the code that the kernel side runs, must lead to the same caller.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gimli::{
    BaseAddresses, CieOrFde, DebugFrame, EhFrame, LittleEndian, UnwindContext, UnwindSection, UnwindTableRow,
};
use tracer_ebpf::unwind::{Registers, Rule, step};

use super::truth::{Description, FP, Reader, SP, Truth, word_at};
use super::{Unsupported, UnwindTable};
use crate::elf::Image;
use crate::elf::testing::real_libc;
use crate::units::{Bytes, ElfVaddr};

/// What has been compared.
#[derive(Debug, Default)]
struct Count {
    rows: u64,
    addresses: u64,
    unsupported: BTreeMap<&'static str, u64>,
}

/// Compares a row at its first, a middle and its last address.
fn compare_row<'a, S: UnwindSection<Reader<'a>>>(
    table: &UnwindTable,
    section: &S,
    function: &Description<'a>,
    row: &UnwindTableRow<usize>,
    count: &mut Count,
) {
    let end = row.end_address().min(function.end_address());
    if row.start_address() >= end {
        return;
    }
    count.rows += 1;
    let mut pcs = vec![row.start_address(), (row.start_address() + end) / 2, end - 1];
    pcs.dedup();
    for pc in pcs {
        let truth = Truth { section, function, row, pc };
        let found = table.row_at(ElfVaddr(pc));
        if found.rule() == Rule::Unsupported {
            let crowded = (table.statistics().unsupported(Unsupported::Crowded) > 0).then_some("crowded");
            let why = truth.why_unsupported().or(crowded);
            let why = why.unwrap_or_else(|| panic!("{pc:#x}: a row could hold {row:?}"));
            *count.unsupported.entry(why).or_default() += u64::from(pc == row.start_address());
            continue;
        }
        let from = Registers { pc, sp: SP, fp: FP, is_exact: true };
        let reached = step(found, &from, |address| Some(word_at(address)));
        assert_eq!(Some(reached), truth.step(), "{pc:#x}: {:?} {row:?}", found.rule());
        count.addresses += 1;
    }
}

/// Compares all rows; functions by address.
fn compare_all<'a, S: UnwindSection<Reader<'a>>>(
    table: &UnwindTable,
    section: &S,
    bases: &BaseAddresses,
) -> (Count, Vec<Range<u64>>) {
    let (mut count, mut functions) = (Count::default(), Vec::new());
    let mut context = UnwindContext::new();
    let mut entries = section.entries(bases);
    while let Some(entry) = entries.next().expect("the linker has written it") {
        let CieOrFde::Fde(partial) = entry else { continue };
        let function = partial.parse(S::cie_from_offset).expect("the linker has written it");
        if function.len() == 0 || function.initial_address() == 0 {
            continue;
        }
        functions.push(function.initial_address()..function.end_address());
        let mut rows = function.rows(section, bases, &mut context).expect("the linker has written it");
        loop {
            match rows.next_row() {
                Ok(Some(row)) => compare_row(table, section, &function, row, &mut count),
                Ok(None) => break,
                Err(_) => {
                    let last = table.row_at(ElfVaddr(function.end_address() - 1)).rule();
                    assert_eq!(last, Rule::Unsupported, "{function:?}");
                    *count.unsupported.entry("instructions").or_default() += 1;
                    break;
                }
            }
        }
    }
    functions.sort_unstable_by_key(|range| range.start);
    (count, functions)
}

/// What no description covers is a gap, but for trampolines.
fn compare_gaps(table: &UnwindTable, functions: &[Range<u64>]) {
    for pair in functions.windows(2) {
        assert!(pair[0].end <= pair[1].start, "{pair:x?} overlap");
        if pair[0].end < pair[1].start {
            for pc in [pair[0].end, pair[1].start - 1] {
                let rule = table.row_at(ElfVaddr(pc)).rule();
                assert!(matches!(rule, Rule::Gap | Rule::Signal), "{pc:#x}: {rule:?}");
            }
        }
    }
    let ends = functions.first().zip(functions.last()).map(|(first, last)| [first.start - 1, last.end]);
    for pc in ends.into_iter().flatten() {
        assert_eq!(table.row_at(ElfVaddr(pc)).rule(), Rule::Gap, "{pc:#x}");
    }
}

/// Holds an object's table against its descriptions; at most this share of the rows may be unsupported.
fn compare(path: &Path, image: &Image, most_unsupported: f64) {
    let begin = Instant::now();
    let table = UnwindTable::build(image).expect("it is not too large").expect("it has descriptions");
    let built = begin.elapsed();
    let (count, functions) = match image.section_data(".eh_frame").filter(|(_, data)| !data.is_empty()) {
        Some((address, data)) => {
            let text = image.section_range(".text").expect("it has code").start;
            let bases = BaseAddresses::default().set_eh_frame(address.0).set_text(text.0);
            compare_all(&table, &EhFrame::new(&data, LittleEndian), &bases)
        }
        None => {
            let data =
                image.plain_section_data(".debug_frame", 1 << 30).expect("zlib").expect("it is there").1;
            compare_all(&table, &DebugFrame::new(&data, LittleEndian), &BaseAddresses::default())
        }
    };
    compare_gaps(&table, &functions);
    let unsupported: u64 = count.unsupported.values().sum();
    let share = unsupported as f64 / count.rows as f64;
    println!(
        "{}: built in {built:.1?}, compared in {:.1?}; {:?}; {count:?}; unsupported {:.3} %",
        path.display(),
        begin.elapsed() - built,
        table.statistics(),
        share * 100.0,
    );
    assert!(count.rows > 0 && share <= most_unsupported, "{share}");
    // Of a crowded page the rows are counted that are left out, and those of the descriptions here.
    let crowded = table.statistics().unsupported(Unsupported::Crowded);
    let others = unsupported - count.unsupported.get("crowded").copied().unwrap_or_default();
    assert_eq!(table.statistics().all_unsupported() - crowded, others);
}

fn compare_file(path: &Path, most_unsupported: f64) {
    match File::open(path).map(Image::open) {
        Ok(Ok(image)) => compare(path, &image, most_unsupported),
        Ok(Err(error)) => println!("not compared: {}: {error}", path.display()),
        Err(error) => println!("not compared: {}: {error}", path.display()),
    }
}

/// The library that the loader would take for a program of this machine.
fn library(name: &str) -> Option<PathBuf> {
    let libc = PathBuf::from(real_libc()?);
    let folders = [libc.parent()?, Path::new("/usr/lib/x86_64-linux-gnu"), Path::new("/usr/lib64")];
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("not compared: there is no {name}");
    }
    found
}

#[test]
fn every_row_of_the_c_library_leads_to_the_caller_that_gimli_finds() {
    // Where it calls functions of the kernel or switches stacks.
    library("libc.so.6").iter().for_each(|path| compare_file(path, 0.001));
}

#[test]
fn every_row_of_the_loader_leads_to_the_caller_that_gimli_finds() {
    // `_dl_runtime_resolve` keeps the CFA in RBX.
    compare_file(Path::new("/lib64/ld-linux-x86-64.so.2"), 0.01);
}

#[test]
fn every_row_of_libstdcxx_leads_to_the_caller_that_gimli_finds() {
    library("libstdc++.so.6").iter().for_each(|path| compare_file(path, 0.001));
}

#[test]
fn every_row_of_libcrypto_leads_to_the_caller_that_gimli_finds() {
    // Its assembly keeps the CFA in registers that calls do not keep; it calls nothing there.
    library("libcrypto.so.3").iter().for_each(|path| compare_file(path, 0.015));
}

#[test]
fn every_row_of_python_leads_to_the_caller_that_gimli_finds() {
    compare_file(Path::new("/usr/bin/python3"), 0.001);
}

#[test]
fn every_row_of_this_program_leads_to_the_caller_that_gimli_finds() {
    compare_file(Path::new("/proc/self/exe"), 0.001);
}

/// Functions whose CFA is SP or FP and an offset, an offset that is too large, or the word that GCC saves in a function
/// that aligns its stack.
const FUNCTIONS: &str = "
    int use(void *at, int n);
    int plain(int n) { return use(&n, n) + n; }
    int large(int n) { char on_stack[100000]; return use(on_stack, n) + on_stack[n]; }
    int variable(int n) { char *on_stack = __builtin_alloca(n); return use(on_stack, n) + on_stack[n]; }
    int aligned(int n) {
        char aligned[64] __attribute__((aligned(64)));
        char *on_stack = __builtin_alloca(n);
        return use(aligned, n) + use(on_stack, n);
    }";

#[test]
fn descriptions_for_debuggers_are_read_where_there_are_no_others() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let (source, object) = (folder.path().join("functions.c"), folder.path().join("functions.so"));
    std::fs::write(&source, FUNCTIONS).expect("the temporary folder has room");
    for compression in ["none", "zlib"] {
        let compiler = std::process::Command::new("gcc")
            .args(["-O2", "-g", "-fno-asynchronous-unwind-tables", "-nostdlib", "-shared", "-fPIC"])
            .args([&format!("-gz={compression}"), "-o"])
            .args([&object, &source])
            .status();
        match compiler {
            Ok(status) if status.success() => compare_file(&object, 0.5),
            other => println!("not compared: gcc: {other:?}"),
        }
    }
}

/// The largest objects of this machine that have frame descriptions, in the folders where there are large ones.
fn largest(count: usize) -> Vec<(PathBuf, Image)> {
    let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let rustup = rustup.or_else(|| std::env::home_dir().map(|home| home.join(".rustup")));
    let toolchains = rustup.into_iter().flat_map(|rustup| std::fs::read_dir(rustup.join("toolchains")));
    let mut folders: Vec<PathBuf> = toolchains.flatten().flatten().map(|t| t.path().join("lib")).collect();
    folders.extend(["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"].map(PathBuf::from));
    let is_file = |path: &PathBuf| path.symlink_metadata().ok().filter(std::fs::Metadata::is_file);
    let entries = folders.iter().flat_map(std::fs::read_dir).flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = entries.filter_map(|path| Some((is_file(&path)?.len(), path))).collect();
    files.sort_unstable_by(|a, b| b.cmp(a));
    // Of the same size is the same object, in another toolchain.
    files.dedup_by_key(|(bytes, _)| *bytes);
    let objects = files.into_iter().filter_map(|(_, path)| {
        let image = Image::open(File::open(&path).ok()?).ok()?;
        let is_described = image.section_range(".eh_frame").is_some_and(|range| range.start < range.end);
        is_described.then_some((path, image))
    });
    objects.take(count).collect()
}

#[test]
fn every_row_of_the_largest_objects_leads_to_the_caller_that_gimli_finds() {
    for (path, image) in largest(4) {
        compare(&path, &image, 0.015);
        let table = UnwindTable::build(&image).expect("built before").expect("built before");
        // 6 bytes for a row, 8 for a page.
        let most = table.statistics().source_rows * 6 + table.pages() as u64 * 8 + (64 << 10);
        assert!(table.statistics().bytes <= Bytes(most), "{:?}", table.statistics());
    }
}
