//! Where the variables of Go's runtime are: what the code of real programs tells, against what their symbols say.
//!
//! Programs are built by Debian's Go, by the one among the project's Python tools, and by those of `TRACER_TEST_GO_ROOTS`
//! (`dir:dir`, a GOROOT each).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tracer::elf::Image;
use tracer::go::GoProgram;
use tracer::go::runtime::layout::Layout;
use tracer::go::runtime::locate::{Variables, variables, variables_by_code};
use tracer::units::ElfVaddr;

/// Minor versions of Go 1 that the rules are for, as far as there are toolchains.
const MINORS: [u32; 8] = [19, 21, 22, 23, 24, 25, 26, 27];

/// Allocates and collects, and reads no profile.
const PLAIN: &str = "package main

import \"runtime\"

var kept []map[string]int

func main() {
    for i := 0; i < 1000; i++ {
        kept = append(kept, map[string]int{\"a\": i})
    }
    runtime.GC()
}
";

/// Writes its profile and its statistics.
const PROFILED: &str = "package main

import (
    \"fmt\"
    \"os\"
    \"runtime\"
    \"runtime/pprof\"
)

func main() {
    var stats runtime.MemStats
    runtime.ReadMemStats(&stats)
    fmt.Println(stats.NumGC, pprof.WriteHeapProfile(os.Stdout))
}
";

/// Calls C, so that the C compiler links it.
const WITH_C: &str = "package main

// static int twice(int x) { return 2 * x; }
import \"C\"

func main() {
    println(C.twice(21))
}
";

/// A Go toolchain.
struct Toolchain {
    minor: u32,
    program: PathBuf,
}

impl Toolchain {
    /// The toolchains of this machine, one per version.
    fn all() -> Vec<Self> {
        let roots = std::env::var("TRACER_TEST_GO_ROOTS").unwrap_or_default();
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/python/bin/go");
        let programs = [PathBuf::from("/usr/bin/go"), project].into_iter();
        let further =
            roots.split(':').filter(|root| !root.is_empty()).map(|root| Path::new(root).join("bin/go"));
        let mut found: Vec<Self> = programs.chain(further).filter_map(Self::open).collect();
        found.sort_by_key(|toolchain| toolchain.minor);
        found.dedup_by_key(|toolchain| toolchain.minor);
        found
    }

    fn open(program: PathBuf) -> Option<Self> {
        let output = Command::new(&program).arg("version").env("GOTOOLCHAIN", "local").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let minor = text.split_once("go1.")?.1.split(['.', ' ']).next()?.parse().ok()?;
        Some(Self { minor, program })
    }

    /// Builds a program; `None`, and a line that says why, if this machine cannot.
    fn build(&self, test: &str, folder: &TempDir, source: &str, flags: &[&str]) -> Option<PathBuf> {
        let (source_at, program) = (folder.path().join("main.go"), folder.path().join("program"));
        fs::write(&source_at, source).expect("the temporary folder is writable");
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/go-cache");
        let output = Command::new(&self.program)
            .args(["build", "-p", "2", "-o"])
            .arg(&program)
            .args(flags)
            .arg(&source_at)
            .current_dir(folder.path())
            .env("GOCACHE", cache)
            .envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("GO111MODULE", "off")])
            .env("CGO_ENABLED", if source == WITH_C { "1" } else { "0" })
            .output()
            .expect("the toolchain was asked for its version");
        if output.status.success() {
            return Some(program);
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " | ");
        println!("SKIP {test}: Go 1.{} does not build with {flags:?}: {why}", self.minor);
        None
    }
}

/// An object with symbols.
struct Symbols(HashMap<String, Range<u64>>);

impl Symbols {
    fn read(image: &Image) -> Self {
        let functions = image.functions_where(|name| name.starts_with("runtime."));
        Self(functions.into_iter().map(|f| (f.name, f.address.0..f.address.0 + f.size_bytes)).collect())
    }

    fn function(&self, name: &str) -> Vec<Range<ElfVaddr>> {
        self.0.get(name).map(|code| ElfVaddr(code.start)..ElfVaddr(code.end)).into_iter().collect()
    }
}

fn image(path: &Path) -> Image {
    Image::open(File::open(path).expect("the program is there")).expect("the program is an ELF file")
}

/// What the symbols say of all variables.
fn said(image: &Image) -> Variables {
    let at = |name: &str| {
        let found = image.data_named(&[name]);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        Some(found[0].1)
    };
    Variables {
        mbuckets: at("runtime.mbuckets"),
        mem_profile_rate: at("runtime.MemProfileRate"),
        profile_cycle: at("runtime.mProfCycle"),
        memstats: at("runtime.memstats"),
        gc_controller: at("runtime.gcController"),
        runtime_init_time: at("runtime.runtimeInitTime"),
        allp: at("runtime.allp"),
        notes: Vec::new(),
    }
}

