//! What becomes of images that are over: their counts stay, their places come back. A daemon forgets the rest of them too, once
//! their last numbers are taken.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::ages::AgePasses;
use super::traced::Traced;
use super::{Session, calibrate};
use crate::collect;
use crate::kernel::KernelError;
use crate::kernel::attach::Removal;
use crate::mode::Mode;
use crate::model::SiteSums;
use crate::model::node::TargetId;

/// An image that is over: its slot is free when its probes are gone.
pub(super) struct Leaving {
    pub(super) slot: u32,
    pub(super) removal: Removal,
}

/// Images whose probes are gone, and that are to be forgotten.
#[derive(Debug, Default)]
pub(super) struct Gone {
    slots: Vec<u32>,
    /// Since the first of them.
    since: Option<Instant>,
    /// Images that were forgotten so far.
    forgotten: u32,
    /// Processes were forgotten whose files may be mapped by none any more, since then.
    files_since: Option<Instant>,
}

/// Slots have 16 bits: an image that is forgotten is told apart by a number above.
const FIRST_NUMBER_OF_NO_SLOT: u32 = 1 << 16;

/// The tables are walked whole to forget anything: not for each process that ends.
const FORGET_AFTER: Duration = Duration::from_secs(5);
/// What is known of files is looked through so often at most: every address is looked up again after that.
const FORGET_FILES_AFTER: Duration = Duration::from_secs(60);
/// But there are 255 slots.
const FORGET_AT: usize = 64;

impl Session {
    /// From now on what has ended is forgotten, once its last numbers were taken.
    pub fn forget_what_ends(&mut self) {
        self.gone = Some(Gone::default());
        // What comes and goes is mostly of the same files.
        self.symbols.tell_apart_by_file();
    }

