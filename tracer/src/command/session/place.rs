//! Places the probes of an image: those of every file with an allocator, also of files that are mapped later.

use std::ops::Range;

use tracer_ebpf::abi::{Followed, MAX_FUNCTIONS};

use super::go::{self, GoHeap, Probes, Wanted};
use super::image::{self, Found, Object};
use super::unwinding::{self, Uses};
use super::{Session, calibrate};
use crate::command::Failure;
use crate::kernel::attach::Links;
use crate::mode::Mode;
use crate::target::mappings::Mappings;

/// A file whose probes are in place.
struct Attached {
    object: Object,
    totals: Range<u32>,
    links: Links,
}

impl Session {
    /// Takes up the image that a process runs now; it does not count yet.
    pub(super) fn attach_image(&mut self, index: usize, hold: u32) -> Result<(), Failure> {
        let pid = self.traced[index].pid();
        let gone = || Failure::NotFound(format!("process {pid} ended while it was attached to"));
        let mappings = Mappings::read(pid, &mut self.files).map_err(|_| gone())?;
        if mappings.iter().next().is_none() {
            return Err(gone());
        }
        let tracing = self.traced[index].tracing;
        let found =
            image::prepare(&mappings, &self.choice, tracing.mode, pid, self.plans.of_mode(tracing.mode));
        let exe = self.traced[index].exe().to_owned();
        let mut go = go::find(pid, &mappings, &exe, &self.choice, &mut self.go_programs);
        let (mut found, refusal) = go::or_alone(found, &go)?;
        let heap = go.as_mut().ok().and_then(Option::as_mut);
        let mode = self.add_probes_of_go(index, &mappings, heap, &mut found)?;
        let (go, failure) = go::beside(&found, go, pid, &self.choice)?;
        for failure in refusal.into_iter().chain(failure) {
            self.count_failure_in(index, &failure);
        }
        self.say(index, &found);
        self.free_slots();
        let Some(slot) = self.slots.take() else {
            return Err(anyhow::anyhow!(
                "no slot left for process {pid}: one tracer follows {} images at a time",
                calibrate::SLOT
            )
            .into());
        };
        let entry = image::slot(&found.objects, pid, self.seed, tracing.sample_bytes, &mappings);
        self.kernel.set_slot(slot, &entry);
        let mut uses = Uses::default();
        unwinding::publish(self.unwinding.as_ref(), &mut self.kernel, slot, &mappings, &mut uses);
        match self.attach_objects(pid, mode, slot, hold, found.objects) {
            Ok(attached) => {
                self.traced[index].begin_image(slot, mappings, uses, go);
                if let Some(image) = self.traced[index].images.last_mut() {
                    image.mode = mode;
                }
                let kind = self.kernel.kind();
                for Attached { object, totals, links } in attached {
                    self.traced[index].add_object(object, totals, kind, links);
                }
                self.attach_stops(index);
                Ok(())
            }
            Err(failure) => {
                unwinding::release(self.unwinding.as_ref(), &mut uses);
                // Nothing was counted in it.
                match self.gone {
                    Some(_) => self.slots.give_back_forgotten(slot),
                    None => self.slots.give_back(slot),
                }
                Err(failure)
            }
        }
    }

    /// Adds the probes of a process's Go runtime to those that were found, where they are wanted; the mode of all of them.
    fn add_probes_of_go(
        &mut self,
        index: usize,
        mappings: &Mappings,
        heap: Option<&mut GoHeap>,
        found: &mut Found,
    ) -> Result<Mode, Failure> {
        let (pid, tracing) = (self.traced[index].pid(), self.traced[index].tracing);
        let exe = self.traced[index].exe().to_owned();
        let beside = (!found.is_nothing()).then_some(tracing.mode);
        let wanted = Wanted { source: tracing.go, beside };
        let object = match go::probes(mappings, &exe, &self.choice, &mut self.go_programs, heap, wanted) {
            Probes::These(object) => object,
            Probes::None => return Ok(tracing.mode),
            Probes::Refused(why) => {
                self.note(format!("process {pid}: {why}"));
                return Ok(tracing.mode);
            }
        };
        if beside == Some(Mode::Live) {
            *found =
                image::prepare(mappings, &self.choice, Mode::Alloc, pid, self.plans.of_mode(Mode::Alloc))?;
            self.note(format!(
                "process {pid} is traced in mode alloc: probes on Go's allocator see no frees, and those of all its \
                 allocators are in one mode"
            ));
        }
        found.failures.extend(object.planned.failures.iter().cloned());
        found.objects.push(object);
        Ok(Mode::Alloc)
    }

