//! The programs of the matrix: one source, compiled for each allocator and way to link it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures::{compile, directory, source};

/// `entries.c` says what the names mean.
const FLAGS: [&str; 7] =
    ["-Wall", "-Wextra", "-O1", "-g", "-fno-omit-frame-pointer", "-pthread", "-fno-builtin"];

/// `entries.c` with what an allocator has (`definitions`) and what it is linked with (`link`).
pub(super) fn entries(compiler: &str, definitions: &[&str], link: &[&str]) -> Result<PathBuf, String> {
    program(compiler, "-std=gnu11", "entries.c", definitions, link)
}

/// `entries.cpp`, likewise.
pub(super) fn entries_cpp(definitions: &[&str], link: &[&str]) -> Result<PathBuf, String> {
    program("g++", "-std=c++17", "entries.cpp", definitions, link)
}

fn program(
    compiler: &str,
    standard: &str,
    file: &str,
    definitions: &[&str],
    link: &[&str],
) -> Result<PathBuf, String> {
    let mut arguments = vec![standard.to_owned()];
    arguments.extend(FLAGS.map(str::to_owned));
    arguments.extend(definitions.iter().map(|name| format!("-D{name}")));
    arguments.extend(link.iter().map(ToString::to_string));
    let name = file.replace('.', "_");
    // A compiler that is not there is a reason to skip; one that refuses a program of ours is a failure.
    let is_there = Command::new(compiler).arg("--version").output();
    is_there.map_err(|error| format!("{compiler}: {error}"))?;
    Ok(compile(&name, compiler, &source(file), &arguments).expect("a program of the matrix compiles"))
}

/// A file of the system's libraries, or which package brings it.
pub(crate) fn system(file: &str, package: &str) -> Result<String, String> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let paths = folders.iter().map(|folder| Path::new(folder).join(file));
    let found = paths.into_iter().find(|path| path.exists());
    let found = found.ok_or_else(|| format!("there is no {file}: package {package}"))?;
    // The file behind the links: its name says the version.
    let file = found.canonicalize().map_err(|error| format!("{}: {error}", found.display()))?;
    Ok(file.display().to_string())
}

/// The path of a library of the fixtures, as an argument of a compiler.
pub(super) fn path_text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// So that a program finds a library where it was built.
pub(super) fn run_path(library: &Path) -> String {
    let folder = library.parent().map_or_else(directory, Path::to_path_buf);
    format!("-Wl,-rpath,{}", folder.display())
}
