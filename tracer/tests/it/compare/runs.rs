//! Runs of a program with many call sites, as documents in a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tracer::model::snapshot::{CallSite, Frame, Mode, Snapshot, Verdict};
use tracer::view::json;

use crate::data;

/// Call sites of the program; the n-th allocates `10_000 + 500 n` objects in a run.
pub(super) const SITES: u64 = 40;
/// The call site that is planted in, by its number.
pub(super) const PLANTED: u64 = 17;
/// Seconds of each run.
pub(super) const SECONDS: f64 = 60.0;

/// A release: what its documents have.
#[derive(Clone, Copy)]
pub(super) struct Release {
    pub(super) runs: u32,
    /// The planted site allocates so many times as much.
    pub(super) planted: f64,
    /// Bytes of each of its objects; those of all other sites have 64.
    pub(super) planted_bytes: u64,
    pub(super) mode: Mode,
    /// Lines that the file is longer above its functions.
    pub(super) moved: u32,
}

impl Default for Release {
    fn default() -> Self {
        Self { runs: 5, planted: 1.0, planted_bytes: 64, mode: Mode::Live, moved: 0 }
    }
}

/// Two releases in their folders, `base` and `canary`.
pub(super) struct Pair(TempDir);

impl Pair {
    pub(super) fn new(base: Release, canary: Release) -> Self {
        let pair = Self(tempfile::tempdir().expect("a folder"));
        for (folder, release, first) in [(pair.base(), base, 100), (pair.canary(), canary, 200)] {
            fs::create_dir(&folder).expect("a folder");
            for run in 0..release.runs {
                write(&folder.join(format!("run-{run}.json")), &document(release, first + run));
            }
        }
        pair
    }

    pub(super) fn base(&self) -> PathBuf {
        self.0.path().join("base")
    }

    pub(super) fn canary(&self) -> PathBuf {
        self.0.path().join("canary")
    }

    /// Where a test may write.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

pub(super) fn write(path: &Path, snapshot: &Snapshot) {
    let mut text = Vec::new();
    json::write(snapshot, &mut text).expect("memory is writable");
    fs::write(path, text).expect("the folder is writable");
}

/// A run: half a percent of difference to the next one in each site, the same for the same pid.
pub(super) fn document(release: Release, pid: u32) -> Snapshot {
    let bytes = fs::read(data("small.json")).expect("the document is kept beside the tests");
    let mut snapshot = json::read(&mut bytes.as_slice()).expect("a document of this schema");
    let mut site = snapshot.sites[0].clone();
    assert_eq!(snapshot.quality.verdict, Verdict::Exact);
    (snapshot.attached_seconds, snapshot.mode) = (SECONDS, release.mode);
    // The canary's runs are of another hour.
    let hour = jiff::SignedDuration::from_hours(i64::from(pid / 100));
    snapshot.started_at = snapshot.started_at.checked_add(hour).expect("a time");
    site.pid = pid;
    snapshot.sites = (0..SITES).map(|number| one(&site, release, number, pid)).collect();
    let sum = |of: fn(&CallSite) -> u64| snapshot.sites.iter().map(of).sum();
    let target = &mut snapshot.targets[0];
    (target.pid, target.start_time, target.cpu_seconds) = (pid, u64::from(pid), SECONDS / 2.0);
    (target.totals.alloc_objects, target.totals.alloc_bytes) =
        (sum(|site| site.alloc_objects), sum(|site| site.alloc_bytes));
    let inuse = sum(|site| site.inuse_bytes.unwrap_or(0));
    target.totals.inuse_bytes = (release.mode == Mode::Live).then_some(inuse);
    snapshot
}

fn one(site: &CallSite, release: Release, number: u64, pid: u32) -> CallSite {
    let mixed = (u64::from(pid) * 7919 + number * 104_729) % 1009;
    let jitter = 1.0 + (mixed as f64 / 1009.0 - 0.5) * 0.01;
    let planted = if number == PLANTED { release.planted } else { 1.0 };
    let objects = ((10_000 + 500 * number) as f64 * jitter * planted).round() as u64;
    let bytes = if number == PLANTED { release.planted_bytes } else { 64 };
    let is_live = release.mode == Mode::Live;
    let mut site = site.clone();
    (site.id, site.samples) = (number as u32, objects);
    (site.alloc_objects, site.alloc_bytes) = (objects, objects * bytes);
    (site.inuse_objects, site.inuse_bytes) =
        (is_live.then_some(objects / 100), is_live.then_some(objects / 100 * bytes));
    site.free_objects = is_live.then_some(objects - objects / 100);
    let frame = |function: String, line: u32| {
        let mut model = Frame::clone(&site.frames[0]);
        if release.moved > 0 {
            model.build_id = Some("ab".repeat(20));
        }
        Arc::new(Frame { function: Some(function), line: Some(line + release.moved), ..model })
    };
    site.frames = [frame(format!("handle_{number}"), 40 + number as u32), frame("main".to_owned(), 9)].into();
    site
}
