//! Check the profile with a second implementation of the format, then that it reads back.

use std::io::Read;
use std::process::Command;
use std::sync::Arc;

use flate2::read::GzDecoder;
use pprof::protos::{Message, Profile};

use crate::model::snapshot::{Mode, Snapshot, Verdict};
use crate::view::pprof::{read, write};
use crate::view::sample;

fn packed(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    write(snapshot, &mut out).unwrap();
    out
}

/// By rust-protobuf and pprof-rs's copy of the schema, which share no code with the encoder.
fn decoded(snapshot: &Snapshot) -> Profile {
    let mut bytes = Vec::new();
    GzDecoder::new(packed(snapshot).as_slice()).read_to_end(&mut bytes).unwrap();
    Profile::parse_from_bytes(&bytes).unwrap()
}

fn text(profile: &Profile, id: i64) -> &str {
    &profile.string_table[usize::try_from(id).unwrap()]
}

fn comments(profile: &Profile) -> Vec<&str> {
    profile.comment.iter().map(|&id| text(profile, id)).collect()
}

#[test]
fn header_is_that_of_the_contract() {
    let profile = decoded(&sample::sampled());
    let types: Vec<_> =
        profile.sample_type.iter().map(|kind| (text(&profile, kind.ty), text(&profile, kind.unit))).collect();
    let expect = [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ];
    assert_eq!(types, expect);
    assert_eq!(text(&profile, profile.default_sample_type), "inuse_space");
    assert_eq!(text(&profile, profile.period_type.ty), "space");
    assert_eq!(text(&profile, profile.period_type.unit), "bytes");
    assert_eq!(profile.period, 512 << 10);
    assert_eq!(profile.time_nanos, 1_772_593_198_000_000_000);
    assert_eq!(profile.duration_nanos, 10_000_000_000);
    assert_eq!(profile.string_table[0], "");
    assert_eq!(
        comments(&profile)[..5],
        ["tracer 0.1.0", "mode=live", "verdict=sampled", "cpu_seconds=1.54", "processes=1"]
    );
}

#[test]
fn losses_are_comments_that_readers_show() {
    let profile = decoded(&sample::two_targets());
    let comments = comments(&profile);
    for expect in ["verdict=lossy", "cpu_seconds=3.08", "processes=2", "lost[map_full]=1234"] {
        assert!(comments.contains(&expect), "{expect} in {comments:?}");
    }
}

#[test]
fn inlined_frames_are_lines_of_one_location_innermost_first() {
    let profile = decoded(&sample::sample());
    let stack = &profile.sample[0];
    assert_eq!(stack.value, [2100, 13_000_000, 2000, 12_582_912]);
    // Seven frames, of which one is inlined.
    assert_eq!(stack.location_id.len(), 6);
    let location = profile.location.iter().find(|location| location.id == stack.location_id[1]).unwrap();
    assert_eq!(location.address, 0x5555_5555_61a8);
    let names: Vec<_> = location
        .line
        .iter()
        .map(|line| {
            let function = profile.function.iter().find(|function| function.id == line.function_id).unwrap();
            (text(&profile, function.name), text(&profile, function.filename), line.line)
        })
        .collect();
    assert_eq!(
        names[0].0,
        "std::vector<std::string, std::allocator<std::string> >::push_back(std::string const&)"
    );
    assert_eq!(names[0].2, 1287);
    assert_eq!(names[1], ("Cache::insert(std::string const&)", "/srv/leaky/src/cache.cpp", 42));
    let unnamed = profile.location.iter().find(|location| location.id == stack.location_id[2]).unwrap();
    assert!(unnamed.line.is_empty());
}

#[test]
fn addresses_lie_in_their_mapping_and_lead_to_the_offset_in_the_file() {
    for snapshot in [sample::sample(), sample::two_targets()] {
        let profile = decoded(&snapshot);
        for location in profile.location.iter().filter(|location| location.address > 0) {
            let mapping = profile.mapping.iter().find(|mapping| mapping.id == location.mapping_id).unwrap();
            assert!((mapping.memory_start..mapping.memory_limit).contains(&location.address));
            assert_eq!((mapping.memory_start % 4096, mapping.memory_limit % 4096), (0, 0));
            let offset = location.address - mapping.memory_start + mapping.file_offset;
            let module = text(&profile, mapping.filename);
            let mut frames = snapshot.sites.iter().flat_map(|site| site.frames.iter());
            assert!(
                frames.any(|frame| frame.file_offset == Some(offset) && frame.module.as_deref() == Some(module)),
                "{module}+{offset:#x}"
            );
        }
        let first = &profile.mapping[0];
        assert_eq!(text(&profile, first.filename), "/srv/leaky/bin/leaky");
        assert_eq!(text(&profile, first.build_id), "6f1b2c3d4e5f60718293a4b5c6d7e8f901234567");
        assert!(
            first.has_functions && first.has_filenames && first.has_line_numbers && first.has_inline_frames
        );
    }
}

