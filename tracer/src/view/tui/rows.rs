//! The lines of the list of sites: a site each, or a group of them with their sums.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::names::FunctionId;
use super::picture::{Numbers, Picture};
use crate::model::snapshot::{CallSite, Dimension, TREND_POINTS};
use crate::view::table::precision;

/// Sites are high that together hold this share.
const HIGH_SHARE: f64 = 0.8;

/// What a row stands for, the same in every snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// By [`CallSite::id`].
    Site(u32),
    Function(FunctionId),
    /// By the hash of its name.
    Module(u64),
    /// By the hash of its name.
    Thread(u64),
    /// Sites without a stack.
    Nothing,
}

/// What sites are put together by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Grouping {
    #[default]
    None,
    Function,
    Module,
    Thread,
}

/// In which numbers a row is among the largest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum High {
    #[default]
    None,
    Objects,
    Bytes,
    Both,
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    pub(super) key: Key,
    /// The site; of a group its first.
    pub(super) site: &'a CallSite,
    /// Of a group.
    pub(super) members: Vec<&'a CallSite>,
    pub(super) now: Numbers,
    /// As they are, or what they have changed by.
    pub(super) shown: Numbers,
    /// Allocated bytes per second.
    pub(super) bytes_rate: f64,
    /// Allocations per second.
    pub(super) objects_rate: f64,
    /// In-use bytes of a minute.
    pub(super) growth: Option<i64>,
    /// Age in seconds of the oldest live block.
    pub(super) oldest: Option<f64>,
    /// Of the number whose precision is asked for: the square of its standard error, of a change at most.
    pub(super) variance: f64,
    /// The samples that it was estimated from are too few for that to say much.
    pub(super) has_few_samples: bool,
    /// The baseline does not have it.
    pub(super) is_new: bool,
    pub(super) high: High,
}

/// All rows, in no order. `precise` is the number whose error is wanted.
pub(super) fn rows<'a>(
    picture: &Picture<'a>,
    grouping: Grouping,
    inside: Option<(Grouping, Key)>,
    precise: Dimension,
) -> Vec<Row<'a>> {
    let wanted =
        |site: &&CallSite| inside.is_none_or(|(grouping, key)| key_of(picture, grouping, site) == key);
    let mut rows = collected(picture, grouping, precise, picture.sites().filter(wanted));
    let bounds = if picture.filter.is_some() || inside.is_some() {
        // What is high does not depend on what is searched for.
        let whole = Picture { filter: None, ..*picture };
        bounds(picture, &collected(&whole, grouping, precise, whole.sites()))
    } else {
        bounds(picture, &rows)
    };
    for row in &mut rows {
        row.high = high(picture, row, bounds);
    }
    rows
}

/// Which row a site is in.
pub(super) fn key_of(picture: &Picture<'_>, grouping: Grouping, site: &CallSite) -> Key {
    let telling = || picture.names.of(site).and_then(|stack| stack.telling.map(|at| stack.functions[at]));
    match grouping {
        Grouping::None => Key::Site(site.id),
        Grouping::Function => telling().map_or(Key::Nothing, Key::Function),
        Grouping::Module => {
            telling().map_or(Key::Nothing, |id| Key::Module(hash(&picture.names.function(id).module)))
        }
        Grouping::Thread => site.thread.as_deref().map_or(Key::Nothing, |thread| Key::Thread(hash(thread))),
    }
}

impl<'a> Row<'a> {
    fn new(picture: &Picture<'a>, key: Key, site: &'a CallSite, precise: Dimension) -> Self {
        let now = Numbers::of(site);
        let mean = |count: u64| {
            let seconds = picture.snapshot.attached_seconds;
            if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
        };
        let (bytes_rate, objects_rate) = site.recent.as_ref().map_or_else(
            || (mean(site.alloc_bytes), mean(site.alloc_objects)),
            |recent| (recent.alloc_bytes_per_second, recent.alloc_objects_per_second),
        );
        Self {
            key,
            site,
            members: Vec::new(),
            now,
            shown: picture.numbers(site),
            bytes_rate,
            objects_rate,
            growth: site.recent.as_ref().and_then(|recent| recent.growth_bytes),
            oldest: site.oldest_seconds,
            variance: precision::error(site, precise).powi(2)
                + picture.baseline.map_or(0.0, |baseline| baseline.error(site, precise).powi(2)),
            has_few_samples: precision::has_few_samples(site, precise),
            is_new: picture.baseline.is_some_and(|baseline| baseline.numbers(site).is_none()),
            high: High::None,
        }
    }

