//! A server with a fake loop behind it, and a client that knows no more than HTTP's bytes.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use pprof::protos::{Message, Profile};
use tracer::model::node::{Node, NodeTarget, TargetId};
use tracer::model::snapshot::Snapshot;
use tracer::serve::control::{Answer, Peer, Request};
use tracer::serve::http::{self, HttpOptions, Server};
use tracer::serve::shared::{Ask, Refusal, Shared};
use tracer::view::json;

/// What the fake loop has to say.
#[derive(Default)]
pub(crate) struct Says {
    /// One after the other; the last one stays.
    pub(crate) profiles: HashMap<Option<TargetId>, Vec<Snapshot>>,
    /// Before each answer.
    pub(crate) pause: Duration,
    /// What was asked for over the control socket.
    pub(crate) controlled: Vec<(Request, Peer)>,
    /// Profiles that were asked for.
    pub(crate) asked: u64,
}

pub(crate) struct Rig {
    pub(crate) shared: Arc<Shared>,
    pub(crate) says: Arc<Mutex<Says>>,
    server: Option<Server>,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn options() -> HttpOptions {
    HttpOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        max_connections: 64,
        max_requests: 16,
        max_header_bytes: 8192,
        timeout: Duration::from_secs(5),
        max_profile: Duration::from_secs(60),
        tls: None,
        token_file: None,
    }
}

/// A loop that says what it is told to say.
pub(crate) fn fake_loop() -> (Arc<Shared>, Arc<Mutex<Says>>) {
    let says = Arc::new(Mutex::new(Says::default()));
    let (sender, asks) = mpsc::channel();
    let shared = Arc::new(Shared::new(move |ask| sender.send(ask).is_ok()));
    let mouth = Arc::clone(&says);
    thread::spawn(move || {
        for ask in asks {
            let pause = mouth.lock().unwrap().pause;
            thread::sleep(pause);
            let mut says = mouth.lock().unwrap();
            match ask {
                Ask::Profile { target, answer } => {
                    says.asked += 1;
                    let said = says.profiles.get_mut(&target).map(|profiles| match profiles.len() {
                        1 => profiles[0].clone(),
                        _ => profiles.remove(0),
                    });
                    let _ = answer.send(said.map(Arc::new));
                }
                Ask::Control { request, peer, answer } => {
                    says.controlled.push((request, peer));
                    let _ = answer.send(Answer::Done { processes: 3 });
                }
            }
        }
    });
    (shared, says)
}

impl Rig {
    pub(crate) fn new(options: HttpOptions) -> Self {
        let (shared, says) = fake_loop();
        let server = http::start(options, Arc::clone(&shared)).unwrap();
        Self { shared, says, server: Some(server) }
    }

    /// One process, of a document beside the tests, with what it says one after the other.
    pub(crate) fn with(options: HttpOptions, snapshots: Vec<Snapshot>) -> (Self, TargetId) {
        let rig = Self::new(options);
        let target = &snapshots[0].targets[0];
        let id = TargetId { pid: target.pid, start_time: target.start_time };
        rig.shared.publish(node(&[id]));
        rig.say(Some(id), snapshots);
        (rig, id)
    }

    pub(crate) fn say(&self, target: Option<TargetId>, snapshots: Vec<Snapshot>) {
        self.says.lock().unwrap().profiles.insert(target, snapshots);
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.as_ref().unwrap().local_addr()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: node-1:9464\r\nConnection: close\r\n\r\n"))
    }

    /// Sends bytes and reads one answer.
    #[track_caller]
    pub(crate) fn request(&self, bytes: &str) -> Reply {
        let mut stream = self.connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        reply(&mut BufReader::new(stream), bytes.starts_with("HEAD")).expect("an answer")
    }

    pub(crate) fn refused(&self, reason: Refusal) -> u64 {
        self.shared.refused.all()[reason as usize].1
    }

    /// Waits until so many were refused, and for nothing else.
    #[track_caller]
    pub(crate) fn expect_refused(&self, reason: Refusal, expect: u64) {
        eventually(|| self.refused(reason) >= expect, &format!("{} refused", reason.name()));
        for (name, count) in self.shared.refused.all() {
            assert_eq!(count, if name == reason.name() { expect } else { 0 }, "{name}");
        }
    }

    pub(crate) fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }
}

/// Reads one answer; `None` if the connection was closed before it.
pub(crate) fn reply(input: &mut impl Read, is_head: bool) -> Option<Reply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match input.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; if is_head { 0 } else { length }];
    input.read_exact(&mut body).ok()?;
    Some(Reply { status, headers, body })
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("{name} in {:?}", self.headers))
    }

    /// By an implementation of the format that shares no code with the encoder.
    #[track_caller]
    pub(crate) fn profile(&self) -> Profile {
        assert_eq!(self.status, 200, "{:?}", String::from_utf8_lossy(&self.body));
        Profile::parse_from_bytes(&unpacked(&self.body)).unwrap()
    }
}

pub(crate) fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

pub(crate) fn node(ids: &[TargetId]) -> Node {
    let target =
        |&id: &TargetId| NodeTarget { id, comm: format!("comm-{}", id.pid), ..NodeTarget::default() };
    Node {
        started_at: "2026-03-04T02:00:00Z".parse().unwrap(),
        targets: ids.iter().map(target).collect(),
        ..Node::default()
    }
}

/// A document beside the tests.
pub(crate) fn document(name: &str) -> Snapshot {
    let mut file = std::fs::File::open(crate::data(name)).unwrap();
    json::read(&mut file).unwrap()
}

#[track_caller]
pub(crate) fn eventually(mut is_so: impl FnMut() -> bool, what: &str) {
    let until = Instant::now() + Duration::from_secs(8);
    while !is_so() {
        assert!(Instant::now() < until, "it never was so: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
