//! Saved documents in the live view, and what it saves at its end.

use super::{KEPT, SIZE, Seen, Shelves, can_run, program, read_document, site_of};
use crate::harness::{Tracer, tracer};

/// Check that a document of each kind that can be read has the same screens, and no interval to change.
#[test]
fn saved_document_opens_in_the_same_screens() {
    if !can_run("saved_document_opens_in_the_same_screens") {
        return;
    }
    let mut shelves = Shelves::start();
    let directory = tempfile::tempdir().expect("a directory for the documents");
    let [json, profile] = ["report.json", "report.pb.gz"].map(|name| directory.path().join(name));
    let mut command = tracer();
    command
        .args(["attach", "-v", "--pid", &shelves.pid().to_string(), "-o"])
        .arg(json)
        .arg("-o")
        .arg(profile);
    let mut tracer = Tracer::spawn_in(&mut command, directory);
    tracer.wait_counting();
    shelves.fill();
    let outcome = tracer.stop();
    outcome.success();
    for file in ["report.json", "report.pb.gz"] {
        let command = format!("{} view '{}'", program(), outcome.path(file).display());
        let seen = Seen::command(&command, SIZE);
        seen.wait(" · saved · ");
        for (_, numbers, name) in KEPT {
            let row = seen.wait_row(&numbers);
            assert!(row.iter().any(|word| word == name), "{row:?}");
        }
        for (key, text) in [
            ("2", "FUNCTION, thread's start first"),
            ("3", "4.19 MiB in 3 call stacks"),
            ("4", "allocated"),
            ("5", "Nothing to compare with yet"),
            ("6", "EXACT: nothing was lost"),
            ("+", "a saved profile has no sampling interval to change"),
        ] {
            seen.keys(&[key]);
            seen.wait(text);
        }
        let again = seen.document("again.json");
        assert_eq!(site_of(&again, "middle_shelf").inuse_bytes, Some(100_000), "it can be written again");
        seen.keys(&["q"]);
        let screen = seen.assert_restored(0);
        assert!(!screen.contains("tracer: traced"), "nothing was traced:\n{screen}");
    }
}

/// Check that a file that is asked for is there after the view, with every name.
#[test]
fn file_is_written_when_the_view_has_ended() {
    if !can_run("file_is_written_when_the_view_has_ended") {
        return;
    }
    let (_shelves, seen) = Shelves::shown(&["-o", "at-the-end.json"]);
    let path = seen.path("at-the-end.json");
    assert!(!path.exists(), "nothing is written before the end");
    seen.quit();
    let snapshot = read_document(&path);
    assert_eq!(snapshot.quality.pending_symbols, 0, "{:?}", snapshot.quality);
    for (name, objects) in [("fat_shelf", 4), ("middle_shelf", 10), ("full_shelf", 3000)] {
        let site = site_of(&snapshot, name);
        assert_eq!(site.inuse_objects, Some(objects), "{name}");
        let names: Vec<_> =
            site.frames.iter().map(|frame| frame.function.as_deref().unwrap_or("?")).collect();
        assert!(names.starts_with(&[name, "keep", "obey", "main"]), "{names:?}");
        assert_eq!((names.last(), names.contains(&"?")), (Some(&"_start"), false), "{names:?}");
    }
}
