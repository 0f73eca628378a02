//! The call sites: numbers, then the function that tells most, then its stack. What the list leaves out is
//! summed up in its last lines, so that the numbers always add up.

use std::cmp::Reverse;

use crate::model::snapshot::{CallSite, Dimension, Mode, Snapshot, Totals};
use crate::units::{Bytes, Count};
use crate::view::table::style::Style;
use crate::view::table::{grid, precision};
use crate::view::text::{Ink, wrap};
use crate::view::{frame, words};

/// Stacks beside the numbers need this much, else they go below.
const STACK_COLUMNS_MIN: usize = 64;
/// Lines of one stack; the rest is counted.
const STACK_LINES_MAX: usize = 12;
/// ` × 127`, after a frame that stands for several.
const REPEAT_COLUMNS: usize = 6;

/// The heading, the sites, and what is not listed.
pub(super) fn lines(snapshot: &Snapshot, dimension: Dimension, top: usize, style: Style) -> Vec<String> {
    let mut sites: Vec<&CallSite> = snapshot.sites.iter().filter(|site| site.value(dimension) > 0).collect();
    sites.sort_by_key(|site| Reverse((site.value(dimension), site.alloc_bytes)));
    let listed = &sites[..top.min(sites.len())];
    let sums = Sums::new(snapshot, dimension, listed);
    let name = words::dimension(dimension);
    let heading = format!("CALL SITES by {name}: {} of {}", listed.len(), Count(snapshot.sites.len() as u64));
    let mut lines = vec![style.paint(Ink::Strong, &heading)];
    if listed.is_empty() {
        lines.push(format!("  no call site has {name}"));
    } else {
        lines.extend(rows(snapshot, listed, dimension, &sums, style));
    }
    lines.extend(sums.rest(dimension).iter().flat_map(|text| wrap(text, style.width)));
    lines
}

/// What the listed sites, all sites and the targets add up to.
struct Sums {
    targets: u64,
    sites: u64,
    unlisted: u64,
    unlisted_count: usize,
    idle_count: usize,
    estimated: bool,
}

impl Sums {
    fn new(snapshot: &Snapshot, dimension: Dimension, listed: &[&CallSite]) -> Self {
        let sites: u64 = snapshot.sites.iter().map(|site| site.value(dimension)).sum();
        let shown: u64 = listed.iter().map(|site| site.value(dimension)).sum();
        let idle_count = snapshot.sites.iter().filter(|site| site.value(dimension) == 0).count();
        let of_target = |totals: &Totals| match dimension {
            Dimension::InuseSpace => totals.inuse_bytes.unwrap_or(0),
            Dimension::InuseObjects => totals.inuse_objects.unwrap_or(0),
            Dimension::AllocSpace => totals.alloc_bytes,
            Dimension::AllocObjects => totals.alloc_objects,
        };
        Self {
            targets: snapshot.targets.iter().map(|target| of_target(&target.totals)).sum(),
            sites,
            unlisted: sites - shown,
            unlisted_count: snapshot.sites.len() - idle_count - listed.len(),
            idle_count,
            estimated: snapshot.is_sampled(),
        }
    }

    fn share(&self, value: u64) -> String {
        let whole = self.targets.max(self.sites);
        if whole == 0 { "-".to_owned() } else { format!("{:.1}%", value as f64 / whole as f64 * 100.0) }
    }

    fn rest(&self, dimension: Dimension) -> Vec<String> {
        let name = words::dimension(dimension);
        let mut lines = Vec::new();
        if self.unlisted_count > 0 {
            let amount = amount(dimension, self.unlisted);
            lines.push(format!(
                "{} with {amount} ({}): --top N lists more, --format json all",
                more(self.unlisted_count),
                self.share(self.unlisted)
            ));
        }
        if self.idle_count > 0 {
            lines.push(format!("{} without {name}", more(self.idle_count)));
        }
        if !self.estimated && self.targets > self.sites {
            let (amount, share) =
                (amount(dimension, self.targets - self.sites), self.share(self.targets - self.sites));
            lines
                .push(format!("in none of these sites: {amount} ({share}), filtered out or without a stack"));
        }
        lines
    }
}

fn more(sites: usize) -> String {
    format!("{} more {}", Count(sites as u64), if sites == 1 { "site" } else { "sites" })
}

fn amount(dimension: Dimension, value: u64) -> String {
    match dimension {
        Dimension::InuseSpace => format!("{} in use", Bytes(value)),
        Dimension::AllocSpace => format!("{} allocated", Bytes(value)),
        Dimension::InuseObjects => format!("{} objects in use", Count(value)),
        Dimension::AllocObjects => format!("{} allocations", Count(value)),
    }
}

