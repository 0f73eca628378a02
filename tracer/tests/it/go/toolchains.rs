//! The Go toolchains of this machine, and programs that they build.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Says why a test does not run.
pub(super) fn skip(test: &str, reason: &str) {
    println!("\nSKIP {test}: {reason}");
}

/// The system's, the one that `cargo xtask setup --test` gets from PyPI, and those of the roots that `TRACER_TEST_GO_ROOTS`
/// lists, parted by colons. None: the test says that it is skipped.
pub(super) fn toolchains(test: &str) -> Vec<PathBuf> {
    let listed = std::env::var_os("TRACER_TEST_GO_ROOTS").unwrap_or_default();
    let listed = std::env::split_paths(&listed).map(|root| root.join("bin/go"));
    let newest = repository().join("target/tools/python/bin/go");
    let all = [PathBuf::from("/usr/bin/go"), newest].into_iter().chain(listed);
    let found: Vec<PathBuf> = all.filter(|go| go.is_file()).collect();
    if found.is_empty() {
        skip(test, "there is no Go toolchain: apt-get install golang-go, or cargo xtask setup --test");
    }
    found
}

fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// Builds a program of `tests/fixtures`; the packages that it is made of are kept for the next time.
#[track_caller]
pub(super) fn build(go: &Path, fixture: &str, flags: &[&str], cgo: bool, output: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
    let mut command = Command::new(go);
    command.arg("build").args(["-p", "2"]).args(flags).arg("-o").arg(output).arg(source);
    command.env("GOCACHE", repository().join("target/go-cache")).env("GOPATH", output.with_extension("path"));
    command.envs([("GO111MODULE", "off"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "")]);
    command.env("CGO_ENABLED", if cgo { "1" } else { "0" }).stdin(Stdio::null());
    let built = command.output().unwrap_or_else(|error| panic!("{}: {error}", go.display()));
    assert!(built.status.success(), "{command:?}: {}", String::from_utf8_lossy(&built.stderr));
}

/// One call, as the program itself says it.
#[derive(Debug)]
pub(super) struct Said {
    /// Which stack it is of.
    pub(super) stack: String,
    /// In the process: of its instruction, or one of it.
    pub(super) address: u64,
    pub(super) inlined: bool,
    pub(super) function: String,
    pub(super) file: String,
    pub(super) line: u32,
}

/// A running `go_calls`, which has said all that it says. It is killed when this is dropped.
pub(super) struct Running {
    process: Child,
    said: Vec<Said>,
}

impl Running {
    pub(super) fn start(program: &Path) -> Self {
        let mut command = Command::new(program);
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let process = process.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let mut running = Self { process, said: Vec::new() };
        let output = running.process.stdout.take().expect("it is piped");
        for line in BufReader::new(output).lines() {
            let said = said(&line.expect("it writes text"));
            let is_end = said.stack == "end";
            running.said.push(said);
            if is_end {
                return running;
            }
        }
        panic!("{} ended before it had said everything", program.display());
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it says of its `main.main` and its version.
    pub(super) fn fact(&self, name: &str) -> &Said {
        self.said.iter().find(|said| said.stack == name).expect("it says that")
    }

    /// Its stacks, leaf first.
    pub(super) fn stacks(&self) -> Vec<Vec<&Said>> {
        let calls = self.said.iter().filter(|said| said.address != 0 && said.stack != "entry");
        let mut stacks: Vec<Vec<&Said>> = Vec::new();
        for call in calls {
            if call.function == "main.say" {
                stacks.push(Vec::new());
            }
            stacks.last_mut().expect("a stack begins with main.say").push(call);
        }
        assert!(stacks.len() > 3, "the program has said several stacks");
        stacks
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn said(line: &str) -> Said {
    let fields: Vec<&str> = line.split('\t').collect();
    let [stack, address, inlined, function, file, number] = fields[..] else { panic!("{line:?}") };
    let hex = address.trim_start_matches("0x");
    Said {
        stack: stack.to_owned(),
        address: u64::from_str_radix(hex, 16).expect("an address in hex"),
        inlined: inlined == "1",
        function: function.to_owned(),
        file: file.to_owned(),
        line: number.parse().expect("a line"),
    }
}
