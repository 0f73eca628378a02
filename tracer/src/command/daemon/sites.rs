//! The call sites with metrics of their own, where the configuration asks for them: the top ones of each label set.
//!
//! A site is a line of code here: call stacks that allocate in the same line are one, and so are processes with the same
//! labels. Counters are sums of differences, as in the books of the whole processes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::model::node::{NodeTarget, Series, SiteSeries, TargetId};
use crate::model::snapshot::CallSite;
use crate::target::labels::LabelSet;
use crate::view::frame;

/// Of a process so many times more lines are looked at than are exported of its label set.
const LOOKED_AT: usize = 10;
/// Lines per label set whose counters are kept; what comes later is not exported.
const MAX_LINES: usize = 10_000;
/// Of a line's name: what a metric's label may reasonably have.
const NAME_COLUMNS: usize = 120;

/// A line of a process, or of a label set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Line {
    alloc_bytes: u64,
    inuse_bytes: Option<u64>,
}

/// Of all label sets.
#[derive(Debug, Default)]
pub(super) struct TopSites {
    /// Allocated in each line so far.
    counters: HashMap<LabelSet, BTreeMap<String, u64>>,
    /// The lines of each process at the last look.
    last: HashMap<TargetId, BTreeMap<String, Line>>,
    labels: HashMap<TargetId, LabelSet>,
}

impl TopSites {
    /// Takes a process's call sites at a look.
    pub(super) fn add(&mut self, target: &NodeTarget, sites: &[CallSite], top: usize) {
        let lines = lines(sites, top * LOOKED_AT);
        let counters = self.counters.entry(target.labels.clone()).or_default();
        let last = self.last.entry(target.id).or_default();
        for (name, line) in &lines {
            let before = last.get(name).map_or(0, |line| line.alloc_bytes);
            let added = line.alloc_bytes.saturating_sub(before);
            if counters.len() < MAX_LINES || counters.contains_key(name) {
                *counters.entry(name.clone()).or_insert(0) += added;
            }
        }
        // A line that is not among the first now goes on from where it was.
        for (name, line) in lines {
            last.insert(name, line);
        }
        self.labels.insert(target.id, target.labels.clone());
    }

    /// Gives each series its top lines, and forgets all processes that do not stay.
    pub(super) fn fill(&mut self, series: &mut [Series], stay: &HashSet<TargetId>, top: usize) {
        self.last.retain(|id, _| stay.contains(id));
        self.labels.retain(|id, _| stay.contains(id));
        let mut in_use: HashMap<(&LabelSet, &str), u64> = HashMap::new();
        for (id, lines) in &self.last {
            let Some(labels) = self.labels.get(id) else { continue };
            for (name, line) in lines {
                if let Some(bytes) = line.inuse_bytes {
                    *in_use.entry((labels, name)).or_default() += bytes;
                }
            }
        }
        for one in series.iter_mut() {
            let Some(counters) = self.counters.get(&one.labels) else { continue };
            let mut all: Vec<SiteSeries> = counters
                .iter()
                .map(|(name, &alloc_bytes)| SiteSeries {
                    site: name.clone(),
                    alloc_bytes,
                    inuse_bytes: in_use.get(&(&one.labels, name.as_str())).copied(),
                })
                .collect();
            all.sort_by_key(|site| Reverse((site.inuse_bytes.unwrap_or(0), site.alloc_bytes)));
            all.truncate(top);
            one.sites = all;
        }
        let shown: HashSet<&LabelSet> = series.iter().map(|one| &one.labels).collect();
        self.counters.retain(|labels, _| shown.contains(labels));
    }
}

/// The first lines of a process, by what they hold and what they have allocated.
fn lines(sites: &[CallSite], most: usize) -> BTreeMap<String, Line> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for site in sites.iter().filter(|site| !site.awaits_names()) {
        // Who allocates for others tells nothing: as in the table.
        let telling = frame::telling(&site.frames).and_then(|at| site.frames.get(at));
        let name = match telling {
            Some(frame) => frame::line(frame, NAME_COLUMNS),
            None => "[no stack]".to_owned(),
        };
        let line = lines.entry(name).or_default();
        line.alloc_bytes += site.alloc_bytes;
        line.inuse_bytes = site.inuse_bytes.map(|bytes| bytes + line.inuse_bytes.unwrap_or(0));
    }
    let mut all: Vec<(String, Line)> = lines.into_iter().collect();
    all.sort_by_key(|(_, line)| Reverse((line.inuse_bytes.unwrap_or(0), line.alloc_bytes)));
    all.truncate(most);
    all.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::frame::Frame;

    fn site(function: &str, alloc_bytes: u64, inuse_bytes: u64) -> CallSite {
        let caller = Frame { function: Some(function.to_owned()), ..Frame::default() };
        CallSite {
            alloc_bytes,
            inuse_bytes: Some(inuse_bytes),
            frames: [Arc::new(caller)].into(),
            ..CallSite::default()
        }
    }

    fn target(pid: u32, service: &str) -> NodeTarget {
        let labels = LabelSet { service: service.into(), ..LabelSet::default() };
        NodeTarget { id: TargetId { pid, start_time: 1 }, labels, ..NodeTarget::default() }
    }

    /// The lines of one label set after a look at these processes.
    fn look(top: &mut TopSites, targets: &[(NodeTarget, Vec<CallSite>)]) -> Vec<(String, u64, Option<u64>)> {
        for (target, sites) in targets {
            top.add(target, sites, 2);
        }
        let stay = targets.iter().map(|(target, _)| target.id).collect();
        let labels = LabelSet { service: "api".into(), ..LabelSet::default() };
        let mut series = [Series { labels, ..Series::default() }];
        top.fill(&mut series, &stay, 2);
        let [one] = series;
        one.sites.into_iter().map(|site| (site.site, site.alloc_bytes, site.inuse_bytes)).collect()
    }

    #[test]
    fn the_lines_that_hold_most_are_exported_and_processes_are_added_up() {
        let mut top = TopSites::default();
        let sites = vec![site("a", 100, 1), site("b", 10, 5), site("b", 10, 5), site("c", 1, 1)];
        let seen = look(&mut top, &[(target(1, "api"), sites.clone()), (target(2, "api"), sites)]);
        assert_eq!(seen, [("b".to_owned(), 40, Some(20)), ("a".to_owned(), 200, Some(2))]);
    }

    #[test]
    fn a_line_keeps_what_a_process_that_is_gone_has_allocated() {
        let mut top = TopSites::default();
        look(
            &mut top,
            &[(target(1, "api"), vec![site("a", 100, 50)]), (target(2, "api"), vec![site("a", 1, 1)])],
        );
        let seen = look(&mut top, &[(target(2, "api"), vec![site("a", 8, 2)])]);
        assert_eq!(seen, [("a".to_owned(), 108, Some(2))]);
    }
}
