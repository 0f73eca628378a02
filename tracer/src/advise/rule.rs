//! What a rule is made of: which groups it is about, what they must have, and what to say.

use serde::Serialize;

use super::context::Context;
use super::group::Group;
use crate::units::{Bytes, Count};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// A map of Go that the function itself makes or fills.
    Map,
    /// A map that Go's library makes or fills for the function.
    LibraryMap,
    /// Perhaps a map: an object of Go that is as large as a map's header, in a profile without the runtime's frames.
    MaybeMap,
    /// A map or another object that `sync.Pool` had none of.
    Pool,
    /// `append` to a full slice of Go.
    SliceGrowth,
    /// `bytes.Buffer` or `strings.Builder` that was full.
    BufferGrowth,
    /// Between string and `[]byte` or `[]rune`.
    Conversion,
    /// Strings that are put together.
    Concat,
    /// `fmt` and `strconv`.
    Format,
    /// Other functions of Go's `strings`.
    Text,
    /// A regular expression or a template out of its source.
    Compiled,
    /// A buffered reader or writer, or one that compresses.
    Stream,
    /// A value that becomes an interface.
    Boxing,
    /// `make` of a slice of Go.
    Slice,
    /// Any object of Go that the function itself makes.
    Object,
    /// What Go's library makes for the function.
    Library,
    /// `realloc`.
    Realloc,
    /// A container of C++ or Rust that was full.
    ContainerGrowth,
    /// Any other allocation.
    Other,
}

/// The language of the function that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// C, or none that can be told.
    C,
    /// C++.
    Cpp,
    /// Go.
    Go,
    /// Rust.
    Rust,
}

/// How sure an advice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// A guess: look at the source before anything is changed.
    Possible,
    /// The numbers fit; what they cannot say is said.
    Likely,
    /// The stacks say it.
    Certain,
}

impl Certainty {
    /// One step less.
    #[must_use]
    pub const fn less(self) -> Self {
        match self {
            Self::Certain => Self::Likely,
            Self::Likely | Self::Possible => Self::Possible,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Possible => "possible",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// What ranks advice: the share of the process's allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Of the objects.
    Objects,
    /// Of the bytes.
    Bytes,
    /// Whichever is larger.
    #[default]
    Both,
}

/// What a group must have for a rule to ask further. Lower ends of intervals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Floor {
    /// So many objects a second, or
    pub objects_per_second: f64,
    /// so many bytes a second. Neither is asked of a profile without a duration.
    pub bytes_per_second: f64,
    /// And that share of the process's objects or bytes.
    pub share: f64,
    /// And so many objects in all: what happened once is no pattern.
    pub objects: f64,
}

/// What else must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Need {
    /// Mean bytes of an object.
    MeanAtMost(f64),
    /// Share of the allocated objects that is in use.
    KeptAtMost(f64),
    /// First, sized and larger buckets or groups, for each map's header.
    FilledAtMost(f64),
    /// The same, at least.
    FilledAtLeast(f64),
    /// First buckets or groups of maps that other functions fill, for each map that this one makes.
    FilledElsewhereAtMost(f64),
    /// The same, at least.
    FilledElsewhereAtLeast(f64),
    /// Share of the map's bytes that growing took.
    GrownAtLeast(f64),
    /// The same, at most.
    GrownAtMost(f64),
    /// Share of the maps that were asked for with a size.
    SizedAtLeast(f64),
    /// The same, at most.
    SizedAtMost(f64),
    /// Mean bytes of a map with all that it has.
    MapBytesAtLeast(f64),
    /// It makes maps, and does not only fill them.
    MakesMaps,
    /// It makes so many itself at least: what grows is more than one map that stays.
    MakesManyMaps(f64),
}

/// A fix in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixText {
    /// What kind of fix: `return-nil`.
    pub name: &'static str,
    /// In which language; `None` in any that no other text is for.
    pub language: Option<Language>,
    /// What to do.
    pub text: &'static str,
}

/// A further fix, where it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alternative {
    /// When.
    pub needs: &'static [Need],
    /// What.
    pub fix: FixText,
}

/// A pattern, how it is known, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Its name, for machines and for the documentation.
    pub name: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// Groups that it is about.
    pub families: &'static [Family],
    /// How much of it there must be.
    pub floor: Floor,
    /// What else must hold.
    pub needs: &'static [Need],
    /// How sure it is.
    pub certainty: Certainty,
    /// What it does not know.
    pub unknown: &'static str,
    /// What it costs.
    pub why: &'static str,
    /// The fix that fits best, by language.
    pub fixes: &'static [FixText],
    /// Others.
    pub alternatives: &'static [Alternative],
}