#[test]
fn labels_are_those_of_the_snapshot_and_of_the_target_with_the_pid() {
    let profile = decoded(&sample::two_targets());
    let labels = |at: usize| -> Vec<_> {
        let labels = profile.sample[at].label.iter();
        labels.map(|label| (text(&profile, label.key), text(&profile, label.str), label.num)).collect()
    };
    assert_eq!(labels(0), [("service", "shop", 0), ("pid", "", 4242), ("allocator", "glibc", 0)]);
    assert_eq!(
        labels(3),
        [
            ("canary_group", "canary", 0),
            ("service", "shop", 0),
            ("pid", "", 4343),
            ("truncated", "read_fault", 0),
            ("allocator", "glibc", 0)
        ]
    );
    // A site without frames keeps its numbers: its reason stands for the stack.
    let location = &profile.location[usize::try_from(profile.sample[3].location_id[0]).unwrap() - 1];
    let function = &profile.function[usize::try_from(location.line[0].function_id).unwrap() - 1];
    assert_eq!(text(&profile, function.name), "[read_fault]");
}

/// Check that all references are there, once, and that tables hold nothing twice.
#[test]
fn tables_are_consistent() {
    let profile = decoded(&sample::two_targets());
    let mut texts = profile.string_table.clone();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), profile.string_table.len());
    for (at, location) in profile.location.iter().enumerate() {
        assert_eq!(location.id, at as u64 + 1);
        assert!(location.mapping_id <= profile.mapping.len() as u64);
    }
    for (at, function) in profile.function.iter().enumerate() {
        assert_eq!(function.id, at as u64 + 1);
    }
    for (at, mapping) in profile.mapping.iter().enumerate() {
        assert_eq!(mapping.id, at as u64 + 1);
    }
    // The two targets have their libraries at different addresses.
    assert_eq!(profile.mapping.len(), 8);
}

#[test]
fn same_snapshot_gives_the_same_bytes() {
    let snapshot = sample::two_targets();
    assert_eq!(packed(&snapshot), packed(&snapshot));
}

#[test]
fn profile_reads_back_but_for_what_pprof_cannot_hold() {
    for snapshot in [sample::sample(), sample::two_targets(), sample::alloc_mode(), sample::empty()] {
        let mut expect = snapshot.clone();
        for site in &mut expect.sites {
            (site.free_objects, site.oldest_seconds) = (None, None);
            site.standard_error = Default::default();
            Arc::make_mut(&mut site.frames).iter_mut().for_each(|frame| Arc::make_mut(frame).reason = None);
        }
        let mut got = read(&packed(&snapshot)).unwrap();
        assert!(got.quality.notes.pop().unwrap().starts_with("opened from a pprof file"));
        assert_eq!(got, expect);
    }
}

/// A profile as Go's runtime writes it: the types in another order, no comments, text labels.
#[test]
fn profiles_of_other_programs_open_with_what_they_say() {
    let mut profile = decoded(&sample::sample());
    profile.comment.clear();
    profile.sample_type.reverse();
    for sample in &mut profile.sample {
        sample.value.reverse();
        sample.label.clear();
    }
    let got = read(&profile.write_to_bytes().unwrap()).unwrap();
    assert_eq!(got.mode, Mode::Live);
    assert_eq!(got.sites[0].alloc_bytes, 13_000_000);
    assert_eq!(got.sites[0].inuse_objects, Some(2000));
    assert_eq!(got.sites[0].frames.len(), 7);
    assert_eq!(got.targets.len(), 1);
    assert_eq!((got.targets[0].pid, got.targets[0].comm.as_str()), (0, "leaky"));
    assert_eq!(got.targets[0].totals.inuse_bytes, Some(12_583_552));
    assert_eq!(got.quality.verdict, Verdict::Sampled);
    assert_eq!(got.quality.frees_unmatched, None);
}

