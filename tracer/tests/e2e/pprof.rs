//! Reads the pprof output back through another implementation of the format than the one that wrote it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use pprof::protos::{Message, Profile};
use tracer::model::snapshot::{CallSite, Snapshot};

use crate::fixtures::fixture;
use crate::harness::{Tracer, kernel_or_skip, tracer};

/// The order of the contract.
const SAMPLE_TYPES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

fn read(path: &Path) -> Profile {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).expect("gzip");
    Profile::parse_from_bytes(&bytes).expect("a pprof profile")
}

/// The JSON and the pprof of one run.
fn both_of_one_run(mode: &str) -> (Snapshot, Profile) {
    let directory = tempfile::tempdir().expect("a directory");
    let (json, pprof) = (directory.path().join("x.json"), directory.path().join("x.pb.gz"));
    let mut command = tracer();
    command.args(["run", "--mode", mode, "--label", "version=1.2", "-o"]).arg(&json).arg("-o").arg(&pprof);
    command.arg("--").arg(fixture("truth")).args(["--rounds", "3", "--stacks", "64", "--leave-every", "3"]);
    let outcome = Tracer::spawn(&mut command).wait();
    assert_eq!(outcome.code, 0, "it runs: {}", outcome.stderr);
    let text = std::fs::read_to_string(&json).expect("a JSON report");
    (serde_json::from_str(&text).expect("the contract's document"), read(&pprof))
}

fn string(profile: &Profile, index: i64) -> &str {
    let index = usize::try_from(index).expect("an index is not negative");
    profile.string_table.get(index).unwrap_or_else(|| panic!("no string {index}"))
}

/// The sum of one of the four numbers over all samples.
fn sum(profile: &Profile, sample_type: usize) -> u64 {
    let values = profile.sample.iter().map(|sample| sample.value[sample_type]);
    values.map(|value| u64::try_from(value).expect("no count is negative")).sum()
}

/// The names of a sample's functions, leaf first, inlined ones before what they are inlined into.
fn names<'a>(profile: &'a Profile, location_ids: &[u64]) -> Vec<&'a str> {
    let mut names = Vec::new();
    for id in location_ids {
        let location =
            profile.location.iter().find(|location| location.id == *id).expect("every location is there");
        for line in &location.line {
            let function = profile.function.iter().find(|function| function.id == line.function_id);
            names.push(string(profile, function.expect("every function is there").name));
        }
    }
    names
}

/// Check that the four numbers, their names and their sums are those of the JSON of the same run.
#[test]
fn pprof_sums_equal_the_json_of_the_same_run() {
    if !kernel_or_skip("pprof_sums_equal_the_json_of_the_same_run") {
        return;
    }
    for mode in ["live", "alloc"] {
        let (snapshot, profile) = both_of_one_run(mode);
        assert_eq!(profile.string_table[0], "", "the format's first string is empty");
        let types: Vec<_> = profile
            .sample_type
            .iter()
            .map(|kind| (string(&profile, kind.ty), string(&profile, kind.unit)))
            .collect();
        assert_eq!(types, SAMPLE_TYPES, "in the contract's order");
        let json = |value: fn(&CallSite) -> u64| snapshot.sites.iter().map(value).sum::<u64>();
        assert_eq!(sum(&profile, 0), json(|site| site.alloc_objects), "{mode}: alloc_objects");
        assert_eq!(sum(&profile, 1), json(|site| site.alloc_bytes), "{mode}: alloc_bytes");
        assert_eq!(sum(&profile, 2), json(|site| site.inuse_objects.unwrap_or(0)), "{mode}: inuse_objects");
        assert_eq!(sum(&profile, 3), json(|site| site.inuse_bytes.unwrap_or(0)), "{mode}: inuse_bytes");
        let totals = &snapshot.targets[0].totals;
        assert_eq!(sum(&profile, 0), totals.alloc_objects, "{mode}: and the totals of the run");
        assert_eq!(sum(&profile, 3), totals.inuse_bytes.unwrap_or(0), "{mode}: and the totals of the run");
    }
}

/// Check that each stack of the JSON is in the profile with its names and numbers.
#[test]
fn pprof_has_every_stack_of_the_json() {
    if !kernel_or_skip("pprof_has_every_stack_of_the_json") {
        return;
    }
    let (snapshot, profile) = both_of_one_run("live");
    let mut in_profile: Vec<(Vec<&str>, i64, i64)> = profile
        .sample
        .iter()
        .map(|sample| (names(&profile, &sample.location_id), sample.value[1], sample.value[3]))
        .collect();
    let as_i64 = |value: u64| i64::try_from(value).expect("fits");
    let named = |site: &&CallSite| site.frames.iter().all(|frame| frame.function.is_some());
    let mut missing = Vec::new();
    for site in snapshot.sites.iter().filter(named) {
        let frames: Vec<&str> = site.frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
        let wanted = (frames, as_i64(site.alloc_bytes), as_i64(site.inuse_bytes.unwrap_or(0)));
        match in_profile.iter().position(|sample| *sample == wanted) {
            Some(index) => drop(in_profile.swap_remove(index)),
            None => missing.push(wanted),
        }
    }
    assert!(missing.is_empty(), "{} stacks are missing, such as {:?}", missing.len(), missing[0]);
    assert!(snapshot.sites.iter().filter(named).count() > 100, "most stacks have all names");
}

/// Check what a profile says beside its samples: default type, period, duration, mappings, labels.
#[test]
fn pprof_carries_what_the_contract_promises() {
    if !kernel_or_skip("pprof_carries_what_the_contract_promises") {
        return;
    }
    let (snapshot, profile) = both_of_one_run("live");
    assert_eq!(string(&profile, profile.default_sample_type), "inuse_space", "the default type");
    let period = profile.period_type.as_ref().expect("a period type");
    assert_eq!(
        (string(&profile, period.ty), string(&profile, period.unit)),
        ("space", "bytes"),
        "period type"
    );
    assert_eq!(profile.period.cast_unsigned(), snapshot.sample_bytes, "the period is the sampling rate");
    assert!(profile.duration_nanos > 0, "a duration: {}", profile.duration_nanos);
    let main = profile.mapping.iter().find(|mapping| string(&profile, mapping.filename).contains("truth"));
    let main = main.expect("a mapping of the program");
    let build_id = snapshot.targets[0].build_id.as_deref().unwrap_or_default();
    assert_eq!(string(&profile, main.build_id), build_id, "with its build-id");
    assert!(main.memory_limit > main.memory_start, "and its range: {main:?}");
    for location in &profile.location {
        let mapping = profile.mapping.iter().find(|mapping| mapping.id == location.mapping_id);
        let inside =
            mapping.is_none_or(|map| (map.memory_start..map.memory_limit).contains(&location.address));
        assert!(inside, "a location lies in its mapping: {location:?} {mapping:?}");
    }
    let label = |sample: &pprof::protos::Sample| {
        let mut labels =
            sample.label.iter().map(|label| (string(&profile, label.key), string(&profile, label.str)));
        labels.any(|label| label == ("version", "1.2"))
    };
    assert!(profile.sample.iter().all(label), "every sample has the label");
    let comments: Vec<&str> = profile.comment.iter().map(|index| string(&profile, *index)).collect();
    assert!(comments.iter().any(|text| text.contains("exact")), "the verdict is a comment: {comments:?}");
}
