//! Label sets of a daemon: its server, with a fake loop behind it that says what the processes allocate.

use tracer::model::node::TargetId;
use tracer::model::snapshot::Snapshot;

use super::runs::{PLANTED, Release, document};
use super::{compare, refused};
use crate::serve::rig::{Rig, node, options};

const BASE: &str = "{service=\"shop\",canary_group=\"stable\"}";
const CANARY: &str = "{service=\"shop\",canary_group=\"canary\"}";

/// A daemon with five processes a side, each with what it says one after the other.
fn daemon(planted: f64, says: fn(Snapshot) -> Vec<Snapshot>) -> (Rig, String) {
    let rig = Rig::new(options());
    let sides = [("stable", 100, 1.0), ("canary", 200, planted)];
    let mut all = node(&[]);
    for (group, first, planted) in sides {
        for pid in first..first + 5 {
            let id = TargetId { pid, start_time: u64::from(pid) };
            let mut target = node(&[id]).targets.remove(0);
            (target.labels.service, target.labels.canary_group) = ("shop".into(), group.into());
            all.targets.push(target);
            rig.say(Some(id), says(document(Release { planted, ..Release::default() }, pid)));
        }
    }
    rig.shared.publish(all);
    let url = format!("http://{}", rig.addr());
    (rig, url)
}

/// Twice as much of everything, ten seconds later.
fn twice(first: Snapshot) -> Vec<Snapshot> {
    let mut second = first.clone();
    second.attached_seconds += 10.0;
    for site in &mut second.sites {
        (site.alloc_objects, site.alloc_bytes, site.samples) =
            (site.alloc_objects * 2, site.alloc_bytes * 2, site.samples * 2);
    }
    let target = &mut second.targets[0];
    target.cpu_seconds *= 2.0;
    (target.totals.alloc_objects, target.totals.alloc_bytes) =
        (target.totals.alloc_objects * 2, target.totals.alloc_bytes * 2);
    vec![first, second]
}

/// Check that the labels choose the processes, and that what they allocate is compared.
#[test]
fn groups_of_a_daemon_are_compared() {
    let (_rig, url) = daemon(1.3, |snapshot| vec![snapshot]);
    let outcome = compare(BASE, CANARY, &["--daemon", &url]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.text().contains(&format!("handle_{PLANTED} ")), "{}", outcome.text());
    assert!(outcome.text().contains("5 processes or runs"), "{}", outcome.text());
    let (_rig, url) = daemon(1.0, |snapshot| vec![snapshot]);
    let same = compare(BASE, "{canary_group=~\"can.*\"}", &["--daemon", &url]);
    assert!(same.success().starts_with("SAME"), "{}", same.text());
}

/// Check that with `--duration` only what came between the two readings counts.
#[test]
fn two_readings_are_compared_by_what_came_between() {
    let (rig, url) = daemon(1.3, twice);
    let outcome = compare(BASE, CANARY, &["--daemon", &url, "--duration", "200ms", "--format", "json"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let document: serde_json::Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    assert_eq!(document["base"]["unit_seconds"].as_f64().map(f64::round), Some(50.0), "10 s of each");
    assert_eq!(rig.says.lock().map(|says| says.asked).ok(), Some(20), "twice each");
}

/// Check that processes that began anew meanwhile are said to be left out.
#[test]
fn a_process_that_is_counted_anew_is_left_out() {
    let (_rig, url) = daemon(1.0, |snapshot| {
        let is_one = snapshot.targets[0].pid == 203;
        let mut says = twice(snapshot);
        if is_one {
            says[1].attached_seconds = 1.0;
        }
        says
    });
    let outcome = compare(BASE, CANARY, &["--daemon", &url, "--duration", "200ms"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("comm-203-203 is left out: the daemon has begun to count it anew"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.text().contains("4 processes or runs"), "{}", outcome.text());
}

/// Check what is said where no process fits, one fits both sides, or there is no daemon.
#[test]
fn labels_that_choose_nothing_or_both_are_refused() {
    let (_rig, url) = daemon(1.0, |snapshot| vec![snapshot]);
    let outcome = compare(BASE, "{service=\"shop\",canary_group=\"green\"}", &["--daemon", &url]);
    let there =
        "there are {canary_group=\"canary\",service=\"shop\"}, {canary_group=\"stable\",service=\"shop\"}";
    refused(&outcome, 4, &["no process of the daemon at http://127.0.0.1:", "canary_group=\"green\"", there]);
    let outcome = compare(BASE, "{service=\"shop\"}", &["--daemon", &url]);
    refused(&outcome, 4, &["comm-100-100 fits the labels of both sides"]);
    let outcome = compare(BASE, CANARY, &["--daemon", "http://127.0.0.1:1"]);
    refused(
        &outcome,
        1,
        &["failed to ask the daemon at http://127.0.0.1:1", "Connection refused", "--daemon its address"],
    );
}

/// Check that the token and the certificates are used, and that it is said what lacks without them.
#[test]
fn a_daemon_with_a_token_and_a_certificate_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        path
    };
    let (cert, key) =
        (write("cert.pem", &made.cert.pem()), write("key.pem", &made.signing_key.serialize_pem()));
    let token = write("token", "a-secret-of-some-length\n");
    let tls = tracer::serve::http::HttpOptions {
        tls: Some((cert.clone(), key)),
        token_file: Some(token.clone()),
        ..options()
    };
    let rig = Rig::new(tls);
    rig.shared.publish(node(&[]));
    let url = format!("https://localhost:{}", rig.addr().port());
    let ask = |more: &[&str]| {
        let options: Vec<&str> = ["--daemon", &url].iter().chain(more).copied().collect();
        compare(BASE, CANARY, &options)
    };
    let (cert, token) = (cert.display().to_string(), token.display().to_string());
    refused(&ask(&["--token-file", &token, "--ca-file", &cert]), 4, &["there are none at all"]);
    refused(&ask(&["--ca-file", &cert]), 1, &["401 Unauthorized"]);
    refused(&ask(&["--token-file", &token, "--ca-file", &token]), 1, &["no certificate to trust it by"]);
}
