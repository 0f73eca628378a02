//! Puts programs at probe points, and holds the links that keep them there.

use std::fs::File;
use std::num::NonZeroU32;
use std::os::fd::AsRawFd;
use std::thread::JoinHandle;

use aya::Ebpf;
use aya::programs::uprobe::{UProbe, UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};
use aya::programs::{ProgramError, RawTracePoint};

use super::{KernelError, chain, load_error};
use crate::mode::Mode;
use crate::probe::ReturnPoint;

/// How probes are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One link for all points of a program.
    Multi,
    /// One perf event per point.
    Perf,
}

impl Kind {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Multi => "uprobe_multi",
            Self::Perf => "perf_event",
        }
    }
}

/// An entry to probe.
#[derive(Clone, Copy, Debug)]
pub struct EntryPoint {
    /// Offset of the probed instruction in the file.
    pub file_offset: u64,
    /// Packed [`tracer_ebpf::abi::Cookie`].
    pub cookie: u64,
}

/// A return to probe: only a checked [`ReturnPoint`] makes one, so that SP has not moved there.
#[derive(Clone, Copy, Debug)]
pub struct ReturnEntry {
    /// Where.
    pub point: ReturnPoint,
    /// Packed [`tracer_ebpf::abi::Cookie`].
    pub cookie: u64,
}

/// The points of one object in one process.
#[derive(Clone, Debug, Default)]
pub struct Points {
    /// Entries of allocating functions.
    pub allocating: Vec<EntryPoint>,
    /// Their returns.
    pub returning: Vec<ReturnEntry>,
    /// The `ret` instructions of those that may have no return probe.
    pub ending: Vec<EntryPoint>,
    /// Jumps from one probed function to another: of allocating ones in mode `alloc`, of freeing ones in `live`.
    pub jumping: Vec<EntryPoint>,
    /// Entries of freeing functions.
    pub freeing: Vec<EntryPoint>,
}

/// Links of attached programs; dropping them removes the probes.
#[derive(Default)]
pub struct Links(Vec<UProbeLink>);

impl Links {
    /// Takes over other links.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Removes the probes of a process that is gone, and waits for nothing.
    pub fn detach_later(self) -> Removal {
        if self.0.is_empty() {
            return Removal(None);
        }
        // Without a thread they are removed here.
        let name = "tracer-release".to_owned();
        Removal(std::thread::Builder::new().name(name).spawn(move || drop(self)).ok())
    }

    /// Removes the probes, each link in a thread of its own: the kernel waits for its readers at each.
    pub fn detach(self) {
        std::thread::scope(|scope| {
            for link in self.0 {
                scope.spawn(move || drop(link));
            }
        });
    }
}

/// Probes that are being removed. Dropping it waits for that: a thread that is killed in the middle of it leaves the
/// breakpoints of other processes that map the file where they are ("failed to unregister, leaking uprobe" in
/// `uprobe_unregister_nosync`, kernel/events/uprobes.c, when a fatal signal interrupts its access to their pages).
pub struct Removal(Option<JoinHandle<()>>);

impl Drop for Removal {
    fn drop(&mut self) {
        // A thread that has panicked has dropped its links.
        self.0.take().map(JoinHandle::join);
    }
}

impl Removal {
    /// Whether no program of them runs any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Name of a program in the object, by the way it is attached.
fn program_name(base: &str, kind: Kind) -> String {
    match kind {
        Kind::Multi => base.to_owned(),
        Kind::Perf => format!("{base}_perf"),
    }
}

/// The program, loaded.
fn program<'a>(ebpf: &'a mut Ebpf, base: &str, kind: Kind) -> Result<&'a mut UProbe, KernelError> {
    let name = program_name(base, kind);
    let program: &mut UProbe = ebpf
        .program_mut(&name)
        .ok_or_else(|| load_error(&std::io::Error::other(format!("the BPF object has no program {name}"))))?
        .try_into()
        .map_err(|error: ProgramError| load_error(&error))?;
    if program.fd().is_err() {
        program.load().map_err(|error| load_error(&error))?;
        let verified = program.info().ok().and_then(|info| info.verified_instruction_count());
        log::debug!("{name}: the kernel's verifier looked at {verified:?} instructions");
    }
    Ok(program)
}

