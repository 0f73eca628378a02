//! The one place that knows which compiler builds what: user space, and the BPF object.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::process::{on_path, output, run};

/// Packages of Debian 12 that hold a compiler with its library sources, and the LLVM of that compiler.
pub(crate) const DEBIAN_PACKAGES: &[&str] =
    &["rustc-web", "rust-web-src", "cargo-web", "llvm-22-dev", "libpolly-22-dev"];
/// Where Debian's LLVM lies, and its major version.
pub(crate) const DEBIAN_LLVM: (u32, &str) = (22, "/usr/lib/llvm-22");
/// The compiler of [`DEBIAN_PACKAGES`]; rustup's stand before it on the PATH.
pub(crate) const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library";

const BPF_TARGET: &str = "bpfel-unknown-none";

/// The folder of the workspace.
pub(crate) fn repository() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where everything that is built goes.
pub(crate) fn target_dir() -> PathBuf {
    repository().join("target")
}

/// The built `tracer`.
pub(crate) fn tracer(release: bool) -> PathBuf {
    target_dir().join(if release { "release" } else { "debug" }).join("tracer")
}

/// Plain cargo, as the user called it.
pub(crate) fn plain_cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository()).arg(subcommand);
    command
}

/// Cargo for everything that depends on aya in user space, with the shim where it is needed.
///
/// aya 0.16 declares Rust 1.98 because of one library function, `result_option_map_or_default`. Older stable
/// compilers have it behind a feature gate. Delete the shim, and every mention of it, as soon as Rust 1.98 is
/// what a plain `rustup update` gives everywhere that we build (CI included).
pub(crate) fn cargo(subcommand: &str) -> Result<Command> {
    let mut command = plain_cargo(subcommand);
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(rustc).arg("--version"))?;
    let minor = minor_version(&version).with_context(|| {
        format!("failed to read a version in {version:?} of `rustc --version`; Rust by rustup has one")
    })?;
    if minor < 98 {
        let gate = "-Zcrate-attr=feature(result_option_map_or_default)";
        let flags = match env::var("RUSTFLAGS") {
            Ok(user) if !user.is_empty() => format!("{user} {gate}"),
            _ => gate.to_owned(),
        };
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", flags).arg("--ignore-rust-version");
    }
    Ok(command)
}

/// Clippy for the BPF programs. The compilers that build them have none, so they are checked as if for the host.
pub(crate) fn bpf_clippy() -> Result<Command> {
    let mut command = cargo("clippy")?;
    // The atomic intrinsics are behind a feature gate, and a program without std cannot unwind.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.args(["--config", "profile.release.panic='abort'"]);
    Ok(command)
}

/// `98` of `rustc 1.98.0-nightly (…)`.
fn minor_version(rustc_version: &str) -> Option<u32> {
    let number = rustc_version.strip_prefix("rustc 1.")?;
    number.split('.').next()?.parse().ok()
}

/// A compiler for BPF: it has the sources of `core` beside it, and a linker whose LLVM is not older than its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BpfToolchain {
    /// rustup's nightly with the component `rust-src`.
    Nightly,
    /// [`DEBIAN_PACKAGES`].
    Debian,
}

impl BpfToolchain {
    /// The one that is ready to use. Debian's is asked first: its compiler and linker are known to fit.
    pub(crate) fn found() -> Option<Self> {
        bpf_linker()?;
        if debian_compiler() {
            Some(Self::Debian)
        } else if nightly_has_library_sources() {
            Some(Self::Nightly)
        } else {
            None
        }
    }

    fn cargo(self) -> Command {
        let mut command = match self {
            Self::Nightly => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", "nightly", "cargo"]).env_remove("RUSTC");
                rustup
            }
            Self::Debian => {
                let mut cargo = Command::new(DEBIAN_CARGO);
                // This stable compiler must accept `-Z build-std` and the atomic intrinsics.
                cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
        };
        // What cargo and rustup tell the xtask about the compiler that runs it must not reach this one.
        for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
            command.env_remove(name);
        }
        command.current_dir(repository());
        command
    }
}

