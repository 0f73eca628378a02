//! What a fixture says of its call chains (`chains.h`), held against a report.

use std::collections::BTreeSet;

use tracer::model::snapshot::{CallSite, Frame, Snapshot};

/// The outermost functions of a process and of a thread, as far as a C library or a Rust runtime has symbols.
const STARTS: [&str; 4] = ["_start", "clone3", "__clone3", "libc_start_main_stage2"];

/// One frame or several, as a chain names them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// So many frames of a function of the fixture.
    Own(String, usize),
    /// So many or more of libraries.
    Foreign(usize),
    /// One of code without a file.
    Anonymous,
}

/// One call chain.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    /// As it was written.
    text: String,
    parts: Vec<Part>,
    truncated: Option<String>,
    by_pointer: bool,
    may_be_cut: bool,
}

/// All chains of a fixture's output.
pub(super) fn chains_of(lines: &str) -> Vec<Chain> {
    lines.lines().filter_map(|line| line.strip_prefix("chain ")).map(Chain::parse).collect()
}

impl Chain {
    fn parse(text: &str) -> Self {
        let mut chain = Self { text: text.to_owned(), ..Self::default() };
        for word in text.split_whitespace() {
            match (word, word.strip_prefix('!'), word.split_once('*')) {
                ("~", ..) => chain.parts.push(Part::Foreign(1)),
                ("~?", ..) => chain.parts.push(Part::Foreign(0)),
                ("?", ..) => chain.parts.push(Part::Anonymous),
                ("@", ..) => chain.by_pointer = true,
                ("%cut", ..) => chain.may_be_cut = true,
                (_, Some(reason), _) => chain.truncated = Some(reason.to_owned()),
                (_, _, Some((name, count))) => {
                    let count = count.parse().expect("a number of frames");
                    chain.parts.push(Part::Own(name.to_owned(), count));
                }
                (name, ..) => chain.parts.push(Part::Own(name.to_owned(), 1)),
            }
        }
        if chain.truncated.is_none() {
            chain.parts.push(Part::Foreign(1));
        }
        chain
    }

    /// The function that allocates.
    fn leaf(&self) -> &str {
        self.text.split_whitespace().next().unwrap_or_default()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| if let Part::Own(name, _) = part { Some(&**name) } else { None })
    }

    /// Whether the site is this chain, and whole or cut for the reason that the chain names.
    fn fits(&self, site: &CallSite, own: &BTreeSet<&str>) -> bool {
        let frames: Vec<_> =
            site.frames.iter().filter(|frame| !frame.inlined).map(|frame| &**frame).collect();
        let is_whole = self.truncated.is_some() || ends_at_a_start(&frames);
        self.truncated == site.truncated
            && self.by_pointer == site.by_frame_pointers
            && is_whole
            && fits(&self.parts, &frames, own)
    }

    /// Whether the site is the beginning of this chain, and says that it is cut.
    fn begins_with(&self, site: &CallSite, own: &BTreeSet<&str>) -> bool {
        let frames: Vec<_> =
            site.frames.iter().filter(|frame| !frame.inlined).map(|frame| &**frame).collect();
        site.truncated.is_some()
            && (1..=self.parts.len()).any(|count| fits(&self.parts[..count], &frames, own))
    }
}

/// The last frame is where a process or a thread starts; in a library without symbols, it is in the C library.
fn ends_at_a_start(frames: &[&Frame]) -> bool {
    let Some(last) = frames.last() else { return false };
    STARTS.contains(&&*name(last))
        || last.reason.is_some() && last.module.as_ref().is_some_and(|module| module.contains("/libc"))
}

fn fits(parts: &[Part], frames: &[&Frame], own: &BTreeSet<&str>) -> bool {
    let is_foreign = |frame: &&&Frame| frame.module.is_some() && !own.contains(&*name(frame));
    let Some((part, parts)) = parts.split_first() else { return frames.is_empty() };
    match part {
        Part::Own(expected, count) => {
            let (these, rest) = frames.split_at(frames.len().min(*count));
            these.len() == *count
                && these.iter().all(|frame| name(frame) == *expected)
                && fits(parts, rest, own)
        }
        Part::Anonymous => {
            frames
                .first()
                .is_some_and(|frame| frame.module.as_ref().is_none_or(|module| module.starts_with('[')))
                && fits(parts, &frames[1..], own)
        }
        Part::Foreign(least) => {
            let count = frames.iter().take_while(is_foreign).count();
            count >= *least && fits(parts, &frames[count..], own)
        }
    }
}

