//! The only reader of kernel bytes: records become owned types here. What it does not know is `None`, and the
//! caller counts it.

use tracer_ebpf::abi::event::{FRAME_BY_POINTER, FRAME_INTERRUPTED};
use tracer_ebpf::abi::{COMM_BYTES, EventKind, StopReason};

use crate::target::comm::Comm;

/// The head of every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A [`EventKind`] as a number.
    pub kind: u32,
    /// Thread group id.
    pub tgid: u32,
    /// Depends on the kind.
    pub value: u64,
}

/// Where the code of a frame goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameAddress {
    /// In the process.
    pub address: u64,
    /// A signal interrupted it there; else a call returns to it.
    pub interrupted: bool,
    /// A frame pointer led to it, which may be none: to be looked at.
    pub by_pointer: bool,
}

impl FrameAddress {
    const fn of(bits: u64) -> Self {
        Self {
            address: bits & !(FRAME_INTERRUPTED | FRAME_BY_POINTER),
            interrupted: bits & FRAME_INTERRUPTED != 0,
            by_pointer: bits & FRAME_BY_POINTER != 0,
        }
    }
}

/// A stack seen for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStack {
    /// Its key in the site records.
    pub key: u64,
    /// The slot it belongs to.
    pub slot: u32,
    /// Leaf first.
    pub addresses: Vec<FrameAddress>,
    /// Why it ends there.
    pub stop: StopReason,
    /// Index of the totals of the function that was called.
    pub function: u32,
    /// The name of the thread, where stacks are told apart by it.
    pub thread: Option<Comm>,
}

/// A stop of the world that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongStop {
    /// Who asked for the collection, or for the stop; its key and its function are 0.
    pub stack: NewStack,
    /// When it began, on the monotonic clock.
    pub started_ns: u64,
    /// How long it took.
    pub nanoseconds: u64,
    /// Why the world was stopped, by its number in [`tracer_ebpf::abi::stop`].
    pub reason: u32,
    /// Why the collection runs, by its number in [`tracer_ebpf::abi::StopTotals::causes`].
    pub cause: u32,
    /// What the collector took for live when the stop began and when the world went on, where that was read.
    pub heap_bytes: Option<(u64, u64)>,
}

const HEADER_BYTES: usize = size_of::<tracer_ebpf::abi::EventHeader>();
const STOP_BYTES: usize = size_of::<tracer_ebpf::abi::StopEvent>();
const STACK_BYTES: usize = size_of::<tracer_ebpf::abi::StackEvent>();

/// The head of a record; `None` if it is too short.
#[must_use]
pub fn header(record: &[u8]) -> Option<Header> {
    Some(Header { kind: u32_at(record, 0)?, tgid: u32_at(record, 4)?, value: u64_at(record, 8)? })
}

/// The name in an exec's record; `None` if it is cut.
#[must_use]
pub fn comm(record: &[u8]) -> Option<Comm> {
    record.get(HEADER_BYTES..HEADER_BYTES + COMM_BYTES).map(Comm::of)
}

/// A stack record; `None` if it is not one, is cut, or says what this version does not know.
#[must_use]
pub fn stack(record: &[u8]) -> Option<NewStack> {
    let header = header(record)?;
    if header.kind != EventKind::Stack as u32 {
        return None;
    }
    let frames = u32_at(record, HEADER_BYTES + 4)? as usize;
    let stop = StopReason::from_bits(u32_at(record, HEADER_BYTES + 8)?)?;
    let bytes = record.get(STACK_BYTES..STACK_BYTES + frames.checked_mul(8)?)?;
    let addresses =
        bytes.as_chunks().0.iter().map(|chunk| FrameAddress::of(u64::from_ne_bytes(*chunk))).collect();
    let thread = record.get(HEADER_BYTES + 16..STACK_BYTES)?;
    Some(NewStack {
        key: header.value,
        slot: u32_at(record, HEADER_BYTES)?,
        addresses,
        stop,
        function: u32_at(record, HEADER_BYTES + 12)?,
        thread: (thread[0] != 0).then(|| Comm::of(thread)),
    })
}

