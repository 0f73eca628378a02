//! A process that has mapped damaged, lying and changing files as code: they cost their own names, and nothing else.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode as Permissions};
use serde_json::Value;
use tempfile::TempDir;
use tracer::model::snapshot::{CallSite, Snapshot};

use crate::fixtures::{code_page, fixture};
use crate::harness::{Target, Tracer, kernel_or_skip, number, tracer};

/// Where the linker puts the code, and how much of the file must stay.
const CODE_AT: u64 = 0x1000;
const CODE_END: u64 = 0x2000;
const ROUNDS: u64 = 50;
/// `sh_type` of the tables that are made to lie.
const SYMBOL_TABLES: [u32; 2] = [2, 11];
/// All that tracer may take: no size that a file only claims fits in.
const ADDRESS_SPACE: &str = "--as=800000000";
/// Attach and report of all these objects, on a slow machine; a pipe that is waited for, or a loop, takes for ever.
const MOST_TIME: Duration = Duration::from_secs(60);

/// A good file, to be damaged.
struct Draft(Vec<u8>);

impl Draft {
    fn new() -> Self {
        Self(fs::read(code_page()).expect("it was compiled"))
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Offsets of the section headers of these types.
    fn headers(&self, types: &[u32]) -> Vec<usize> {
        let word = |at: usize| u64::from_le_bytes(*self.0[at..].first_chunk().expect("in the file"));
        let (start, count) = (word(40) as usize, usize::from(self.0[60]));
        let kind = |at: usize| u32::from_le_bytes(*self.0[at + 4..].first_chunk().expect("in the file"));
        (0..count).map(|index| start + 64 * index).filter(|&at| types.contains(&kind(at))).collect()
    }

    /// A field of the symbol tables' headers.
    fn lie(mut self, field: usize, value: u64) -> Vec<u8> {
        for at in self.headers(&SYMBOL_TABLES) {
            self.put(at + field, &value.to_le_bytes());
        }
        self.0
    }
}

/// `objcopy` of the good file, and what came out.
fn objcopy(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let to = folder.join(name);
    let output = Command::new("objcopy").args(arguments).arg(code_page()).arg(&to).output();
    let output = output.expect("binutils are installed");
    assert!(output.status.success(), "objcopy {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    to
}

/// With a section of one's own, and without symbols.
fn with_section(folder: &Path, name: &str, section: &str, contents: &[u8]) -> PathBuf {
    let data = folder.join(format!("{name}.section"));
    fs::write(&data, contents).expect("our directory");
    objcopy(folder, name, &["--strip-all", "--add-section", &format!("{section}={}", data.display())])
}

fn link_to(name: &str) -> Vec<u8> {
    let mut data = [name.as_bytes(), &[0]].concat();
    data.resize(data.len().next_multiple_of(4) + 4, 0);
    data
}

/// Twice the limit of nothing, in some ten kilobytes.
fn bomb() -> Vec<u8> {
    let output = Command::new("sh").args(["-c", "head -c 256M /dev/zero | xz -0"]).output();
    output.expect("xz-utils are installed").stdout
}

/// Every kind of bad file, by name.
fn bad_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("our directory");
        files.push(path);
    };
    let page = |bytes: &[u8]| bytes[CODE_AT as usize..CODE_END as usize].to_vec();
    let good = Draft::new().0;
    write("no_elf_at_all", &[vec![b'#'; CODE_AT as usize], page(&good)].concat());
    write("truncated", &good[..CODE_END as usize]);
    write("truncated_inside_a_table", &good[..good.len() - 700]);
    write("symbols_outside_the_file", &Draft::new().lie(24, 1 << 40));
    write("symbols_at_the_end_of_all_addresses", &Draft::new().lie(24, u64::MAX - 8));
    write("symbols_without_end", &Draft::new().lie(32, u64::MAX));
    write("symbols_of_no_strings", &Draft::new().lie(40, u64::MAX));
    write("a_32_bit_file", &Draft::new().put(4, &[1]).0);
    write("another_machine", &Draft::new().put(18, &[183]).0);
    write("65534_program_headers", &Draft::new().put(56, &[0xfe, 0xff]).0);
    let mut counted = Draft::new();
    let first = counted.headers(&[0])[0];
    write("sections_without_number", &counted.put(60, &[0, 0]).put(first + 32, &[0xff; 8]).0);
    let sparse = |size: u64| Draft(Draft::new().lie(24, 1 << 20)).lie(32, size);
    for (name, size) in [("sparse_table_of_200_mb", 200 << 20), ("sparse_table_of_3_gb", 3 << 30)] {
        write(name, &sparse(size));
        let file = OpenOptions::new().write(true).open(folder.join(name)).expect("our file");
        file.set_len(4 << 30).expect("a sparse file takes no room");
    }
    let pipe = folder.join("pipe.debug");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Permissions::RUSR, 0).expect("a pipe");
    let mut section = |name: &str, section: &str, contents: &[u8]| {
        files.push(with_section(folder, name, section, contents));
    };
    section("linked_to_a_pipe", ".gnu_debuglink", &link_to("pipe.debug"));
    section("linked_to_itself", ".gnu_debuglink", &link_to("linked_to_itself"));
    section("linked_to_a_path", ".gnu_debuglink", &link_to("../../../../../proc/kmsg"));
    section("linked_to_a_huge_name", ".gnu_debuglink", &link_to(&"n".repeat(1 << 20)));
    section("supplement_in_a_pipe", ".gnu_debugaltlink", &link_to(&pipe.display().to_string()));
    section("bomb", ".gnu_debugdata", &bomb());
    section("no_xz", ".gnu_debugdata", b"nothing that xz knows");
    files
}

