//! A running program of `tests/fixtures/go`: what it says of itself, and what tracer reads of it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use object::{Object, ObjectSymbol};
use serde::Deserialize;
use tracer::elf::Image;
use tracer::go::GoVersion;
use tracer::go::runtime::layout::Layout;
use tracer::go::runtime::locate::Variables;
use tracer::go::runtime::{NoRuntime, Places, Runtime};
use tracer::units::ElfVaddr;

use super::toolchains::{Build, Go};
use crate::harness::Target;

/// One of them.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) target: Target,
    path: PathBuf,
    minor: u32,
}

/// What `heap.go` says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Truth {
    pub(super) whole: bool,
    pub(super) records: Vec<Record>,
    pub(super) memory: MemStats,
    /// The last first.
    pub(super) pauses: Option<Vec<u64>>,
    pub(super) ends: Option<Vec<u64>>,
    pub(super) metrics: HashMap<String, u64>,
}

/// `runtime.MemProfileRecord`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Record {
    pub(super) allocated: u64,
    pub(super) freed: u64,
    pub(super) allocated_bytes: u64,
    pub(super) stack: Vec<u64>,
    pub(super) functions: Vec<String>,
}

/// `runtime.MemStats`, as far as it is compared.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MemStats {
    pub(super) total_alloc: u64,
    pub(super) mallocs: u64,
    pub(super) frees: u64,
    pub(super) heap_alloc: u64,
    #[serde(rename = "NextGC")]
    pub(super) next_gc: u64,
    #[serde(rename = "LastGC")]
    pub(super) last_gc: u64,
    pub(super) pause_total_ns: u64,
    #[serde(rename = "NumGC")]
    pub(super) num_gc: u32,
    #[serde(rename = "NumForcedGC")]
    pub(super) num_forced_gc: u32,
    #[serde(rename = "GCCPUFraction")]
    pub(super) gc_cpu_fraction: f64,
    pub(super) by_size: Vec<BySize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BySize {
    pub(super) size: u64,
    pub(super) mallocs: u64,
}

impl Program {
    /// Starts a fixture with this environment.
    pub(super) fn start(go: &Go, name: &str, build: Build, environment: &[(&str, &str)]) -> Self {
        let path = go.build(name, build);
        let mut target = Target::spawn(Command::new(&path).envs(environment.iter().copied()));
        target.wait_ready();
        Self { target, path, minor: go.minor }
    }

    /// Has a command obeyed.
    pub(super) fn obey(&mut self, command: &str) {
        self.target.command(command);
        assert_eq!(self.target.next_line(), "done", "{command}");
    }

    /// What `read` reads of it, and what it says of itself at that moment. Its runtime goes on by itself after a `snap` (it ends
    /// a cycle, sweeps, starts a thread), so one counts only if the same was read before and after it.
    pub(super) fn at_rest<T: PartialEq + Debug>(&mut self, mut read: impl FnMut() -> T) -> (T, Truth) {
        let mut seen = Vec::new();
        for _ in 0..50 {
            let before = read();
            self.obey("snap");
            if read() == before {
                return (before, self.truth());
            }
            seen.push(before);
        }
        panic!("it never stands still: {seen:?}");
    }

    /// What it took down at its last `snap`.
    pub(super) fn truth(&mut self) -> Truth {
        self.target.command("print");
        let truth: Truth = self.target.next_json();
        assert!(truth.whole, "the fixture has room for its profile");
        truth
    }

    /// Its runtime as tracer reads it.
    pub(super) fn runtime(&self) -> Runtime {
        let image = image(&self.path);
        let layout = Layout::find(&image, Some(&version(self.minor))).expect("its layout is known");
        self.runtime_by(layout).expect("its runtime is there")
    }

    pub(super) fn runtime_by(&self, layout: Layout) -> Result<Runtime, NoRuntime> {
        let places = Places::of(layout, variables(&self.path), Some(self.minor))?;
        Runtime::open(self.target.pid(), &places, self.bias())
    }

    /// How far the kernel has moved it.
    fn bias(&self) -> u64 {
        let image = image(&self.path);
        let first = image.segments().iter().map(|segment| segment.address.0).min().expect("it has segments");
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.target.pid())).expect("it runs");
        let path = self.path.to_str().expect("a plain path");
        let line = maps.lines().find(|line| line.ends_with(path)).expect("it maps itself");
        let begin = line.split('-').next().and_then(|begin| u64::from_str_radix(begin, 16).ok());
        begin.expect("an address").wrapping_sub(first & !0xfff)
    }
}

pub(super) fn version(minor: u32) -> GoVersion {
    GoVersion { minor: Some(minor), text: format!("go1.{minor}") }
}

pub(super) fn image(path: &Path) -> Image {
    Image::open(File::open(path).expect("it was built")).expect("an ELF file")
}

/// Where the runtime's variables are, by the symbol table.
pub(super) fn variables(path: &Path) -> Variables {
    let data = std::fs::read(path).expect("it was built");
    let file = object::File::parse(&*data).expect("an ELF file");
    let symbols: HashMap<String, u64> = file
        .symbols()
        .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address())))
        .filter(|(name, _)| name.starts_with("runtime."))
        .collect();
    let at = |name: &str| symbols.get(&format!("runtime.{name}")).copied().map(ElfVaddr);
    Variables {
        mbuckets: at("mbuckets"),
        mem_profile_rate: at("MemProfileRate"),
        profile_cycle: at("mProfCycle"),
        memstats: at("memstats"),
        gc_controller: at("gcController"),
        runtime_init_time: at("runtimeInitTime"),
        allp: at("allp"),
        notes: Vec::new(),
    }
}
