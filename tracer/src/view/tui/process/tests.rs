//! What it shows in which room.

use super::*;
use crate::view::sample;
use crate::view::tui::action::Action::{Bottom, Down, Open, Top};
use crate::view::tui::testing::{Shown, fits_everywhere, press, rich, rich_alloc, text};

#[test]
fn the_essentials_fit_a_small_terminal() {
    insta::assert_snapshot!(text(&Process::default(), &Shown::new(rich()), 80, 24), @"
    leaky (pid 4242)  /srv/leaky/bin/leaky
    labels service=checkout
                  BYTES        RATE     OBJECTS       RATE
    allocated  9.00 GiB  15.4 MiB/s  61,200,000  102,000/s
    freed      8.99 GiB  15.3 MiB/s  59,593,783   99,323/s
    in use     15.3 MiB               1,606,217
    RSS 48.0 MiB by the kernel · CPU time 5m 12s since the attach
    In use is 31.9% of RSS. The other 32.7 MiB are blocks older than the attach,
    code and stacks, and what the allocator keeps or wastes.

    ⠒ IN USE 15.3 MiB  • RSS 47.8 MiB       ALLOCATED 20.8 MiB/s, 139,248/s
    50.2 MiB│                       •••••   22.4 MiB/s│⢀⡴⠲⡄     ⢀⠖⠢⡀     ⢠⠒⢄      ⡠
            │••••••••••••••••••••••••                 │⠎  ⠙⡄   ⢀⠇  ⢣    ⢠⠃  ⢣    ⡜⠁
            │                                         │    ⠱⡄ ⢀⠎    ⢣  ⢠⠃   ⠈⢆  ⡜
    25.1 MiB│                               11.2 MiB/s│     ⠘⠶⠋      ⠑⠴⠁     ⠈⠳⠞
            │           ⣀⣀⣀⣀⣀⣀⠤⠤⠴⠒⠒⠒⠒⠒⠚⠉⠉             │
         0 B│⠤⠤⠖⠒⠒⠒⠒⠒⠚⠉⠉                         0 B/s│
            └────────────────────────────             └────────────────────────────
           0s           5m 0s      10m 0s          5.0s           5m 2s      10m 0s

    SIZES of allocations                    LIFETIMES of freed blocks
       ≤ 16 B ▏            120,000   0.2%       ≤ 4us ▎              400,000   0.8%
       ≤ 32 B ███▌       8,200,000  15.3%      ≤ 16us ███          5,200,000   9.8%
       ≤ 64 B █████████ 21,000,000  39.2%      ≤ 66us ███████████ 19,000 ▾ 19 more
    ");
}

#[test]
fn the_rest_is_reached_by_scrolling() {
    let shown = Shown::new(rich());
    let mut process = Process::default();
    press(&mut process, &shown, &[Bottom]);
    insta::assert_snapshot!(text(&process, &shown, 80, 24), @"
    SIZES of allocations                    LIFETIMES of freed blocks
       ≤ 16 B ▏            120,000   0.2%       ≤ 4us ▎              400,000   0.8%
       ≤ 32 B ███▌       8,200,000  15.3%      ≤ 16us ███          5,200,000   9.8%
       ≤ 64 B █████████ 21,000,000  39.2%      ≤ 66us ███████████ 19,000,000  35.7%
      ≤ 128 B ██████▏   14,400,000  26.9%     ≤ 262us █████████▎  16,000,000  30.0%
      ≤ 256 B ██▊        6,300,000  11.8%       ≤ 1ms ████▏        7,100,000  13.3%
      ≤ 512 B ▉          2,100,000   3.9%       ≤ 4ms █▉           3,300,000   6.2%
      ≤ 1 KiB ▍            900,000   1.7%      ≤ 17ms ▊            1,200,000   2.3%
      ≤ 2 KiB ▏            350,000   0.7%      ≤ 67ms ▍              650,000   1.2%
      ≤ 4 KiB ▏            120,000   0.2%     ≤ 268ms ▏              220,000   0.4%
      ≤ 8 KiB ▏             40,000  <0.1%      ≤ 1.1s ▏               90,000   0.2%
     ≤ 16 KiB ▏             12,000  <0.1%      ≤ 4.3s ▏               41,000  <0.1%
     ≤ 32 KiB ▏              3,000  <0.1%     ≤ 17.2s ▏               30,000  <0.1%
     ≤ 64 KiB                    0   0.0%     ≤ 1m 8s ▏               18,000  <0.1%
    ≤ 128 KiB ▏              1,000  <0.1%    ≤ 4m 34s ▏                7,000  <0.1%
                                            ≤ 18m 19s ▏                2,000  <0.1%

    CALLS                                   ALLOCATORS
                  CALLS     BYTES  FAILED   glibc 2.36
    free     59,594,000         -       0     /usr/lib/x86_64-linux-gnu/libc.so.6
    malloc   58,100,000  8.29 GiB       3     allocated 9.00 GiB in 61,200,000
    calloc    2,000,000   572 MiB       0     freed     8.99 GiB in 59,593,783
    realloc   1,100,000   156 MiB       0
    ");
    press(&mut process, &shown, &[Top, Down]);
    assert!(text(&process, &shown, 80, 24).starts_with(" labels"));
    assert!(!process.act(Open, &shown.picture(), Rect::new(0, 0, 80, 24)));
}

#[test]
fn a_large_terminal_shows_everything() {
    for (width, height) in [(160, 50), (300, 100)] {
        let shows = text(&Process::default(), &Shown::new(rich()), width, height);
        for expect in ["IN USE", "RSS", "ALLOCATED", "SIZES", "LIFETIMES", "CALLS", "ALLOCATORS"] {
            assert!(shows.contains(expect), "{expect} at {width}: {shows}");
        }
        assert!(!shows.contains("more"), "{shows}");
    }
}

#[test]
fn several_processes_without_a_timeline() {
    insta::assert_snapshot!(text(&Process::default(), &Shown::new(sample::two_targets()), 80, 24), @"
    2 processes as one, 1 of them ended: leaky (pid 4242), leaky-2 (pid 4343)
                  BYTES        RATE  OBJECTS   RATE
    allocated  24.9 MiB  2.49 MiB/s    6,200  620/s
    freed       938 KiB  93.8 KiB/s    2,180  218/s
    in use     24.0 MiB                4,020
    2 processes · RSS 96.0 MiB by the kernel · CPU time 3.1s since the attach
    In use is 25.0% of RSS. The other 72.0 MiB are blocks older than the attach,
    code and stacks, and what the allocator keeps or wastes.

    IN USE                                  ALLOCATED
    no timeline in this document:           no timeline in this document:
    it was looked at only once              it was looked at only once

    SIZES of allocations                    CALLS
    ≤ 64 B █████▌            2,000  24.4%           CALLS     BYTES  FAILED
    > 64 B █████████████████ 6,200  75.6%   malloc  6,200  24.9 MiB       6
                                            free    2,180         -       0

    ALLOCATORS
    glibc 2.36 in 2 processes
      /usr/lib/x86_64-linux-gnu/libc.so.6
    ");
}

#[test]
fn mode_alloc_knows_nothing_of_what_is_in_use() {
    let shows = text(&Process::default(), &Shown::new(rich_alloc()), 80, 60);
    assert!(shows.contains("Mode alloc does not see frees: what is in use is not known."), "{shows}");
    for absent in ["IN USE", "LIFETIMES", "freed by"] {
        assert!(!shows.contains(absent), "{absent}: {shows}");
    }
}

#[test]
fn estimates_carry_their_error() {
    let shows = text(&Process::default(), &Shown::new(sample::sampled()), 80, 24);
    assert!(shows.contains("12.0 MiB ±3.1%"), "{shows}");
}

/// Check that a large process does not press what was counted since the attach to the ground.
#[test]
fn a_resident_set_that_is_much_larger_is_shown_by_its_growth() {
    let mut snapshot = rich();
    for point in snapshot.targets[0].timeline.iter_mut().flat_map(|timeline| &mut timeline.points) {
        point.resident_bytes += 8 << 30;
    }
    let shows = text(&Process::default(), &Shown::new(snapshot), 80, 24);
    assert!(shows.contains("• RSS GROWTH +"), "{shows}");
}

#[test]
fn it_fits_everywhere() {
    fits_everywhere(&|| Box::new(Process::default()));
}

#[test]
fn a_go_program_shows_its_collections() {
    insta::assert_snapshot!(text(&Process::default(), &Shown::new(sample::go()), 80, 40), @"
    mapstorm (pid 4242)  /srv/mapstorm/bin/mapstorm
                  BYTES       RATE     OBJECTS         RATE
    allocated  4.47 GiB  458 MiB/s  10,200,000  1,020,000/s
    freed      4.42 GiB  453 MiB/s   9,900,000    990,000/s
    in use     96.0 MiB              1,300,000
    gc: 83 cycles (8.3/s), 2 forced · pauses 6.9ms in all, longest 1.2ms · 4.1% of
    CPU · goal 120 MiB, live 61.0 MiB · GOGC 100
    RSS 190 MiB by the kernel · CPU time 1.5s since the attach
    In use is 50.5% of RSS. The other 94.0 MiB are code and stacks, and what the
    allocator keeps or wastes.

    IN USE                                  ALLOCATED
    no timeline in this document:           no timeline in this document:
    it was looked at only once              it was looked at only once

    SIZES of allocations                    GC PAUSES of cycles
     ≤ 64 B ████████████ 6,000,000  58.8%    ≤ 25us ███████████████▍      30  36.1%
    ≤ 512 B ████████▍    4,200,000  41.2%    ≤ 50us █████████████████████ 41  49.4%
                                            ≤ 100us ████▏                  8   9.6%
                                            ≤ 250us                        0   0.0%
                                            ≤ 500us █                      2   2.4%
                                              ≤ 1ms                        0   0.0%
                                            ≤ 2.5ms █                      2   2.4%

    CALLS                                   ALLOCATORS
                   CALLS     BYTES  FAILE   go 1.27.3 (runtime)
    mallocgc  10,200,000  4.47 GiB            /srv/mapstorm/bin/mapstorm
    sweep      9,900,000  4.42 GiB            allocated 4.47 GiB in 10,200,000
                                              freed     4.42 GiB in 9,900,000
    ");
}

#[test]
fn collections_of_several_processes_add_up() {
    let mut snapshot = sample::go();
    let mut other = sample::go();
    (other.targets[0].pid, other.sites[0].pid) = (4343, 4343);
    snapshot.targets.extend(other.targets);
    let shows = text(&Process::default(), &Shown::new(snapshot), 120, 60);
    for expect in [
        "gc: 166 cycles (16.6/s), 4 forced",
        "pauses 13.8ms in all",
        "goal 240 MiB",
        "≤ 50us",
        "82  49.4%",
        "go 1.27.3 (runtime) in 2 processes",
    ] {
        assert!(shows.contains(expect), "{expect}: {shows}");
    }
    assert!(!shows.contains("of CPU"), "a ratio of two has no sum: {shows}");
}