    /// Places the probes of all files of an image.
    fn attach_objects(
        &mut self,
        pid: u32,
        mode: Mode,
        slot: u32,
        hold: u32,
        objects: Vec<Object>,
    ) -> Result<Vec<Attached>, Failure> {
        self.kernel.follow(pid, Followed { slot, hold })?;
        let mut attached: Vec<Attached> = Vec::new();
        let mut first_function = 0;
        for object in objects {
            let functions = object.len();
            match self.attach_object(pid, mode, slot, first_function, object) {
                Ok(one) => attached.push(one),
                Err(failure) => {
                    attached.into_iter().for_each(|one| self.slots.give_back_totals(one.totals));
                    return Err(failure);
                }
            }
            first_function += functions;
        }
        Ok(attached)
    }

    /// Places the probes of one file; the image has so many functions before these.
    fn attach_object(
        &mut self,
        pid: u32,
        mode: Mode,
        slot: u32,
        first_function: u32,
        object: Object,
    ) -> Result<Attached, Failure> {
        if first_function + object.len() > MAX_FUNCTIONS {
            return Err(anyhow::anyhow!(
                "the allocators of process {pid} have more than {MAX_FUNCTIONS} functions; choose one by --allocator or \
                 --object"
            )
            .into());
        }
        let Some(totals) = self.slots.take_totals(object.len()) else {
            return Err(anyhow::anyhow!(
                "no room for the functions of {} in process {pid}: one tracer counts {} functions",
                object.file.path,
                self.slots.totals()
            )
            .into());
        };
        let points = object.points(slot, first_function, totals.start);
        match self.kernel.attach(pid, mode, &object.file.file, &points) {
            Ok(links) => Ok(Attached { object, totals, links }),
            Err(error) => {
                self.slots.give_back_totals(totals);
                Err(error.into())
            }
        }
    }

    /// Looks for allocators in what was mapped since the last look, and places their probes.
    pub(super) fn attach_new_objects(&mut self, index: usize, mappings: &Mappings) {
        let pid = self.traced[index].pid();
        let Some(image) = self.traced[index].image() else { return };
        let (slot, mode) = (image.slot, image.mode);
        let files: Vec<_> = self.choice.files(mappings).into_iter().filter(|file| !image.has(file)).collect();
        if files.is_empty() {
            return;
        }
        let mut all: Vec<Object> = image.objects().to_vec();
        let found = match image::look(&files, mappings, &self.choice, mode, pid, self.plans.of_mode(mode)) {
            Ok(found) => found,
            Err((path, reason)) => return self.count_failure_in(index, &format!("{path} is {reason}")),
        };
        self.say(index, &found);
        if found.objects.is_empty() {
            return;
        }
        all.extend(found.objects.iter().cloned());
        self.kernel.set_regions(slot, &image::regions(&all), image::passes_on(&all));
        for object in found.objects {
            let path = object.file.path.clone();
            let first_function = self.traced[index].image().map_or(0, |image| image.functions.len() as u32);
            match self.attach_object(pid, mode, slot, first_function, object) {
                Ok(Attached { object, totals, links }) => {
                    self.traced[index].add_object(object, totals, self.kernel.kind(), links);
                    self.note(format!("{path} came later: what it allocated before is not known"));
                }
                Err(failure) => self.count_failure_in(index, &format!("{path}: {failure}")),
            }
        }
    }

    /// Takes what is not probed, and what was not looked at, into the quality block.
    fn say(&mut self, index: usize, found: &Found) {
        for failure in &found.failures {
            self.count_failure_in(index, failure);
        }
        for note in &found.notes {
            self.note(note.clone());
        }
    }
}
