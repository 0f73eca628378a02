//! The code that signal handlers return to, known by its bytes: C libraries other than glibc describe it nowhere.

use std::ops::Range;

use super::pages::Span;
use crate::elf::{Image, Segment};
use crate::units::FileOffset;

/// `mov $15, %eax` without its first byte, `syscall`: `rt_sigreturn`.
const CALL: [u8; 6] = [0x0f, 0, 0, 0, 0x0f, 0x05];
/// What `mov` begins with.
const TO_RAX: &[u8] = &[0x48, 0xc7, 0xc0];
const TO_EAX: &[u8] = &[0xb8];
const LONGEST: usize = CALL.len() + TO_RAX.len();

/// Most bytes of code that are searched: some 50 ms. Static programs of this size have a trampoline that is described.
const MAX_SEARCHED_BYTES: u64 = 64 << 20;
const CHUNK_BYTES: u64 = 1 << 20;
/// One is what a program has, two a static one with two languages.
const MAX_FOUND: usize = 64;

/// Where they are, by address, disjoint, each with the byte before: a handler returns to the first byte, and the rule of
/// the byte before a return address is what is looked up.
pub(super) fn find(image: &Image, span: &Span) -> Vec<Range<u64>> {
    let code = || image.segments().iter().filter(|s| s.executable);
    let bytes = code().fold(0, |sum: u64, s| sum.saturating_add(s.file_bytes));
    let mut found = Vec::new();
    if bytes <= MAX_SEARCHED_BYTES {
        code().for_each(|segment| find_in(image, segment, &mut found));
    }
    let addresses = span.addresses();
    found.retain(|range| addresses.start <= range.start && range.end <= addresses.end);
    found.sort_unstable_by_key(|range| range.start);
    found.dedup_by(|next, before| {
        let touches = next.start < before.end;
        before.end = if touches { next.end } else { before.end };
        touches
    });
    found
}

fn find_in(image: &Image, segment: &Segment, found: &mut Vec<Range<u64>>) {
    let mut at = 0;
    while at < segment.file_bytes && found.len() < MAX_FOUND {
        let offset = FileOffset(segment.offset.0.saturating_add(at));
        let chunk = image.read_at(offset, (segment.file_bytes - at).min(CHUNK_BYTES));
        for (begin, len) in calls(&chunk) {
            let start = segment.address.0.saturating_add(at).saturating_add(begin as u64);
            found.push(start.saturating_sub(1)..start.saturating_add(len as u64));
        }
        // One may lie across the end of this chunk: the next one begins a little before it.
        at += match chunk.len() as u64 {
            CHUNK_BYTES => CHUNK_BYTES - (LONGEST as u64 - 1),
            _ => return,
        };
    }
}

/// Where the instructions begin, and their bytes.
fn calls(code: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let at = code.windows(CALL.len()).enumerate().filter(|(_, window)| *window == CALL);
    at.filter_map(|(at, _)| {
        let before = [TO_RAX, TO_EAX].into_iter().find(|mov| code[..at].ends_with(mov))?;
        Some((at - before.len(), before.len() + CALL.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::testing::{Builder, TEXT, file_of};

    #[test]
    fn trampolines_are_found_by_their_bytes() {
        let check = |code: &[u8], expect: &[(u64, u64)]| {
            let file = Builder { code: code.to_vec(), ..Builder::default() }.build();
            let image = Image::open(file_of(&file)).expect("the file is valid");
            let span = Span::of(&image).expect("it has code");
            let found: Vec<_> = find(&image, &span).into_iter().map(|r| (r.start, r.end)).collect();
            assert_eq!(found, expect, "{code:x?}");
        };
        let rax = [TO_RAX, &CALL].concat();
        let eax = [TO_EAX, &CALL].concat();
        check(&[&[0x90; 3], &rax[..]].concat(), &[(TEXT + 2, TEXT + 12)]);
        check(&[&[0x90; 16], &eax[..], &[0xf4; 4]].concat(), &[(TEXT + 15, TEXT + 23)]);
        check(&[&eax[..], &rax[..]].concat(), &[(TEXT - 1, TEXT + 16)]);
        check(&[&eax[..], &[0x90], &rax[..]].concat(), &[(TEXT - 1, TEXT + 7), (TEXT + 7, TEXT + 17)]);
        check(&[&[0x90; 8], &CALL[..]].concat(), &[]);
        check(&rax[..8], &[]);
        // Across the end of what is read at once.
        let split = CHUNK_BYTES - TEXT - 4;
        let code = [vec![0x90; split as usize], rax].concat();
        check(&code, &[(TEXT + split - 1, TEXT + split + 9)]);
    }
}
