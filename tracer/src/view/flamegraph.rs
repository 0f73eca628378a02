//! Folded stacks (`root;…;leaf weight`) and the flamegraph made of them. A stack that is cut starts with
//! `[reason]`, so that it is never taken for a whole one; with several targets `comm-pid` comes first.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use inferno::flamegraph::{self, color};

use crate::model::snapshot::{CallSite, Dimension, Snapshot, Target};
use crate::view::{frame, known, words};

/// Writes one line per stack, sorted, stacks without weight left out. Estimates are said to be such in a comment,
/// the last line, which readers of the format skip: it does not end with a number.
///
/// # Errors
/// Only those of the writer.
pub fn write_folded(snapshot: &Snapshot, dimension: Dimension, out: &mut dyn Write) -> io::Result<()> {
    for (stack, weight) in fold(snapshot, known(snapshot.mode, dimension)) {
        writeln!(out, "{stack} {weight}")?;
    }
    if snapshot.is_sampled() {
        writeln!(out, "# {}: weights are estimates", words::sampling(snapshot))?;
    }
    Ok(())
}

/// Writes the flamegraph, a document that needs nothing from the network and is the same for the same
/// snapshot.
///
/// # Errors
/// Only those of the writer.
pub fn write_svg(snapshot: &Snapshot, dimension: Dimension, out: &mut dyn Write) -> io::Result<()> {
    let dimension = known(snapshot.mode, dimension);
    let stacks = fold(snapshot, dimension);
    let estimated = if snapshot.is_sampled() { ", estimated from samples" } else { "" };
    let title =
        format!("{} of {}{estimated}", capital(words::dimension(dimension)), subject(&snapshot.targets));
    let subtitle = subtitle(snapshot);
    if stacks.is_empty() {
        let sentence = format!("No call site has {} in this profile.", words::dimension(dimension));
        return write_empty(&title, &subtitle, &sentence, out);
    }
    let lines: Vec<String> = stacks.into_iter().map(|(stack, weight)| format!("{stack} {weight}")).collect();
    let mut options = flamegraph::Options::default();
    options.title = title;
    options.subtitle = Some(subtitle);
    options.notes = words::verdict_sentence(snapshot);
    options.colors = color::Palette::Basic(color::BasicPalette::Orange);
    options.deterministic = true;
    options.count_name = match dimension {
        Dimension::InuseSpace | Dimension::AllocSpace => "bytes".to_owned(),
        Dimension::InuseObjects | Dimension::AllocObjects => "objects".to_owned(),
    };
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
}

fn fold(snapshot: &Snapshot, dimension: Dimension) -> BTreeMap<String, u64> {
    let pids: BTreeSet<u32> = snapshot.sites.iter().map(|site| site.pid).collect();
    let several = snapshot.targets.len() > 1 || pids.len() > 1;
    let mut stacks = BTreeMap::new();
    for site in &snapshot.sites {
        let weight = site.value(dimension);
        if weight > 0 {
            let root = several.then(|| root(snapshot, site.pid));
            *stacks.entry(stack(site, root)).or_insert(0) += weight;
        }
    }
    stacks
}

fn root(snapshot: &Snapshot, pid: u32) -> String {
    let target = snapshot.targets.iter().find(|target| target.pid == pid);
    target.map_or_else(|| format!("pid-{pid}"), |target| format!("{}-{pid}", target.comm))
}

fn stack(site: &CallSite, root: Option<String>) -> String {
    let cut = match (&site.truncated, site.frames.is_empty()) {
        (Some(reason), _) => Some(format!("[{reason}]")),
        (None, true) => Some("[no stack]".to_owned()),
        (None, false) => None,
    };
    let frames = site.frames.iter().rev().map(|frame| frame::name(frame));
    root.into_iter().chain(cut).chain(frames).map(|name| folded_name(&name)).collect::<Vec<_>>().join(";")
}

/// A name without what the folded format gives a meaning: `;`, line breaks, and a number after the last blank.
pub(super) fn folded_name(name: &str) -> String {
    let mut name = name.replace(';', ":").replace(|c: char| c.is_control(), " ").trim().to_owned();
    if let Some(blank) = name.rfind(' ')
        && name[blank + 1..].parse::<f64>().is_ok()
    {
        name.replace_range(blank..=blank, "_");
    }
    name
}

fn subject(targets: &[Target]) -> String {
    match targets {
        [target] => format!("{} (pid {})", frame::printable(&target.comm), target.pid),
        _ => format!("{} processes", targets.len()),
    }
}

