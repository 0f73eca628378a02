//! How many stacks reach the thread's start, of every allocation and of a sample.

use std::collections::BTreeMap;
use std::fs;

use tracer::model::snapshot::{CallSite, Snapshot};

use super::is_all;
use super::program::Program;
use crate::harness::Tracer;

/// Of a hundred samples that are not cut at the depth limit, so many reach the thread's start.
const WHOLE_PERCENT: u64 = 99;
/// Bytes behind the entry point, in which its only call stands.
const START_BYTES: u64 = 64;
const CASES: [&[&str]; 3] =
    [&["--mode", "live"], &["--mode", "alloc"], &["--mode", "live", "--sample-bytes", "64KiB"]];

/// Watches it in each way.
pub(super) fn check(program: &dyn Program) {
    for options in CASES {
        let mut running = program.start();
        let duration = if is_all() { "3s" } else { "800ms" };
        let mut tracer = Tracer::attach(running.pid, &[options, &["--duration", duration]].concat());
        tracer.wait_counting();
        running.begin();
        let snapshot = tracer.wait().success();
        let shares = Shares::of(&snapshot);
        let what = format!("{}, {}", program.name(), options.join(" "));
        let line = format!("{what}: {}", shares.text());
        println!("{line}");
        assert!(shares.samples > 30, "{line}: it allocated while it was watched");
        let counted = shares.samples - shares.deep;
        assert!(shares.whole * 100 >= counted * WHOLE_PERCENT, "{line}");
    }
}

/// Samples and sites, by how their stacks end.
#[derive(Default)]
pub(super) struct Shares {
    samples: u64,
    sites: u64,
    whole: u64,
    whole_sites: u64,
    deep: u64,
    by_pointer: u64,
    deepest: usize,
    /// Of stacks that are not whole: samples by reason and last frame.
    ends: BTreeMap<String, u64>,
}

impl Shares {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let exe = &snapshot.targets[0].exe;
        let entry = entry_offset(exe);
        let mut shares = Self::default();
        for site in &snapshot.sites {
            shares.samples += site.samples;
            shares.sites += 1;
            shares.by_pointer += u64::from(site.by_frame_pointers);
            shares.deepest = shares.deepest.max(site.frames.iter().filter(|frame| !frame.inlined).count());
            if site.truncated.as_deref() == Some("depth") {
                shares.deep += site.samples;
            } else if is_whole(site, exe, entry) {
                shares.whole += site.samples;
                shares.whole_sites += 1;
            } else {
                let last =
                    site.frames.last().map(|frame| (&frame.function, &frame.module, frame.file_offset));
                *shares.ends.entry(format!("{:?} after {last:?}", site.truncated)).or_default() +=
                    site.samples;
            }
        }
        shares
    }

    fn text(&self) -> String {
        let Self { samples, sites, whole, whole_sites, deep, by_pointer, deepest, ends } = self;
        let percent = *whole as f64 * 100.0 / (*samples - *deep).max(1) as f64;
        let ends = if ends.is_empty() { String::new() } else { format!("; others end {ends:#?}") };
        format!(
            "{whole} of {samples} samples ({percent:.2} %) and {whole_sites} of {sites} sites are whole, {deep} samples \
             cut at the depth limit; deepest {deepest} frames, {by_pointer} sites by frame pointers{ends}"
        )
    }
}

/// Whether the outermost frame is where the process or a thread begins.
fn is_whole(site: &CallSite, exe: &str, entry: u64) -> bool {
    let Some(last) = site.frames.last().filter(|_| site.truncated.is_none()) else { return false };
    let offset = last.file_offset.unwrap_or_default();
    let module = last.module.as_deref().unwrap_or_default();
    let is_start = module == exe && (entry..entry + START_BYTES).contains(&offset);
    // A thread begins in the C library, which has no symbol for that place.
    is_start || module.ends_with("/libc.so.6")
}

/// Where in its file a program begins.
fn entry_offset(exe: &str) -> u64 {
    let bytes = fs::read(exe).expect("the program can be read");
    let number = |at: usize, size: usize| {
        let mut word = [0; 8];
        word[..size].copy_from_slice(&bytes[at..at + size]);
        u64::from_le_bytes(word)
    };
    // elf(5): e_entry, e_phoff, e_phentsize, e_phnum; p_type, p_offset, p_vaddr, p_filesz.
    let (entry, headers) = (number(24, 8), number(32, 8) as usize);
    let (size, count) = (number(54, 2) as usize, number(56, 2) as usize);
    let mut loaded = (0..count).map(|index| headers + index * size).filter(|&at| number(at, 4) == 1);
    let holds = |at: &usize| (number(at + 16, 8)..number(at + 16, 8) + number(at + 32, 8)).contains(&entry);
    let at = loaded.find(holds).expect("a program begins in its file");
    entry - number(at + 16, 8) + number(at + 8, 8)
}
