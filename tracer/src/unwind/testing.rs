//! Builds frame descriptions for tests, byte by byte, and objects around them.

use crate::elf::Image;
use crate::elf::testing::{Builder, file_of};

/// CFA = SP + 8, the return address below it: what every function begins with.
pub(super) const AT_ENTRY: [u8; 5] = [0x0c, 7, 8, 0x90, 1];

/// A function and its instructions.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) start: u64,
    pub(super) bytes: u64,
    pub(super) instructions: Vec<u8>,
}

impl Function {
    pub(super) fn new(start: u64, bytes: u64, instructions: &[u8]) -> Self {
        Self { start, bytes, instructions: instructions.to_vec() }
    }
}

/// The contents of `.eh_frame` or `.debug_frame`.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) is_debug: bool,
    pub(super) augmentation: &'static str,
    pub(super) shared: Vec<u8>,
    pub(super) functions: Vec<Function>,
}

impl Section {
    pub(super) fn of(functions: &[Function]) -> Self {
        Self { is_debug: false, augmentation: "", shared: AT_ENTRY.to_vec(), functions: functions.to_vec() }
    }

    pub(super) fn build(&self) -> Vec<u8> {
        let id = if self.is_debug { u32::MAX } else { 0 };
        let mut shared = id.to_le_bytes().to_vec();
        shared.push(1);
        shared.extend(self.augmentation.bytes());
        // The factors of code and of data, and the return address.
        shared.extend([0, 1, 0x78, 16]);
        shared.extend(&self.shared);
        let mut section = entry(shared);
        for function in &self.functions {
            let back = if self.is_debug { 0 } else { section.len() as u32 + 4 };
            let mut description = back.to_le_bytes().to_vec();
            description.extend([function.start, function.bytes].map(u64::to_le_bytes).concat());
            description.extend(&function.instructions);
            section.extend(entry(description));
        }
        if !self.is_debug {
            section.extend([0; 4]);
        }
        section
    }

    /// An object with this section, and as many bytes of code.
    pub(super) fn object(&self, code_bytes: usize) -> Image {
        Image::open(file_of(&self.file(code_bytes))).expect("the file is valid")
    }

    /// The bytes of the object.
    pub(super) fn file(&self, code_bytes: usize) -> Vec<u8> {
        let name = if self.is_debug { ".debug_frame" } else { ".eh_frame" };
        let extra = vec![(name, self.build())];
        Builder { code: vec![0x90; code_bytes], extra, ..Builder::default() }.build()
    }
}

/// An entry with its length before it, padded by instructions that do nothing.
fn entry(mut contents: Vec<u8>) -> Vec<u8> {
    contents.resize((contents.len() + 4).next_multiple_of(8) - 4, 0);
    [&(contents.len() as u32).to_le_bytes(), &contents[..]].concat()
}

/// The generator of G. Marsaglia, "Xorshift RNGs" (2003): the same numbers in every run.
#[derive(Clone, Debug)]
pub(super) struct Xorshift(u64);

impl Xorshift {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        // The upper bits are the better ones.
        (self.next() >> 16) % limit
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}