fn subtitle(snapshot: &Snapshot) -> String {
    let attached = frame::age(snapshot.attached_seconds);
    let verdict = words::verdict(snapshot.quality.verdict);
    format!("mode {}, {}, attached {attached}, {verdict}", snapshot.mode, words::sampling(snapshot))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The flamegraph library refuses to draw nothing; a reader still wants to see that there was nothing.
pub(super) fn write_empty(
    title: &str,
    subtitle: &str,
    sentence: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text = |y: u32, size: u32, text: &str| {
        format!(
            "  <text x=\"600\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"middle\">{}</text>\n",
            escape(text)
        )
    };
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1200\" height=\"120\" viewBox=\"0 0 1200 120\" \
         font-family=\"monospace\">\n  <rect width=\"100%\" height=\"100%\" fill=\"#f8f8f8\"/>"
    )?;
    write!(out, "{}{}{}", text(28, 17, title), text(50, 12, subtitle), text(90, 14, sentence))?;
    writeln!(out, "</svg>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn folded(snapshot: &Snapshot, dimension: Dimension) -> String {
        let mut out = Vec::new();
        write_folded(snapshot, dimension, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn svg(snapshot: &Snapshot, dimension: Dimension) -> String {
        let mut out = Vec::new();
        write_svg(snapshot, dimension, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn stacks_are_folded_root_first() {
        insta::assert_snapshot!(folded(&sample::sample(), Dimension::InuseSpace), @"
        [no_frame_pointer];parse_request 640
        _start;__libc_start_call_main;main;libplugin.so+0x1a30;Cache::insert(std::string const&);std::vector<std::string, std::allocator<std::string> >::push_back(std::string const&);operator new(unsigned long) 12582912
        ");
    }

    #[test]
    fn several_targets_come_first_and_frameless_sites_are_their_reason() {
        insta::assert_snapshot!(folded(&sample::two_targets(), Dimension::AllocObjects), @"
        leaky-2-4343;[read_fault] 1000
        leaky-2-4343;_start;__libc_start_call_main;main;libplugin.so+0x1a30;Cache::insert(std::string const&);std::vector<std::string, std::allocator<std::string> >::push_back(std::string const&);operator new(unsigned long) 2100
        leaky-4242;[no_frame_pointer];parse_request 1000
        leaky-4242;_start;__libc_start_call_main;main;libplugin.so+0x1a30;Cache::insert(std::string const&);std::vector<std::string, std::allocator<std::string> >::push_back(std::string const&);operator new(unsigned long) 2100
        ");
    }

    #[test]
    fn mode_alloc_weighs_by_allocations() {
        let alloc = sample::alloc_mode();
        assert_eq!(folded(&alloc, Dimension::InuseSpace), folded(&alloc, Dimension::AllocSpace));
    }

    #[test]
    fn estimates_are_said_to_be_such() {
        let text = folded(&sample::sampled(), Dimension::InuseSpace);
        assert!(text.ends_with("\n# a sample every 512 KiB: weights are estimates\n"), "{text}");
        let title = "In-use bytes of leaky (pid 4242), estimated from samples";
        assert!(svg(&sample::sampled(), Dimension::InuseSpace).contains(title));
        assert!(!svg(&sample::sample(), Dimension::InuseSpace).contains("estimated from"));
    }

    #[test]
    fn names_cannot_break_the_format() {
        let check = |name: &str, expect: &str| assert_eq!(folded_name(name), expect);
        for (name, expect) in [
            ("a;b", "a:b"),
            ("two\nlines", "two lines"),
            ("f 12", "f_12"),
            ("operator new(unsigned long)", "operator new(unsigned long)"),
        ] {
            check(name, expect);
        }
    }

    #[test]
    fn flamegraph_is_the_same_each_time_and_needs_no_network() {
        let snapshot = sample::two_targets();
        let first = svg(&snapshot, Dimension::InuseSpace);
        assert_eq!(first, svg(&snapshot, Dimension::InuseSpace));
        assert!(first.contains("Cache::insert(std::string const&amp;)"), "names are escaped");
        assert!(first.contains("bytes"));
        assert!(first.contains("lossy"));
        // What a browser would fetch; names of namespaces and of the document type are not fetched.
        for fetched in ["href=\"http", "src=\"http", "@import", "url(http"] {
            assert!(!first.contains(fetched), "{fetched}");
        }
    }

    #[test]
    fn nothing_to_draw_is_still_a_document_that_says_so() {
        let text = svg(&sample::empty(), Dimension::InuseObjects);
        assert!(text.starts_with("<?xml") && text.ends_with("</svg>\n"));
        assert!(text.contains("No call site has in-use objects in this profile."));
        assert!(text.contains("In-use objects of leaky (pid 4242)"));
    }
}
