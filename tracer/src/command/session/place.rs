//! Places the probes of an image: those of every file with an allocator, also of files that are mapped later.

use tracer_ebpf::abi::Followed;
use tracer_ebpf::abi::slot::MAX_TEXT;

use super::image::{self, Found, Object};
use super::{Session, calibrate};
use crate::command::Failure;
use crate::target::mappings::Mappings;

impl Session {
    /// Takes up the image that a process runs now; it does not count yet.
    pub(super) fn attach_image(&mut self, index: usize, hold: u32) -> Result<(), Failure> {
        let pid = self.traced[index].pid();
        let gone = || Failure::NotFound(format!("process {pid} ended while it was attached to"));
        let mappings = Mappings::read(pid, &mut self.files).map_err(|_| gone())?;
        if mappings.iter().next().is_none() {
            return Err(gone());
        }
        let found = image::prepare(&mappings, &self.choice, self.mode, pid, &mut self.plans)?;
        self.say(&found);
        let slot = self.next_slot;
        if slot >= calibrate::SLOT {
            return Err(anyhow::anyhow!(
                "no slot left for process {pid}: one tracer follows {} images",
                calibrate::SLOT
            )
            .into());
        }
        self.next_slot += 1;
        let entry = image::slot(&found.objects, pid, self.seed, self.sample_bytes, &mappings);
        self.kernel.set_slot(slot, &entry);
        self.kernel.set_text(slot, &mappings.text_ranges(MAX_TEXT))?;
        self.kernel.follow(pid, Followed { slot, hold })?;
        self.traced[index].begin_image(slot, mappings);
        for object in found.objects {
            self.attach_object(index, slot, object)?;
        }
        Ok(())
    }

    /// Places the probes of one file in a process's present image.
    fn attach_object(&mut self, index: usize, slot: u32, object: Object) -> Result<(), Failure> {
        let pid = self.traced[index].pid();
        let first_total = self.next_total;
        if first_total + object.len() > self.totals {
            return Err(anyhow::anyhow!(
                "no room for the functions of {} in process {pid}: one tracer counts {} functions",
                object.file.path,
                self.totals
            )
            .into());
        }
        self.next_total += object.len();
        let first_function = self.traced[index].image().map_or(0, |image| image.functions.len() as u32);
        let points = object.points(slot, first_function, first_total);
        let links = self.kernel.attach(pid, &object.file.file, &points)?;
        self.traced[index].add_object(object, first_total, self.kernel.kind(), links);
        Ok(())
    }

    /// Looks for allocators in what was mapped since the last look, and places their probes.
    pub(super) fn attach_new_objects(&mut self, index: usize, mappings: &Mappings) {
        let pid = self.traced[index].pid();
        let Some(image) = self.traced[index].image() else { return };
        let slot = image.slot;
        let files: Vec<_> = self.choice.files(mappings).into_iter().filter(|file| !image.has(file)).collect();
        if files.is_empty() {
            return;
        }
        let mut all: Vec<Object> = image.objects().to_vec();
        let found = match image::look(&files, mappings, &self.choice, self.mode, pid, &mut self.plans) {
            Ok(found) => found,
            Err((path, reason)) => return self.count_failure(&format!("{path} is {reason}")),
        };
        self.say(&found);
        if found.objects.is_empty() {
            return;
        }
        all.extend(found.objects.iter().cloned());
        let (hulls, nested) = image::regions(&all);
        self.kernel.set_regions(slot, &hulls, &nested);
        for object in found.objects {
            let path = object.file.path.clone();
            match self.attach_object(index, slot, object) {
                Ok(()) => self.note(format!("{path} came later: what it allocated before is not known")),
                Err(failure) => self.count_failure(&format!("{path}: {failure}")),
            }
        }
    }

    /// Takes what is not probed, and what was not looked at, into the quality block.
    fn say(&mut self, found: &Found) {
        for failure in &found.failures {
            self.count_failure(failure);
        }
        for note in &found.notes {
            self.note(note.clone());
        }
    }
}
