//! Keys, and what they make of the picture.

use ratatui::style::{Color, Modifier};

use super::*;
use crate::model::snapshot::Dimension;
use crate::view::sample;
use crate::view::tui::action::Action::{
    Bottom, Click, Down, Left, NextMatch, Open, PageDown, PreviousMatch, Right, ScrollDown, Top, Turn, Up,
};
use crate::view::tui::testing::{Shown, draw, fits_everywhere, press, rich, rich_alloc, text};

/// Names of the lines, with their markers; the selected one after `>`.
fn outline(tree: &Tree, shown: &Shown) -> Vec<String> {
    let picture = shown.picture();
    let rows = tree.rows(&picture);
    let line = |(at, row): (usize, &Row)| {
        let marker = match (row.node.has_children(), row.is_open) {
            (true, true) => "-",
            (true, false) => "+",
            (false, _) => "",
        };
        let selected = if at == rows.selected { ">" } else { "" };
        format!("{selected}{}{marker}{}", " ".repeat(row.node.depth() - 1), row.step.names(&picture).0)
    };
    rows.rows.iter().enumerate().map(line).collect()
}

const SITES: [(&str, u64); 5] =
    [("x a m", 50), ("y a m", 30), ("z b m", 15), ("c3 c2 c1", 4), ("leaf c2 c1", 1)];

#[test]
fn keys_open_close_and_move() {
    let shown = Shown::of(&SITES);
    let mut tree = Tree::default();
    let mut check = |keys: &[Action], expect: &[&str]| {
        press(&mut tree, &shown, keys);
        assert_eq!(outline(&tree, &shown), expect, "{keys:?}");
    };
    check(&[], &["-m", " -a", ">  x", "  y", " +b", "+c1"]);
    check(&[Up], &["-m", "> -a", "  x", "  y", " +b", "+c1"]);
    check(&[Left], &["-m", "> +a", " +b", "+c1"]);
    check(&[Left], &[">-m", " +a", " +b", "+c1"]);
    check(&[Left, Left], &[">+m", "+c1"]);
    check(&[Bottom], &["+m", ">+c1"]);
    // One way to go is gone in one step.
    check(&[Right], &["+m", ">-c1", " -c2", "  c3", "  leaf"]);
    check(&[Right, Right], &["+m", "-c1", " -c2", ">  c3", "  leaf"]);
    check(&[Down, Down, Down], &["+m", "-c1", " -c2", "  c3", ">  leaf"]);
    check(&[Left], &["+m", "-c1", "> -c2", "  c3", "  leaf"]);
    check(&[Top, Open], &[">-m", " +a", " +b", "-c1", " -c2", "  c3", "  leaf"]);
    check(&[PageDown], &["-m", " +a", " +b", "-c1", " -c2", "  c3", ">  leaf"]);
    check(&[Turn], &[">-x", " -a", "  m", "+y", "+z", "+c3", "+leaf"]);
}

#[test]
fn the_mouse_selects_and_opens() {
    let shown = Shown::of(&SITES);
    let mut tree = Tree::default();
    let mut check = |column, row, expect: &[&str]| {
        press(&mut tree, &shown, &[Click { column, row }]);
        assert_eq!(outline(&tree, &shown), expect, "{column} {row}");
    };
    check(60, 5, &["-m", " -a", "  x", "  y", "> +b", "+c1"]);
    let marker =
        text(&Tree::default(), &shown, 80, 24).lines().nth(1).unwrap().chars().position(|c| c == '▾');
    let marker = marker.expect("a marker") as u16;
    check(marker, 1, &[">+m", "+c1"]);
    check(marker, 2, &["+m", ">-c1", " -c2", "  c3", "  leaf"]);
    check(marker, 23, &["+m", ">-c1", " -c2", "  c3", "  leaf"]);
    press(&mut tree, &shown, &[ScrollDown]);
    assert_eq!(outline(&tree, &shown)[4], ">  leaf");
}

#[test]
fn matches_are_opened_and_marked() {
    let shown = Shown::of(&SITES).filtered("^(y|leaf)$");
    let mut tree = Tree::default();
    // Only the sites that the filter finds are there.
    press(&mut tree, &shown, &[Top, Left, NextMatch]);
    assert_eq!(outline(&tree, &shown), ["-m", " -a", ">  y", "+c1"]);
    press(&mut tree, &shown, &[NextMatch]);
    assert_eq!(outline(&tree, &shown), ["-m", " -a", "  y", "-c1", " -c2", ">  leaf"]);
    assert!(text(&tree, &shown, 80, 24).contains("» leaf"));
    press(&mut tree, &shown, &[NextMatch]);
    assert_eq!(outline(&tree, &shown)[2], ">  y");
    press(&mut tree, &shown, &[PreviousMatch]);
    assert_eq!(outline(&tree, &shown)[5], ">  leaf");
    // Without a filter there is no match, and no harm.
    press(&mut tree, &Shown::of(&SITES), &[NextMatch]);
}

