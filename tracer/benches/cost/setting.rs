//! How tracer is called, and what the project asks of it there.

use tracer::mode::Mode;

use crate::floor::ProbeSet;

/// Mean bytes between samples, as an argument and in words.
const SAMPLE_BYTES: (&str, &str) = ("512KiB", "512 KiB");

/// One way to call tracer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// What is traced.
    pub(crate) mode: Mode,
    /// Whether a mean of bytes lies between samples; else every allocation counts.
    pub(crate) is_sampled: bool,
    /// Call stacks kept apart, where the default is too few.
    pub(crate) max_stacks: Option<u32>,
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
        Self { mode, is_sampled, max_stacks: None }
    }

    /// With room for so many stacks.
    pub(crate) const fn with_stacks(self, max_stacks: u32) -> Self {
        Self { max_stacks: Some(max_stacks), ..self }
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
        words
    }

    /// In words.
    pub(crate) fn name(self) -> String {
        format!("mode {}, {}", self.mode, self.sampling())
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
        match (self.mode, self.is_sampled) {
            (Mode::Alloc, false) => 1.35,
            (Mode::Alloc, true) => 1.08,
            (Mode::Live, false) => 1.40,
            (Mode::Live, true) => 1.10,
        }
    }
}
