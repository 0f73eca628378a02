//! `setup`: gets what a build needs. Says what it does, does only what is missing, never runs twice at once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use lexopt::{Arg, Parser};

use crate::{
    process::{on_path, output, privileged, run, say, shown, stream},
    python,
    services::Silence,
    toolchain::{self, BpfToolchain, DEBIAN_LLVM, DEBIAN_PACKAGES, DEBIAN_RUSTC},
};

/// What the tests trace or compare with: compilers for the fixtures (also 32-bit and musl), allocators, real
/// programs, judges; what reads the daemon's numbers: Prometheus, Alertmanager, Go's pprof, a browser.
const TEST_PACKAGES: &[&str] = &[
    "bc",
    "binutils",
    "bpftool",
    "chromium",
    "chromium-driver",
    "dwz",
    "g++",
    "gcc",
    "gcc-multilib",
    "gdb",
    "git",
    "golang-go",
    "jq",
    "libc6-dev",
    "libc6-dev-i386",
    "libgoogle-perftools-dev",
    "libjemalloc-dev",
    "libjemalloc2",
    "libmimalloc-dev",
    "libtcmalloc-minimal4",
    "make",
    "mawk",
    "musl-tools",
    "nginx-light",
    "perl",
    "postgresql",
    "prometheus",
    "prometheus-alertmanager",
    "python3",
    "python3-venv",
    "redis-server",
    "redis-tools",
    "sqlite3",
    "tmux",
    "valgrind",
    "xz-utils",
];

/// What the benchmark measures, and what it compares with; the headers are for tools that compile BPF programs.
const BENCH_PACKAGES: &[&str] = &[
    "bpfcc-tools",
    "bpftrace",
    "coreutils",
    "gcc",
    "heaptrack",
    "libbpf-tools",
    "libc6-dev",
    "libjemalloc2",
    "linux-headers-amd64",
    "linux-perf",
    "python3",
    "redis-server",
    "redis-tools",
    "sqlite3",
    "tmux",
];

/// What the examples need: Go, and what makes load.
const EXAMPLE_PACKAGES: &[&str] = &["golang-go", "hey", "python3", "python3-venv", "wrk"];

/// Go programs that serve, each of which is put under load and advised on.
const ADVICE_PACKAGES: &[&str] = &[
    "caddy",
    "curl",
    "docker-registry",
    "etcd-server",
    "hey",
    "hugo",
    "nats-server",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-blackbox-exporter",
    "prometheus-node-exporter",
    "prometheus-pushgateway",
    "rclone",
    "webhook",
];
/// It conflicts with every other package that brings a kubectl.
const KUBECTL_PACKAGE: &str = "kubernetes-client";

const LINKER_VERSION: &str = "0.13.0";
/// The LLVM versions that this linker can be built with.
const LINKER_LLVMS: std::ops::RangeInclusive<u32> = 21..=23;
/// A nightly with its sources is about 120 MB. Where it cannot be had, its download may hang without an error.
const NIGHTLY_LIMIT: Duration = Duration::from_mins(5);

/// Who needs the machine set up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum For {
    /// The BPF object and the program.
    Building,
    /// The same, and every program that a test starts.
    Testing,
    /// The same as for building, and every program that the benchmark starts.
    Benching,
    /// The same as for building, and what the examples are built with and put under load by.
    Examples,
    /// The same as for building, and the programs that advice is tried on.
    Advising,
}

impl For {
    fn needs_python(self) -> bool {
        matches!(self, Self::Testing | Self::Examples)
    }
}

/// `cargo xtask setup [--test | --bench]`
pub(crate) fn task(mut args: Parser) -> Result<()> {
    let mut purpose = For::Building;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("test") => purpose = For::Testing,
            Arg::Long("bench") => purpose = For::Benching,
            other => return Err(other.unexpected().into()),
        }
    }
    prepare(purpose)?;
    if let (Some(toolchain), Some(linker)) = (BpfToolchain::found(), toolchain::bpf_linker()) {
        say(&format!("ready: {toolchain:?} compiler for BPF, linker {}", linker.display()));
    }
    Ok(())
}

