//! How tracer is called, and what the project asks of it there.

use tracer::mode::Mode;

use crate::floor::ProbeSet;

/// Mean bytes between samples, as an argument and in words.
const SAMPLE_BYTES: (&str, &str) = ("512KiB", "512 KiB");

/// How stacks are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    /// By unwind tables, as it is by itself.
    Tables,
    /// The same, with each rule looked up in its table as if it had never been met.
    TablesEachTime,
    /// By frame pointers.
    FramePointers,
}

/// One way to call tracer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// What is traced.
    pub(crate) mode: Mode,
    /// Whether a mean of bytes lies between samples; else every allocation counts.
    pub(crate) is_sampled: bool,
    /// Call stacks kept apart, where the default is too few.
    pub(crate) max_stacks: Option<u32>,
    /// How stacks are walked.
    pub(crate) walk: Walk,
}

impl Setting {
    /// Both modes, every allocation and sampled.
    pub(crate) const ALL: [Self; 4] = [
        Self::new(Mode::Alloc, false),
        Self::new(Mode::Alloc, true),
        Self::new(Mode::Live, false),
        Self::new(Mode::Live, true),
    ];

    /// With tracer's own limits.
    pub(crate) const fn new(mode: Mode, is_sampled: bool) -> Self {
        Self { mode, is_sampled, max_stacks: None, walk: Walk::Tables }
    }

    /// With room for so many stacks.
    pub(crate) const fn with_stacks(self, max_stacks: u32) -> Self {
        Self { max_stacks: Some(max_stacks), ..self }
    }

    /// With stacks walked so.
    pub(crate) const fn walked(self, walk: Walk) -> Self {
        Self { walk, ..self }
    }

    /// The arguments that make it.
    pub(crate) fn arguments(self) -> Vec<String> {
        let mut words = vec!["--mode".to_owned(), self.mode.to_string()];
        if self.is_sampled {
            words.extend(["--sample-bytes", SAMPLE_BYTES.0].map(str::to_owned));
        }
        if let Some(max_stacks) = self.max_stacks {
            words.extend(["--max-stacks".to_owned(), max_stacks.to_string()]);
        }
        words.extend(match self.walk {
            Walk::Tables => None,
            Walk::TablesEachTime => Some("--keep-rows=no".to_owned()),
            Walk::FramePointers => Some("--unwind=frame-pointers".to_owned()),
        });
        words
    }

    /// In words.
    pub(crate) fn name(self) -> String {
        let walk = match self.walk {
            Walk::Tables => "",
            Walk::TablesEachTime => ", each rule looked up",
            Walk::FramePointers => ", by frame pointers",
        };
        format!("mode {}, {}{walk}", self.mode, self.sampling())
    }

    /// Whether and how it samples, in words.
    pub(crate) fn sampling(self) -> String {
        if self.is_sampled { format!("sampled at {}", SAMPLE_BYTES.1) } else { "every".to_owned() }
    }

    /// The floor with the same probes.
    pub(crate) const fn floor(self) -> ProbeSet {
        match self.mode {
            Mode::Alloc => ProbeSet::E,
            Mode::Live => ProbeSet::L,
        }
    }

    /// How many times its floor it may cost: what the project asks of itself, not what is judged here.
    pub(crate) const fn bound(self) -> f64 {
        match (self.mode, self.is_sampled, self.walk) {
            (Mode::Alloc, false, Walk::FramePointers) => 1.35,
            // 1.6 times the row by frame pointers, if that is at its bound.
            (Mode::Alloc, false, Walk::Tables) => 1.6 * 1.35,
            (Mode::Alloc, false, Walk::TablesEachTime) => 2.5,
            (Mode::Alloc, true, _) => 1.08,
            (Mode::Live, false, _) => 1.40,
            (Mode::Live, true, _) => 1.10,
        }
    }
}
