//! The gzipped pprof profile: four sample types, mappings with build-ids, inlined frames as lines of one
//! location, the quality block and the targets as comments. `go tool pprof` shows the short comments above
//! its tables and hides those that start with `#`: there the snapshot without its sites stands, for [`read`].

use std::io::{self, Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use prost::Message;

use crate::model::snapshot::{Dimension, Snapshot};
use crate::view::read::ReadError;

mod comment;
mod decode;
pub mod delta;
mod encode;
mod foreign;
mod mapping;
mod proto;

/// Sample types in the contract's order, with their units.
const SAMPLE_TYPES: [(Dimension, &str); 4] = [
    (Dimension::AllocObjects, "count"),
    (Dimension::AllocSpace, "bytes"),
    (Dimension::InuseObjects, "count"),
    (Dimension::InuseSpace, "bytes"),
];

/// What readers show first, in every mode: profiles of one service can be compared, whatever mode each is of.
const DEFAULT: Dimension = Dimension::InuseSpace;

/// Label with the process.
const PID: &str = "pid";
/// Label with the process's name, in profiles that are served.
const COMM: &str = "comm";
/// Label with the reason why a stack ends early.
const TRUNCATED: &str = "truncated";
/// Label with the name of the thread, where call sites are told apart by it.
const THREAD: &str = "thread";
/// Label with the name of the allocator.
const ALLOCATOR: &str = "allocator";
/// Stands for the stack of a site without frames and without a reason.
const NO_STACK: &str = "no stack";
/// Function name of a line that has none, where the others of its location have one.
const UNKNOWN: &str = "[unknown]";

/// Bytes that a profile may take in memory: a small file must not be able to fill it.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// How a profile that is served differs from one in a file. Its samples name their process by text labels, `pid` and `comm`.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// What readers show first.
    pub default: Dimension,
    /// What it counts from, if not from the start.
    pub since: Option<Since<'a>>,
}

/// A profile of a time.
#[derive(Clone, Copy, Debug)]
pub struct Since<'a> {
    /// The numbers of its beginning.
    pub base: &'a delta::Base,
    /// Its beginning.
    pub at: jiff::Timestamp,
    /// Until the snapshot.
    pub duration: Duration,
}

/// Writes the profile.
///
/// # Errors
/// Only those of the writer.
pub fn write(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    pack(&encode::profile(snapshot, None), out)
}

/// Writes the profile as scrapers want it.
///
/// # Errors
/// Only those of the writer.
pub fn write_served(snapshot: &Snapshot, served: &Served<'_>, out: &mut dyn Write) -> io::Result<()> {
    pack(&encode::profile(snapshot, Some(served)), out)
}

fn pack(profile: &proto::Profile, out: &mut dyn Write) -> io::Result<()> {
    let mut gzip = GzEncoder::new(out, Compression::default());
    gzip.write_all(&profile.encode_to_vec())?;
    gzip.finish()?.flush()
}

/// Reads a profile, gzipped or not, of this program or of another one with the same four sample types.
///
/// What pprof has no place for is `None`, and a note says so.
///
/// # Errors
/// When it is no pprof profile, a damaged one, or one of something else than the heap.
pub fn read(bytes: &[u8]) -> Result<Snapshot, ReadError> {
    let snapshot = |bytes: &[u8]| -> Result<Snapshot, ReadError> {
        let mut snapshot = decode::snapshot(&proto::Profile::decode(bytes)?)?;
        snapshot.number_sites();
        Ok(snapshot)
    };
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return snapshot(bytes);
    }
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(ReadError::Damaged("it unpacks to more than 1 GiB".to_owned()));
    }
    snapshot(&unpacked)
}

#[cfg(test)]
mod tests;