/// The last part of a function's name, without what compilers and demanglers add.
pub(super) fn name(frame: &Frame) -> String {
    let (mut plain, mut depth) = (String::new(), 0_u32);
    for letter in frame.function.as_deref().unwrap_or_default().chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            '(' | ' ' | '.' if depth == 0 => break,
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    plain.rsplit("::").find(|part| !part.is_empty()).unwrap_or_default().to_owned()
}

/// A stack as a chain would be written.
pub(super) fn text_of(site: &CallSite) -> String {
    let names = site.frames.iter().map(|frame| match name(frame) {
        none if none.is_empty() => {
            frame.module.as_deref().unwrap_or("?").rsplit('/').next().unwrap_or("?").to_owned()
        }
        name => name,
    });
    let mut words: Vec<(String, usize)> = Vec::new();
    for name in names {
        match words.last_mut() {
            Some((last, count)) if *last == name => *count += 1,
            _ => words.push((name, 1)),
        }
    }
    let words =
        words.iter().map(|(name, count)| if *count > 1 { format!("{name}*{count}") } else { name.clone() });
    let mut text = words.collect::<Vec<_>>().join(" ");
    if let Some(reason) = &site.truncated {
        text += &format!(" !{reason}");
    }
    text + if site.by_frame_pointers { " @" } else { "" }
}

/// Every stack is its leaf's chain, every chain was seen, and what allocates besides is whole.
pub(super) fn assert_chains(what: &str, snapshot: &Snapshot, chains: &[Chain]) {
    let mut wrong = differences(snapshot, chains, |chain, site, own| {
        chain.fits(site, own) || chain.may_be_cut && chain.begins_with(site, own)
    });
    let leaves: BTreeSet<_> = chains.iter().map(Chain::leaf).collect();
    let is_other =
        |site: &&CallSite| !site.frames.first().is_some_and(|frame| leaves.contains(&*name(frame)));
    let cut = snapshot.sites.iter().filter(is_other).filter(|site| site.truncated.is_some());
    wrong.extend(cut.map(|site| format!("cut {}", text_of(site))));
    assert!(wrong.is_empty(), "{what}: {} wrong of {}:\n{}", wrong.len(), chains.len(), wrong.join("\n"));
}

/// Every stack is its leaf's chain, or the beginning of it with the reason why there is no more.
pub(super) fn assert_beginnings(what: &str, snapshot: &Snapshot, chains: &[Chain]) {
    let wrong = differences(snapshot, chains, |chain, site, own| {
        chain.fits(site, own) || chain.begins_with(site, own)
    });
    assert!(wrong.is_empty(), "{what}: {} wrong of {}:\n{}", wrong.len(), chains.len(), wrong.join("\n"));
}

fn differences(
    snapshot: &Snapshot,
    chains: &[Chain],
    is_right: impl Fn(&Chain, &CallSite, &BTreeSet<&str>) -> bool,
) -> Vec<String> {
    assert!(!chains.is_empty(), "it says what it has called");
    let own = chains.iter().flat_map(Chain::names).collect();
    let mut wrong = Vec::new();
    for chain in chains {
        let of_leaf: Vec<_> = sites_of(snapshot, chain.leaf()).collect();
        let others = of_leaf.iter().filter(|site| !is_right(chain, site, &own));
        wrong.extend(others.map(|site| format!("expected {}\n     got {}", chain.text, text_of(site))));
        if of_leaf.is_empty() {
            wrong.push(format!("missing {}", chain.text));
        }
    }
    wrong
}

/// The sites whose direct caller is a function.
pub(super) fn sites_of<'a>(snapshot: &'a Snapshot, leaf: &'a str) -> impl Iterator<Item = &'a CallSite> {
    snapshot.sites.iter().filter(move |site| site.frames.first().is_some_and(|frame| name(frame) == leaf))
}