/// The linker: ours before the user's, because ours is known to fit.
pub(crate) fn bpf_linker() -> Option<PathBuf> {
    let ours = tools_dir().join("bin/bpf-linker");
    if ours.is_file() {
        return Some(ours);
    }
    on_path("bpf-linker").then(|| PathBuf::from("bpf-linker"))
}

/// Programs that setup builds: in the project's ignored folder, not in the user's home.
pub(crate) fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// Does Debian's compiler stand there with the sources of its library? (Another `/usr/bin/rustc` has not LLVM 22.)
pub(crate) fn debian_compiler() -> bool {
    let libraries = Path::new(DEBIAN_LLVM.1).join("lib");
    [Path::new(DEBIAN_RUSTC), Path::new(DEBIAN_CARGO), Path::new(DEBIAN_LIBRARY), &libraries]
        .iter()
        .all(|path| path.exists())
        && output(Command::new(DEBIAN_RUSTC).arg("-vV"))
            .is_ok_and(|text| llvm_major(&text) == Some(DEBIAN_LLVM.0))
}

/// Does rustup have a nightly with the component `rust-src`?
pub(crate) fn nightly_has_library_sources() -> bool {
    on_path("rustup")
        && output(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]))
            .is_ok_and(|root| Path::new(root.trim()).join("lib/rustlib/src/rust/library").is_dir())
}

/// The LLVM version in what `rustc -vV` says.
pub(crate) fn llvm_major(verbose_version: &str) -> Option<u32> {
    let line = verbose_version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}

/// Builds the BPF object; `tracer/build.rs` embeds it from the same place.
pub(crate) fn build_bpf_object() -> Result<PathBuf> {
    let (Some(toolchain), Some(linker)) = (BpfToolchain::found(), bpf_linker()) else {
        bail!("there is no compiler for BPF: `cargo xtask setup` gets one");
    };
    let folder = target_dir().join("bpf");
    let mut command = toolchain.cargo();
    command
        .env("CARGO_ENCODED_RUSTFLAGS", bpf_flags(&linker))
        .args(["build", "--release", "--quiet", "--ignore-rust-version", "-Zbuild-std=core"])
        .args(["--target", BPF_TARGET, "--package", "tracer-ebpf", "--bins", "--features", "programs"])
        .arg("--target-dir")
        .arg(&folder);
    run(&mut command).context(
        "failed to build the BPF object; if the linker complains about LLVM: the compiler's must not be newer \
         than the linker's",
    )?;
    let object = folder.join(BPF_TARGET).join("release/tracer-bpf");
    if !object.is_file() {
        bail!("the BPF build succeeded but left nothing at {}: is the binary renamed?", object.display());
    }
    Ok(object)
}

/// The flags of the BPF compiler, in cargo's encoding that survives spaces in paths.
fn bpf_flags(linker: &Path) -> OsString {
    let mut linker_flag = OsString::from("linker=");
    linker_flag.push(linker);
    let arch = format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH);
    // v3 has the fetching atomics (kernel 5.12). BTF needs debug info; relocations and aya-log need BTF.
    let fixed = ["-C", "target-cpu=v3", "-C", "link-arg=--btf", "-C", "debuginfo=2", "-D", "warnings", &arch];
    let flags = [OsString::from("-C"), linker_flag].into_iter().chain(fixed.map(OsString::from));
    flags.collect::<Vec<_>>().join("\x1f".as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_is_read_from_stable_and_nightly_alike() {
        assert_eq!(minor_version("rustc 1.95.0 (59807616e 2026-04-14)\n"), Some(95));
        assert_eq!(minor_version("rustc 1.98.0-nightly (e50aa6fba 2026-05-19)"), Some(98));
        assert_eq!(minor_version("gcc 12"), None);
    }

    #[test]
    fn the_llvm_version_is_read_from_the_verbose_version() {
        assert_eq!(llvm_major("rustc 1.96.0\nhost: x86_64\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }

    #[test]
    fn a_linker_path_with_a_space_stays_one_flag() {
        let flags = bpf_flags(Path::new("/a b/bpf-linker")).into_string().expect("the flags are text");
        assert!(flags.split('\x1f').any(|flag| flag == "linker=/a b/bpf-linker"), "{flags:?}");
    }
}
