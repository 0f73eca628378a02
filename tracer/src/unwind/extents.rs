//! Function extents from the frame descriptions of `.eh_frame`.

use std::ops::Range;

use super::frames::Frames;
use crate::elf::Image;
use crate::units::ElfVaddr;

/// One function, or the part of one that the compiler has moved elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First address.
    pub start: ElfVaddr,
    /// First address after it.
    pub end: ElfVaddr,
    /// It has a language-specific data area: an exception can be caught in it or unwound through it.
    pub has_lsda: bool,
}

impl Extent {
    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: ElfVaddr) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// The extents of one object, sorted by address; each is decoded when it is asked for.
#[derive(Debug, Default)]
pub struct Extents {
    frames: Frames,
}

impl Extents {
    /// Reads `.eh_frame`, and its sorted index `.eh_frame_hdr` if there is one.
    #[must_use]
    pub fn load(image: &Image) -> Self {
        Self { frames: Frames::loaded(image).unwrap_or_default() }
    }

    /// The function that holds an address.
    #[must_use]
    pub fn at(&self, address: ElfVaddr) -> Option<Extent> {
        let after = self.frames.index().partition_point(|&(start, _)| start <= address.0);
        let &(_, offset) = self.frames.index().get(after.checked_sub(1)?)?;
        self.decode(offset).filter(|extent| extent.contains(address))
    }

    /// The functions that begin in a range, by address.
    pub fn within(&self, range: Range<ElfVaddr>) -> impl Iterator<Item = Extent> + '_ {
        let first = self.frames.index().partition_point(|&(start, _)| start < range.start.0);
        self.frames.index()[first..]
            .iter()
            .take_while(move |&&(start, _)| start < range.end.0)
            .filter_map(|&(_, offset)| self.decode(offset))
    }

    /// All functions, by address.
    pub fn iter(&self) -> impl Iterator<Item = Extent> + '_ {
        self.frames.index().iter().filter_map(|&(_, offset)| self.decode(offset))
    }

    fn decode(&self, offset: usize) -> Option<Extent> {
        let frame = self.frames.describe(offset)?;
        let start = frame.initial_address();
        let end = start.checked_add(frame.len())?;
        Some(Extent { start: ElfVaddr(start), end: ElfVaddr(end), has_lsda: frame.lsda().is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::testing::real_libc;

    fn parse(
        address: ElfVaddr,
        frames: Vec<u8>,
        index: Option<(ElfVaddr, Vec<u8>)>,
        text: Option<ElfVaddr>,
    ) -> Extents {
        Extents { frames: Frames::parse(address, frames, index, text) }
    }

    fn libc() -> Option<(Image, Extents)> {
        let file = std::fs::File::open(real_libc()?).expect("it is mapped");
        let image = Image::open(file).expect("it runs");
        let extents = Extents::load(&image);
        Some((image, extents))
    }

    /// Check that the C library's malloc is where its symbol says.
    #[test]
    fn extents_agree_with_symbols() {
        let Some((image, extents)) = libc() else { return };
        for symbol in image.functions_named(&["malloc", "free", "realloc"]) {
            let extent = extents.at(symbol.address).expect("allocator functions have frame descriptions");
            assert_eq!(extent.start, symbol.address);
            assert_eq!(extents.at(ElfVaddr(extent.end.0 - 1)), Some(extent));
            assert_eq!(extents.within(extent.start..extent.end).collect::<Vec<_>>(), [extent]);
        }
        assert_eq!(extents.at(ElfVaddr(0)), None);
        assert!(extents.iter().count() > 1000);
        let has_lsda = extents.iter().any(|extent| extent.has_lsda);
        assert_eq!(has_lsda, image.section_range(".gcc_except_table").is_some());
    }

    /// Check that the index and the pass over all descriptions give the same.
    #[test]
    fn the_index_is_only_faster() {
        let Some((image, extents)) = libc() else { return };
        let (address, frames) = image.section_data(".eh_frame").expect("it has been loaded");
        let slow = parse(address, frames, None, None);
        assert_eq!(extents.iter().collect::<Vec<_>>(), slow.iter().collect::<Vec<_>>());
    }

    /// Check that descriptions which share a huge part are left out, in a time that does not grow with its size.
    #[test]
    fn descriptions_do_not_read_a_huge_shared_part_each() {
        let build = |augmentation: usize, functions: u32| {
            let mut shared = [0_u32.to_le_bytes().as_slice(), &[1, b'z'], &vec![b'S'; augmentation]].concat();
            shared.extend([0, 1, 0x78, 16, 0]);
            shared.resize(shared.len().next_multiple_of(4), 0);
            let mut frames = [&(shared.len() as u32).to_le_bytes(), shared.as_slice()].concat();
            for index in 0..functions {
                let back = frames.len() as u32 + 4;
                let start = 0x1000 + u64::from(index) * 16;
                frames.extend([28_u32, back].map(u32::to_le_bytes).concat());
                frames.extend([start, 16].map(u64::to_le_bytes).concat());
                frames.extend([0; 8]);
            }
            frames.extend([0; 4]);
            parse(ElfVaddr(0x10_0000), frames, None, None)
        };
        assert_eq!(build(3, 100).iter().count(), 100);
        let begin = std::time::Instant::now();
        assert_eq!(build(8 << 20, 20_000).iter().count(), 0);
        assert!(begin.elapsed() < std::time::Duration::from_secs(20), "{:?}", begin.elapsed());
    }

    /// Check that wrong bytes in either section give fewer functions, never a panic.
    #[test]
    fn garbage_is_an_empty_table() {
        let Some((image, _)) = libc() else { return };
        let (address, mut frames) = image.section_data(".eh_frame").expect("it has been loaded");
        let (index_at, mut index) = image.section_data(".eh_frame_hdr").expect("it has been loaded");
        frames.truncate(4000);
        index.truncate(200);
        for len in 0..index.len() {
            let extents = parse(address, frames.clone(), Some((index_at, index[..len].to_vec())), None);
            let _ = (extents.iter().count(), extents.at(ElfVaddr(0x1000)));
        }
        for at in 0..frames.len() {
            for wrong in [0xff, 0x80, 0x7f, 0x00] {
                let before = std::mem::replace(&mut frames[at], wrong);
                let _ = parse(address, frames.clone(), None, None).iter().count();
                frames[at] = before;
            }
        }
        for at in 0..index.len().min(64) {
            for wrong in [0xff, 0x80, 0x03, 0x04, 0x00] {
                let mut index = index.clone();
                index[at] = wrong;
                let _ = parse(address, frames.clone(), Some((index_at, index)), None).iter().count();
            }
        }
    }
}