/// Gets whatever is missing; quick and silent when nothing is.
pub(crate) fn prepare(purpose: For) -> Result<()> {
    let has_python = !purpose.needs_python() || python::is_ready();
    if has_python && BpfToolchain::found().is_some() && missing_program_packages(purpose).is_empty() {
        return Ok(());
    }
    let _lock = lock(&toolchain::target_dir())?;
    // Another setup may have done it while we waited.
    let mut packages = missing_program_packages(purpose);
    let mut debian = false;
    if BpfToolchain::found().is_none() {
        // Where Debian's compiler stands already, only the linker is missing.
        debian = toolchain::debian_compiler();
        if !debian && let Err(why) = nightly() {
            say(&format!("no BPF compiler by rustup: {why:#}"));
            say(&format!("taking Debian's packages instead: {}", DEBIAN_PACKAGES.join(" ")));
            debian = true;
            packages.extend(missing_packages(DEBIAN_PACKAGES));
        }
    }
    install(&packages)?;
    if debian {
        if toolchain::bpf_linker().is_none() {
            let (llvm, prefix) = DEBIAN_LLVM;
            build_linker(llvm, Path::new(prefix), Some(DEBIAN_RUSTC))?;
        }
        if BpfToolchain::found().is_none() {
            bail!(
                "failed to set up a compiler for BPF: Debian's packages are installed but {DEBIAN_RUSTC} or its \
                 library sources are not what they should be; is another package's rustc in its place?"
            );
        }
    }
    if purpose.needs_python() {
        python::prepare();
    }
    Ok(())
}

/// Held until dropped: two package managers at once break each other.
fn lock(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let path = folder.join("setup.lock");
    let file = File::create(&path).with_context(|| format!("failed to create {}", path.display()))?;
    if file.try_lock().is_err() {
        say("another setup is at work; waiting for it");
        file.lock().with_context(|| format!("failed to lock {}", path.display()))?;
    }
    Ok(file)
}

/// Way 1, the ordinary machine: rustup's nightly with `rust-src`, and the linker.
fn nightly() -> Result<()> {
    if !on_path("rustup") {
        bail!("there is no rustup");
    }
    if toolchain::bpf_linker().is_none() && LINKER_LLVMS.clone().all(|llvm| llvm_prefix(llvm).is_none()) {
        bail!("there is no bpf-linker, and no llvm-config of LLVM 21 to 23 to build it with");
    }
    if !toolchain::nightly_has_library_sources() {
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"]);
        rustup.arg("--no-self-update");
        say(&format!("running `{}`, for at most {} s", shown(&rustup), NIGHTLY_LIMIT.as_secs()));
        match stream(&mut rustup, NIGHTLY_LIMIT, say)? {
            Some(status) if status.success() => {}
            Some(status) => bail!("`{}` failed ({status})", shown(&rustup)),
            None => bail!("`{}` was not done after {} s", shown(&rustup), NIGHTLY_LIMIT.as_secs()),
        }
    }
    if toolchain::bpf_linker().is_none() {
        let version = output(Command::new("rustup").args(["run", "nightly", "rustc", "-vV"]))?;
        let llvm =
            toolchain::llvm_major(&version).context("nightly's rustc does not say its LLVM version")?;
        let prefix = llvm_prefix(llvm).ok_or_else(|| {
            anyhow!(
                "nightly has LLVM {llvm}, and there is no llvm-config-{llvm} to build a bpf-linker for it"
            )
        })?;
        build_linker(llvm, &prefix, None)?;
    }
    Ok(())
}

/// Where the development files of this LLVM lie.
fn llvm_prefix(major: u32) -> Option<PathBuf> {
    let prefix = output(Command::new(format!("llvm-config-{major}")).arg("--prefix")).ok()?;
    Some(PathBuf::from(prefix.trim()))
}