/// The site below which a file's code stands.
fn site_of<'a>(snapshot: &'a Snapshot, file: &Path) -> &'a CallSite {
    let name = file.display().to_string();
    let is_it = |site: &&CallSite| {
        let modules = || site.frames.iter().filter_map(|frame| frame.module.as_deref());
        modules().any(|module| module.trim_end_matches(" (deleted)") == name)
    };
    snapshot.sites.iter().find(is_it).unwrap_or_else(|| panic!("no site through {name}"))
}

/// Attaches, lets it run, changes some files and stops.
fn traced(folder: &Path, files: &[PathBuf]) -> (Snapshot, Value) {
    let mut target = Target::spawn(
        Command::new(fixture("bad_objects")).args([CODE_AT.to_string(), ROUNDS.to_string()]).args(files),
    );
    target.wait_ready();
    let mut limited = Command::new("prlimit");
    limited.arg(ADDRESS_SPACE).arg(tracer().get_program());
    let mut tracer = Tracer::attach_with(limited, target.pid(), &[]);
    tracer.wait_counting();
    target.go();
    let truth: Value = target.next_json();
    let cut = OpenOptions::new().write(true).open(folder.join("cut_while_mapped")).expect("our file");
    cut.set_len(CODE_END).expect("our file");
    fs::write(folder.join("next"), Draft::new().lie(24, 7)).expect("our directory");
    fs::rename(folder.join("next"), folder.join("replaced_while_mapped")).expect("our directory");
    let outcome = tracer.stop();
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert!(target.alive(), "the target lives on");
    (outcome.success(), truth)
}

/// Check that the counts are exact, that good objects beside them have names, and that bad ones say why not.
#[test]
fn bad_objects_cost_their_own_names_and_no_number() {
    if !kernel_or_skip("bad_objects_cost_their_own_names_and_no_number") {
        return;
    }
    let folder = TempDir::new().expect("a directory");
    let mut files = bad_files(folder.path());
    for name in ["good", "cut_while_mapped", "replaced_while_mapped"] {
        fs::copy(code_page(), folder.path().join(name)).expect("our directory");
        files.push(folder.path().join(name));
    }
    let begin = Instant::now();
    let (snapshot, truth) = traced(folder.path(), &files);
    assert!(begin.elapsed() < MOST_TIME, "{:?}", begin.elapsed());
    let totals = &snapshot.targets[0].totals;
    assert_eq!(totals.alloc_objects, number(&truth, "objects"));
    assert_eq!(totals.alloc_bytes, number(&truth, "bytes"));
    for (index, file) in files.iter().enumerate() {
        let site = site_of(&snapshot, file);
        assert_eq!(
            (site.alloc_objects, site.alloc_bytes),
            (ROUNDS, ROUNDS * (100 + index as u64)),
            "{site:?}"
        );
        assert_eq!(site.frames[0].function.as_deref(), Some("bad_object_site"), "{site:?}");
        let frame = &site.frames[1];
        assert!(frame.function.is_some() || frame.reason.is_some(), "{site:?}");
    }
    for name in ["good", "replaced_while_mapped"] {
        let frame = &site_of(&snapshot, &folder.path().join(name)).frames[1];
        assert_eq!(frame.function.as_deref(), Some("passes_on"), "{name}: {frame:?}");
        assert!(frame.line.is_some(), "{name}: {frame:?}");
    }
}

/// Check that `doctor` goes on behind each of them, and says what it is.
#[test]
fn doctor_says_what_is_wrong_with_each_bad_object() {
    if !kernel_or_skip("doctor_says_what_is_wrong_with_each_bad_object") {
        return;
    }
    let folder = TempDir::new().expect("a directory");
    let files = bad_files(folder.path());
    let offset = CODE_AT.to_string();
    let mut target = Target::spawn(Command::new(fixture("bad_objects")).args([&offset, "1"]).args(&files));
    target.wait_ready();
    let output = tracer().args(["doctor", "--pid", &target.pid().to_string()]).output();
    let output = output.expect("the tracer starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("libc.so.6: glibc"), "{text}");
    let check = |name: &str, words: &str| {
        let line = text.lines().find(|line| line.contains(&format!("/{name}:")));
        assert!(line.is_some_and(|line| line.contains(words)), "{name}: {words} in {text}");
    };
    check("no_elf_at_all", "not an ELF file");
    check("a_32_bit_file", "32-bit");
    check("another_machine", "another machine");
    check("65534_program_headers", "its program headers do not fit into the file");
    check("truncated", "its section headers do not fit into the file");
    check("sections_without_number", "its section headers do not fit into the file");
    for name in ["symbols_outside_the_file", "symbols_at_the_end_of_all_addresses", "symbols_without_end"] {
        check(name, "its section .dynsym lies outside the file");
    }
    check("symbols_of_no_strings", "its section .symtab has no names");
    check("sparse_table_of_3_gb", "its section .symtab has more than 268435456 bytes");
}
