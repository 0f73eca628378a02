//! What Alertmanager tells: a listener in the test itself that keeps every alert.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use super::http::{Head, request};
use super::{PATIENCE, poll};

/// A listening webhook; gone when dropped.
pub(crate) struct Webhook {
    port: u16,
    alerts: Arc<Mutex<Vec<Value>>>,
    is_over: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Webhook {
    /// Listens on a free port of loopback.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (alerts, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (sink, end) = (Arc::clone(&alerts), Arc::clone(&is_over));
        let listener = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let sink = Arc::clone(&sink);
                // Not joined, and each its own: a browser also connects to say nothing.
                thread::spawn(move || match receive(&stream) {
                    Ok(new) => sink.lock().expect("no reader panics").extend(new),
                    Err(error) => eprintln!("webhook: {error}"),
                });
            }
        });
        Self { port, alerts, is_over, listener: Some(listener) }
    }

    /// Where alerts are sent.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// All alerts so far, in the order in which they came; each has `status`, `labels`, `annotations`.
    pub(crate) fn alerts(&self) -> Vec<Value> {
        self.alerts.lock().expect("no reader panics").clone()
    }

    /// Looks until such an alert has come.
    #[track_caller]
    pub(crate) fn wait(&self, is_such: impl Fn(&Value) -> bool) -> Value {
        poll("an alert at the webhook", || self.alerts().into_iter().find(&is_such))
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // So that it looks at the flag.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
    }
}

/// Reads one message, which may hold several alerts, and says that it has come.
fn receive(mut stream: &TcpStream) -> io::Result<Vec<Value>> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let head = Head::read(&mut reader)?;
    // A browser's GET has no body, and no length that says so.
    let is_message = head.first.starts_with("POST ");
    let body = if is_message { head.body(&mut reader)? } else { String::new() };
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    if !is_message {
        return Ok(Vec::new());
    }
    let mut message: Value = serde_json::from_str(&body).map_err(io::Error::other)?;
    match message["alerts"].take() {
        Value::Array(alerts) => Ok(alerts),
        _ => Err(io::Error::other(format!("no alerts in {body}"))),
    }
}

/// Check that several alerts of several messages are kept in their order, and that what is no message is not.
#[test]
fn the_webhook_keeps_what_it_is_told() {
    let webhook = Webhook::start();
    for (last, body) in
        [(2, r#"{"alerts": [{"a": 1}, {"a": 2}]}"#), (2, "no message"), (3, r#"{"alerts": [{"a": 3}]}"#)]
    {
        assert_eq!(request(webhook.port, "POST", "/", body).expect("an answer").status, 200);
        webhook.wait(|alert| alert["a"] == last);
    }
    let numbers: Vec<_> = webhook.alerts().iter().map(|alert| alert["a"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
}
