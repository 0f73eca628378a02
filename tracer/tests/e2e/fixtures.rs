//! Compiles the test programs of `tests/fixtures`, each once, into the target directory.
//!
//! The name of a binary holds a hash of its source and its command line, and it is written beside its
//! place and linked to it: two tests at once, or a stopped one, do no harm.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// No -Werror: a newer compiler warns of more.
const WARNINGS: [&str; 2] = ["-Wall", "-Wextra"];
const TRACEABLE: [&str; 4] = ["-O1", "-g", "-fno-omit-frame-pointer", "-pthread"];

/// A program of `tests/fixtures`, compiled as most tests want it.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let cpp = source(&format!("{name}.cpp"));
    let (compiler, standard, path) = match cpp.exists() {
        true => ("g++", "-std=c++17", cpp),
        false => ("gcc", "-std=gnu11", source(&format!("{name}.c"))),
    };
    let mut arguments = vec![standard.to_owned()];
    arguments.extend(WARNINGS.iter().chain(&TRACEABLE).map(ToString::to_string));
    compile(name, compiler, &path, &arguments).expect("the fixtures compile: is gcc installed?")
}

/// A version of `shop`: the second leaks.
pub(crate) fn shop(version: u32) -> PathBuf {
    let mut arguments = vec!["-std=gnu11".to_owned(), format!("-DVERSION={version}")];
    arguments.extend(WARNINGS.iter().chain(&TRACEABLE).map(ToString::to_string));
    compile(&format!("shop-v{version}"), "gcc", &source("shop.c"), &arguments).expect("the shop compiles")
}

/// `truth` without symbols and without a shared libc.
pub(crate) fn static_stripped() -> Result<PathBuf, String> {
    let arguments = ["-std=gnu11", "-O1", "-pthread", "-static", "-s"].map(str::to_owned);
    compile("truth_static", "gcc", &source("truth.c"), &arguments)
}

/// A 32-bit program.
pub(crate) fn thirty_two_bit() -> Result<PathBuf, String> {
    let arguments = ["-std=gnu11", "-m32", "-static", "-nostdlib", "-ffreestanding", "-no-pie", "-fno-pic"]
        .map(str::to_owned);
    compile("thirty_two_bit", "gcc", &source("thirty_two_bit.c"), &arguments)
}

/// `constructor` and beside it the library that it is linked with.
pub(crate) fn with_constructors() -> PathBuf {
    let library = library("constructor_library");
    let mut program = vec!["-std=c++17".to_owned(), format!("-Wl,-rpath,{}", directory().display())];
    program.extend(WARNINGS.iter().chain(&TRACEABLE).map(ToString::to_string));
    program.push(library.display().to_string());
    compile("constructor", "g++", &source("constructor.cpp"), &program).expect("a C++ program compiles")
}

/// A shared library of `tests/fixtures`.
pub(crate) fn library(name: &str) -> PathBuf {
    let mut shared = vec!["-std=gnu11".to_owned(), "-shared".to_owned(), "-fPIC".to_owned()];
    shared.extend(WARNINGS.iter().chain(&TRACEABLE).map(ToString::to_string));
    compile(name, "gcc", &source(&format!("{name}.c")), &shared).expect("a shared library compiles")
}

/// An object with one function, `passes_on`, alone in its page of code.
pub(crate) fn code_page() -> PathBuf {
    let mut arguments = ["-std=gnu11", "-shared", "-fPIC", "-nostdlib", "-fcf-protection=none"].to_vec();
    arguments.extend(["-Wl,-z,separate-code", "-Wl,--build-id=sha1", "-Wl,--hash-style=gnu"]);
    arguments.extend(WARNINGS.iter().chain(&TRACEABLE));
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    compile("passes_on", "gcc", &source("passes_on.c"), &arguments).expect("a shared library compiles")
}

/// `truth` with a C library of its own and all its symbols.
pub(crate) fn static_truth() -> Result<PathBuf, String> {
    let mut arguments = vec!["-std=gnu11".to_owned(), "-static".to_owned()];
    arguments.extend(TRACEABLE.iter().map(ToString::to_string));
    compile("truth_static_whole", "gcc", &source("truth.c"), &arguments)
}

/// So many libraries that are files of their own, made once.
pub(crate) fn many_libraries(count: usize) -> Vec<PathBuf> {
    let one = library("loaded_library");
    let folder = one.with_extension("many");
    fs::create_dir_all(&folder).expect("the target directory is writable");
    let copy = |index| {
        let copy = folder.join(format!("{index:04}.so"));
        if !copy.exists() {
            let unfinished = folder.join(format!("{index:04}.{}", std::process::id()));
            fs::copy(&one, &unfinished).and_then(|_| fs::rename(&unfinished, &copy)).expect("a copy");
        }
        copy
    };
    (0..count).map(copy).collect()
}

/// A file of `tests/fixtures`.
pub(crate) fn source(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file)
}

/// Where the compiled programs are.
pub(crate) fn directory() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures");
    fs::create_dir_all(&directory).expect("the target directory is writable");
    directory
}

/// The arguments after the source may name libraries and further sources, so the source comes first.
pub(crate) fn compile(
    name: &str,
    compiler: &str,
    source_file: &Path,
    arguments: &[String],
) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    (compiler, arguments).hash(&mut hasher);
    let headers = ["fixture.h", "tally.h", "entries.h", "chains/chains.h"].map(source);
    let further = arguments.iter().map(PathBuf::from).filter(|path| path.is_file());
    for file in [source_file.to_owned()].into_iter().chain(headers).chain(further) {
        fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?.hash(&mut hasher);
    }
    let binary = directory().join(format!("{name}-{:016x}", hasher.finish()));
    if binary.exists() {
        return Ok(binary);
    }
    let unfinished =
        binary.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    let output = Command::new(compiler)
        .arg("-o")
        .args([&unfinished, source_file])
        .args(arguments)
        .output()
        .map_err(|error| format!("{compiler}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{compiler}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    // Never over a binary that another test has compiled meanwhile and runs: its file would be a deleted one.
    let placed = fs::hard_link(&unfinished, &binary);
    fs::remove_file(&unfinished).map_err(|error| format!("{}: {error}", unfinished.display()))?;
    match placed {
        Err(error) if !binary.exists() => Err(format!("{}: {error}", binary.display())),
        _ => Ok(binary),
    }
}
