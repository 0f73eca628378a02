//! As much of HTTP/1.1 as these servers speak: one request, one answer, one connection.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// What stands before a body.
pub(super) struct Head {
    /// `GET / HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub(super) first: String,
    length: Option<usize>,
    is_chunked: bool,
}

/// Gets `path` from a port on loopback.
pub(crate) fn get(port: u16, path: &str) -> io::Result<Answer> {
    request(port, "GET", path, "")
}

/// Sends a body, which is JSON or nothing.
pub(crate) fn request(port: u16, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reader = BufReader::new(stream);
    let head = Head::read(&mut reader)?;
    let status = head.first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status: {}", head.first)))?;
    Ok(Answer { status, body: head.body(&mut reader)? })
}

impl Head {
    /// Up to the empty line.
    pub(super) fn read(reader: &mut impl BufRead) -> io::Result<Self> {
        let mut head = Self { first: line(reader)?, length: None, is_chunked: false };
        loop {
            let line = line(reader)?.to_ascii_lowercase();
            match line.split_once(':') {
                Some(("content-length", length)) => head.length = length.trim().parse().ok(),
                Some(("transfer-encoding", how)) => head.is_chunked = how.trim() == "chunked",
                Some(_) => {}
                None => return Ok(head),
            }
        }
    }

    /// The body that it announces; without a length, all until the end.
    pub(super) fn body(&self, reader: &mut impl BufRead) -> io::Result<String> {
        let mut body = Vec::new();
        if self.is_chunked {
            loop {
                let size = u64::from_str_radix(&line(reader)?, 16).map_err(io::Error::other)?;
                reader.by_ref().take(size).read_to_end(&mut body)?;
                line(reader)?;
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = self.length {
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
        } else {
            reader.read_to_end(&mut body)?;
        }
        String::from_utf8(body).map_err(io::Error::other)
    }
}

/// Without its end.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Text as a value in a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string grows");
        }
    }
    encoded
}

/// Check that all three ways to say where a body ends are understood.
#[test]
fn an_answer_is_read_to_its_end_however_it_is_announced() {
    for (text, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", "abc"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "abc"),
        ("HTTP/1.0 200 OK\r\n\r\nabc", "abc"),
    ] {
        let mut reader = text.as_bytes();
        let head = Head::read(&mut reader).expect("a head");
        assert_eq!(head.body(&mut reader).expect("a body"), body, "{text:?}");
    }
}

/// Check that an expression survives the way.
#[test]
fn a_value_in_a_query_is_encoded() {
    assert_eq!(encoded("a{b=\"c d\"}"), "a%7Bb%3D%22c%20d%22%7D");
}
