//! The control socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tracer::mode::Mode;
use tracer::serve::control::{Answer, ControlServer, Request, Scope, listen};
use tracer::serve::shared::Shared;

use super::rig::{Says, eventually, fake_loop};

struct Desk {
    folder: tempfile::TempDir,
    server: Option<ControlServer>,
    says: Arc<Mutex<Says>>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (shared, says) = fake_loop();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let path = folder.path().join("run/control.sock");
        let server = listen(&path, shared, move |line| lines.lock().unwrap().push(line.to_owned())).unwrap();
        Self { folder, server: Some(server), says, log }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run/control.sock")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    /// One line, and its answer.
    #[track_caller]
    fn ask(&self, line: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(line).unwrap();
        stream.write_all(b"\n").unwrap();
        answer(&mut BufReader::new(stream))
    }
}

#[track_caller]
fn answer(input: &mut impl BufRead) -> Answer {
    let mut line = String::new();
    input.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[track_caller]
fn expect_refused(answer: &Answer, expect: &str) {
    match answer {
        Answer::Refused(sentence) if sentence.contains(expect) => {}
        other => panic!("{expect} in {other:?}"),
    }
}

fn failure(path: &Path) -> String {
    listen(path, Arc::new(Shared::new(|_| false)), |_| {}).unwrap_err().to_string()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn changes_reach_the_loop_and_are_logged() {
    let desk = Desk::new();
    let request = Request::Mode { of: Scope::Rule("shop".to_owned()), mode: Mode::Alloc };
    let line = serde_json::to_vec(&request).unwrap();
    assert_eq!(desk.ask(&line), Answer::Done { processes: 3 });
    assert_eq!(desk.ask(br#"{"do":"status"}"#), Answer::Done { processes: 3 });
    let asked = &desk.says.lock().unwrap().controlled;
    assert_eq!((&asked[0].0, &asked[1].0), (&request, &Request::Status));
    assert_eq!(asked[0].1.pid, i32::try_from(std::process::id()).unwrap());
    // What only asks is not logged.
    let log = desk.log.lock().unwrap();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(!log[0].contains('\n'));
    let entry: Value = serde_json::from_str(&log[0]).unwrap();
    assert_eq!(entry["event"], "control");
    assert_eq!(entry["request"], json!({"do": "mode", "of": {"rule": "shop"}, "mode": "alloc"}));
    assert_eq!(entry["peer"]["pid"], std::process::id());
    assert_eq!(entry["answer"], json!({"done": {"processes": 3}}));
    assert!(entry["at"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn several_lines_of_one_connection_are_answered_in_order() {
    let desk = Desk::new();
    let mut stream = desk.connect();
    stream.write_all(b"{\"do\":\"status\"}\nnonsense\n{\"do\":\"add\",\"pid\":7}\n").unwrap();
    let mut input = BufReader::new(stream);
    assert_eq!(answer(&mut input), Answer::Done { processes: 3 });
    expect_refused(&answer(&mut input), "this is no request");
    assert_eq!(answer(&mut input), Answer::Done { processes: 3 });
}

#[test]
fn nonsense_is_refused_and_the_next_is_answered() {
    let desk = Desk::new();
    for line in [&b""[..], b"{}", b"\xff\xfe", b"{\"do\":\"fly\"}", b"{\"do\":\"add\",\"pid\":-1}", b"[[[[[["]
    {
        expect_refused(&desk.ask(line), "this is no request");
    }
    expect_refused(&desk.ask(&vec![b'x'; 70_000]), "longer than 65536 bytes");
    assert_eq!(desk.ask(br#"{"do":"status"}"#), Answer::Done { processes: 3 });
    assert_eq!(desk.says.lock().unwrap().controlled.len(), 1);
}

#[test]
fn a_ninth_connection_is_told_to_come_again() {
    let desk = Desk::new();
    let held: Vec<UnixStream> = (0..8).map(|_| desk.connect()).collect();
    let mut line = String::new();
    BufReader::new(desk.connect()).read_line(&mut line).unwrap();
    expect_refused(&serde_json::from_str(&line).unwrap(), "8 others");
    drop(held);
    eventually(|| matches!(desk.ask(br#"{"do":"status"}"#), Answer::Done { .. }), "there is room again");
}

#[test]
fn the_socket_is_for_its_owner_and_goes_with_the_server() {
    let mut desk = Desk::new();
    assert_eq!((mode(&desk.path()), mode(desk.path().parent().unwrap())), (0o600, 0o700));
    desk.server.take().unwrap().stop();
    assert!(!desk.path().exists());
}

#[test]
fn another_daemon_keeps_its_socket_and_a_stale_one_is_taken() {
    let mut desk = Desk::new();
    let message = failure(&desk.path());
    assert!(message.contains("another daemon runs"), "{message}");
    assert_eq!(desk.ask(br#"{"do":"status"}"#), Answer::Done { processes: 3 });
    desk.server.take().unwrap().stop();
    drop(UnixListener::bind(desk.path()).unwrap());
    assert!(desk.path().exists(), "it is stale");
    let server = listen(&desk.path(), Arc::new(Shared::new(|_| false)), |_| {}).unwrap();
    expect_refused(&desk.ask(br#"{"do":"status"}"#), "starting or ending");
    // One that has come in its place is not that server's to remove.
    std::fs::remove_file(desk.path()).unwrap();
    let _other = UnixListener::bind(desk.path()).unwrap();
    server.stop();
    assert!(desk.path().exists());
}

#[test]
fn places_where_others_could_put_a_socket_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    for permissions in [0o777, 0o770, 0o707, 0o1777] {
        set_mode(&open, permissions);
        let message = failure(&open.join("control.sock"));
        assert!(message.contains("others can write to the folder"), "{permissions:o}: {message}");
    }
    set_mode(&open, 0o755);
    std::fs::write(open.join("file"), "precious").unwrap();
    assert!(failure(&open.join("file")).contains("no socket"));
    assert_eq!(std::fs::read(open.join("file")).unwrap(), b"precious");
    assert!(failure(&open.join("file/control.sock")).contains("failed to make the folder"));
}

#[test]
fn other_users_are_refused_even_if_they_reach_the_socket() {
    if !rustix::process::geteuid().is_root() {
        println!(
            "SKIP other_users_are_refused_even_if_they_reach_the_socket: only root can become another user"
        );
        return;
    }
    let desk = Desk::new();
    set_mode(desk.folder.path(), 0o755);
    set_mode(desk.path().parent().unwrap(), 0o755);
    set_mode(&desk.path(), 0o666);
    let mut client = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "curl",
            "-s",
            "--max-time",
            "5",
            "--http0.9",
        ])
        .arg("--unix-socket")
        .arg(desk.path())
        .arg("http://localhost/")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    client.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    client.wait().unwrap();
    expect_refused(&serde_json::from_str(&said).unwrap(), "only root");
    let log = desk.log.lock().unwrap();
    let entry: Value = serde_json::from_str(&log[0]).unwrap();
    assert_eq!(entry["peer"]["uid"], 65534);
    assert!(desk.says.lock().unwrap().controlled.is_empty());
}
