//! Looks through an object for words of eight bytes: what section headers would have led to.

use crate::elf::{Image, Segment};
use crate::units::{ElfVaddr, FileOffset};

use crate::go::lines::words::u64_at;

/// Bytes that are read at once.
const CHUNK_BYTES: u64 = 1 << 20;
/// Most bytes that are looked through: headers can say that a thousand parts are the whole file.
const MAX_BYTES: u64 = 2 << 30;
const WORD_BYTES: usize = 8;

/// Where one of these words stands, aligned to its size, in the parts that are wanted: in the file's order.
pub(super) fn words(
    image: &Image,
    is_wanted: impl Fn(&Segment) -> bool,
    words: &[u64],
) -> Vec<(ElfVaddr, u64)> {
    let mut found = Vec::new();
    let mut left = MAX_BYTES;
    for segment in image.segments().iter().filter(|segment| is_wanted(segment)) {
        // Only the alignment of addresses counts: that of file offsets may differ in a strange file.
        let skip = segment.address.0.wrapping_neg() % WORD_BYTES as u64;
        let mut at = skip;
        while at < segment.file_bytes && left > 0 {
            let len = CHUNK_BYTES.min(segment.file_bytes - at).min(left);
            let Some(offset) = segment.offset.0.checked_add(at) else { break };
            let data = image.read_at(FileOffset(offset), len);
            if data.is_empty() {
                break;
            }
            left = left.saturating_sub(len);
            for (index, bytes) in data.chunks_exact(WORD_BYTES).enumerate() {
                let Some(word) = u64_at(bytes, 0).filter(|word| words.contains(word)) else { continue };
                let distance = at + (index * WORD_BYTES) as u64;
                found.extend(segment.address.0.checked_add(distance).map(|place| (ElfVaddr(place), word)));
            }
            at += len;
        }
    }
    found
}
