//! What `tracer advise` has found, as text and as JSON.

use std::io::{self, Write};

use crate::advise::{Advice, Fine, Report, Seen};
use crate::units::{Bytes, Count};
use crate::view::text::wrap;
use crate::view::{Format, Options, frame};

mod shown;

use shown::Shown;

/// Narrower than this the words do not fit.
const COLUMNS_MIN: usize = 72;
/// Where there is no terminal.
const COLUMNS_DEFAULT: usize = 120;
/// Groups that nothing is wrong with, where not all were asked for.
const FINE_SHOWN: usize = 5;

/// Writes the report as a table, or as the JSON document. Only a table with `is_all` has everything of the report that nothing is
/// wrong with.
///
/// # Errors
/// Only those of the writer.
pub fn write(
    format: Format,
    report: &Report,
    options: &Options,
    is_all: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut *out, report)?;
        return writeln!(out);
    }
    let width = options.width.map_or(COLUMNS_DEFAULT, usize::from).max(COLUMNS_MIN);
    let shown = Shown { width, colour: options.colour };
    let fine_most = if is_all { usize::MAX } else { FINE_SHOWN };
    for line in lines(report, options.top, fine_most, shown) {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn lines(report: &Report, top: usize, fine_most: usize, shown: Shown) -> Vec<String> {
    let mut lines = vec![head(report)];
    for target in &report.targets {
        let pid = if target.pid == 0 { "pid not known".to_owned() } else { format!("pid {}", target.pid) };
        lines.push(frame::printable(&format!("{} ({pid})  {}", target.comm, target.exe)));
    }
    lines.push(String::new());
    if report.advice.is_empty() {
        lines.extend(wrap(
            &format!("Nothing found that is worth a change. {}", looked_at(report)),
            shown.width,
        ));
    } else {
        let many = report.advice.len();
        let patterns = if many == 1 { "pattern" } else { "patterns" };
        let ranked = match report.by {
            crate::advise::By::Objects => "by its share of the objects",
            crate::advise::By::Bytes => "by its share of the bytes",
            crate::advise::By::Both => "by the larger of its shares of objects and bytes",
        };
        lines.push(shown.strong(&format!("{many} {patterns} worth fixing, {ranked}")));
    }
    for (advice, rank) in report.advice.iter().zip(1..).take(top) {
        lines.push(String::new());
        lines.extend(advice_lines(advice, rank, report, shown));
    }
    if report.advice.len() > top {
        lines.push(String::new());
        lines.push(format!("{} more: --top N lists more, --format json all", report.advice.len() - top));
    }
    lines.push(String::new());
    if !report.advice.is_empty() {
        lines.extend(shown.block("LOOKED AT", &looked_at(report)));
    }
    lines.extend(fine_lines(report, fine_most, shown));
    for note in &report.notes {
        lines.extend(shown.block("NOTE", note));
    }
    lines
}

fn head(report: &Report) -> String {
    let seconds = report.seconds.map_or_else(|| "no duration".to_owned(), frame::age);
    let sampled = if report.is_sampled { "estimated from samples" } else { "every allocation" };
    format!("tracer {} · advise · {seconds} · {sampled}", report.tool.version)
}

fn looked_at(report: &Report) -> String {
    let at = &report.looked_at;
    let of = |name: &str, rate: String| if rate.is_empty() { String::new() } else { format!("{name}{rate}") };
    let rate = report.seconds.map(|seconds| format!("{}/s", Count((at.objects as f64 / seconds) as u64)));
    let families: Vec<String> = at
        .families
        .iter()
        .map(|(family, sites)| format!("{} {}", shown::family(*family), Count(*sites)))
        .collect();
    format!(
        "{} call sites of {} functions were looked at, {} allocations of {}{}; call sites by what they ask for: {}.",
        Count(at.sites),
        Count(at.functions),
        Count(at.objects),
        Bytes(at.bytes),
        of(", ", rate.unwrap_or_default()),
        if families.is_empty() { "none".to_owned() } else { families.join(", ") },
    )
}

fn advice_lines(advice: &Advice, rank: usize, report: &Report, shown: Shown) -> Vec<String> {
    let seen = &advice.seen;
    let mut head = format!("{rank}. {}: {}", frame::printable(&advice.function), advice.title);
    if report.targets.len() > 1 {
        head.push_str(&format!(" (pid {})", advice.pid));
    }
    let mut lines = vec![shown.strong(&head)];
    lines.extend(shown.block("where", &place(advice)));
    lines.extend(shown.block("seen", &seen_words(seen, advice)));
    if let Some(maps) = &advice.maps {
        let text = format!(
            "{} maps made, {} each with all that was made for it; {} with a size, {} first filled, {} growths ({:.0} % of the bytes)",
            Count(maps.made),
            Bytes(maps.mean_bytes.round() as u64),
            Count(maps.sized),
            Count(maps.first_filled),
            Count(maps.grown),
            maps.grown_ratio * 100.0
        );
        lines.extend(shown.block("maps", &text));
    }
    lines.extend(shown.block("why", advice.why));
    lines.extend(shown.block("fix", &format!("{}: {}", advice.fix.name, advice.fix.text)));
    for other in &advice.alternatives {
        lines.extend(shown.block("or", &format!("{}: {}", other.name, other.text)));
    }
    let sure = format!("{}; not known: {} (rule {})", advice.certainty.name(), advice.unknown, advice.rule);
    lines.extend(shown.block("sure", &sure));
    lines
}

fn place(advice: &Advice) -> String {
    let mut place = match (&advice.file, advice.line) {
        (Some(file), Some(line)) => format!("{}:{line}", frame::printable(file)),
        (Some(file), None) => frame::printable(file),
        (None, _) => "file and line are not known".to_owned(),
    };
    let others: Vec<String> =
        advice.lines.iter().filter(|&&line| Some(line) != advice.line).map(ToString::to_string).collect();
    if !others.is_empty() {
        place.push_str(&format!(" (also lines {})", others.join(", ")));
    }
    if let Some(via) = &advice.via {
        place.push_str(&format!(", through {}", frame::printable(via)));
    }
    place
}

fn seen_words(seen: &Seen, advice: &Advice) -> String {
    let mut words = Vec::new();
    match (seen.objects_per_second, seen.bytes_per_second) {
        (Some(objects), Some(bytes)) => {
            words.push(format!(
                "{} objects/s, {}/s",
                Count(objects.round() as u64),
                Bytes(bytes.round() as u64)
            ));
        }
        _ => words.push(format!("{} objects, {}", Count(seen.objects), Bytes(seen.bytes))),
    }
    if let (Some(least), Some(rate)) = (seen.least_objects_per_second, seen.objects_per_second)
        && least < rate * 0.995
    {
        words.push(format!("at least {} objects/s (95 %)", Count(least as u64)));
    }
    words.push(shares(seen));
    words.push(format!("{} on average", Bytes(seen.mean_bytes.round() as u64)));
    words.push(match seen.kept_ratio {
        Some(kept) if kept > 1.0 => "more in use than was allocated meanwhile".to_owned(),
        Some(kept) => format!("{:.1} % still in use", kept * 100.0),
        None => "how long they live is not known".to_owned(),
    });
    if advice.sites > 1 {
        words.push(format!("{} call sites", Count(advice.sites)));
    }
    words.join(" · ")
}

fn shares(seen: &Seen) -> String {
    format!(
        "{:.1} % of the objects, {:.1} % of the bytes",
        seen.objects_share * 100.0,
        seen.bytes_share * 100.0
    )
}

fn fine_lines(report: &Report, most: usize, shown: Shown) -> Vec<String> {
    let one = |fine: &Fine| {
        let line = fine.line.map_or_else(String::new, |line| format!(":{line}"));
        format!(
            "{}{line} ({}): {}: {}",
            frame::printable(&fine.function),
            shown::family(fine.family),
            shares(&fine.seen),
            fine.why
        )
    };
    let mut lines: Vec<String> =
        report.fine.iter().take(most).flat_map(|fine| shown.block("FINE", &one(fine))).collect();
    let more = (report.fine.len().saturating_sub(most) as u64).saturating_add(report.fine_unlisted);
    if more > 0 {
        lines.extend(shown.block("", &format!("and {} more, --all lists them", Count(more))));
    }
    lines
}