/// Builds bpf-linker against one LLVM. Takes about a minute.
fn build_linker(llvm: u32, prefix: &Path, rustc: Option<&str>) -> Result<()> {
    let tools = toolchain::tools_dir();
    let scratch = tools.join("build");
    let feature = format!("llvm-{llvm}");
    let mut cargo = toolchain::plain_cargo("install");
    cargo
        .args(["bpf-linker", "--version", LINKER_VERSION, "--locked"])
        .args(["--no-default-features", "--features", &feature])
        .arg("--root")
        .arg(&tools)
        .arg("--target-dir")
        .arg(&scratch)
        // Its work is done in LLVM's library; neither debug info nor the last bit of speed is needed.
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        // Without LLVM_PREFIX the linker's build script takes whichever LLVM it finds first.
        .env("LLVM_PREFIX", prefix)
        .env(format!("LLVM_SYS_{llvm}1_PREFIX"), prefix);
    if let Some(rustc) = rustc {
        cargo.env("RUSTC", rustc);
    }
    say(&format!("running `{}`", shown(&cargo)));
    run(&mut cargo)
        .context("failed to build bpf-linker; a bpf-linker of your own on the PATH is used as well")?;
    // 300 MB that nothing needs again. Left behind it does no harm.
    if let Err(error) = fs::remove_dir_all(&scratch) {
        say(&format!("could not remove {}: {error}", scratch.display()));
    }
    Ok(())
}

fn missing_program_packages(purpose: For) -> Vec<&'static str> {
    let wanted = match purpose {
        For::Building => return Vec::new(),
        For::Testing => TEST_PACKAGES,
        For::Benching => BENCH_PACKAGES,
        For::Examples => EXAMPLE_PACKAGES,
        For::Advising => ADVICE_PACKAGES,
    };
    if !on_path("dpkg-query") {
        say("this system has no Debian packages; what misses a program says so");
        return Vec::new();
    }
    let mut missing = missing_packages(wanted);
    if purpose == For::Advising && !on_path("kubectl") {
        missing.push(KUBECTL_PACKAGE);
    }
    missing
}

/// Which of these packages are not installed.
fn missing_packages(wanted: &[&'static str]) -> Vec<&'static str> {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status} ${Package}\n"]).args(wanted);
    // It fails when it does not know one of the names; what it knows stands on stdout all the same.
    let known = query.output().map(|output| output.stdout).unwrap_or_default();
    not_installed(wanted, &String::from_utf8_lossy(&known))
}

/// The wanted packages without a line `installed NAME`.
fn not_installed(wanted: &[&'static str], query: &str) -> Vec<&'static str> {
    let installed: Vec<_> = query.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    wanted.iter().copied().filter(|package| !installed.contains(package)).collect()
}

/// One update, one install.
fn install(packages: &[&'static str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !on_path("apt-get") {
        bail!(
            "this system has no apt-get, so setup cannot install {}; install bpf-linker and \
             `rustup toolchain install nightly --component rust-src` by hand, then run this again",
            packages.join(" ")
        );
    }
    apt_get(&["update"])?;
    let (offered, unknown): (Vec<&str>, Vec<&str>) =
        packages.iter().copied().partition(|package| is_offered(package));
    if let Some(package) = unknown.iter().find(|package| DEBIAN_PACKAGES.contains(*package)) {
        bail!(
            "this system offers no package {package}, so the compiler for BPF cannot come from there; install \
             bpf-linker and `rustup toolchain install nightly --component rust-src` by hand, then run this again"
        );
    }
    for package in unknown {
        say(&format!("this system offers no package {package}; what needs it says so"));
    }
    let _silence = Silence::begin(&offered)?;
    apt_get(&[&["install", "--yes", "--no-install-recommends"], offered.as_slice()].concat())
}

/// Does the package manager know a version of it?
fn is_offered(package: &str) -> bool {
    output(Command::new("apt-cache").args(["show", "--no-all-versions", package]))
        .is_ok_and(|text| !text.trim().is_empty())
}

fn apt_get(args: &[&str]) -> Result<()> {
    // Through `env`, because sudo drops the environment.
    let mut command = privileged("env")?;
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2", "-o", "DPkg::Lock::Timeout=300"])
        .args(args);
    say(&format!("running `{}`", shown(&command)));
    // A line per package is no news; what goes wrong stands on stderr.
    run(command.stdout(Stdio::null()))
        .context("failed to get Debian packages; is the package source reachable?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_only_when_it_is_fully_installed() {
        let query = "installed gcc\nconfig-files gdb\nunpacked tmux\n";
        assert_eq!(not_installed(&["gcc", "gdb", "tmux", "jq"], query), ["gdb", "tmux", "jq"]);
    }

    #[test]
    fn a_second_setup_cannot_take_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        let second = File::open(folder.path().join("setup.lock")).unwrap();
        assert!(second.try_lock().is_err());
        drop(first);
        // Waits: a program that another test starts just now may hold a copy for a moment.
        second.lock().unwrap();
    }
}
