//! What the workload runs on: the program, compiled here, and a libc of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tracer::target::mappings::{FileCache, Mappings};

/// With frame pointers: what the stack walk needs.
const FLAGS: [&str; 5] = ["-std=gnu11", "-O1", "-g", "-fno-omit-frame-pointer", "-pthread"];
/// What a large executable has at least: 150 MB.
const LARGE_BYTES: u64 = 150_000_000;

/// `tests/fixtures/pairs.c`.
pub(crate) fn pairs() -> Result<PathBuf> {
    compile("pairs", &["pairs.c"])
}

/// The same in an executable of 150 MB, most of which nobody calls. Kept: it takes ten seconds.
pub(crate) fn large() -> Result<PathBuf> {
    compile("pairs-large", &["pairs.c", "filler.S"]).and_then(|program| {
        let bytes = fs::metadata(&program)?.len();
        if bytes < LARGE_BYTES {
            bail!(
                "{} has {bytes} bytes, which is not large; tests/fixtures/filler.S makes them",
                program.display()
            );
        }
        Ok(program)
    })
}

/// `tests/fixtures/fleet.c`, one of several builds.
pub(crate) fn fleet(image: u32) -> Result<PathBuf> {
    compile_by(&[&format!("-DIMAGE={image}")], &format!("fleet-{image}"), &["fleet.c"])
}

/// The largest library that every developer of this project has: the compiler's own.
pub(crate) fn large_library() -> Result<PathBuf> {
    let output =
        Command::new("rustc").args(["--print", "sysroot"]).output().context("failed to run rustc")?;
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim()).join("lib");
    let is_driver = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("librustc_driver"))
    };
    let found =
        fs::read_dir(&folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path())).find(is_driver);
    found.with_context(|| format!("no librustc_driver in {}", folder.display()))
}

/// A folder with so many libraries, and the value of `LD_PRELOAD` that loads them for a program that starts there.
pub(crate) fn many_libraries(count: u32) -> Result<(PathBuf, String)> {
    let one = compile_by(&["-shared", "-fPIC"], "loaded-library", &["loaded_library.c"])?;
    let folder = one.with_extension("many");
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    // Short, because one variable has 128 KiB at most.
    let names: Vec<String> = (0..count).map(|index| format!("./{index}.so")).collect();
    for name in &names {
        fs::copy(&one, folder.join(name)).context("failed to copy a library")?;
    }
    Ok((folder, names.join(":")))
}

/// Compiles it if a source is younger than it.
fn compile(name: &str, sources: &[&str]) -> Result<PathBuf> {
    compile_by(&[], name, sources)
}

fn compile_by(more_flags: &[&str], name: &str, sources: &[&str]) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let sources: Vec<PathBuf> = sources.iter().map(|source| folder.join(source)).collect();
    let inputs = sources.iter().cloned().chain([folder.join("fixture.h")]);
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    if let Ok(made) = modified(&program)
        && inputs.into_iter().all(|input| modified(&input).is_ok_and(|changed| changed < made))
    {
        return Ok(program);
    }
    // Under another name first: what is interrupted is no program.
    let unfinished = program.with_extension("unfinished");
    let output = Command::new("gcc")
        .args(FLAGS)
        .args(more_flags)
        .arg("-o")
        .arg(&unfinished)
        .args(&sources)
        .output()
        .context("failed to run gcc, which compiles the workload; install it")?;
    if !output.status.success() {
        bail!("failed to compile {name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::rename(&unfinished, &program)
        .with_context(|| format!("failed to rename {}", unfinished.display()))?;
    Ok(program)
}

/// The file name of jemalloc's library, and the folders where it may lie.
pub(crate) const JEMALLOC: &str = "libjemalloc.so.2";
const LIBRARY_FOLDERS: [&str; 4] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];

/// A folder with a copy of the libc that this process runs on.
///
/// The kernel runs a probe's return half in every process where anybody has one at that place of that file, so
/// another tracer on the machine would make floor E as expensive as floor R.
pub(crate) fn private_libc() -> Result<TempDir> {
    let mappings = Mappings::read(std::process::id(), &mut FileCache::default())
        .context("failed to read this process's mappings")?;
    let libc = mappings.files().into_iter().find(|file| file.path.ends_with("/libc.so.6"));
    let libc = libc.context("the benchmark runs on no libc.so.6, so it has none to measure")?;
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    fs::copy(libc.open_path(), folder.path().join("libc.so.6")).context("failed to copy libc.so.6")?;
    Ok(folder)
}

/// The same, with a copy of jemalloc beside it.
pub(crate) fn private_jemalloc() -> Result<TempDir> {
    let paths = LIBRARY_FOLDERS.iter().map(|folder| Path::new(folder).join(JEMALLOC));
    let jemalloc = paths.into_iter().find(|path| path.exists());
    let jemalloc = jemalloc.with_context(|| {
        format!("there is no {JEMALLOC}; `cargo xtask setup --bench` installs it (package libjemalloc2)")
    })?;
    let folder = private_libc()?;
    fs::copy(&jemalloc, folder.path().join(JEMALLOC))
        .with_context(|| format!("failed to copy {}", jemalloc.display()))?;
    Ok(folder)
}
