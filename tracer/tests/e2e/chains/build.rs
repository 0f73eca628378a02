//! The programs with known call chains: no frame pointers, no debug information.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixtures::{compile, source};

const FLAGS: [&str; 3] = ["-O2", "-fomit-frame-pointer", "-pthread"];

/// How a program is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: &'static str,
    pub(super) flags: &'static [&'static str],
}

pub(super) const PIE: Link = Link { name: "pie", flags: &["-fPIE", "-pie"] };
pub(super) const NO_PIE: Link = Link { name: "no_pie", flags: &["-fno-pie", "-no-pie"] };
pub(super) const STATIC: Link = Link { name: "static", flags: &["-fno-pie", "-static"] };
pub(super) const STATIC_PIE: Link = Link { name: "static_pie", flags: &["-fPIE", "-static-pie"] };

/// A program of sources in `fixtures/chains`.
pub(super) fn program(sources: &[&str], link: Link, more: &[&str]) -> Result<PathBuf, String> {
    let is_cpp = sources[0].ends_with(".cpp");
    let (compiler, standard) = if is_cpp { ("g++", "-std=c++17") } else { ("gcc", "-std=gnu11") };
    compiled(compiler, standard, sources, link, more)
}

/// The same with musl.
pub(super) fn musl_program(sources: &[&str], link: Link) -> Result<PathBuf, String> {
    compiled("musl-gcc", "-std=gnu11", sources, link, &[])
}

fn compiled(
    compiler: &str,
    standard: &str,
    sources: &[&str],
    link: Link,
    more: &[&str],
) -> Result<PathBuf, String> {
    let mut arguments = vec![standard.to_owned()];
    arguments.extend(FLAGS.iter().map(ToString::to_string));
    arguments.extend(sources[1..].iter().map(|name| chain_source(name).display().to_string()));
    arguments.extend(link.flags.iter().chain(more).map(ToString::to_string));
    let name = format!("chains_{}_{}", sources[0].replace('.', "_"), link.name);
    compile(&name, compiler, &chain_source(sources[0]), &arguments)
}

/// `plain.rs`.
pub(super) fn rust_program(name: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let always =
        ["--edition", "2021", "-O", "-C", "force-frame-pointers=no", "-C", "symbol-mangling-version=v0"];
    let arguments: Vec<String> = always.iter().chain(flags).map(ToString::to_string).collect();
    compile(&format!("chains_rust_{name}"), "rustc", &chain_source("plain.rs"), &arguments)
}

/// A library of one source there.
pub(super) fn library(file: &str, name: &str, more: &[&str]) -> PathBuf {
    let mut arguments = ["-std=gnu11", "-shared", "-fPIC"].map(str::to_owned).to_vec();
    arguments.extend(FLAGS[..2].iter().chain(more).map(ToString::to_string));
    compile(name, "gcc", &chain_source(file), &arguments).expect("a library compiles")
}

fn chain_source(name: &str) -> PathBuf {
    source("chains").join(name)
}

/// A copy without symbols; its code lies where it did.
pub(super) fn stripped(program: &Path) -> PathBuf {
    let copy = program.with_extension("stripped");
    if !copy.exists() {
        let unfinished = program.with_extension(format!("stripped-{:?}", std::thread::current().id()));
        let status =
            Command::new("strip").arg("-o").args([&unfinished, program]).status().expect("strip starts");
        assert!(status.success(), "strip succeeds");
        std::fs::rename(&unfinished, &copy).expect("the target directory is writable");
    }
    copy
}