#[test]
fn the_selection_stays_when_the_order_changes_or_goes_to_what_is_left() {
    let mut tree = Tree::default();
    press(&mut tree, &Shown::of(&SITES), &[Down]);
    assert_eq!(outline(&tree, &Shown::of(&SITES))[3], ">  y");
    let mut later = SITES;
    later[1].1 = 500;
    assert_eq!(outline(&tree, &Shown::of(&later)), ["-m", " -a", ">  y", "  x", " +b", "+c1"]);
    later[1].1 = 0;
    assert_eq!(outline(&tree, &Shown::of(&later)), ["-m", "> -a", "  x", " +b", "+c1"]);
}

#[test]
fn a_server_that_leaks() {
    insta::assert_snapshot!(text(&Tree::default(), &Shown::new(rich()), 80, 24), @"
         IN USE PARENT    ALL              SELF  FUNCTION, thread's start first
       14.2 MiB  92.5%  92.5% █████▌          -  ▾ clone3 (leaky)
       14.2 MiB   100%  92.5% █████▌          -   ▾ start_thread (leaky)
       13.7 MiB  96.3%  89.1% █████▍          -    ▾ worker_loop (leaky)
       13.7 MiB   100%  89.1% █████▍          -     ▾ handle_request (leaky)
       11.0 MiB  80.3%  71.6% ████▎           -      ▾ Session::store (leaky)
       11.0 MiB   100%  71.6% ████▎           -       ▾ Cache::insert (leaky)
       8.96 MiB  81.7%  58.5% ███▌     8.96 MiB          std::string::_M_create
       2.00 MiB  18.3%  13.1% ▊        2.00 MiB          Cache::grow (leaky)
       1.81 MiB  13.3%  11.8% ▊        1.81 MiB        json::parse ↻ (leaky)
        801 KiB   5.7%   5.1% ▎               -      ▸ read_body (leaky)
       93.8 KiB   0.7%   0.6% ▏               -      ▸ Logger::write (leaky)
        527 KiB   3.6%   3.4% ▎               -    ▸ accept_loop (leaky)
       4.00 KiB  <0.1%  <0.1% ▏               -    ▸ timer_thread (leaky)
        713 KiB   4.5%   4.5% ▎               -  ▸ [no_frame_pointer]
        461 KiB   2.9%   2.9% ▏               -  ▸ _start (leaky)





    ────────────────────────────────────────────────────────────────────────────────
     std::string::_M_create (leaky)
     8.96 MiB · 81.7% of its parent, 58.5% of all · 940,000 objects · 1 call stack
    ");
}

#[test]
fn from_the_allocations_up() {
    let mut tree = Tree::default();
    let shown = Shown::new(rich());
    press(&mut tree, &shown, &[Turn]);
    insta::assert_snapshot!(text(&tree, &shown, 80, 24), @"
         IN USE PARENT    ALL         FUNCTION, allocation first
       8.96 MiB  58.5%  58.5% ███▌    ▾ std::string::_M_create (leaky)
       8.96 MiB   100%  58.5% ███▌     ▾ Cache::insert (leaky)
       8.96 MiB   100%  58.5% ███▌      ▾ Session::store (leaky)
       8.96 MiB   100%  58.5% ███▌       ▾ handle_request (leaky)
       8.96 MiB   100%  58.5% ███▌        ▾ worker_loop (leaky)
       8.96 MiB   100%  58.5% ███▌         ▾ start_thread (leaky)
       8.96 MiB   100%  58.5% ███▌            clone3 (leaky)
       2.00 MiB  13.1%  13.1% ▊       ▸ Cache::grow (leaky)
       1.81 MiB  11.8%  11.8% ▊       ▸ json::parse ↻ (leaky)
        801 KiB   5.1%   5.1% ▎       ▸ Buffer::reserve (leaky)
        713 KiB   4.5%   4.5% ▎       ▸ compress_block (leaky)
        527 KiB   3.4%   3.4% ▎       ▸ tls_new_session (leaky)
        400 KiB   2.6%   2.6% ▏       ▸ std::vector<Route>::push_back (leaky)
       93.8 KiB   0.6%   0.6% ▏       ▸ Logger::format (leaky)
       60.0 KiB   0.4%   0.4% ▏       ▸ Config::parse (leaky)
       4.00 KiB  <0.1%  <0.1% ▏       ▸ metrics_flush (leaky)
          640 B  <0.1%  <0.1% ▏       ▸ g_strdup (leaky)



    ────────────────────────────────────────────────────────────────────────────────
     std::string::_M_create (leaky)
     8.96 MiB · 58.5% of all · 940,000 objects · 1 call stack
    ");
}

#[test]
fn differences_have_their_sign() {
    let shown = Shown::of(&SITES).since(&[10, 40, 15, 4, 0]);
    insta::assert_snapshot!(text(&Tree::default(), &shown, 80, 12), @"
       Δ IN USE PARENT    ALL              SELF  FUNCTION, thread's start first
          +30 B  98.0%  98.0% █████▉          -  ▾ m (leaky)
          +30 B   100%  98.0% █████▉          -   ▾ a (leaky)
          +40 B  80.0%  78.4% ████▊       +40 B      x (leaky)
          -10 B  20.0%  19.6% █▏          -10 B      y (leaky)
           +1 B   2.0%   2.0% ▏               -  ▸ c1 (leaky)



    ────────────────────────────────────────────────────────────────────────────────
     x (leaky)
     +40 B · 80.0% of its parent, 78.4% of all · +4 objects · 1 call stack
    ");
}

#[test]
fn two_processes_and_mode_alloc_in_a_wide_terminal() {
    insta::assert_snapshot!(text(&Tree::default(), &Shown::new(sample::two_targets()), 130, 16), @"
         IN USE PARENT    ALL                  SELF     OBJECTS  FUNCTION, thread's start first
       12.0 MiB  50.0%  50.0% █████               -       2,010  ▾ leaky-4242 (process)
       12.0 MiB   100%  50.0% █████               -       2,000    ▾ _start (leaky)
       12.0 MiB   100%  50.0% █████               -       2,000      ▾ __libc_start_call_main (libc.so.6)
       12.0 MiB   100%  50.0% █████               -       2,000        ▾ main (leaky)
       12.0 MiB   100%  50.0% █████               -       2,000          ▾ libplugin.so+0x1a30 (libplugin.so)
       12.0 MiB   100%  50.0% █████               -       2,000            ▾ Cache::insert(std::string const&) (leaky)
       12.0 MiB   100%  50.0% █████               -       2,000              ▾ std::vector<…>::push_back(std::string const&) (leaky)
       12.0 MiB   100%  50.0% █████        12.0 MiB       2,000                  operator new(unsigned long) (libstdc++.so.6)
          640 B  <0.1%  <0.1% ▏                   -          10    ▸ [no_frame_pointer] (the next function keeps no frame pointer)
       12.0 MiB  50.0%  50.0% █████               -       2,010  ▸ leaky-2-4343 (process)


    ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
     operator new(unsigned long) (libstdc++.so.6)
     12.0 MiB · 100% of its parent, 50.0% of all · 2,000 objects · 1 call stack
    ");
    let mut shown = Shown::new(rich_alloc());
    shown.dimension = Dimension::AllocObjects;
    insta::assert_snapshot!(text(&Tree::default(), &shown, 60, 12), @"
         ALLOCS PARENT    ALL  FUNCTION, thread's start first
      2,972,019   100%  92.5%   ▾ start_thread (leaky)
      2,863,200  96.3%  89.1%    ▾ worker_loop (leaky)
      2,863,200   100%  89.1%     ▾ handle_request (leaky)
      2,300,000  80.3%  71.6%      ▾ Session::store (leaky)
      2,300,000   100%  71.6%       ▾ Cache::insert (leaky)
      1,880,000  81.7%  58.5%          std::string::_M_create
        420,000  18.3%  13.1%          Cache::grow (leaky)
        380,000  13.3%  11.8%        json::parse ↻ (leaky)
    ───────────────────────────────────────────────── ▾ 6 more ─
     std::string::_M_create (leaky)
     1,880,000 · 81.7% of its parent, 58.5% of all
    ");
}

#[test]
fn nothing_to_show_is_said() {
    let check = |shown: &Shown, expect: &str| {
        assert!(text(&Tree::default(), shown, 80, 24).contains(expect), "{expect}");
    };
    check(&Shown::new(sample::empty()), "no call site has in-use bytes");
    check(
        &Shown::new(sample::sample()).filtered("nowhere"),
        "no call site that the filter finds has in-use bytes",
    );
    check(
        &Shown::of(&SITES).since(&[50, 30, 15, 4, 1]),
        "in-use bytes: nothing has changed since the baseline",
    );
}

/// Check that the selected line and what is found are seen, also without colour.
#[test]
fn colour_is_never_the_only_signal() {
    for colour in [true, false] {
        let mut shown = Shown::of(&SITES).since(&[10, 40, 15, 4, 0]).filtered("x");
        shown.colour = colour;
        let buffer = draw(&Tree::default(), &shown, 80, 24);
        let reversed =
            buffer.content.iter().filter(|cell| cell.modifier.contains(Modifier::REVERSED)).count();
        assert_eq!(reversed, 80);
        let coloured = buffer.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        assert_eq!(coloured, colour);
    }
}

#[test]
fn it_fits_everywhere() {
    fits_everywhere(&|| Box::new(Tree::default()));
}
