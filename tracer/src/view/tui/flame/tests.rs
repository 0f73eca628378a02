//! Keys, and what they make of the picture.

use ratatui::style::Color;

use super::*;
use crate::view::sample;
use crate::view::tui::action::Action::{
    Back, Bottom, Click, Down, Left, NextMatch, Open, PageDown, PageUp, PreviousMatch, Right, Top, Turn, Up,
};
use crate::view::tui::testing::{Shown, draw, fits_everywhere, press, rich, text};

const SITES: [(&str, u64); 5] =
    [("x a m", 50), ("y a m", 30), ("z b m", 15), ("c3 c2 c1", 4), ("leaf c2 c1", 1)];

/// The selected function, and what is drawn over the whole width.
fn state(flame: &Flame, shown: &Shown) -> String {
    let picture = shown.picture();
    let names = |path: &[Step]| path.iter().map(|step| step.names(&picture).0).collect::<Vec<_>>().join("/");
    let graph = flame.graph(&picture, Rect::new(0, 0, 80, 24));
    let selected = graph.path(graph.selected).unwrap();
    format!("{} in {}", names(&selected), names(&graph.zoomed))
}

#[test]
fn keys_move_and_zoom() {
    let shown = Shown::of(&SITES);
    let mut flame = Flame::default();
    let mut check = |keys: &[Action], expect: &str| {
        press(&mut flame, &shown, keys);
        assert_eq!(state(&flame, &shown), expect, "{keys:?}");
    };
    check(&[], " in ");
    check(&[Down], "m in ");
    check(&[Down, Down], "m/a/x in ");
    check(&[Down], "m/a/x in ");
    check(&[Right], "m/a/y in ");
    check(&[Right], "m/b/z in ");
    check(&[Up], "m/b in ");
    check(&[Left], "m/a in ");
    check(&[Open], "m/a in m/a");
    check(&[Down, Right], "m/a/y in m/a");
    check(&[Open], "m/a/y in m/a/y");
    check(&[Back], "m/a/y in m/a");
    check(&[Back], "m/a in m");
    check(&[Back], "m in ");
    check(&[Top], " in ");
    check(&[Bottom], "m/a/x in ");
    check(&[PageUp], " in ");
    check(&[PageDown], "m/a/x in ");
    check(&[Turn], " in ");
    check(&[Down, Down], "x/a in ");
    let area = Rect::new(0, 0, 80, 24);
    assert!(!Flame::default().act(Back, &shown.picture(), area), "it is for the caller");
}

#[test]
fn the_mouse_selects_and_then_zooms() {
    let shown = Shown::of(&SITES);
    let mut flame = Flame::default();
    let click = |flame: &mut Flame, column, row| {
        press(flame, &shown, &[Click { column, row }]);
        state(flame, &shown)
    };
    assert_eq!(click(&mut flame, 2, 3), "m/a in ");
    assert_eq!(click(&mut flame, 2, 3), "m/a in m/a");
    assert_eq!(click(&mut flame, 70, 2), "m/a/y in m/a");
    assert_eq!(click(&mut flame, 70, 9), "m/a/y in m/a", "there is nothing");
    assert_eq!(click(&mut flame, 70, 23), "m/a/y in m/a", "that is the detail");
}

#[test]
fn matches_are_selected_and_zoomed_to_if_they_are_too_narrow() {
    let shown = Shown::of(&[("x m", 5000), ("y n", 1), ("y m", 40)]).filtered(".");
    let mut flame = Flame::default();
    press(&mut flame, &shown, &[NextMatch, NextMatch, NextMatch]);
    assert_eq!(state(&flame, &shown), "m/y in ");
    press(&mut flame, &shown, &[NextMatch]);
    assert_eq!(state(&flame, &shown), "n in n");
    press(&mut flame, &shown, &[NextMatch]);
    assert_eq!(state(&flame, &shown), "n/y in n");
    press(&mut flame, &shown, &[PreviousMatch, PreviousMatch]);
    assert_eq!(state(&flame, &shown), "m/y in ");
}

#[test]
fn the_selection_goes_to_what_is_left() {
    let mut flame = Flame::default();
    press(&mut flame, &Shown::of(&SITES), &[Bottom]);
    let mut later = SITES;
    later[0].1 = 0;
    assert_eq!(state(&flame, &Shown::of(&later)), "m/a in ");
    press(&mut flame, &Shown::of(&SITES), &[Open]);
    assert_eq!(state(&flame, &Shown::of(&later)), "m/a in m/a");
}