fn rows(
    snapshot: &Snapshot,
    listed: &[&CallSite],
    dimension: Dimension,
    sums: &Sums,
    style: Style,
) -> Vec<String> {
    let columns = Columns {
        dimension,
        live: snapshot.mode == Mode::Live,
        pids: snapshot.targets.len() > 1,
        errors: listed.iter().any(|site| precision::is_estimate(site, dimension)),
    };
    let cells = |precision: fn(&CallSite, Dimension) -> String| -> Vec<Vec<String>> {
        listed.iter().zip(1..).map(|(site, rank)| columns.cells(rank, site, sums, precision)).collect()
    };
    let ranges = cells(precision::with_range);
    let fit = cells_width(&columns.header(), &ranges) <= style.width;
    let cells = if fit { ranges } else { cells(precision::with_mark) };
    let mut numbers = grid(&columns.header(), &cells, false).into_iter();
    let mut lines = Vec::new();
    let width = cells_width(&columns.header(), &cells);
    let beside = style.width.saturating_sub(width + 2) >= STACK_COLUMNS_MIN;
    let header = numbers.next().unwrap_or_default();
    lines
        .push(style.paint(Ink::Faint, &if beside { format!("{header:width$}  CALL STACK") } else { header }));
    let indent = if beside { width + 2 } else { 4 };
    for (site, numbers) in listed.iter().zip(numbers) {
        let mut stack = stack(site, style.width - indent, style).into_iter();
        if beside {
            lines.push(format!("{numbers:width$}  {}", stack.next().unwrap_or_default()));
        } else {
            lines.push(numbers);
        }
        lines.extend(stack.map(|line| format!("{:indent$}{line}", "")));
    }
    lines
}

fn cells_width(header: &[String], rows: &[Vec<String>]) -> usize {
    let widest = |at: usize, title: &String| {
        let cells = rows.iter().map(|row| frame::columns(&row[at]));
        cells.chain([frame::columns(title)]).max().unwrap_or(0)
    };
    header.iter().enumerate().map(|(at, title)| widest(at, title) + 2).sum::<usize>() - 2
}

/// Which columns there are.
struct Columns {
    dimension: Dimension,
    live: bool,
    pids: bool,
    errors: bool,
}

impl Columns {
    fn header(&self) -> Vec<String> {
        let mark = |title: &str, dimension| {
            // The sign says what sorts, also without colour.
            if dimension == self.dimension { format!("▼{title}") } else { title.to_owned() }
        };
        let mut header = vec!["#".to_owned()];
        header.extend(self.pids.then(|| "PID".to_owned()));
        if self.live {
            header.extend([mark("IN USE", Dimension::InuseSpace), mark("OBJECTS", Dimension::InuseObjects)]);
        }
        header.extend([mark("ALLOCATED", Dimension::AllocSpace), mark("ALLOCS", Dimension::AllocObjects)]);
        header.push("SHARE".to_owned());
        header.extend(self.errors.then(|| "±".to_owned()));
        header.extend(self.live.then(|| "OLDEST".to_owned()));
        header
    }

    fn cells(
        &self,
        rank: usize,
        site: &CallSite,
        sums: &Sums,
        precision: fn(&CallSite, Dimension) -> String,
    ) -> Vec<String> {
        let dash = || "-".to_owned();
        let mut cells = vec![rank.to_string()];
        cells.extend(self.pids.then(|| site.pid.to_string()));
        if self.live {
            cells.push(site.inuse_bytes.map_or_else(dash, |bytes| Bytes(bytes).to_string()));
            cells.push(site.inuse_objects.map_or_else(dash, |objects| Count(objects).to_string()));
        }
        cells.extend([Bytes(site.alloc_bytes).to_string(), Count(site.alloc_objects).to_string()]);
        cells.push(sums.share(site.value(self.dimension)));
        cells.extend(self.errors.then(|| precision(site, self.dimension)));
        cells.extend(self.live.then(|| site.oldest_seconds.map_or_else(dash, frame::age)));
        cells
    }
}

/// The telling frame, then what it calls to allocate (`via`), then its callers, outwards.
fn stack(site: &CallSite, width: usize, style: Style) -> Vec<String> {
    let cut = site.truncated.as_deref().map(words::truncated);
    let Some(telling) = frame::telling(&site.frames) else {
        return wrap(&format!("[no stack: {}]", cut.unwrap_or("unknown")), width);
    };
    let mut lines = vec![style.paint(Ink::Strong, &frame::line(&site.frames[telling], width))];
    let via = site.frames[..telling]
        .iter()
        .rev()
        .map(|one| format!("  via {}", frame::line(one, width - 6 - REPEAT_COLUMNS)));
    let callers = site.frames[telling + 1..]
        .iter()
        .map(|one| format!("  {}", frame::line(one, width - 2 - REPEAT_COLUMNS)));
    let mut rest = folded(via.chain(callers));
    if rest.len() > STACK_LINES_MAX {
        // The first callers say what happens, the last one in which thread.
        let outermost = rest.split_off(rest.len() - 1);
        let hidden = rest.len() - (STACK_LINES_MAX - 2);
        rest.truncate(STACK_LINES_MAX - 2);
        rest.push(format!("  … {hidden} frames, see --format json"));
        rest.extend(outermost);
    }
    if let Some(cut) = cut {
        rest.extend(
            wrap(&format!("[cut here: {cut}]"), width - 2).into_iter().map(|line| format!("  {line}")),
        );
    }
    lines.extend(rest.iter().map(|line| style.paint(Ink::Faint, line)));
    lines
}

/// Equal neighbours, as recursion makes them, as one line with their number.
fn folded(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut folded: Vec<(String, usize)> = Vec::new();
    for line in lines {
        match folded.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => folded.push((line, 1)),
        }
    }
    folded
        .into_iter()
        .map(|(line, count)| if count > 1 { format!("{line} × {count}") } else { line })
        .collect()
}