#[test]
fn profiles_of_something_else_are_refused_with_the_reason() {
    let mut cpu = decoded(&sample::sample());
    cpu.sample_type.truncate(2);
    let mut dangling = decoded(&sample::sample());
    dangling.sample[0].location_id = vec![99];
    let mut beyond = decoded(&sample::sample());
    beyond.string_table.truncate(3);
    let mut cut = packed(&sample::sample());
    cut.truncate(cut.len() / 2);
    let check = |bytes: &[u8], expect: &str| {
        let message = read(bytes).unwrap_err().to_string();
        assert!(message.contains(expect), "{message}");
    };
    for (bytes, expect) in [
        (
            cpu.write_to_bytes().unwrap(),
            "it lacks the sample types inuse_objects, inuse_space, it has alloc_objects, alloc_space",
        ),
        (dangling.write_to_bytes().unwrap(), "location 99 is referred to and not there"),
        (beyond.write_to_bytes().unwrap(), "of 3 is referred to"),
        (cut, "failed to read the profile"),
        (b"not a profile at all".to_vec(), "not a pprof profile"),
    ] {
        check(&bytes, expect);
    }
}

/// Check that readers find the same type first in every profile, whatever its mode.
#[test]
fn default_type_is_inuse_space_in_every_mode() {
    for snapshot in [sample::sample(), sample::alloc_mode(), sample::sampled()] {
        let profile = decoded(&snapshot);
        assert_eq!(text(&profile, profile.default_sample_type), "inuse_space");
    }
}

#[test]
fn estimates_are_said_to_be_such() {
    let profile = decoded(&sample::sampled());
    let comments = comments(&profile);
    assert!(comments.contains(&"sample_bytes=524288: values are estimates"), "{comments:?}");
    assert_eq!(decoded(&sample::sample()).period, 0);
}

/// Check that a Go program's profile has the runtime's own interval, and says what its collector did.
#[test]
fn what_a_runtime_samples_has_its_interval() {
    let profile = decoded(&sample::go());
    assert_eq!(profile.period, 512 << 10);
    let comments = comments(&profile);
    for expect in [
        "sample_bytes=524288: values are estimates",
        "go 1.27.3 heap (runtime: no probes) · one sample per 512 KiB · profile as of 400ms ago",
        "gc[4242]: 83 cycles (8.3/s), 2 forced · pauses 6.9ms in all, longest 1.2ms · 4.1% of CPU · goal 120 MiB, live \
         61.0 MiB · GOGC 100",
    ] {
        assert!(comments.contains(&expect), "{expect} in {comments:?}");
    }
    let again = read(&packed(&sample::go())).unwrap();
    assert_eq!((&again.targets, again.sites.len()), (&sample::go().targets, 2));
    assert_eq!(text(&profile, profile.mapping[0].filename), "/srv/mapstorm/bin/mapstorm");
}

/// Check that the reader that Go's users have shows the function that returns maps first, by each of the four numbers.
#[test]
fn go_tool_pprof_reads_a_go_program() {
    let name = "go_tool_pprof_reads_a_go_program";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("go.pb.gz");
    std::fs::write(&path, packed(&sample::go())).unwrap();
    let top = |index: &str| {
        let mut go = Command::new("go");
        go.args(["tool", "pprof", "-top", &format!("-sample_index={index}")]).arg(&path);
        go.env("PPROF_TMPDIR", folder.path()).env("HOME", folder.path()).output()
    };
    for (index, flat, share) in [
        ("alloc_space", "4.38GB", "99.93%"),
        ("alloc_objects", "9800000", "100%"),
        ("inuse_space", "60MB", "95.24%"),
        ("inuse_objects", "400000", "100%"),
    ] {
        let output = match top(index) {
            Ok(output) => output,
            Err(error) => {
                println!("SKIP {name}: there is no go: {error}; `cargo xtask setup --test` gets it");
                return;
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        let mut rows = text.lines().skip_while(|line| !line.trim_start().starts_with("flat ")).skip(1);
        let words: Vec<&str> = rows.next().unwrap_or_default().split_whitespace().collect();
        assert_eq!(words.first().zip(words.get(1)), Some((&flat, &share)), "{index}: {text}");
        assert_eq!(words.get(5), Some(&"main.labels"), "{index}: {text}");
        assert!(text.contains("one sample per 512 KiB"), "the comments stand above: {text}");
    }
}
