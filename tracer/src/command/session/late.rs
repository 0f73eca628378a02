//! Go runtimes that come after the attach: in a library that a program loads.

use super::{Session, go};
use crate::mode::GoSource;
use crate::target::mappings::Mappings;

impl Session {
    /// Looks for a Go runtime in new mappings of a process that had none so far.
    pub(super) fn find_late_runtime(&mut self, index: usize, mappings: &Mappings) {
        let traced = &self.traced[index];
        let Some(image) = traced.image() else { return };
        if image.go.is_some() || image.has_all(mappings) {
            return;
        }
        let (pid, exe) = (traced.pid(), traced.exe().to_owned());
        match go::find(pid, mappings, &exe, &self.choice, &mut self.go_programs) {
            Ok(None) => {}
            Ok(Some(heap)) => {
                let path = heap.describe().1.to_owned();
                self.note(format!("{path} came later: what Go allocated in it before is not known"));
                self.traced[index].take_runtime(heap);
                self.attach_stops(index);
                if self.traced[index].tracing.go == GoSource::Probes {
                    self.note(format!(
                        "{path} came later: --go probes does not reach it, its runtime is read instead"
                    ));
                }
            }
            Err(reason) => {
                let failure = go::cannot_be_read(pid, &reason);
                if !self.traced[index].failures().contains_key(&failure) {
                    self.count_failure_in(index, &failure);
                }
            }
        }
    }
}
