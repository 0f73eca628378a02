//! Check that the table says everything, in lines that fit.

use std::sync::Arc;

use crate::model::snapshot::{Dimension, Frame, Snapshot, Verdict};
use crate::view::table::write;
use crate::view::{Options, frame, sample};

fn table(snapshot: &Snapshot, dimension: Dimension, width: u16) -> String {
    let mut out = Vec::new();
    write(snapshot, &Options { dimension, top: 20, colour: false, width: Some(width) }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn live_at_80_columns() {
    insta::assert_snapshot!(table(&sample::sample(), Dimension::InuseSpace, 80), @"
    tracer 0.1.0 · mode live · every allocation · attached 10.0s · exact
    labels service=shop

    leaky (pid 4242)  /srv/leaky/bin/leaky
      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6 (2 probes)
      resident 48.0 MiB · CPU time 1.5s since the attach
                    BYTES        RATE  OBJECTS   RATE
      allocated  12.5 MiB  1.25 MiB/s    3,100  310/s
      freed       469 KiB  46.9 KiB/s    1,090  109/s
      in use     12.0 MiB                2,010
      calls: malloc 3,100 (3 failed) · free 1,090

    CALL SITES by in-use bytes: 2 of 2
    #   ▼IN USE  OBJECTS  ALLOCATED  ALLOCS   SHARE  OLDEST
    1  12.0 MiB    2,000   12.4 MiB   2,100  100.0%    9.8s
        Cache::insert(std::string const&) (src/cache.cpp:42)
          via std::vector<…>::push_back(…) (stl_vector.h:1287) inlined
          via operator new(unsigned long) [libstdc++.so.6]
          libplugin.so+0x1a30 (no symbol)
          main (src/main.cpp:12)
          __libc_start_call_main [libc.so.6]
          _start [leaky]
    2     640 B       10   62.5 KiB   1,000    0.0%   250ms
        parse_request (src/http.c:88)
          [cut here: the next function keeps no frame pointer]

    QUALITY        EXACT: nothing was lost, nothing is estimated
    events         6,201 counted, 3,100 stacks walked
    cut short      1 stack, callers not known: the next function keeps no frame
                   pointer
    no symbol      1 frame without a symbol, shown by address
    unmatched      17 frees of blocks older than the attach: nothing is counted for
                   them
    pending        1 call had not returned at the end, not counted as in use
    early          2 calls were under way when counting began, not counted
    note           realloc is single-stepped: its first instructions cannot be
                   emulated
    overhead       6,201 probe hits at 570 ns = 4ms, 0.2% of the target's CPU time
    kernel memory  62.6 MiB in BPF maps
    ");
}

#[test]
fn live_at_160_columns() {
    insta::assert_snapshot!(table(&sample::sample(), Dimension::InuseSpace, 160), @"
    tracer 0.1.0 · mode live · every allocation · attached 10.0s · exact
    labels service=shop

    leaky (pid 4242)  /srv/leaky/bin/leaky
      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6 (2 probes)
      resident 48.0 MiB · CPU time 1.5s since the attach
                    BYTES        RATE  OBJECTS   RATE
      allocated  12.5 MiB  1.25 MiB/s    3,100  310/s
      freed       469 KiB  46.9 KiB/s    1,090  109/s
      in use     12.0 MiB                2,010
      calls: malloc 3,100 (3 failed) · free 1,090

    CALL SITES by in-use bytes: 2 of 2
    #   ▼IN USE  OBJECTS  ALLOCATED  ALLOCS   SHARE  OLDEST  CALL STACK
    1  12.0 MiB    2,000   12.4 MiB   2,100  100.0%    9.8s  Cache::insert(std::string const&) (src/cache.cpp:42)
                                                               via std::vector<…>::push_back(std::string const&) (stl_vector.h:1287) inlined
                                                               via operator new(unsigned long) [libstdc++.so.6]
                                                               libplugin.so+0x1a30 (no symbol)
                                                               main (src/main.cpp:12)
                                                               __libc_start_call_main [libc.so.6]
                                                               _start [leaky]
    2     640 B       10   62.5 KiB   1,000    0.0%   250ms  parse_request (src/http.c:88)
                                                               [cut here: the next function keeps no frame pointer]

    QUALITY        EXACT: nothing was lost, nothing is estimated
    events         6,201 counted, 3,100 stacks walked
    cut short      1 stack, callers not known: the next function keeps no frame pointer
    no symbol      1 frame without a symbol, shown by address
    unmatched      17 frees of blocks older than the attach: nothing is counted for them
    pending        1 call had not returned at the end, not counted as in use
    early          2 calls were under way when counting began, not counted
    note           realloc is single-stepped: its first instructions cannot be emulated
    overhead       6,201 probe hits at 570 ns = 4ms, 0.2% of the target's CPU time
    kernel memory  62.6 MiB in BPF maps
    ");
}

#[test]
fn two_targets_with_losses() {
    insta::assert_snapshot!(table(&sample::two_targets(), Dimension::AllocObjects, 80), @"
    tracer 0.1.0 · mode live · every allocation · attached 10.0s · lossy
    labels service=shop

    leaky (pid 4242)  /srv/leaky/bin/leaky
      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6 (2 probes)
      resident 48.0 MiB · CPU time 1.5s since the attach
                    BYTES        RATE  OBJECTS   RATE
      allocated  12.5 MiB  1.25 MiB/s    3,100  310/s
      freed       469 KiB  46.9 KiB/s    1,090  109/s
      in use     12.0 MiB                2,010
      calls: malloc 3,100 (3 failed) · free 1,090

    leaky-2 (pid 4343)  /srv/leaky/bin/leaky
      ended: exited
      labels canary_group=canary
      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6 (2 probes)
      resident 48.0 MiB · CPU time 1.5s since the attach
                    BYTES        RATE  OBJECTS   RATE
      allocated  12.5 MiB  1.25 MiB/s    3,100  310/s
      freed       469 KiB  46.9 KiB/s    1,090  109/s
      in use     12.0 MiB                2,010
      calls: malloc 3,100 (3 failed) · free 1,090

    CALL SITES by allocations: 4 of 4
    #   PID    IN USE  OBJECTS  ALLOCATED  ▼ALLOCS  SHARE  OLDEST
    1  4242  12.0 MiB    2,000   12.4 MiB    2,100  33.9%    9.8s
        Cache::insert(std::string const&) (src/cache.cpp:42)
          via std::vector<…>::push_back(…) (stl_vector.h:1287) inlined
          via operator new(unsigned long) [libstdc++.so.6]
          libplugin.so+0x1a30 (no symbol)
          main (src/main.cpp:12)
          __libc_start_call_main [libc.so.6]
          _start [leaky]
    2  4343  12.0 MiB    2,000   12.4 MiB    2,100  33.9%    9.8s
        Cache::insert(std::string const&) (src/cache.cpp:42)
          via std::vector<…>::push_back(…) (stl_vector.h:1287) inlined
          via operator new(unsigned long) [libstdc++.so.6]
          libplugin.so+0x1a30 (no symbol)
          main (src/main.cpp:12)
          __libc_start_call_main [libc.so.6]
          _start [leaky]
    3  4242     640 B       10   62.5 KiB    1,000  16.1%   250ms
        parse_request (src/http.c:88)
          [cut here: the next function keeps no frame pointer]
    4  4343     640 B       10   62.5 KiB    1,000  16.1%   250ms
        [no stack: the stack's memory could not be read]

    QUALITY        LOSSY: some events are in no call site, whose numbers are too
                   low; what could not be probed is missing everywhere
    lost           1,234 × map_full: a map was full, so these blocks are not
                   followed or these stacks have no site of their own: raise
                   --max-live or --max-stacks
    not probed     1 × permission denied
    events         6,201 counted, 3,100 stacks walked
    cut short      1 stack, callers not known: the next function keeps no frame
                   pointer
    cut short      1 stack, callers not known: the stack's memory could not be read
    no symbol      1 frame without a symbol, shown by address
    unmatched      17 frees of blocks older than the attach: nothing is counted for
                   them
    pending        1 call had not returned at the end, not counted as in use
    early          2 calls were under way when counting began, not counted
    note           realloc is single-stepped: its first instructions cannot be
                   emulated
    overhead       6,201 probe hits at 570 ns = 4ms, 0.2% of the target's CPU time
    kernel memory  62.6 MiB in BPF maps
    ");
}

#[test]
fn mode_alloc_has_no_columns_of_what_is_in_use() {
    insta::assert_snapshot!(table(&sample::alloc_mode(), Dimension::InuseSpace, 80), @"
    tracer 0.1.0 · mode alloc · every allocation · attached 10.0s · exact
    labels service=shop

    leaky (pid 4242)  /srv/leaky/bin/leaky
      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6 (2 probes)
      resident 48.0 MiB · CPU time 1.5s since the attach
                    BYTES        RATE  OBJECTS   RATE
      allocated  12.5 MiB  1.25 MiB/s    3,100  310/s
      calls: malloc 3,100

    Mode alloc does not see frees: sorted by allocations, not by what is in use.
    CALL SITES by allocated bytes: 2 of 2
    #  ▼ALLOCATED  ALLOCS  SHARE
    1    12.4 MiB   2,100  99.5%
        Cache::insert(std::string const&) (src/cache.cpp:42)
          via std::vector<…>::push_back(…) (stl_vector.h:1287) inlined
          via operator new(unsigned long) [libstdc++.so.6]
          libplugin.so+0x1a30 (no symbol)
          main (src/main.cpp:12)
          __libc_start_call_main [libc.so.6]
          _start [leaky]
    2    62.5 KiB   1,000   0.5%
        parse_request (src/http.c:88)
          [cut here: the next function keeps no frame pointer]

    QUALITY        EXACT: nothing was lost, nothing is estimated
    counted        calls at their entry, also those that fail; frees are not seen
    events         6,201 counted, 3,100 stacks walked
    cut short      1 stack, callers not known: the next function keeps no frame
                   pointer
    no symbol      1 frame without a symbol, shown by address
    pending        1 call had not returned at the end, not counted as in use
    early          2 calls were under way when counting began, not counted
    note           realloc is single-stepped: its first instructions cannot be
                   emulated
    overhead       6,201 probe hits at 570 ns = 4ms, 0.2% of the target's CPU time
    kernel memory  62.6 MiB in BPF maps
    ");
}

#[test]
fn estimates_carry_their_error() {
    insta::assert_snapshot!(table(&sample::sampled(), Dimension::InuseSpace, 80), @"
    tracer 0.1.0 · mode live · a sample every 512 KiB · attached 10.0s · sampled
    labels service=shop

    leaky (pid 4242)  /srv/leaky/bin/leaky
      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6 (2 probes)
      resident 48.0 MiB · CPU time 1.5s since the attach
                          BYTES        RATE  OBJECTS   RATE
      allocated        12.5 MiB  1.25 MiB/s    3,100  310/s
      freed             469 KiB  46.9 KiB/s    1,090  109/s
      in use     12.0 MiB ±3.1%                2,010
      calls: malloc 3,100 (3 failed) · free 1,090

    CALL SITES by in-use bytes: 2 of 2
    #   ▼IN USE  OBJECTS  ALLOCATED  ALLOCS   SHARE               ±  OLDEST
    1  12.0 MiB    2,000   12.4 MiB   2,100  100.0%            ±25%    9.8s
        Cache::insert(std::string const&) (src/cache.cpp:42)
          via std::vector<…>::push_back(…) (stl_vector.h:1287) inlined
          via operator new(unsigned long) [libstdc++.so.6]
          libplugin.so+0x1a30 (no symbol)
          main (src/main.cpp:12)
          __libc_start_call_main [libc.so.6]
          _start [leaky]
    2     640 B       10   62.5 KiB   1,000    0.0%  320 B–1.25 KiB   250ms
        parse_request (src/http.c:88)
          [cut here: the next function keeps no frame pointer]

    QUALITY        SAMPLED: nothing was lost; call sites are estimates, totals
                   without ± are exact
    counted        calls at their entry, also those that fail
    sampled        a sample every 512 KiB on average, 84 in all
    precision      ± is one standard error; below 30 samples the 95% interval, or *
                   where it has no room (--format json has it)
    self-check     3,340 allocations estimated, 3,100 counted (+1.2 standard
                   errors); 11.9 MiB estimated, 12.5 MiB counted (-0.8)
    events         6,201 counted, 84 stacks walked
    cut short      1 stack, callers not known: the next function keeps no frame
                   pointer
    no symbol      1 frame without a symbol, shown by address
    pending        1 call had not returned at the end, not counted as in use
    note           realloc is single-stepped: its first instructions cannot be
                   emulated
    overhead       6,201 probe hits at 570 ns = 4ms, 0.2% of the target's CPU time
    kernel memory  62.6 MiB in BPF maps
    ");
}

/// Check that an interval that does not fit is a mark, and that a check that fails is seen.
#[test]
fn few_samples_and_a_failed_check_are_seen() {
    let mut snapshot = sample::sampled();
    snapshot.sites[1].alloc_objects = 1_000_000_000_000;
    let text = table(&snapshot, Dimension::InuseSpace, 80);
    assert!(text.contains(" ±25%* "), "{text}");
    let check = snapshot.quality.self_check.as_mut().expect("sampled");
    check.alloc_objects.deviation = Some(-5.0);
    check.alloc_bytes = None;
    let text = table(&snapshot, Dimension::InuseSpace, 160);
    assert!(text.contains("counted (-5.0 standard errors): more than chance explains, report it"), "{text}");
}

#[test]
fn nothing_happened() {
    insta::assert_snapshot!(table(&sample::empty(), Dimension::InuseSpace, 80), @"
    tracer 0.1.0 · mode live · every allocation · attached 10.0s · exact
    labels service=shop

    leaky (pid 4242)  /srv/leaky/bin/leaky
      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6 (2 probes)
      resident 48.0 MiB · CPU time 1.5s since the attach
                 BYTES   RATE  OBJECTS  RATE
      allocated    0 B  0 B/s        0   0/s
      freed        0 B  0 B/s        0   0/s
      in use       0 B               0
      calls: malloc 0 (3 failed)

    CALL SITES by in-use bytes: 0 of 0
      no call site has in-use bytes

    QUALITY        EXACT: nothing was lost, nothing is estimated
    events         0 counted, 0 stacks walked
    overhead       0 probe hits, cost not measured
    ");
}

/// Check that what `--top` leaves out, and what is in no site, is summed up.
#[test]
fn numbers_always_add_up() {
    let mut snapshot = sample::sample();
    snapshot.targets[0].totals.inuse_bytes = Some(12_583_552 + 1024);
    let options = Options { dimension: Dimension::InuseSpace, top: 1, colour: false, width: Some(100) };
    let mut out = Vec::new();
    write(&snapshot, &options, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("1 more site with 640 B in use (0.0%)"), "{text}");
    assert!(text.contains("in none of these sites: 1.00 KiB in use (0.0%)"), "{text}");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut long = sample::two_targets();
    long.targets[0].exe = "/very/long".repeat(40);
    long.labels.insert("key".to_owned(), "value ".repeat(40));
    long.quality.notes.push("word".repeat(60));
    long.sites[0].frames = vec![long.sites[0].frames[1].clone(); 40].into();
    for snapshot in [sample::sample(), long, sample::alloc_mode(), sample::sampled(), sample::empty()] {
        for width in [72, 80, 100, 120, 160, 250] {
            for line in table(&snapshot, Dimension::InuseSpace, width).lines() {
                assert!(frame::columns(line) <= usize::from(width), "{width}: {line}");
            }
        }
    }
}

#[test]
fn deep_stacks_keep_both_ends() {
    let mut snapshot = sample::sample();
    let first = Frame::clone(&snapshot.sites[1].frames[0]);
    let deep = |at: usize| Arc::new(Frame { function: Some(format!("f{at}")), ..first.clone() });
    snapshot.sites[0].frames = (0..50).map(deep).collect();
    let text = table(&snapshot, Dimension::InuseSpace, 100);
    for expect in ["f0 (", "f10 (", "… 38 frames, see --format json", "f49 ("] {
        assert!(text.contains(expect), "{expect}\n{text}");
    }
}

/// Check that a target cannot write to the terminal of who watches it.
#[test]
fn control_characters_of_the_target_do_not_reach_the_terminal() {
    let mut snapshot = sample::two_targets();
    let evil = "\x1b]0;x\x07\r".to_owned();
    snapshot.labels.insert("key".to_owned(), evil.clone());
    (snapshot.targets[0].comm, snapshot.targets[0].exe) = (evil.clone(), evil.clone());
    snapshot.targets[0].ended = Some(evil.clone());
    snapshot.quality.notes.push(evil.clone());
    let frame = Arc::make_mut(&mut Arc::make_mut(&mut snapshot.sites[0].frames)[0]);
    (frame.function, frame.file) = (Some(evil.clone()), Some(evil));
    let text = table(&snapshot, Dimension::InuseSpace, 80);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

/// Check that colour adds nothing but escape sequences.
#[test]
fn colour_is_never_the_only_signal() {
    for verdict in [Verdict::Exact, Verdict::Sampled, Verdict::Lossy] {
        let mut snapshot = sample::two_targets();
        snapshot.quality.verdict = verdict;
        let options = Options { dimension: Dimension::InuseSpace, top: 20, colour: true, width: Some(120) };
        let mut out = Vec::new();
        write(&snapshot, &options, &mut out).unwrap();
        let coloured = String::from_utf8(out).unwrap();
        assert!(coloured.contains("\x1b["));
        let plain: String = coloured
            .split('\x1b')
            .map(|part| {
                part.strip_prefix('[').and_then(|part| part.split_once('m')).map_or(part, |(_, text)| text)
            })
            .collect();
        let trimmed = plain.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert_eq!(format!("{trimmed}\n"), table(&snapshot, Dimension::InuseSpace, 120));
    }
}

#[test]
fn a_go_program_at_100_columns() {
    insta::assert_snapshot!(table(&sample::go(), Dimension::InuseSpace, 100), @"
    tracer 0.1.0 · mode live · a sample every 512 KiB · attached 10.0s · sampled

    mapstorm (pid 4242)  /srv/mapstorm/bin/mapstorm
      go 1.27.3 heap (runtime: no probes) · one sample per 512 KiB · profile as of 400ms ago
      gc: 83 cycles (8.3/s), 2 forced · pauses 6.9ms in all, longest 1.2ms · 4.1% of CPU · goal 120 MiB,
          live 61.0 MiB · GOGC 100
      resident 190 MiB · CPU time 1.5s since the attach
                    BYTES       RATE     OBJECTS         RATE
      allocated  4.47 GiB  458 MiB/s  10,200,000  1,020,000/s
      freed      4.42 GiB  453 MiB/s   9,900,000    990,000/s
      in use     96.0 MiB              1,300,000
      calls: mallocgc 10,200,000 · sweep 9,900,000

    CALL SITES by in-use bytes: 2 of 2
    #   ▼IN USE  OBJECTS  ALLOCATED     ALLOCS  SHARE              ±  OLDEST
    1  60.0 MiB  400,000   4.38 GiB  9,800,000  62.5%           ±10%       -
        main.labels (mapstorm/main.go:41) inlined
          main.(*server).handle (mapstorm/main.go:88)
          net/http.HandlerFunc.ServeHTTP (http/server.go:2322)
          runtime.goexit (runtime/asm_amd64.s:1771)
    2  3.00 MiB        6   3.00 MiB          6   3.1%  2.25–3.75 MiB       -
        main.main (mapstorm/main.go:120)
          runtime.main (runtime/proc.go:290)

    QUALITY        SAMPLED: nothing was lost; call sites are estimates, totals without ± are exact
    runtime        go counts its heap by itself, without probes: totals are exact, in use is all that
                   the process holds, also what is older than the attach; allocated and not counted yet
                   are at most 1.25 MiB
    profile        call sites of go are estimates, from one sample per 512 KiB on average; what they
                   have in use is as of a finished garbage collection, 400ms ago
    sampled        a sample every 512 KiB on average, 4,120 in all
    precision      ± is one standard error; below 30 samples the 95% interval, or * where it has no room
                   (--format json has it)
    events         20,100,000 counted by the runtime
    overhead       no probes: the runtime's numbers are read from the process's memory
    ");
}

#[test]
fn a_go_program_with_c_beside_it() {
    insta::assert_snapshot!(table(&sample::cgo(), Dimension::AllocSpace, 120), @"
    tracer 0.1.0 · mode live · every allocation, in go a sample every 512 KiB · attached 10.0s · sampled

    mapstorm (pid 4242)  /srv/mapstorm/bin/mapstorm
      glibc 2.36 in /usr/lib/x86_64-linux-gnu/libc.so.6 (2 probes): 2,100 allocations, 12.4 MiB
      go 1.27.3 heap (runtime: no probes): 10,200,000 allocations, 4.47 GiB · one sample per 512 KiB · profile as of 400ms
        ago
      gc: 83 cycles (8.3/s), 2 forced · pauses 6.9ms in all, longest 1.2ms · 4.1% of CPU · goal 120 MiB, live 61.0 MiB ·
          GOGC 100
      resident 190 MiB · CPU time 1.5s since the attach
                    BYTES       RATE     OBJECTS         RATE
      allocated  4.48 GiB  459 MiB/s  10,202,100  1,020,210/s
      freed      4.42 GiB  453 MiB/s   9,900,100    990,010/s
      in use      108 MiB              1,302,000
      calls: mallocgc 10,200,000 · sweep 9,900,000 · malloc 2,100 (3 failed) · free 100

    CALL SITES by allocated bytes: 3 of 3
    #    IN USE  OBJECTS  ▼ALLOCATED     ALLOCS  SHARE              ±  OLDEST
    1  60.0 MiB  400,000    4.38 GiB  9,800,000  97.7%            ±2%       -
        main.labels (mapstorm/main.go:41) inlined
          main.(*server).handle (mapstorm/main.go:88)
          net/http.HandlerFunc.ServeHTTP (http/server.go:2322)
          runtime.goexit (runtime/asm_amd64.s:1771)
    2  12.0 MiB    2,000    12.4 MiB      2,100   0.3%            ±0%    9.8s
        Cache::insert(std::string const&) (src/cache.cpp:42)
          via std::vector<std::string, std::allocator<…> >::push_back(std::string const&) (stl_vector.h:1287) inlined
          via operator new(unsigned long) [libstdc++.so.6]
          libplugin.so+0x1a30 (no symbol)
          main (src/main.cpp:12)
          __libc_start_call_main [libc.so.6]
          _start [leaky]
    3  3.00 MiB        6    3.00 MiB          6   0.1%  2.25–3.75 MiB       -
        main.main (mapstorm/main.go:120)
          runtime.main (runtime/proc.go:290)

    QUALITY        SAMPLED: nothing was lost; call sites are estimates, totals without ± are exact
    runtime        go counts its heap by itself, without probes: totals are exact, in use is all that the process holds,
                   also what is older than the attach; allocated and not counted yet are at most 1.25 MiB
    profile        call sites of go are estimates, from one sample per 512 KiB on average; what they have in use is as of a
                   finished garbage collection, 400ms ago
    sampled        every allocation, in go a sample every 512 KiB on average, 4,120 in all
    precision      ± is one standard error; below 30 samples the 95% interval, or * where it has no room (--format json has
                   it)
    events         20,100,000 counted, 4,120 stacks walked
    overhead       6,201 probe hits at 570 ns = 4ms, 0.2% of the target's CPU time
    kernel memory  62.6 MiB in BPF maps
    ");
}
