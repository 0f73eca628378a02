//! `tracer ctl` against sockets that nobody, somebody wrong, or a daemon's stand-in listens at.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::{Outcome, tracer};

/// A folder that only its owner may write to, and the path of a socket in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("tracer.sock");
    (folder, socket)
}

fn ctl(socket: &Path, args: &[&str]) -> Outcome {
    let socket = socket.to_str().expect("it is UTF-8");
    tracer([&["ctl", "--socket", socket], args].concat())
}

/// Listens, takes one line of one client, and answers; the line.
fn stand_in(socket: &Path, answer: &'static str) -> JoinHandle<String> {
    let listener = UnixListener::bind(socket).expect("the socket is free");
    fs::set_permissions(socket, Permissions::from_mode(0o600)).expect("it is ours");
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        let mut line = String::new();
        BufReader::new(&client).read_line(&mut line).expect("a line");
        client.write_all(answer.as_bytes()).expect("the client listens");
        line
    })
}

const STATUS: &str = concat!(
    r#"{"status":{"version":"9.9.9","started_at":"2026-01-01T00:00:00Z","listen":"127.0.0.1:9464","config_error":null,"#,
    r#""targets":[{"id":"42-100","comm":"api","rule":"api-canary","mode":"live","sample_bytes":65536,"#,
    r#""alloc_bytes_per_second":1024.0,"inuse_bytes":2048,"overhead_ratio":null}]}}"#,
    "\n"
);

#[test]
fn a_status_is_asked_for_and_shown() {
    let (_folder, socket) = place();
    let daemon = stand_in(&socket, STATUS);
    let outcome = ctl(&socket, &["status"]);
    assert_eq!(daemon.join().expect("it answered"), "{\"do\":\"status\"}\n");
    let text = outcome.success();
    assert!(text.starts_with("tracer 9.9.9, running for "), "{text}");
    let row: Vec<_> = text.lines().last().expect("a row").split_whitespace().collect();
    assert_eq!(row, ["api", "42", "api-canary", "live", "64.0", "KiB", "1.00", "KiB", "2.00", "KiB", "-"]);
}

#[test]
fn a_status_as_json_is_what_the_daemon_said() {
    let (_folder, socket) = place();
    let daemon = stand_in(&socket, STATUS);
    let outcome = ctl(&socket, &["status", "--format", "json"]);
    daemon.join().expect("it answered");
    let printed: serde_json::Value = serde_json::from_str(outcome.success()).expect("it is JSON");
    let said: serde_json::Value = serde_json::from_str(STATUS).expect("it is JSON");
    assert_eq!(printed, said["status"]);
}

#[test]
fn a_change_is_asked_for_and_its_answer_said() {
    for (args, request, answer, text) in [
        (
            &["rate", "64KiB", "--rule", "api"][..],
            r#"{"do":"rate","of":{"rule":"api"},"sample_bytes":65536}"#,
            "{\"done\":{\"processes\":3}}\n",
            "rate changed for 3 processes\n",
        ),
        (
            &["mode", "live"],
            r#"{"do":"mode","of":"all","mode":"live"}"#,
            "{\"done\":{\"processes\":1}}\n",
            "mode changed for 1 process\n",
        ),
        (
            &["target", "add", "7"],
            r#"{"do":"add","pid":7}"#,
            "{\"done\":{\"processes\":1}}\n",
            "process 7 is traced\n",
        ),
    ] {
        let (_folder, socket) = place();
        let daemon = stand_in(&socket, answer);
        assert_eq!(ctl(&socket, args).success(), text);
        assert_eq!(daemon.join().expect("it answered").trim_end(), request);
    }
}

/// Check what comes back when a daemon is there and it goes wrong all the same: code 1, and why.
#[test]
fn a_refusal_a_broken_connection_and_a_strange_answer_are_failures() {
    for (answer, part) in [
        ("{\"refused\":\"no rule has the name x\"}\n", "tracer: the daemon refused: no rule has the name x"),
        ("", "the connection broke"),
        ("{\"done\":", "the connection broke"),
        ("{\"later\":1}\n", "none that this version of tracer knows"),
        ("{\"refused\":\"\\u001b[2J\"}\n", "refused: \u{fffd}[2J"),
    ] {
        let (_folder, socket) = place();
        let daemon = stand_in(&socket, answer);
        let outcome = ctl(&socket, &["rate", "0", "--rule", "x"]);
        daemon.join().expect("it answered");
        assert_eq!((outcome.code, outcome.text()), (Some(1), ""), "{answer:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(part), "{answer:?}: {}", outcome.stderr);
    }
}

#[test]
fn no_daemon_is_not_found_with_what_to_do() {
    let (_folder, socket) = place();
    let check = || {
        let outcome = ctl(&socket, &["status"]);
        assert_eq!((outcome.code, outcome.text()), (Some(4), ""), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("no daemon listens at "), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("Start one with `tracer daemon`"), "{}", outcome.stderr);
    };
    check();
    // One that is left over from a daemon that was killed.
    drop(UnixListener::bind(&socket).expect("the socket is free"));
    // A child that another test starts at this moment has it too, until its exec.
    while UnixStream::connect(&socket).is_ok() {
        std::thread::yield_now();
    }
    check();
}

/// Check that nothing is said to who could be anyone.
#[test]
fn a_socket_that_others_could_have_put_there_is_not_spoken_to() {
    let check = |socket: &Path, part: &str| {
        let outcome = ctl(socket, &["status"]);
        assert_eq!((outcome.code, outcome.text()), (Some(5), ""), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("is not trusted: "), "{}", outcome.stderr);
    };
    let (folder, socket) = place();
    fs::write(&socket, "").expect("a file");
    check(&socket, "it is no socket");
    fs::remove_file(&socket).expect("it is there");
    let _listener = UnixListener::bind(&socket).expect("the socket is free");
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).expect("it is ours");
    check(&socket, "every user may write to it");
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).expect("it is ours");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).expect("it is ours");
    check(&socket, "every user may write to its folder");
    // A link in a folder that can be trusted leads to the same place.
    let (_other, link) = place();
    std::os::unix::fs::symlink(&socket, &link).expect("a link");
    check(&link, "every user may write to its folder");
}

#[test]
fn a_wrong_size_is_wrong_usage_before_anyone_is_asked() {
    let outcome = ctl(Path::new("/nowhere"), &["rate", "many"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.starts_with("tracer: rate many: "), "{}", outcome.stderr);
}