    fn add(&mut self, other: &Self) {
        self.now = self.now + other.now;
        self.shown = self.shown + other.shown;
        self.bytes_rate += other.bytes_rate;
        self.objects_rate += other.objects_rate;
        self.growth = match (self.growth, other.growth) {
            (Some(one), Some(more)) => Some(one.saturating_add(more)),
            (one, more) => one.or(more),
        };
        self.oldest = match (self.oldest, other.oldest) {
            (Some(one), Some(more)) => Some(one.max(more)),
            (one, more) => one.or(more),
        };
        self.variance += other.variance;
        self.has_few_samples &= other.has_few_samples;
        self.is_new &= other.is_new;
    }

    /// In-use bytes (mode `alloc`: bytes per second) of the last minute, the newest last.
    pub(super) fn trend(&self) -> Vec<u64> {
        if self.members.is_empty() {
            return self.site.recent.as_ref().map_or_else(Vec::new, |recent| recent.trend.to_vec());
        }
        let mut sums = [0_u64; TREND_POINTS];
        let mut longest = 0;
        for recent in self.members.iter().filter_map(|site| site.recent.as_ref()) {
            longest = longest.max(recent.trend.len().min(TREND_POINTS));
            for (sum, point) in sums.iter_mut().rev().zip(recent.trend.iter().rev()) {
                *sum = sum.saturating_add(*point);
            }
        }
        sums[TREND_POINTS - longest..].to_vec()
    }

    /// Bytes per object: of what is in use, where that is not known of what was allocated.
    pub(super) fn average_bytes(&self, is_live: bool) -> Option<f64> {
        let Numbers { inuse_bytes, inuse_objects, alloc_bytes, alloc_objects } = self.now;
        let (bytes, objects) =
            if is_live { (inuse_bytes, inuse_objects) } else { (alloc_bytes, alloc_objects) };
        (objects > 0).then(|| bytes as f64 / objects as f64)
    }
}

/// The sum of all rows, if there are any.
pub(super) fn total<'a>(rows: &[Row<'a>]) -> Option<Row<'a>> {
    let (first, rest) = rows.split_first()?;
    let mut total = Row { members: Vec::new(), high: High::None, ..first.clone() };
    rest.iter().for_each(|row| total.add(row));
    Some(total)
}

fn collected<'a>(
    picture: &Picture<'a>,
    grouping: Grouping,
    precise: Dimension,
    sites: impl Iterator<Item = &'a CallSite>,
) -> Vec<Row<'a>> {
    let row = |site| Row::new(picture, key_of(picture, grouping, site), site, precise);
    if grouping == Grouping::None {
        return sites.map(row).collect();
    }
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut rows: Vec<Row<'a>> = Vec::new();
    for row in sites.map(row) {
        let place = *places.entry(row.key).or_insert(rows.len());
        let member = row.site;
        if place == rows.len() {
            rows.push(row);
        } else {
            rows[place].add(&row);
        }
        rows[place].members.push(member);
    }
    rows
}

/// The least bytes and objects of the rows that are high.
fn bounds(picture: &Picture<'_>, rows: &[Row<'_>]) -> [i64; 2] {
    high_dimensions(picture).map(|dimension| {
        let mut values: Vec<i64> =
            rows.iter().map(|row| row.shown.value(dimension)).filter(|&value| value > 0).collect();
        values.sort_unstable_by(|one, other| other.cmp(one));
        let whole: f64 = values.iter().map(|&value| value as f64).sum();
        let mut sum = 0.0;
        let last = values.iter().find(|&&value| {
            sum += value as f64;
            sum >= whole * HIGH_SHARE
        });
        last.copied().unwrap_or(i64::MAX)
    })
}

fn high(picture: &Picture<'_>, row: &Row<'_>, bounds: [i64; 2]) -> High {
    let [bytes, objects] = high_dimensions(picture).map(|dimension| row.shown.value(dimension));
    match (bytes >= bounds[0], objects >= bounds[1]) {
        (true, true) => High::Both,
        (true, false) => High::Bytes,
        (false, true) => High::Objects,
        (false, false) => High::None,
    }
}

fn high_dimensions(picture: &Picture<'_>) -> [Dimension; 2] {
    if picture.is_live() {
        [Dimension::InuseSpace, Dimension::InuseObjects]
    } else {
        [Dimension::AllocSpace, Dimension::AllocObjects]
    }
}

/// The same in every snapshot of a run.
fn hash(text: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(text)
}