impl Rule {
    pub(super) fn holds(&self, group: &Group, context: &Context) -> bool {
        self.families.contains(&group.family) && self.unmet(group, context).is_none()
    }

    /// What is missing, in words.
    pub(super) fn unmet(&self, group: &Group, context: &Context) -> Option<String> {
        let floor = self.floor.unmet(group, context);
        floor.or_else(|| self.needs.iter().find_map(|need| need.unmet(group, context)))
    }

    pub(super) fn fix(&self, language: Language) -> Option<FixText> {
        let of = |wanted: Option<Language>| self.fixes.iter().find(|fix| fix.language == wanted);
        of(Some(language)).or_else(|| of(None)).or_else(|| self.fixes.first()).copied()
    }
}

/// With fewer samples of maps, none of a fill is no proof that there was none.
const SAMPLES_MIN: u64 = 10;

impl Floor {
    fn unmet(&self, group: &Group, context: &Context) -> Option<String> {
        let (objects, bytes) = (group.objects.least(), group.bytes.least());
        if objects < self.objects {
            return Some(format!(
                "{} objects, and a pattern has {} or more",
                Count(objects as u64),
                Count(self.objects as u64)
            ));
        }
        if let Some(seconds) = context.seconds_of(group)
            && objects < self.objects_per_second * seconds
            && bytes < self.bytes_per_second * seconds
        {
            let rates = format!(
                "{} allocations/s and {}/s",
                Count((objects / seconds) as u64),
                Bytes((bytes / seconds) as u64)
            );
            let bytes = Bytes(self.bytes_per_second as u64);
            return Some(if self.objects_per_second.is_finite() {
                let objects = Count(self.objects_per_second as u64);
                format!("{rates}: the rules ask for {objects} or {bytes}")
            } else {
                format!("{rates}: the rules ask for {bytes}/s")
            });
        }
        let share = context.least_share(group);
        (share < self.share).then(|| {
            format!(
                "{:.1} % of the process's allocations: the rules ask for {:.0} %",
                share * 100.0,
                self.share * 100.0
            )
        })
    }
}

impl Need {
    pub(super) fn unmet(self, group: &Group, context: &Context) -> Option<String> {
        let maps = &group.maps;
        let (is_met, why) = match self {
            Self::MeanAtMost(most) => {
                let mean = group.mean_bytes();
                (mean <= most, format!("objects of {} on average", Bytes(mean.round() as u64)))
            }
            Self::KeptAtMost(most) => match group.kept() {
                Some(kept) if kept > 1.0 => (false, "more is in use than was allocated meanwhile".to_owned()),
                Some(kept) => (kept <= most, format!("{:.1} % of them are still in use", kept * 100.0)),
                None => (false, "it is not known how long they live".to_owned()),
            },
            Self::FilledAtMost(_) if maps.made.variance > 0.0 && maps.made.samples < SAMPLES_MIN => {
                (false, "too few samples to tell whether these maps are filled".to_owned())
            }
            Self::FilledAtMost(most) => {
                (maps.filled_per_map() <= most, "most of these maps are filled".to_owned())
            }
            Self::FilledAtLeast(least) => {
                (maps.filled_per_map() >= least, "most of these maps stay empty".to_owned())
            }
            Self::FilledElsewhereAtMost(most) => (
                context.filled_elsewhere(group) <= most,
                "other functions fill maps that they have not made".to_owned(),
            ),
            Self::FilledElsewhereAtLeast(least) => (
                context.filled_elsewhere(group) >= least,
                "no other function fills maps that it has not made".to_owned(),
            ),
            Self::GrownAtLeast(least) => (maps.grown_ratio() >= least, "its maps do not grow".to_owned()),
            Self::GrownAtMost(most) => (maps.grown_ratio() <= most, "its maps grow".to_owned()),
            Self::SizedAtLeast(least) => {
                (maps.sized_ratio() >= least, "its maps are made without a size".to_owned())
            }
            Self::SizedAtMost(most) => {
                (maps.sized_ratio() <= most, "its maps are made with a size, and do not grow".to_owned())
            }
            Self::MapBytesAtLeast(least) => {
                let mean = maps.mean_bytes();
                (mean >= least, format!("maps of {} on average", Bytes(mean.round() as u64)))
            }
            Self::MakesManyMaps(least) => (
                maps.made.least() >= least,
                "it makes few maps itself: it may be one that stays and grows".to_owned(),
            ),
            Self::MakesMaps => (maps.made.value > 0.0, "it fills maps that others make".to_owned()),
        };
        (!is_met).then_some(why)
    }
}
