//! One image of a traced process: what was found in it, and what is counted.

use std::ops::Range;

use super::clock::Clock;
use crate::collect::{self, SlotCounts};
use crate::command::session::go::GoHeap;
use crate::command::session::image::{FunctionState, Object};
use crate::command::session::unwinding::{self, Unwinding, Uses};
use crate::kernel::attach::Links;
use crate::kernel::{Kernel, KernelError};
use crate::mode::Mode;
use crate::model::{SiteSums, snapshot};
use crate::symbolize::AddressCache;
use crate::target::mappings::{MappedFile, Mappings};

/// One image of it.
pub(in crate::command::session) struct ImageState {
    pub(in crate::command::session) slot: u32,
    pub(in crate::command::session) mode: Mode,
    /// At any time.
    pub(in crate::command::session) was_sampled: bool,
    pub(in crate::command::session) functions: Vec<FunctionState>,
    pub(in crate::command::session) allocators: Vec<snapshot::Allocator>,
    pub(super) objects: Vec<Object>,
    /// Where the totals of its functions are, one range per object.
    pub(in crate::command::session) totals: Vec<Range<u32>>,
    /// Its counts, once it is over and its slot and totals may be another's.
    pub(in crate::command::session) last_counts: Option<SlotCounts>,
    /// And those of its call sites, once they are forgotten.
    pub(in crate::command::session) last_sums: Option<SiteSums>,
    pub(super) mappings: Mappings,
    pub(super) addresses: AddressCache,
    pub(super) uses: Uses,
    /// What Go's runtime says, where it has one.
    pub(in crate::command::session) go: Option<GoHeap>,
    pub(super) links: Links,
    pub(super) counting: bool,
    /// How long it was counted in.
    pub(super) clock: Clock,
    pub(super) ended: bool,
}

impl ImageState {
    /// Whether what is in use is known by Go's runtime alone, which counts it from the start of the process.
    pub(super) fn is_known_by_runtime(&self) -> bool {
        self.go.is_some() && (self.mode == Mode::Alloc || !self.has_probes())
    }

    /// Its counts now, or at its end.
    pub(in crate::command::session) fn counts(&self, kernel: &Kernel) -> Result<SlotCounts, KernelError> {
        match &self.last_counts {
            Some(counts) => Ok(counts.clone()),
            None => {
                let functions = self.functions.iter();
                let functions = functions.map(|function| (function.total, function.function.frees));
                collect::slot(kernel, self.slot, functions)
            }
        }
    }
}

/// What is known of an image's code.
pub(in crate::command::session) struct Code<'a> {
    pub(in crate::command::session) mappings: &'a Mappings,
    pub(in crate::command::session) cache: &'a mut AddressCache,
    pub(super) functions: &'a [FunctionState],
    pub(super) allocators: &'a [snapshot::Allocator],
}

impl<'a> Code<'a> {
    /// The names of a function and of the allocator that it belongs to, by the index of the function's totals.
    pub(in crate::command::session) fn call_of(&self, total: u32) -> Option<(&'a str, &'a str)> {
        let function = &self.functions.iter().find(|function| function.total == total)?.function;
        Some((&self.allocators.get(function.allocator)?.name, &function.name))
    }
}

impl ImageState {
    /// Nobody walks its stacks any more.
    pub(in crate::command::session) fn release_tables(
        &mut self,
        kernel: &mut Kernel,
        unwinding: Option<&Unwinding>,
    ) {
        kernel.set_code(self.slot, &[]);
        unwinding::release(unwinding, &mut self.uses);
    }

    /// Its files are not asked for any more: they were kept open.
    pub(in crate::command::session) fn forget_files(&mut self) {
        self.mappings = Mappings::default();
        self.addresses = AddressCache::default();
        self.objects = Vec::new();
    }

    /// Probes count in it, or did.
    pub(in crate::command::session) const fn has_probes(&self) -> bool {
        !self.functions.is_empty()
    }

    /// Its files with allocators.
    pub(in crate::command::session) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Whether a file was mapped when it was last looked at.
    pub(in crate::command::session) fn has(&self, file: &MappedFile) -> bool {
        self.mappings.files().iter().any(|known| known.identity == file.identity)
    }
}
