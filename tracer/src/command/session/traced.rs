//! One traced process: its images, their slots and mappings, and how it ended.

mod clock;
mod image_state;
mod runtimes;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use clock::Clock;
pub(super) use image_state::{Code, ImageState};

use super::go::GoHeap;
use super::image::{self, Object};
use super::unwinding::{self, Unwinding, Uses};
use crate::kernel::Kernel;
use crate::kernel::attach::{Kind, Links};
use crate::mode::Tracing;
use crate::model::node::TargetId;
use crate::model::snapshot;
use crate::symbolize::{AddressCache, Symbols};
use crate::target::mappings::{MappedFile, Mappings};
use crate::target::{Target, Usage};

/// A process that is traced, or was.
pub(super) struct Traced {
    target: Target,
    /// From its next image on.
    pub(super) tracing: Tracing,
    /// What could not be attached to in it.
    failures: BTreeMap<String, u64>,
    pub(super) images: Vec<ImageState>,
    ended: Option<String>,
    usage_at_start: Usage,
    usage: Usage,
    counting: bool,
    /// How long it was counted in.
    clock: Clock,
    /// The age of its program when that began, in seconds; less than 0 where the program came later.
    age_at_start: f64,
    loader_links: Links,
}

impl Traced {
    pub(super) fn new(target: Target, tracing: Tracing) -> Self {
        let usage = target.usage().unwrap_or_default();
        Self {
            target,
            tracing,
            failures: BTreeMap::new(),
            images: Vec::new(),
            ended: None,
            usage_at_start: usage,
            usage,
            counting: false,
            clock: Clock::default(),
            age_at_start: 0.0,
            loader_links: Links::default(),
        }
    }

    /// Whether it is this process: a pid comes back.
    pub(super) fn is(&self, target: &Target) -> bool {
        (self.target.pid, self.target.start_time) == (target.pid, target.start_time)
    }

    pub(super) const fn pid(&self) -> u32 {
        self.target.pid
    }

    /// Path of its program, as it sees it.
    pub(super) fn exe(&self) -> &str {
        &self.target.exe
    }

    /// Takes up the image that the process runs now, without probes yet.
    pub(super) fn begin_image(&mut self, slot: u32, mappings: Mappings, uses: Uses, go: Option<GoHeap>) {
        self.image_ended();
        self.ended = None;
        // An exec gives the process another name and program.
        if let Ok(target) = Target::open(self.target.pid)
            && target.start_time == self.target.start_time
        {
            self.target = target;
        }
        self.images.push(ImageState {
            slot,
            mode: self.tracing.mode,
            was_sampled: self.tracing.sample_bytes > 0,
            functions: Vec::new(),
            allocators: Vec::new(),
            objects: Vec::new(),
            totals: Vec::new(),
            last_counts: None,
            last_sums: None,
            mappings,
            addresses: AddressCache::default(),
            uses,
            go,
            links: Links::default(),
            counting: false,
            clock: Clock::default(),
            ended: false,
        });
    }

    /// Adds an object of the present image, whose probes are in place.
    pub(super) fn add_object(&mut self, object: Object, totals: Range<u32>, kind: Kind, links: Links) {
        let Some(image) = self.images.last_mut() else { return };
        image.functions.extend(object.functions(totals.start, image.allocators.len()));
        image.totals.push(totals);
        image.allocators.extend(image::describe(&object.planned, &object.file, kind));
        image.objects.push(object);
        image.links.extend(links);
    }

    /// The present image.
    pub(super) fn image(&self) -> Option<&ImageState> {
        self.images.last().filter(|image| !image.ended && self.ended.is_none())
    }

    /// All images, and whether each is the last.
    pub(super) fn images_and_whether_last(&mut self) -> impl Iterator<Item = (&mut ImageState, bool)> {
        let last = self.images.len().saturating_sub(1);
        self.images.iter_mut().enumerate().map(move |(at, image)| (image, at == last))
    }

    pub(super) fn watch_loader(&mut self, links: Links) {
        self.loader_links = links;
    }

    /// The present image is over: its probes go, its counts stay.
    pub(super) fn image_ended(&mut self) {
        if let Some(image) = self.images.last_mut() {
            image.ended = true;
            image.clock.run(false);
            if let Some(go) = &mut image.go {
                go.finish();
            }
            std::mem::take(&mut image.links).detach();
        }
    }

    pub(super) fn set_counting(&mut self, kernel: &Kernel, counting: bool) {
        // What tracing costs is compared with the CPU time of the same interval.
        if counting && !self.counting {
            self.usage_at_start = self.target.usage().unwrap_or(self.usage);
            self.age_at_start = self.target.age_seconds();
        }
        self.counting = counting;
        self.clock.run(counting && self.ended.is_none());
        for image in self.images.iter_mut().filter(|image| image.last_counts.is_none()) {
            let wanted = counting && !image.ended;
            if image.counting != wanted {
                image.counting = wanted;
                image.clock.run(wanted);
                kernel.set_counting(image.slot, wanted);
                match &mut image.go {
                    Some(go) if wanted => go.begin(),
                    Some(go) => go.finish(),
                    None => {}
                }
            }
        }
    }

    /// Each sample carries the weight of its own time: what was counted so far stays as it is.
    pub(super) fn set_sample_bytes(&mut self, kernel: &Kernel, sample_bytes: u64) {
        self.tracing.sample_bytes = sample_bytes;
        for image in self.images.iter_mut().filter(|image| image.last_counts.is_none()) {
            image.was_sampled |= sample_bytes > 0;
            kernel.set_sample_bytes(image.slot, sample_bytes);
        }
    }

