//! The probe points of the floors: those that tracer's own plan chooses for the workload's allocator.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use tracer::allocator::{self, Allocator, Wanted};
use tracer::elf::Image;
use tracer::mode::Mode;
use tracer::probe::{self, ProbePoint};
use tracer::target::mappings::{FileCache, MappedFile, Mappings};

/// Where malloc and free are probed.
pub(crate) struct ProbePoints {
    /// The object of both.
    file: Arc<MappedFile>,
    /// Entry of malloc in mode `alloc`.
    pub(crate) malloc_alone: ProbePoint,
    /// Entry and return of malloc in mode `live`.
    pub(crate) malloc: ProbePoint,
    /// Entry of free.
    pub(crate) free: ProbePoint,
}

impl ProbePoints {
    /// Plans them for a process and the library whose malloc it calls.
    pub(crate) fn of(pid: u32, library: &str) -> Result<Self> {
        let mut files = FileCache::default();
        let mappings = Mappings::read(pid, &mut files).context("failed to read the workload's mappings")?;
        let mut files = mappings.files().into_iter().filter(|file| file.path.ends_with(library));
        let (file, image, allocator) = files
            .find_map(supported)
            .with_context(|| format!("tracer knows no allocator in the workload's {library}"))?;
        let point = |mode, function: &str| {
            let plan = probe::plan(&image, std::slice::from_ref(&allocator), mode);
            plan.points
                .into_iter()
                .find(|point| point.function == function)
                .with_context(|| format!("the plan for mode {mode} has no {function}"))
        };
        Ok(Self {
            malloc_alone: point(Mode::Alloc, "malloc")?,
            malloc: point(Mode::Live, "malloc")?,
            free: point(Mode::Live, "free")?,
            file,
        })
    }

    /// A path by which the kernel opens the object, whatever its own name means now.
    pub(crate) fn object(&self) -> PathBuf {
        self.file.open_path()
    }

    /// The object's own path.
    pub(crate) fn path(&self) -> &str {
        &self.file.path
    }

    /// The points in words.
    pub(crate) fn line(&self) -> String {
        let words = |point: &ProbePoint| {
            let how = if point.placement.emulated { "emulated" } else { "single-stepped" };
            format!("{}+{} ({how})", point.function, point.placement.offset_from_entry)
        };
        format!(
            "probes: {} in mode alloc, {} and {} in mode live, of {}",
            words(&self.malloc_alone),
            words(&self.malloc),
            words(&self.free),
            self.file.path
        )
    }
}

fn supported(file: Arc<MappedFile>) -> Option<(Arc<MappedFile>, Image, Allocator)> {
    let image = Image::open(file.file.try_clone().ok()?).ok()?;
    let allocator = allocator::detect(&image, &file.path, &Wanted::default()).into_iter().next()?;
    Some((file, image, allocator))
}
