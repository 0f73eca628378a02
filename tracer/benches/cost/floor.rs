//! The floors: empty BPF programs at tracer's probe points, loaded once and attached for each row.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::programs::uprobe::{UProbe, UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};

use tracer::probe::Returns;

use crate::points::ProbePoints;

const ENTER: &str = "floor_enter";
const LEAVE: &str = "floor_leave";

/// Which probes: the names of the scoreboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProbeSet {
    /// malloc's entry: the set of mode `alloc`.
    E,
    /// free's entry.
    F,
    /// malloc's entry and return.
    R,
    /// malloc's entry and return, free's entry: the set of mode `live`.
    L,
}

impl ProbeSet {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::E, Self::F, Self::R, Self::L];
}

/// The loaded programs.
pub(crate) struct Floors {
    ebpf: Ebpf,
    object: PathBuf,
    scope: UProbeScope,
    malloc_alone: u64,
    malloc: u64,
    malloc_return: u64,
    free: u64,
}

/// Attached floors: how long that took, and what undoes it.
pub(crate) struct Attached {
    links: Vec<UProbeLink>,
    /// From the first system call to the last.
    pub(crate) took: Duration,
}

impl Floors {
    /// Loads the object that `cargo xtask build` made beside tracer's own.
    pub(crate) fn load(points: &ProbePoints, pid: u32) -> Result<Self> {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/bpfel-unknown-none/release/floor-bpf");
        let mut ebpf = Ebpf::load_file(&path).with_context(|| {
            format!("failed to load {}: `cargo xtask build` makes it, root loads it", path.display())
        })?;
        for name in [ENTER, LEAVE] {
            program(&mut ebpf, name)?.load().with_context(|| format!("failed to load {name}"))?;
        }
        let Ok(Returns::Probe(malloc_return)) = &points.malloc.returns else {
            bail!("malloc has no return probe in mode live: {:?}", points.malloc.returns);
        };
        Ok(Self {
            ebpf,
            object: points.object(),
            scope: UProbeScope::OneProcess(NonZeroU32::new(pid).context("the workload has no pid")?),
            malloc_alone: points.malloc_alone.offset.0,
            malloc: points.malloc.offset.0,
            malloc_return: malloc_return.file_offset().0,
            free: points.free.offset.0,
        })
    }

    /// Attaches a set: one link per program that tracer would have there, in its order.
    pub(crate) fn attach(&mut self, set: ProbeSet) -> Result<Attached> {
        let (entry, leave) = ((ENTER, self.malloc), (LEAVE, self.malloc_return));
        let free = (ENTER, self.free);
        let wanted = match set {
            ProbeSet::E => vec![(ENTER, self.malloc_alone)],
            ProbeSet::F => vec![free],
            ProbeSet::R => vec![entry, leave],
            ProbeSet::L => vec![entry, leave, free],
        };
        let started = Instant::now();
        let mut links = Vec::new();
        for (name, offset) in wanted {
            let point = UProbeAttachPoint {
                location: UProbeAttachLocation::AbsoluteOffset(offset),
                cookie: Some(offset),
            };
            let program = program(&mut self.ebpf, name)?;
            let id = program
                .attach([point], &self.object, self.scope)
                .with_context(|| format!("failed to attach {name}"))?;
            links.push(program.take_link(id)?);
        }
        Ok(Attached { links, took: started.elapsed() })
    }
}

impl Attached {
    /// Removes the probes as tracer does, all links at once; how long that took.
    pub(crate) fn detach(self) -> Duration {
        let started = Instant::now();
        thread::scope(|scope| {
            for link in self.links {
                scope.spawn(move || drop(link));
            }
        });
        started.elapsed()
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut UProbe> {
    Ok(ebpf.program_mut(name).with_context(|| format!("the floors' object has no {name}"))?.try_into()?)
}