/// A copy of a program without its symbol table: the section is there, and says that it is none.
fn without_symbols(path: &Path) -> Image {
    let mut bytes = fs::read(path).expect("the program can be read");
    let number = |at: usize, len: usize| {
        bytes[at..at + len].iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let (headers, header_bytes, count) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2));
    let kinds: Vec<usize> = (0..count).map(|index| headers + index * header_bytes + 4).collect();
    let tables: Vec<usize> = kinds.into_iter().filter(|kind| number(*kind, 4) == 2).collect();
    assert_eq!(tables.len(), 1, "the program has symbols");
    bytes[tables[0]] = 0;
    let mut file = tempfile::tempfile().expect("the temporary folder is writable");
    file.write_all(&bytes).expect("the temporary folder has room");
    Image::open(file).expect("the copy is an ELF file")
}

/// Checks that code and symbols agree, and that the way of a whole program without symbols is the same.
#[track_caller]
fn check(path: &Path, minor: u32, what: &str) {
    let image = image(path);
    let expect = said(&image);
    let symbols = Symbols::read(&image);
    let layout = Layout::from_table(minor).expect("the table has this version");
    let by_code = variables_by_code(&image, &|name| symbols.function(name), &layout);
    assert_eq!(by_code, expect, "{what} of Go 1.{minor}");
    let program =
        |image: &Image| GoProgram::open(image).expect("its tables are whole").expect("Go has built it");
    assert_eq!(variables(&image, &program(&image), &layout), expect, "{what} of Go 1.{minor} with symbols");
    let stripped = without_symbols(path);
    assert_eq!(stripped.data_named(&["runtime.mbuckets"]), []);
    let found = variables(&stripped, &program(&stripped), &layout);
    assert_eq!(found, expect, "{what} of Go 1.{minor} without symbols");
}

/// Builds a program by each toolchain and checks it.
fn check_all(test: &str, source: &str, flags: &[&str]) {
    let toolchains = Toolchain::all();
    for toolchain in &toolchains {
        let folder = TempDir::new().expect("the temporary folder is writable");
        if let Some(program) = toolchain.build(test, &folder, source, flags) {
            check(&program, toolchain.minor, &format!("a program built with {flags:?}"));
        }
    }
    let absent = MINORS.iter().filter(|minor| !toolchains.iter().any(|toolchain| toolchain.minor == **minor));
    let absent: Vec<String> = absent.map(|minor| format!("1.{minor}")).collect();
    if !absent.is_empty() {
        println!("SKIP {test}: no Go {} on this machine", absent.join(", "));
    }
}

#[test]
fn code_tells_the_variables_of_a_program_without_a_profile() {
    check_all("code_tells_the_variables_of_a_program_without_a_profile", PLAIN, &[]);
}

#[test]
fn code_tells_the_variables_of_a_program_that_writes_its_profile() {
    check_all("code_tells_the_variables_of_a_program_that_writes_its_profile", PROFILED, &[]);
}

#[test]
fn code_tells_the_variables_of_a_program_that_the_c_compiler_links() {
    check_all("code_tells_the_variables_of_a_program_that_the_c_compiler_links", WITH_C, &[]);
}

#[test]
fn code_tells_the_variables_of_a_position_independent_program() {
    check_all("code_tells_the_variables_of_a_position_independent_program", PLAIN, &["-buildmode=pie"]);
}

#[test]
fn code_tells_the_variables_of_a_shared_library() {
    check_all("code_tells_the_variables_of_a_shared_library", WITH_C, &["-buildmode=c-shared"]);
}

#[test]
fn code_tells_the_variables_where_nothing_is_inlined() {
    check_all("code_tells_the_variables_where_nothing_is_inlined", PLAIN, &["-gcflags=all=-l"]);
}

#[test]
fn a_foreign_program_and_garbage_give_notes() {
    let image = image(Path::new(env!("CARGO_BIN_EXE_tracer")));
    let layout = Layout::from_table(27).expect("the table has this version");
    let none = variables_by_code(&image, &|_| Vec::new(), &layout);
    assert_eq!(Variables { notes: Vec::new(), ..none.clone() }, Variables::default());
    assert_eq!(none.notes.len(), 7, "{:?}", none.notes);
    assert!(
        none.notes[0].starts_with("runtime.mbuckets: no symbol says where it is, and the program"),
        "{:?}",
        none.notes
    );
    let text = image.section_range(".text").expect("a program has code");
    let everywhere =
        variables_by_code(&image, &|_| vec![text.start..ElfVaddr(text.start.0 + 0x10_0000)], &layout);
    let found = [everywhere.mbuckets, everywhere.memstats, everywhere.gc_controller, everywhere.allp]
        .into_iter()
        .chain([everywhere.mem_profile_rate, everywhere.profile_cycle, everywhere.runtime_init_time])
        .flatten();
    assert_eq!(found.count() + everywhere.notes.len(), 7, "each is found or has a note: {everywhere:?}");
    let beyond = variables_by_code(&image, &|_| vec![ElfVaddr(u64::MAX - 9)..ElfVaddr(u64::MAX)], &layout);
    assert_eq!(beyond.notes, none.notes);
}