/// Attaches the programs of a mode.
pub(super) fn attach(
    ebpf: &mut Ebpf,
    kind: Kind,
    mode: Mode,
    pid: u32,
    object: &File,
    points: &Points,
) -> Result<Links, KernelError> {
    let entry = |point: &EntryPoint| (point.file_offset, point.cookie);
    let allocating: Vec<_> = points.allocating.iter().map(entry).collect();
    let returning: Vec<_> =
        points.returning.iter().map(|point| (point.point.file_offset().0, point.cookie)).collect();
    let freeing: Vec<_> = points.freeing.iter().map(entry).collect();
    let ending: Vec<_> = points.ending.iter().map(entry).collect();
    let jumping: Vec<_> = points.jumping.iter().map(entry).collect();
    let sets = match mode {
        Mode::Alloc => vec![("alloc_enter", allocating), ("alloc_jump", jumping)],
        Mode::Live => vec![
            ("live_enter", allocating),
            ("live_leave", returning),
            ("live_ret", ending),
            ("live_free", freeing),
            ("live_jump", jumping),
        ],
    };
    let mut links = Links::default();
    for (base, set) in sets {
        links.extend(attach_set(ebpf, base, kind, pid, object, &set)?);
    }
    Ok(links)
}

/// Attaches the loader program.
pub(super) fn rendezvous(
    ebpf: &mut Ebpf,
    kind: Kind,
    pid: u32,
    loader: &File,
    file_offset: u64,
) -> Result<Links, KernelError> {
    attach_set(ebpf, "loader_rendezvous", kind, pid, loader, &[(file_offset, 0)])
}

pub(super) fn attach_set(
    ebpf: &mut Ebpf,
    base: &str,
    kind: Kind,
    pid: u32,
    object: &File,
    set: &[(u64, u64)],
) -> Result<Links, KernelError> {
    // The kernel opens the file by path: this one names our own open file, wherever its name leads now.
    let path = format!("/proc/self/fd/{}", object.as_raw_fd());
    let refused = |reason: String| KernelError::Attach {
        object: std::fs::read_link(&path).map_or_else(|_| path.clone(), |path| path.display().to_string()),
        reason,
        gone: !std::path::Path::new(&format!("/proc/{pid}")).exists(),
    };
    if set.is_empty() {
        return Ok(Links::default());
    }
    let scope = UProbeScope::OneProcess(
        NonZeroU32::new(pid).ok_or_else(|| refused("process 0 cannot be traced".to_owned()))?,
    );
    let program = program(ebpf, base, kind)?;
    let points = set.iter().map(|&(offset, cookie)| UProbeAttachPoint {
        location: UProbeAttachLocation::AbsoluteOffset(offset),
        cookie: Some(cookie),
    });
    let id = program.attach(points, &path, scope).map_err(|error| refused(chain(&error)))?;
    let link = program.take_link(id).map_err(|error| refused(chain(&error)))?;
    Ok(Links(vec![link]))
}

/// Attaches the process tracepoints, raw, so that tracefs is not needed.
pub(super) fn process_events(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    for (name, tracepoint) in [("process_exec", "sched_process_exec"), ("process_fork", "sched_process_fork")]
    {
        let program: &mut RawTracePoint = ebpf
            .program_mut(name)
            .ok_or_else(|| {
                load_error(&std::io::Error::other(format!("the BPF object has no program {name}")))
            })?
            .try_into()
            .map_err(|error: ProgramError| load_error(&error))?;
        program.load().map_err(|error| load_error(&error))?;
        program.attach(tracepoint).map_err(|error| load_error(&error))?;
    }
    Ok(())
}