/// The record of a long stop; `None` if it is not one, is cut, or says what this version does not know.
#[must_use]
pub fn long_stop(record: &[u8]) -> Option<LongStop> {
    let header = header(record)?;
    if header.kind != EventKind::Stop as u32 {
        return None;
    }
    let half = |word: usize| u32_at(record, HEADER_BYTES + word * 4);
    let word = |word: usize| u64_at(record, HEADER_BYTES + 24 + word * 8);
    let frames = half(1)? as usize;
    let bytes = record.get(STOP_BYTES..STOP_BYTES.checked_add(frames.checked_mul(8)?)?)?;
    let addresses = bytes.as_chunks().0.iter();
    let stack = NewStack {
        key: 0,
        slot: half(0)?,
        addresses: addresses.map(|chunk| FrameAddress::of(u64::from_ne_bytes(*chunk))).collect(),
        stop: StopReason::from_bits(half(2)?)?,
        function: 0,
        thread: None,
    };
    Some(LongStop {
        stack,
        started_ns: header.value,
        nanoseconds: word(0)?,
        reason: half(3)?,
        cause: half(4)?,
        heap_bytes: if half(5)? == 0 { None } else { Some((word(1)?, word(2)?)) },
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, frames: u32, stop: u32, addresses: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [kind, 77] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(0xabcd_u64.to_ne_bytes());
        for word in [5, frames, stop, 9] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(b"worker\0\0\0\0\0\0\0\0\0\0");
        for address in addresses {
            bytes.extend(address.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn a_stack_record_is_read_whole() {
        let expect = NewStack {
            key: 0xabcd,
            slot: 5,
            addresses: vec![
                FrameAddress { address: 0x1000, interrupted: false, by_pointer: true },
                FrameAddress { address: 0x7fff_0000_0001, interrupted: true, by_pointer: false },
            ],
            stop: StopReason::NoFramePointer,
            function: 9,
            thread: Some(Comm::of(b"worker")),
        };
        let addresses = [0x1000 | FRAME_BY_POINTER, 0x7fff_0000_0001 | FRAME_INTERRUPTED];
        assert_eq!(stack(&record(1, 2, 2, &addresses)), Some(expect));
    }

    #[test]
    fn the_name_in_a_record_ends_at_its_zero() {
        let mut bytes = record(2, 0, 0, &[]);
        bytes[16..32].copy_from_slice(b"redis-server\0xyz");
        assert_eq!(comm(&bytes), Some(Comm::of(b"redis-server")));
        assert_eq!(comm(&bytes[..31]), None);
    }

    #[test]
    fn the_record_of_a_long_stop_is_read_whole_or_not_at_all() {
        let mut bytes = record(6, 1, 9, &[]);
        bytes.truncate(28);
        for half in [2_u32, 3, 1] {
            bytes.extend(half.to_ne_bytes());
        }
        for word in [7_000_000_u64, 50, 40, 0x1000 | FRAME_BY_POINTER] {
            bytes.extend(word.to_ne_bytes());
        }
        let stop = long_stop(&bytes).expect("it is whole");
        let read = (stop.started_ns, stop.nanoseconds, stop.reason, stop.cause, stop.heap_bytes);
        assert_eq!(read, (0xabcd, 7_000_000, 2, 3, Some((50, 40))));
        let frame = FrameAddress { address: 0x1000, interrupted: false, by_pointer: true };
        let stack = (stop.stack.slot, stop.stack.addresses, stop.stack.stop);
        assert_eq!(stack, (5, vec![frame], StopReason::FramePointerZero));
        for length in 0..bytes.len() {
            assert_eq!(long_stop(&bytes[..length]), None);
        }
        assert_eq!(super::stack(&bytes), None, "it is no stack");
    }

    #[test]
    fn what_is_cut_or_unknown_is_none() {
        let check = |bytes: &[u8]| assert_eq!(stack(bytes), None, "{bytes:?}");
        check(&record(9, 0, 0, &[]));
        check(&record(1, 0, 99, &[]));
        check(&record(1, 3, 0, &[1, 2]));
        check(&record(1, u32::MAX, 0, &[1, 2]));
        let whole = record(1, 1, 0, &[1]);
        for length in 0..whole.len() {
            check(&whole[..length]);
        }
    }
}
