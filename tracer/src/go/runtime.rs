//! The runtime of one process: where its variables are, and readings of them.

mod gc;
pub mod layout;
pub mod locate;
mod memory;
mod profile;
mod totals;

use std::fmt::{self, Display, Formatter};
use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use super::heap::{GcState, HeapProfile, HeapTotals};
use super::program::GoProgram;
use crate::elf::Image;
use crate::units::ElfVaddr;
use layout::Layout;
use locate::Variables;
use memory::Memory;

/// How often a torn reading is repeated.
const TRIES: u32 = 8;
/// How long the first repetition waits; each further one twice as long, 25 ms in all.
const FIRST_WAIT: Duration = Duration::from_micros(100);
/// Why a program that has a heap profile does not write it.
const RATE_IS_0: &str = "MemProfileRate is 0: the linker switches it off where nothing can read the profile; importing \
                         net/http/pprof, or calling runtime/pprof for the heap, switches it on";

/// What holds for all processes of one program: found once for its file.
#[derive(Clone, Debug)]
pub struct Places {
    layout: Layout,
    variables: Variables,
    /// Minor version of Go 1.
    minor: Option<u32>,
}

/// What of a process's runtime can be read. Each source is there or missing for a reason of its own.
#[derive(Debug)]
pub struct Runtime {
    memory: Memory,
    profile: Result<profile::Profile, String>,
    totals: Result<totals::Totals, String>,
    gc: Result<gc::Gc, String>,
}

/// Why a runtime cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRuntime(pub String);

/// Why a reading failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The process is gone.
    Gone,
    /// This source is not there: why.
    Missing(String),
    /// The runtime changed it each time it was read.
    Torn,
    /// What stands there makes no sense.
    Damaged(String),
}

impl Places {
    /// Finds the layout and the variables of a program.
    ///
    /// # Errors
    ///
    /// The layout of its version is not known, or neither its heap profile nor its counters were found.
    pub fn find(program: &GoProgram, image: &Image) -> Result<Self, NoRuntime> {
        let layout = Layout::find(image, program.version.as_ref()).map_err(NoRuntime)?;
        let variables = locate::variables(image, program, &layout);
        Self::of(layout, variables, program.version.as_ref().and_then(|version| version.minor))
    }

    /// The same of what was found already.
    ///
    /// # Errors
    ///
    /// Neither the heap profile nor the counters were found.
    pub fn of(layout: Layout, variables: Variables, minor: Option<u32>) -> Result<Self, NoRuntime> {
        if variables.mbuckets.is_none() && variables.memstats.is_none() {
            let notes = variables.notes.join("; ");
            return Err(NoRuntime(format!(
                "neither runtime.mbuckets nor runtime.memstats was found: {notes}"
            )));
        }
        Ok(Self { layout, variables, minor })
    }

    /// Minor version of Go 1, where it is known.
    #[must_use]
    pub const fn minor(&self) -> Option<u32> {
        self.minor
    }

    /// Where goroutines and threads keep what a stop of the world is told by.
    #[must_use]
    pub const fn threads(&self) -> Option<layout::ThreadLayout> {
        self.layout.threads
    }

    /// Where the collector keeps what it takes for live, in a process whose addresses are moved by `bias` (wrapping).
    #[must_use]
    pub fn heap_live(&self, bias: u64) -> Option<u64> {
        let address = self.variables.gc_controller?.0.wrapping_add(bias);
        Some(address.wrapping_add(self.layout.controller.heap_live?))
    }

    /// Why a variable that a source needs is missing.
    fn unfound(&self, name: &str) -> String {
        match self.variables.notes.iter().find(|note| note.contains(name)) {
            Some(note) => note.clone(),
            None => format!("{name} was not found"),
        }
    }

    fn unknown_layout(&self) -> String {
        let version =
            self.minor.map_or_else(|| "this version of Go".to_owned(), |minor| format!("Go 1.{minor}"));
        format!("its layout in {version} is not known")
    }

    fn profile(&self, bias: u64) -> Result<profile::Profile, String> {
        let at = |address: Option<ElfVaddr>, name: &str| {
            address.map(|address| address.0.wrapping_add(bias)).ok_or_else(|| self.unfound(name))
        };
        let at = profile::Addresses {
            list: at(self.variables.mbuckets, "runtime.mbuckets")?,
            rate: at(self.variables.mem_profile_rate, "runtime.MemProfileRate")?,
            cycle: at(self.variables.profile_cycle, "").ok(),
        };
        Ok(profile::Profile::new(at, self.layout.bucket.ok_or_else(|| self.unknown_layout())?))
    }

    fn memstats(&self, bias: u64) -> Result<u64, String> {
        let address = self.variables.memstats.ok_or_else(|| self.unfound("runtime.memstats"))?;
        Ok(address.0.wrapping_add(bias))
    }

