//! What must be built from a package registry's sources: Rust programs, and jemalloc 5.2. Once, then kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::fixtures::{directory, source};

/// `fixtures/rust_allocators` with a feature, built by cargo.
pub(super) fn rust_program(feature: &str) -> Result<PathBuf, String> {
    let name = format!("rust-{}", if feature.is_empty() { "system" } else { feature });
    let target = directory().join(&name);
    let _lock = lock(&name)?;
    let mut cargo = cargo("build", &source("rust_allocators/Cargo.toml"));
    cargo.args(["--release", "--quiet", "--features", feature, "--target-dir"]).arg(&target);
    run(cargo.env("RUSTFLAGS", "-C force-frame-pointers=yes"))?;
    Ok(target.join("release/rust_allocators"))
}

/// jemalloc 5.2.1 with a prefix, as its own `configure` builds it: the folder with its libraries.
pub(super) fn jemalloc_5_2(prefix: &str) -> Result<PathBuf, String> {
    let name = format!("jemalloc-5.2-{prefix}");
    let _lock = lock(&name)?;
    let build = directory().join(&name);
    let libraries = build.join("lib");
    let done = build.join("done");
    if done.exists() {
        return Ok(libraries);
    }
    if build.exists() {
        // Whoever began it did not come to the end.
        fs::remove_dir_all(&build).map_err(|error| format!("{}: {error}", build.display()))?;
    }
    let package = sources_of("tikv-jemalloc-sys", &source("jemalloc_5_2/Cargo.toml"))?;
    run(Command::new("cp").arg("-r").arg(package.join("jemalloc")).arg(&build))?;
    // The registry's package keeps these apart.
    run(Command::new("cp")
        .args([package.join("configure/configure"), package.join("configure/VERSION")])
        .arg(&build))?;
    let mut configure = Command::new("sh");
    configure.args(["configure", "--disable-doc"]).arg(format!("--with-jemalloc-prefix={prefix}"));
    if !prefix.is_empty() {
        // Its C++ operators have no prefix; beside another allocator they are not wanted.
        configure.arg("--disable-cxx");
    }
    run(configure.current_dir(&build))?;
    run(Command::new("make").args(["-j2", "build_lib"]).current_dir(&build))?;
    File::create(&done).map_err(|error| format!("{}: {error}", done.display()))?;
    Ok(libraries)
}

/// Where cargo keeps the sources of a dependency; it fetches them if it has to.
fn sources_of(package: &str, manifest: &Path) -> Result<PathBuf, String> {
    let text = run(cargo("metadata", manifest).args(["--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let found =
        packages.iter().find(|one| one["name"] == package).and_then(|one| one["manifest_path"].as_str());
    let found = found.and_then(|path| Path::new(path).parent());
    found.map(Path::to_path_buf).ok_or_else(|| format!("cargo metadata names no {package}"))
}

/// Cargo without what the cargo that runs this test has set for itself.
fn cargo(subcommand: &str, manifest: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_BOOTSTRAP",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        cargo.env_remove(name);
    }
    cargo.args([subcommand, "--locked", "--manifest-path"]).arg(manifest);
    cargo
}

/// What it prints, or what it complains of.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = complaint.lines().rev().take(5).collect();
    Err(format!("{command:?}: {}: {}", output.status, last.into_iter().rev().collect::<Vec<_>>().join(" | ")))
}

/// Two tests that want the same build wait for each other.
fn lock(name: &str) -> Result<File, String> {
    let path = directory().join(format!("{name}.lock"));
    let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    file.lock().map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(file)
}