    /// Keeps the counts of images whose probes are gone, and gives their slots to others.
    pub(super) fn free_slots(&mut self) {
        let (gone, leaving): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.leaving).into_iter().partition(|leaving| leaving.removal.is_done());
        self.leaving = leaving;
        for Leaving { slot, .. } in gone {
            // An image that was left twice is gone when both have ended.
            if self.leaving.iter().any(|leaving| leaving.slot == slot) {
                continue;
            }
            if let Some(gone) = &mut self.gone {
                gone.since.get_or_insert_with(Instant::now);
                if !gone.slots.contains(&slot) {
                    gone.slots.push(slot);
                }
            } else if let Err(error) = self.free_slot(slot) {
                // The slot stays what it is.
                self.note(format!("the slot of a process that is gone is not used again: {error}"));
            }
        }
        let is_due = self.gone.as_ref().is_some_and(|gone| {
            gone.slots.len() >= FORGET_AT || gone.since.is_some_and(|since| since.elapsed() >= FORGET_AFTER)
        });
        if is_due {
            self.forget_slots();
        }
    }

    fn free_slot(&mut self, slot: u32) -> Result<(), KernelError> {
        // What the overflow record holds has no key of its own.
        if self.kernel.has_overflowed(slot) {
            return Ok(());
        }
        if self.keep_counts(slot, None)?.is_some() {
            self.slots.give_back(slot);
        }
        Ok(())
    }

    /// Keeps the counts of an image and clears its place; what was traced in it, or nothing if that was done before. With
    /// `sums`, those of its call sites, it is to be forgotten: its number will be another's, so it gets one that no slot has.
    fn keep_counts(&mut self, slot: u32, sums: Option<&SiteSums>) -> Result<Option<Mode>, KernelError> {
        let mut images = self.traced.iter_mut().flat_map(Traced::images_and_whether_last);
        let Some((image, is_last)) =
            images.find(|(image, _)| image.slot == slot && image.last_counts.is_none())
        else {
            return Ok(None);
        };
        let counts = image.counts(&self.kernel)?;
        self.kernel.set_counting(slot, false);
        if let Some(go) = &mut image.go {
            go.stops.read(&self.kernel, slot);
        }
        self.kernel.clear_slot(slot, image.totals.iter().cloned().flatten())?;
        image.last_counts = Some(counts);
        image.release_tables(&mut self.kernel, self.unwinding.as_ref());
        if let (Some(sums), Some(gone)) = (sums, &mut self.gone) {
            image.slot = FIRST_NUMBER_OF_NO_SLOT + gone.forgotten;
            image.last_sums = Some(sums.moved(slot, image.slot));
            gone.forgotten = gone.forgotten.wrapping_add(1) % (u32::MAX / 2);
            if !is_last {
                image.forget_files();
            }
        }
        for totals in image.totals.drain(..) {
            self.slots.give_back_totals(totals);
        }
        Ok(Some(image.mode))
    }

    /// Whether an image has room: where what is over is forgotten, that may make some.
    pub fn makes_room(&mut self) -> bool {
        if self.gone.is_some() && !self.slots.has_room() {
            self.free_slots();
            self.forget_slots();
        }
        self.gone.is_none() || self.slots.has_room()
    }

    /// Takes the last numbers of images that are over, and everything that the kernel side keeps of them.
    fn forget_slots(&mut self) {
        let Some(gone) = &mut self.gone else { return };
        gone.since = None;
        let slots = std::mem::take(&mut gone.slots);
        if slots.is_empty() {
            return;
        }
        // Their stacks that are on their way would find no image.
        self.drain();
        self.waiting.retain(|(stack, _)| !slots.contains(&stack.slot));
        let mut sums = SiteSums::default();
        collect::sites(&self.kernel, &slots.iter().copied().collect(), true).for_each(|site| sums.add(&site));
        let mut kept = Vec::with_capacity(slots.len());
        let mut follows = false;
        for slot in slots {
            match self.keep_counts(slot, Some(&sums)) {
                Ok(Some(mode)) => {
                    kept.push(slot);
                    follows |= mode == Mode::Live;
                }
                Ok(None) => {}
                Err(error) => {
                    self.note(format!("the slot of a process that is gone is not used again: {error}"));
                }
            }
        }
        let keys = self.kernel.forget(&kept, follows);
        self.model.forget_stacks(&keys);
        // What was seen of blocks is by the indices of sites, which may be others' now.
        self.ages = AgePasses::default();
        for slot in kept {
            self.slots.give_back_forgotten(slot);
        }
    }

    /// The stacks of the measurement are nobody's.
    pub(super) fn forget_calibration(&mut self) {
        self.drain();
        let keys = self.kernel.forget(&[calibrate::SLOT], true);
        self.model.forget_stacks(&keys);
    }

    /// Forgets the processes that are over: after their last numbers were taken.
    pub fn forget_processes(&mut self) {
        let is_over = |traced: &Traced| traced.is_over();
        let over: HashSet<TargetId> =
            self.traced.iter().filter(|traced| is_over(traced)).map(Traced::id).collect();
        if !over.is_empty() {
            let keys: Vec<u64> =
                self.traced.iter().filter(|traced| is_over(traced)).flat_map(Traced::runtime_keys).collect();
            self.model.forget_stacks(&keys);
            self.model.forget_processes(&over);
            self.traced.retain(|traced| !is_over(traced));
            if let Some(gone) = &mut self.gone {
                gone.files_since.get_or_insert_with(Instant::now);
            }
        }
        // Also where something ends at every look.
        self.forget_files();
    }

    /// Forgets the files that no process has mapped any more, and what was found out of them: a node sees new programs for
    /// years.
    fn forget_files(&mut self) {
        let Some(gone) = &mut self.gone else { return };
        if gone.files_since.is_none_or(|since| since.elapsed() < FORGET_FILES_AFTER) {
            return;
        }
        gone.files_since = None;
        let files: HashSet<(u64, u64)> = self.traced.iter().flat_map(Traced::files).collect();
        self.traced.iter_mut().for_each(Traced::forget_addresses);
        self.symbols.take_names();
        let mut places = self.model.places();
        places.extend(self.traced.iter().flat_map(Traced::stop_places));
        self.symbols.forget(&places, &files);
        self.files.keep(&files);
        self.plans.keep(&files);
        self.go_programs.keep(&files);
        self.loaders.keep(&files);
    }
}