    fn controller(&self, bias: u64) -> Option<gc::Controller> {
        let address = self.variables.gc_controller?.0.wrapping_add(bias);
        Some(gc::Controller { address, layout: self.layout.controller, minor: self.minor })
    }

    fn totals(&self, bias: u64) -> Result<totals::Totals, String> {
        let layouts = self.layout.mstats.zip(self.layout.delta);
        let (mstats, delta) = layouts.ok_or_else(|| self.unknown_layout())?;
        let processors = self.variables.allp.map(|address| address.0.wrapping_add(bias));
        let (memstats, controller) = (self.memstats(bias)?, self.controller(bias));
        Ok(totals::Totals { memstats, mstats, delta, processors, controller })
    }

    fn gc(&self, bias: u64) -> Result<gc::Gc, String> {
        let mstats = self.layout.mstats.ok_or_else(|| self.unknown_layout())?;
        let init_time = self.variables.runtime_init_time.map(|address| address.0.wrapping_add(bias));
        Ok(gc::Gc { memstats: self.memstats(bias)?, mstats, controller: self.controller(bias), init_time })
    }
}

impl Runtime {
    /// Opens the runtime of a process that runs this program, whose addresses are moved by `bias` (wrapping).
    ///
    /// The process is held from here on, whoever has its pid later. That it was the right one before, the caller asks its
    /// pidfd afterwards.
    ///
    /// # Errors
    ///
    /// Its memory cannot be opened, or what was found in the program is too little to read anything.
    pub fn open(pid: u32, places: &Places, bias: u64) -> Result<Self, NoRuntime> {
        let memory = Memory::open(pid).map_err(|error| match error.kind() {
            ErrorKind::NotFound => NoRuntime("the process is gone".to_owned()),
            _ => {
                NoRuntime(format!("its memory cannot be read: {error}. Run as root, or with CAP_SYS_PTRACE"))
            }
        })?;
        let (profile, totals, gc) = (places.profile(bias), places.totals(bias), places.gc(bias));
        match (profile, totals, gc) {
            (Err(profile), Err(totals), Err(_)) => Err(NoRuntime(format!(
                "the heap profile: {profile}; the totals and the collections: {totals}"
            ))),
            (profile, totals, gc) => Ok(Self { memory, profile, totals, gc }),
        }
    }

    /// What cannot be read of it and why, for the report: `the heap profile: MemProfileRate is 0 …`.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let profile = match &self.profile {
            Ok(profile) => (profile.interval(&self.memory) == Ok(None)).then_some(RATE_IS_0),
            Err(why) => Some(why.as_str()),
        };
        let sources = [
            ("the heap profile", profile),
            ("the exact totals", self.totals.as_ref().err().map(String::as_str)),
            ("the garbage collections", self.gc.as_ref().err().map(String::as_str)),
        ];
        sources.iter().filter_map(|(source, why)| why.map(|why| format!("{source}: {why}"))).collect()
    }

    /// Reads the heap profile.
    ///
    /// # Errors
    ///
    /// See [`Unread`].
    pub fn profile(&mut self) -> Result<HeapProfile, Unread> {
        self.profile.as_mut().map_err(|why| Unread::Missing(why.clone()))?.read(&self.memory)
    }

    /// Whether it takes samples: its rate is above 0 and, where nobody is known to read them (`is_read`), there are some. A
    /// program whose runtime has not begun may still set its rate.
    pub fn takes_samples(&mut self, is_read: bool) -> bool {
        let has_begun = !matches!(self.totals(), Ok(totals) if totals.alloc_objects == 0);
        let Ok(profile) = &self.profile else { return false };
        if !has_begun {
            return is_read;
        }
        let has_rate = profile.interval(&self.memory).is_ok_and(|interval| interval.is_some());
        has_rate && (is_read || profile.has_samples(&self.memory))
    }

    /// Reads the exact totals.
    ///
    /// # Errors
    ///
    /// See [`Unread`].
    pub fn totals(&mut self) -> Result<HeapTotals, Unread> {
        self.totals.as_ref().map_err(|why| Unread::Missing(why.clone()))?.read(&self.memory)
    }

    /// Reads what the collector did.
    ///
    /// # Errors
    ///
    /// See [`Unread`].
    pub fn gc(&mut self) -> Result<GcState, Unread> {
        self.gc.as_ref().map_err(|why| Unread::Missing(why.clone()))?.read(&self.memory)
    }
}

/// Lets the thread that changes what is read go on, which may have been stopped in the middle of it.
fn wait(retry: u32) {
    thread::sleep(FIRST_WAIT.saturating_mul(1 << retry.min(TRIES)));
}

impl Display for NoRuntime {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Display for Unread {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the process is gone"),
            Self::Missing(why) | Self::Damaged(why) => f.write_str(why),
            Self::Torn => f.write_str("it changed each time it was read"),
        }
    }
}
