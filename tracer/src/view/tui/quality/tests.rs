//! What it says, and that it can be read to its end.

use super::*;
use crate::view::sample;
use crate::view::tui::action::Action::{Bottom, Up};
use crate::view::tui::testing::{Shown, draw, fits_everywhere, press, rich, text};

#[test]
fn all_is_well() {
    insta::assert_snapshot!(text(&QualityScreen::default(), &Shown::new(rich()), 80, 24), @"
    QUALITY        EXACT: nothing was lost, nothing is estimated

    events         6,201 counted, 3,100 stacks walked
    cut short      1 stack, callers not known: the next function keeps no frame
                   pointer (<0.1% of all stacks)
    no symbol      1 frame without a symbol, shown by address
    unmatched      17 frees of blocks older than the attach: nothing is counted
                   for them
    pending        1 call had not returned at the end, not counted as in use
    early          2 calls were under way when counting began, not counted
    note           realloc is single-stepped: its first instructions cannot be
                   emulated
    overhead       6,201 probe hits at 570 ns = 4ms, 0.2% of the target's CPU time
    kernel memory  62.6 MiB in BPF maps

    COST
    allocation     480 ns    the entry of an allocating function
    return         620 ns    its return
    free           510 ns    a free of a block that is not followed
    sample         2,900 ns  more for a stack of 16 frames that is walked
    sampled free   340 ns    more for the end of a block that is followed

    PROBES of leaky (pid 4242)
    allocator      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6      ▾ 2 more
    ");
}

#[test]
fn losses_come_first_and_say_what_to_do() {
    let shown = Shown::new(sample::two_targets());
    insta::assert_snapshot!(text(&QualityScreen::default(), &shown, 80, 24), @"
    QUALITY        LOSSY: some events are in no call site, whose numbers are too
                   low; what could not be probed is missing everywhere

    lost           1,234 × map_full: a map was full, so these blocks are not
                   followed or these stacks have no site of their own: raise
                   --max-live or --max-stacks
    not probed     1 × permission denied
    events         6,201 counted, 3,100 stacks walked
    cut short      1 stack, callers not known: the next function keeps no frame
                   pointer (<0.1% of all stacks)
    cut short      1 stack, callers not known: the stack's memory could not be
                   read (<0.1% of all stacks)
    no symbol      1 frame without a symbol, shown by address
    unmatched      17 frees of blocks older than the attach: nothing is counted
                   for them
    pending        1 call had not returned at the end, not counted as in use
    early          2 calls were under way when counting began, not counted
    note           realloc is single-stepped: its first instructions cannot be
                   emulated
    overhead       6,201 probe hits at 570 ns = 4ms, 0.2% of the target's CPU time
    kernel memory  62.6 MiB in BPF maps

    PROBES of leaky (pid 4242)
    allocator      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6      ▾ 7 more
    ");
    let mut screen = QualityScreen::default();
    press(&mut screen, &shown, &[Bottom, Up]);
    let shows = text(&screen, &shown, 80, 24);
    assert!(
        shows.contains("PROBES of leaky-2 (pid 4343), ended: exited") && shows.contains("▾ 1 more"),
        "{shows}"
    );
}

#[test]
fn slow_probes_and_notes_are_seen() {
    let mut snapshot = rich();
    let probe = &mut snapshot.targets[0].allocators[0].probes[0];
    (probe.emulated, probe.returns, probe.note) =
        (false, "ret_sites".to_owned(), Some("it can throw".to_owned()));
    let shows = text(&QualityScreen::default(), &Shown::new(snapshot), 160, 50);
    let expect =
        "malloc, uprobe_multi, probes on its ret instructions, single-stepped (slower): it can throw";
    assert!(shows.contains(expect), "{shows}");
}

#[test]
fn the_verdict_has_a_colour_and_a_word() {
    let mut shown = Shown::new(sample::two_targets());
    assert_ne!(draw(&QualityScreen::default(), &shown, 80, 24)[(20, 0)].fg, ratatui::style::Color::Reset);
    shown.colour = false;
    let buffer = draw(&QualityScreen::default(), &shown, 80, 24);
    assert!(buffer.content.iter().all(|cell| cell.fg == ratatui::style::Color::Reset));
    assert!(text(&QualityScreen::default(), &shown, 80, 24).contains("LOSSY"));
}

#[test]
fn it_fits_everywhere() {
    fits_everywhere(&|| Box::new(QualityScreen::default()));
}

#[test]
fn a_runtime_says_how_good_its_numbers_are() {
    insta::assert_snapshot!(text(&QualityScreen::default(), &Shown::new(sample::cgo()), 80, 40), @"
    QUALITY        SAMPLED: nothing was lost; call sites are estimates, totals
                   without ± are exact

    runtime        go counts its heap by itself, without probes: totals are exact,
                   in use is all that the process holds, also what is older than
                   the attach; allocated and not counted yet are at most 1.25 MiB
    profile        call sites of go are estimates, from one sample per 512 KiB on
                   average; what they have in use is as of a finished garbage
                   collection, 400ms ago
    sampled        every allocation, in go a sample every 512 KiB on average,
                   4,120 in all
    precision      ± is one standard error; below 30 samples the 95% interval, or
                   * where it has no room (--format json has it)
    events         20,100,000 counted, 4,120 stacks walked
    overhead       6,201 probe hits at 570 ns = 4ms, 0.2% of the target's CPU time
    kernel memory  62.6 MiB in BPF maps

    PROBES of mapstorm (pid 4242)
    allocator      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6
                   malloc, uprobe_multi, return probe
                   free, uprobe_multi
    allocator      go 1.27.3 heap (runtime: no probes) · one sample per 512 KiB ·
                   profile as of 400ms ago
    gc             83 cycles (8.3/s), 2 forced · pauses 6.9ms in all, longest
                   1.2ms · 4.1% of CPU · goal 120 MiB, live 61.0 MiB · GOGC 100
    ");
}
