//! What became of each call site since the baseline.

use std::collections::HashSet;

use super::picture::{Baseline, Numbers, Picture};
use crate::model::snapshot::{CallSite, Dimension};
use crate::view::frame;
use crate::view::table::precision;

/// What became of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    New,
    Grown,
    Same,
    Shrunk,
    Gone,
}

/// A site before and now.
#[derive(Clone, Debug)]
pub(super) struct Change<'a> {
    pub(super) site: &'a CallSite,
    pub(super) before: Numbers,
    pub(super) now: Numbers,
    pub(super) what: What,
    /// Of the change of bytes: its standard error, at most.
    pub(super) error: f64,
}

impl What {
    pub(super) const ALL: [Self; 5] = [Self::New, Self::Grown, Self::Shrunk, Self::Gone, Self::Same];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Grown => "grown",
            Self::Same => "same",
            Self::Shrunk => "shrunk",
            Self::Gone => "gone",
        }
    }

    fn of(before: Option<i64>, now: i64) -> Self {
        match (before, now) {
            (None, _) => Self::New,
            (Some(before), 0) if before > 0 => Self::Gone,
            (Some(before), now) => match now.cmp(&before) {
                std::cmp::Ordering::Greater => Self::Grown,
                std::cmp::Ordering::Equal => Self::Same,
                std::cmp::Ordering::Less => Self::Shrunk,
            },
        }
    }
}

/// Every site of both times.
pub(super) fn changes<'a>(picture: &Picture<'a>, baseline: &'a Baseline) -> Vec<Change<'a>> {
    let (bytes, _) = dimensions(picture);
    let mut changes: Vec<Change<'a>> = picture
        .sites()
        .map(|site| {
            let (before, now) = (baseline.numbers(site), Numbers::of(site));
            let mut what = What::of(before.map(|before| before.value(bytes)), now.value(bytes));
            if before.is_none() && now == Numbers::default() {
                what = What::Same;
            }
            let error = precision::error(site, bytes).hypot(baseline.error(site, bytes));
            Change { site, before: before.unwrap_or_default(), now, what, error }
        })
        .collect();
    let gone: Vec<Change<'a>> = gone(picture, baseline).collect();
    changes.extend(gone);
    changes
}

/// Sites that the baseline has and the snapshot has not.
fn gone<'a>(picture: &Picture<'a>, baseline: &'a Baseline) -> impl Iterator<Item = Change<'a>> {
    let here: HashSet<u32> = picture.snapshot.sites.iter().map(|site| site.id).collect();
    let (pid, filter, bytes) = (picture.pid, picture.filter, dimensions(picture).0);
    let finds = move |site: &CallSite| {
        filter.is_none_or(|filter| site.frames.iter().any(|one| filter.is_match(&frame::name(one))))
    };
    baseline
        .sites()
        .filter(move |site| !here.contains(&site.id) && pid.is_none_or(|pid| site.pid == pid) && finds(site))
        .map(move |site| Change {
            site,
            before: Numbers::of(site),
            now: Numbers::default(),
            what: What::Gone,
            error: precision::error(site, bytes),
        })
}

/// Bytes and objects that are compared.
pub(super) fn dimensions(picture: &Picture<'_>) -> (Dimension, Dimension) {
    if picture.is_live() {
        (Dimension::InuseSpace, Dimension::InuseObjects)
    } else {
        (Dimension::AllocSpace, Dimension::AllocObjects)
    }
}

/// Of what was before, with its sign.
pub(super) fn percent(before: i64, now: i64) -> String {
    match before {
        0 => "-".to_owned(),
        _ if now == before => "0%".to_owned(),
        _ => match (now - before) as f64 / before as f64 * 100.0 {
            percent if percent.abs() >= 9999.5 => ">9999%".to_owned(),
            percent if percent.abs() < 0.5 => format!("{percent:+.1}%"),
            percent => format!("{percent:+.0}%"),
        },
    }
}
