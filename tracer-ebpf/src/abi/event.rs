//! Records in the ring buffers.

/// Kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum EventKind {
    /// A [`StackEvent`] and its frames.
    Stack = 1,
    /// A process executed another program: an [`ExecEvent`].
    Exec = 2,
    /// A process has a new child; `value` is the child's pid.
    Fork = 3,
    /// A followed process reached the loader's rendezvous: its mappings have changed.
    Loaded = 4,
    /// A stack of a process leads through code that user space has not told of.
    Unmapped = 5,
    /// A stop of the world took long: a [`super::StopEvent`] and its frames.
    Stop = 6,
}

/// Why a stack ends before the thread's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum StopReason {
    /// It does not.
    Complete = 0,
    /// [`crate::abi::MAX_FRAMES`] reached.
    Depth = 1,
    /// The frame pointer does not lead to another frame.
    NoFramePointer = 2,
    /// The stack could not be read.
    ReadFault = 3,
    /// A return address belongs to another tool's return probe.
    ForeignReturnProbe = 4,
    /// The code has no unwind table, or none for this address.
    NoTable = 5,
    /// The table leads to no frame.
    BadCfa = 6,
    /// A return address lies in no code that is known.
    NoMapping = 7,
    /// The table's source says something that the table cannot hold.
    UnsupportedRule = 8,
    /// The frame pointer is 0: as it is at a thread's start, and by chance where code keeps no frame pointer.
    FramePointerZero = 9,
}

impl StopReason {
    /// The variant of a number in a record.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        Some(match bits {
            0 => Self::Complete,
            1 => Self::Depth,
            2 => Self::NoFramePointer,
            3 => Self::ReadFault,
            4 => Self::ForeignReturnProbe,
            5 => Self::NoTable,
            6 => Self::BadCfa,
            7 => Self::NoMapping,
            8 => Self::UnsupportedRule,
            9 => Self::FramePointerZero,
            _ => return None,
        })
    }
}

/// Begins every record.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EventHeader {
    /// An [`EventKind`].
    pub kind: u32,
    /// Thread group id.
    pub tgid: u32,
    /// Depends on the kind.
    pub value: u64,
}

/// Set in an address of a stack record: it was interrupted by a signal, no call returns to it.
pub const FRAME_INTERRUPTED: u64 = 1 << 63;
/// Set in an address of a stack record: it was found by a frame pointer.
pub const FRAME_BY_POINTER: u64 = 1 << 62;

/// A stack seen for the first time; `frames` addresses of 8 bytes follow, leaf first: the direct caller, then callers,
/// with [`FRAME_INTERRUPTED`] and [`FRAME_BY_POINTER`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StackEvent {
    /// `value` is the key in `SITES`.
    pub header: EventHeader,
    /// Slot index.
    pub slot: u32,
    /// Return addresses that follow.
    pub frames: u32,
    /// A [`StopReason`].
    pub stop: u32,
    /// Index of the totals of the function that was called.
    pub function: u32,
    /// The name of the thread, where stacks are told apart by it; else 0.
    pub thread: [u64; COMM_BYTES / 8],
}

/// Bytes of a task's name in the kernel, the last one 0 (`TASK_COMM_LEN`).
pub const COMM_BYTES: usize = 16;

/// A process executed another program.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ExecEvent {
    /// `value` is 0.
    pub header: EventHeader,
    /// The new name of its thread.
    pub comm: [u8; COMM_BYTES],
}

const _: () = assert!(size_of::<EventHeader>() == 16);
const _: () = assert!(size_of::<ExecEvent>() == 32);
const _: () = assert!(size_of::<StackEvent>() == 48);
