//! Profiles over HTTP, read by the reader that everybody has: `go tool pprof`.

use std::process::Command;

use serde_json::Value;

use super::driver::Daemon;
use super::shop::Market;
use crate::harness::{eventually, kernel_or_skip, skip};

/// The function that leaks, and the one that allocates most.
const LEAKS: &str = "remember_visit";
const ALLOCATES: &str = "render_page";

/// What `go tool pprof -top` says of a profile, and how long it says that the profile took.
struct Top {
    /// Name and share of itself, the first first.
    rows: Vec<(String, String)>,
    text: String,
}

/// Runs `go tool pprof`. The error is the reason to skip a test.
fn pprof(arguments: &[&str], url: &str) -> Result<String, String> {
    // What it gets it keeps in the home of its caller, if it is not told otherwise.
    let kept = tempfile::tempdir().expect("a folder");
    let output = Command::new("go")
        .args(["tool", "pprof"])
        .args(arguments)
        .arg(url)
        .env("PPROF_TMPDIR", kept.path())
        .env("HOME", kept.path())
        .output()
        .map_err(|error| format!("there is no go: {error}; `cargo xtask setup --test` gets it"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{url}: {text}{}", String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

/// The functions of a profile, those of most weight first.
fn top(arguments: &[&str], url: &str) -> Result<Top, String> {
    let text = pprof(&[&["-top", "-nodecount=20"], arguments].concat(), url)?;
    let table = text.lines().skip_while(|line| !line.trim_start().starts_with("flat ")).skip(1);
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some((words.get(5)?.to_string(), words.first()?.to_string()))
    };
    Ok(Top { rows: table.filter_map(row).collect(), text })
}

impl Top {
    /// That this function is the first of those that the program itself has: above them is the allocator only.
    #[track_caller]
    fn assert_first(&self, function: &str) {
        assert_eq!(self.rows.first().map(|(name, _)| name.as_str()), Some(function), "{}", self.text);
    }

    /// The line that says how long it took, if there is one.
    fn duration(&self) -> Option<&str> {
        let word = self.text.split_once("Duration: ")?.1;
        word.split([',', '\n']).next()
    }
}

/// Check every profile of the canary with `go tool pprof`, by the addresses that discovery gives.
#[test]
fn go_reads_the_profiles_and_the_leak_is_at_the_top() {
    let name = "go_reads_the_profiles_and_the_leak_is_at_the_top";
    if !kernel_or_skip(name) {
        return;
    }
    if let Err(reason) = read_profiles() {
        skip(name, &reason);
    }
}

fn read_profiles() -> Result<(), String> {
    let market = Market::new();
    let (mut stable, mut canary) = (market.stable(), market.canary());
    let daemon = Daemon::start(&market.rules());
    for shop in [&mut stable, &mut canary] {
        let pid = shop.pid().to_string();
        eventually("it is traced", || discovered(&daemon, &pid).is_some());
        shop.load();
    }
    let labels = discovered(&daemon, &canary.pid().to_string()).expect("the canary is traced");
    for (label, value) in [
        ("service_name", "shop"),
        ("service", "shop"),
        ("namespace", "market"),
        ("version", "2.0"),
        ("canary_group", "canary"),
        ("__scheme__", "http"),
    ] {
        assert_eq!(labels[label], value, "{labels}");
    }
    let prefix = labels["__profile_path_prefix__"].as_str().expect("a prefix");
    let base = format!("http://127.0.0.1:{}{prefix}/debug/pprof", daemon.port());

    // More than the catalog, so that the leak is what most is of.
    let held = format!("{prefix}/snapshot");
    eventually("the canary holds much", || inuse_of(&daemon.json(&held), LEAKS) > 12 << 20);

    let heap = top(&["-sample_index=inuse_space"], &format!("{base}/heap"))?;
    heap.assert_first(LEAKS);
    assert_eq!(heap.duration(), None, "a profile since the start is no profile of a time: {}", heap.text);
    let allocs = top(&["-sample_index=alloc_objects"], &format!("{base}/allocs"))?;
    allocs.assert_first(ALLOCATES);
    assert_eq!(allocs.duration(), None, "{}", allocs.text);

    // Two scrapes, and what came between them: the catalog does not.
    let folder = tempfile::tempdir().expect("a folder");
    let earlier = folder.path().join("earlier.pb.gz");
    let earlier = earlier.to_str().expect("a plain path");
    pprof(&["-proto", "-output", earlier], &format!("{base}/heap"))?;
    let before = inuse_of(&daemon.json(&held), LEAKS);
    eventually("the canary holds more", || inuse_of(&daemon.json(&held), LEAKS) > before + (1 << 20));
    let diff = top(&["-sample_index=inuse_space", "-diff_base", earlier], &format!("{base}/heap"))?;
    diff.assert_first(LEAKS);
    assert!(diff.rows.iter().all(|(name, flat)| name != "fill_catalog" || flat == "0"), "{}", diff.text);

    // Of a time: no longer what was before.
    let seconds = top(&["-sample_index=inuse_space", "-seconds=2"], &format!("{base}/heap"))?;
    seconds.assert_first(LEAKS);
    assert_eq!(seconds.duration(), Some("2s"), "{}", seconds.text);
    let seconds = top(&["-sample_index=alloc_space"], &format!("{base}/allocs?seconds=2"))?;
    assert_eq!(seconds.duration(), Some("2s"), "{}", seconds.text);

    // Since the last scrape: the first one has none.
    let first = top(&["-sample_index=alloc_space"], &format!("{base}/delta_heap"))?;
    assert_eq!(first.duration(), None, "{}", first.text);
    let second = top(&["-sample_index=alloc_space"], &format!("{base}/delta_heap"))?;
    assert!(second.duration().is_some(), "{}", second.text);

    // All processes, told apart by labels.
    let all = format!("http://127.0.0.1:{}/debug/pprof/heap", daemon.port());
    top(&["-sample_index=inuse_space"], &all)?.assert_first(LEAKS);
    let stable = top(&["-sample_index=inuse_space", "-tagfocus=canary_group=stable"], &all)?;
    stable.assert_first("fill_catalog");
    assert!(!stable.text.contains(LEAKS), "{}", stable.text);
    Ok(())
}

/// The labels of a process in the list for scrapers.
fn discovered(daemon: &Daemon, pid: &str) -> Option<Value> {
    let groups = daemon.json("/sd/pprof");
    let groups = groups.as_array()?;
    let group = groups.iter().find(|group| group["labels"]["pid"] == pid)?;
    assert_eq!(group["targets"][0], format!("127.0.0.1:{}", daemon.port()));
    Some(group["labels"].clone())
}

/// Bytes that a function's own calls hold.
fn inuse_of(snapshot: &Value, function: &str) -> u64 {
    let sites = snapshot["sites"].as_array().into_iter().flatten();
    let calls = |site: &&Value| {
        let frames = site["frames"].as_array();
        frames.into_iter().flatten().any(|frame| frame["function"] == function)
    };
    sites.filter(calls).filter_map(|site| site["inuse_bytes"].as_u64()).sum()
}
