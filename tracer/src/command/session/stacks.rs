//! New stacks: taken from the ring buffer, and located in the mappings of their processes.

use std::sync::Arc;

use tracer_ebpf::abi::StopReason;

use super::Session;
use super::go::{self, Calls};
use super::traced::Traced;
use crate::collect::{self, NewStack};
use crate::kernel::RING_BYTES;
use crate::model::SiteStack;
use crate::model::node::TargetId;
use crate::symbolize::Unmapped;

/// A new stack waits for this many looks at the mappings at most.
const LOOKS_FOR_MAPPING: u32 = 2;
/// New stacks that are decoded at a time.
const BATCH_BYTES: u64 = 1 << 20;

impl Session {
    /// Takes the stacks that are new since the last time, one ring buffer full at most; their bytes.
    pub fn drain(&mut self) -> u64 {
        self.kernel.flush_log();
        self.take_tables();
        let mut bytes = 0;
        loop {
            let batch = collect::stacks(&mut self.kernel, BATCH_BYTES);
            self.unknown_records += batch.unknown_records;
            for stack in batch.stacks {
                if !self.locate(&stack, Unmapped::Waits) {
                    self.waiting.push((stack, 0));
                }
            }
            batch.long_stops.into_iter().for_each(|stop| self.take_long_stop(stop));
            bytes += batch.bytes;
            if batch.bytes < BATCH_BYTES || bytes >= RING_BYTES {
                break;
            }
        }
        bytes
    }

    /// Looks again for what waits for its mapping.
    pub(super) fn locate_waiting(&mut self) {
        for (stack, looks) in std::mem::take(&mut self.waiting) {
            let looks = looks + 1;
            let is_last = looks >= LOOKS_FOR_MAPPING;
            if !self.locate(&stack, if is_last { Unmapped::Stays } else { Unmapped::Waits }) {
                self.waiting.push((stack, looks));
            }
        }
    }

    /// The same for the last time.
    pub(super) fn locate_all(&mut self) {
        for (stack, _) in std::mem::take(&mut self.waiting) {
            self.locate(&stack, Unmapped::Stays);
        }
    }

    /// Reads what Go's runtimes say by now, of one process or of all. In a daemon, which may have hundreds, their profiles are
    /// read when someone asks.
    pub(super) fn look_at_runtimes(&mut self, one: Option<TargetId>, with_profiles: bool) {
        for traced in self.traced.iter_mut().filter(|traced| one.is_none_or(|id| traced.id() == id)) {
            traced.look_at_runtime(with_profiles);
            traced.read_stops(&self.kernel);
        }
        self.locate_runtime_stacks();
    }

    /// Remembers the stacks that runtimes have named.
    pub(super) fn locate_runtime_stacks(&mut self) {
        for (stacks, mappings) in self.traced.iter_mut().flat_map(Traced::take_runtime_stacks) {
            for Calls { key, addresses } in stacks {
                let stack = self.symbols.locate_calls(&addresses, StopReason::Complete, mappings);
                let (allocator, called) = (Some(Arc::from(go::NAME)), Some(Arc::from("mallocgc")));
                self.model.learn(key, SiteStack { stack, allocator, called, thread: None });
            }
        }
    }

    /// Remembers a stack with its places; false if it waits for its mapping.
    fn locate(&mut self, stack: &NewStack, unmapped: Unmapped) -> bool {
        let Some(known) = self.traced.iter_mut().find_map(|traced| traced.code_of(stack.slot)) else {
            return true;
        };
        let Some(located) = self.symbols.locate(stack, known.mappings, known.cache, unmapped) else {
            return false;
        };
        let (allocator, called) = known.call_of(stack.function).unzip();
        let thread = stack.thread.map(|name| Arc::from(name.to_string()));
        let (allocator, called) = (allocator.map(Arc::from), called.map(Arc::from));
        self.model.learn(stack.key, SiteStack { stack: located, allocator, called, thread });
        true
    }
}