#[test]
fn a_server_that_leaks() {
    insta::assert_snapshot!(text(&Flame::default(), &Shown::new(rich()), 80, 24), @"
     in-use bytes, thread's start above
    ▌all · 15.3 MiB
    ▏clone3                                                                   ▏[n…▏
    ▏start_thread                                                             ▏co…▏
    ▏worker_loop                                                           ▏      ▏
    ▏handle_request                                                        ▏      ▏
    ▏Session::store                                          ▏…parse ↻▏rea…       ▏
    ▏Cache::insert                                                    ▏…rve
    ▏std::string::_M_create                        ▏…he::grow












    ────────────────────────────────────────────────────────────────────────────────
     all
     15.3 MiB in 12 call stacks
    ");
}

#[test]
fn zoomed_in_from_the_allocations_up() {
    let mut flame = Flame::default();
    let shown = Shown::new(rich());
    press(&mut flame, &shown, &[Turn, Down, Right, Open, Down]);
    insta::assert_snapshot!(text(&flame, &shown, 80, 16), @"
     in-use bytes · all › Cache::grow
    ▏Cache::grow
    ▌Cache::insert
    ▏Session::store
    ▏handle_request
    ▏worker_loop
    ▏start_thread
    ▏clone3





    ────────────────────────────────────────────────────────────────────────────────
     Cache::insert (leaky)
     2.00 MiB · 100% of its parent, 13.1% of all · 210,000 objects · 1 call stack
    ");
}

#[test]
fn what_is_narrower_than_a_column_is_counted() {
    let mut sites = vec![("big m", 10_000)];
    let names: Vec<String> = (0..40).map(|at| format!("small{at} m")).collect();
    sites.extend(names.iter().map(|name| (name.as_str(), 60)));
    insta::assert_snapshot!(text(&Flame::default(), &Shown::of(&sites), 80, 8), @"
     in-use bytes, thread's start above
    ▌all · 12.1 KiB
    ▏m
    ▏big                                                             ▏… 40 more


     all
     12.1 KiB in 41 call stacks
    ");
}

#[test]
fn what_is_below_the_screen_is_counted_and_reached() {
    let deep: Vec<String> = (0..40).rev().map(|at| format!("f{at}")).collect();
    let shown = Shown::of(&[(&deep.join(" "), 100)]);
    let mut flame = Flame::default();
    assert!(text(&flame, &shown, 80, 24).contains("▾ 21 more rows"));
    press(&mut flame, &shown, &[Bottom]);
    let shows = text(&flame, &shown, 80, 24);
    assert!(shows.contains("▌f39") && !shows.contains("more row"), "{shows}");
}

/// Check that the width is what there is now, and the sign what has changed.
#[test]
fn differences_have_their_sign_and_colour() {
    let shown = Shown::of(&SITES).since(&[10, 40, 15, 4, 0]);
    let mut flame = Flame::default();
    press(&mut flame, &shown, &[Bottom]);
    insta::assert_snapshot!(text(&flame, &shown, 80, 10), @"
     in-use bytes now; + grown, - shrunk since the baseline
    ▏all · 100 B
    ▏+m                                                                         ▏+
    ▏+a                                                             ▏b          ▏+
    ▌+x                                     ▏-y                     ▏z          ▏  ▏



     x (leaky)
     50 B now · +40 B · 62.5% of its parent, 50.0% of all · +4 objects
    ");
    let buffer = draw(&flame, &shown, 80, 10);
    assert_eq!(buffer[(45, 4)].bg, Color::Green, "y has shrunk");
    let mut plain = shown;
    plain.colour = false;
    let buffer = draw(&flame, &plain, 80, 10);
    assert!(buffer.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
}

#[test]
fn several_processes_and_nothing() {
    insta::assert_snapshot!(text(&Flame::default(), &Shown::new(sample::two_targets()), 80, 14), @"
     in-use bytes, thread's start above
    ▌all · 24.0 MiB
    ▏leaky-4242                             ▏leaky-2-4343
    ▏_start                                 ▏_start
    ▏__libc_start_call_main                 ▏__libc_start_call_main
    ▏main                                   ▏main
    ▏libplugin.so+0x1a30                    ▏libplugin.so+0x1a30
    ▏Cache::insert(std::string const&)      ▏Cache::insert(std::string const&)
    ▏std::vector<…>::push_back(…)           ▏std::vector<…>::push_back(…)
    ▏operator new(unsigned long)            ▏operator new(unsigned long)

    ────────────────────────────────────────────────────────────────────────────────
     all
     24.0 MiB in 4 call stacks
    ");
    let empty = text(&Flame::default(), &Shown::new(sample::empty()), 80, 24);
    assert!(empty.contains("no call site has in-use bytes"));
}

#[test]
fn it_fits_everywhere() {
    fits_everywhere(&|| Box::new(Flame::default()));
}
