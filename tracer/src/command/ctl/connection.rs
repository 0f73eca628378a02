//! One question and its answer, over a socket that only those can have made who may ask.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::command::Failure;
use crate::serve::control::{Answer, Request};

/// For each step of the conversation.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer: some hundred thousand processes.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// Write permission of users that are neither the owner nor of its group.
const WRITABLE_BY_OTHERS: u32 = 0o002;

/// Asks the daemon whose socket that is.
pub(super) fn ask(socket: &Path, request: &Request) -> Result<Answer, Failure> {
    let own = rustix::process::geteuid().as_raw();
    refuse_if_others_can_pretend(socket, own)?;
    let stream = connect(socket).map_err(|error| unreachable(socket, &error))?;
    // Whoever answers, however the path was changed meanwhile.
    let peer = sockopt::socket_peercred(&stream)
        .with_context(|| format!("failed to ask who listens at {}", socket.display()))?;
    let peer = peer.uid.as_raw();
    if peer != 0 && peer != own {
        return Err(distrust(socket, &format!("user {peer} listens at it, who is neither root nor you")));
    }
    Ok(talk(stream, request).with_context(|| format!("the daemon at {} did not answer", socket.display()))?)
}

/// As the standard library does it, but it does not wait for ever where a daemon takes no connections any more.
fn connect(socket: &Path) -> std::io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC;
    let stream = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_timeout(&stream, Timeout::Send, Some(TIMEOUT))?;
    rustix::net::connect(&stream, &SocketAddrUnix::new(socket)?)?;
    Ok(UnixStream::from(stream))
}

fn talk(mut stream: UnixStream, request: &Request) -> anyhow::Result<Answer> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    match stream.write_all(&line) {
        // Whoever refuses some users has said so, and gone, before it was asked.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    let mut answer = Vec::new();
    BufReader::new(stream.take(MAX_ANSWER_BYTES)).read_until(b'\n', &mut answer).map_err(
        |error| match error.kind() {
            ErrorKind::WouldBlock => anyhow!("nothing came for {} s", TIMEOUT.as_secs()),
            _ => error.into(),
        },
    )?;
    if answer.last() != Some(&b'\n') {
        return Err(anyhow!("the connection broke; its log says why"));
    }
    serde_json::from_slice(&answer).context("its answer is none that this version of tracer knows")
}

/// Someone else who can put a socket there could tell the user what they like, and be asked in the daemon's place.
fn refuse_if_others_can_pretend(socket: &Path, own: u32) -> Result<(), Failure> {
    // Without links: they are followed now, and what is looked at is what they lead to.
    let real = std::fs::canonicalize(socket).map_err(|error| unreachable(socket, &error))?;
    let metadata = std::fs::symlink_metadata(&real).map_err(|error| unreachable(socket, &error))?;
    if !metadata.file_type().is_socket() {
        return Err(distrust(socket, "it is no socket"));
    }
    let folder = real.parent().unwrap_or(Path::new("/"));
    let around = std::fs::symlink_metadata(folder).map_err(|error| unreachable(socket, &error))?;
    for (metadata, what) in [(&metadata, "it"), (&around, "its folder")] {
        if metadata.uid() != 0 && metadata.uid() != own {
            let owner = metadata.uid();
            return Err(distrust(
                socket,
                &format!("{what} belongs to user {owner}, who is neither root nor you"),
            ));
        }
        if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(distrust(socket, &format!("every user may write to {what}")));
        }
    }
    Ok(())
}

fn distrust(socket: &Path, reason: &str) -> Failure {
    Failure::CannotTrace(format!(
        "the socket {} is not trusted: {reason}. Give the daemon's own with --socket, in a folder that only root or you \
         may write to",
        socket.display()
    ))
}

fn unreachable(socket: &Path, error: &std::io::Error) -> Failure {
    let path = socket.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::NotFound(format!(
            "no daemon listens at {path}: {error}. Start one with `tracer daemon`, or give its socket with --socket"
        )),
        ErrorKind::PermissionDenied => Failure::CannotTrace(format!(
            "failed to connect to {path}: {error}. Ask as root, or as the user that the daemon runs as"
        )),
        ErrorKind::WouldBlock => anyhow!(
            "the daemon at {path} took no connection for {} s; its log may say why",
            TIMEOUT.as_secs()
        )
        .into(),
        _ => anyhow!("failed to connect to {path}: {error}").into(),
    }
}