    /// Which process it is: a pid comes back.
    pub(super) const fn id(&self) -> TargetId {
        TargetId { pid: self.target.pid, start_time: self.target.start_time }
    }

    /// Its system calls are filtered.
    pub(super) const fn is_filtered(&self) -> bool {
        self.target.seccomp_filtered
    }

    /// Counts something that could not be attached to.
    pub(super) fn count_failure(&mut self, reason: &str) {
        *self.failures.entry(reason.to_owned()).or_insert(0) += 1;
    }

    pub(super) const fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// Whether nothing of it will change any more: it has ended, and all its probes are gone.
    pub(super) fn is_over(&self) -> bool {
        self.ended.is_some() && self.images.iter().all(|image| image.last_counts.is_some())
    }

    /// Probes that are in place.
    pub(super) fn probes(&self) -> u64 {
        self.image().map_or(0, |image| image.functions.len() as u64)
    }

    pub(super) fn code_of(&mut self, slot: u32) -> Option<Code<'_>> {
        let image = self.images.iter_mut().find(|image| image.slot == slot)?;
        Some(Code {
            mappings: &image.mappings,
            cache: &mut image.addresses,
            functions: &image.functions,
            allocators: &image.allocators,
        })
    }

    /// Takes new mappings of the present image, and tells the programs.
    pub(super) fn update_mappings(
        &mut self,
        kernel: &mut Kernel,
        unwinding: Option<&Unwinding>,
        mappings: Mappings,
    ) {
        let is_there = self.ended.is_none();
        let Some(image) = self.images.last_mut().filter(|image| is_there && !image.ended) else { return };
        if mappings == image.mappings {
            return;
        }
        unwinding::publish(unwinding, kernel, image.slot, &mappings, &mut image.uses);
        image.mappings = mappings;
        image.addresses = AddressCache::default();
    }

    /// Tells the programs of tables that were built since it was last told.
    pub(super) fn take_tables(&mut self, kernel: &mut Kernel, unwinding: Option<&Unwinding>) {
        if let Some(image) = self.images.last_mut().filter(|image| !image.ended && image.uses.waits()) {
            unwinding::publish(unwinding, kernel, image.slot, &image.mappings, &mut image.uses);
        }
    }

    pub(super) fn update_usage(&mut self) {
        if self.counting
            && self.ended.is_none()
            && let Some(usage) = self.target.usage()
        {
            // A zombie has no memory left: what it had when it ran is what is asked for.
            let resident_bytes =
                if usage.resident_bytes > 0 { usage.resident_bytes } else { self.usage.resident_bytes };
            self.usage = Usage { resident_bytes, ..usage };
        }
    }

    /// It runs another program from now on.
    pub(super) fn executed(&mut self) {
        self.image_ended();
        self.age_at_start = -self.clock.seconds();
    }

    pub(super) fn is_alive(&self) -> bool {
        self.target.is_alive()
    }

    pub(super) fn is_running(&self) -> bool {
        self.ended.is_none() && self.target.is_alive()
    }

    pub(super) fn end(&mut self, how: &str) {
        self.clock.run(false);
        if let Some(image) = self.images.last_mut() {
            image.clock.run(false);
        }
        self.ended.get_or_insert_with(|| how.to_owned());
    }

    pub(super) fn take_links(&mut self) -> Links {
        let mut links = std::mem::take(&mut self.loader_links);
        for image in &mut self.images {
            links.extend(std::mem::take(&mut image.links));
        }
        links
    }

    /// The process as reports show it, without its totals.
    pub(super) fn describe(&self, build_id: Option<String>, symbols: &mut Symbols) -> snapshot::Target {
        let ended = self.ended.clone().or_else(|| (!self.target.is_alive()).then(|| "ended".to_owned()));
        snapshot::Target {
            pid: self.target.pid,
            start_time: self.target.start_time,
            comm: self.target.comm.clone(),
            exe: self.target.exe.clone(),
            build_id,
            labels: BTreeMap::new(),
            processes: 1,
            cpu_seconds: (self.usage.cpu_seconds - self.usage_at_start.cpu_seconds).max(0.0),
            tracing_cpu_seconds: None,
            counted_seconds: Some(self.clock.seconds()),
            inuse_seconds: self.inuse_seconds(),
            resident_bytes: self.usage.resident_bytes,
            ended,
            allocators: Vec::new(),
            totals: snapshot::Totals::default(),
            gc: self.collections(symbols),
            timeline: None,
        }
    }

    /// How long what is in use was counted.
    fn inuse_seconds(&self) -> Option<f64> {
        let image = self.images.last()?;
        let all = self.age_at_start + self.clock.seconds();
        Some(if image.is_known_by_runtime() { all } else { image.clock.seconds() })
    }

    /// What is known of its addresses is found out again when it is needed.
    pub(super) fn forget_addresses(&mut self) {
        self.images.iter_mut().for_each(|image| image.addresses = AddressCache::default());
    }

    /// The files that its images have mapped, or had.
    pub(super) fn files(&self) -> impl Iterator<Item = (u64, u64)> {
        self.images.iter().flat_map(|image| {
            let objects = image.objects.iter().map(|object| object.file.identity);
            image.mappings.files().into_iter().map(|file| file.identity).chain(objects)
        })
    }

    /// The mappings of its present image.
    pub(super) fn mappings(&self) -> Option<&Mappings> {
        Some(&self.images.last()?.mappings)
    }

    /// The program's own file, if it is mapped.
    pub(super) fn program(&self) -> Option<Arc<MappedFile>> {
        let mappings = &self.images.last()?.mappings;
        mappings.files().into_iter().find(|file| file.path == self.target.exe)
    }
}
