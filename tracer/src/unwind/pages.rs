//! A stream of rules by address to groups of rows by page of code.

use std::ops::Range;

use tracer_ebpf::unwind::page::{BLOCK_WORDS, PAGE_BYTES};
use tracer_ebpf::unwind::{Row, Rule};

use super::pack::{Packer, bits, gap};
use crate::elf::Image;

/// Most bytes of code from the first to the last: what an index of 2 MiB leads to. The largest programs have 300 MB.
const MAX_SPAN_BYTES: u64 = 1 << 30;

/// End of the addresses that programs have, with 5-level page tables.
const USER_ADDRESSES: u64 = 1 << 57;

/// The pages from the first to the last that can be executed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Span {
    /// Number of the first page: its address by 4096.
    pub(super) first_page: u64,
    pub(super) pages: usize,
}

impl Span {
    pub(super) fn of(image: &Image) -> Result<Self, String> {
        let (mut first, mut end) = (u64::MAX, 0);
        for segment in image.segments().iter().filter(|s| s.executable && s.memory_bytes > 0) {
            let segment_end = segment.address.0.checked_add(segment.memory_bytes);
            let segment_end = segment_end.filter(|end| *end <= USER_ADDRESSES);
            let overflow = || format!("its code at {} ends at no address", segment.address);
            end = end.max(segment_end.ok_or_else(overflow)?.next_multiple_of(PAGE_BYTES));
            first = first.min(segment.address.0 / PAGE_BYTES * PAGE_BYTES);
        }
        match end.checked_sub(first) {
            None => Err("it has no code".to_owned()),
            Some(bytes) if bytes > MAX_SPAN_BYTES => {
                Err(format!("its code spans {bytes} bytes; the limit is {MAX_SPAN_BYTES}"))
            }
            Some(bytes) => Ok(Self { first_page: first / PAGE_BYTES, pages: (bytes / PAGE_BYTES) as usize }),
        }
    }

    /// Addresses of the code.
    pub(super) fn addresses(&self) -> Range<u64> {
        let first = self.first_page * PAGE_BYTES;
        first..first + self.pages as u64 * PAGE_BYTES
    }
}

/// Takes rules in the order of their addresses.
#[derive(Debug)]
pub(super) struct Pages {
    end: u64,
    /// Signal trampolines, by address: their rule stands above all others.
    trampolines: std::vec::IntoIter<Range<u64>>,
    trampoline: Range<u64>,
    /// The rule that holds below the trampolines.
    below: u32,
    /// What was said last: another rule for the same address replaces it.
    last: (u64, u32),
    /// The rule of the row before that.
    written: u32,
    page_end: u64,
    group: Vec<u32>,
    packer: Packer,
    crowded: u64,
}

impl Pages {
    pub(super) fn new(span: &Span, trampolines: Vec<Range<u64>>) -> Self {
        let addresses = span.addresses();
        let mut pages = Self {
            end: addresses.end,
            trampolines: trampolines.into_iter(),
            trampoline: u64::MAX..u64::MAX,
            below: gap(),
            last: (addresses.start, gap()),
            written: gap(),
            page_end: addresses.start + PAGE_BYTES,
            group: vec![gap()],
            packer: Packer::new(span.pages),
            crowded: 0,
        };
        pages.next_trampoline();
        pages
    }

    /// From this address on the rule holds. Addresses do not fall, and lie in the code.
    pub(super) fn set(&mut self, address: u64, rule: Rule) -> Result<(), String> {
        let rule = bits(rule);
        self.pass_trampolines(address)?;
        self.below = rule;
        if self.trampoline.contains(&address) { Ok(()) } else { self.put(address, rule) }
    }

    /// Packs the last pages; rows that did not fit into their page.
    pub(super) fn finish(mut self) -> Result<(Packer, u64), String> {
        self.pass_trampolines(self.end)?;
        self.put(self.end, gap())?;
        Ok((self.packer, self.crowded))
    }

    fn next_trampoline(&mut self) {
        self.trampoline = self.trampolines.next().unwrap_or(u64::MAX..u64::MAX);
    }

    /// Says where the trampolines up to an address begin and end.
    fn pass_trampolines(&mut self, address: u64) -> Result<(), String> {
        while self.trampoline.start <= address {
            let Range { start, end } = self.trampoline;
            if start >= self.last.0 {
                self.put(start, bits(Rule::Signal))?;
            }
            if end > address {
                break;
            }
            self.put(end, self.below)?;
            self.next_trampoline();
        }
        Ok(())
    }

    fn put(&mut self, address: u64, rule: u32) -> Result<(), String> {
        let (start, before) = self.last;
        self.last = (address, rule);
        if address == start {
            return Ok(());
        }
        if before != self.written {
            self.turn_pages(start)?;
            self.row(start, before);
        }
        // The last page is full where the code ends.
        if address == self.end { self.turn_pages(address) } else { Ok(()) }
    }

    fn row(&mut self, address: u64, rule: u32) {
        self.written = rule;
        let offset = (address % PAGE_BYTES) as u32;
        let row = offset << Row::RULE_MASK.count_ones() | rule;
        if offset == 0 {
            self.group.clear();
        }
        match BLOCK_WORDS - self.group.len() {
            0 => self.crowded += 1,
            // What does not fit begins with a row that says so.
            1 => {
                self.group.push(row & !Row::RULE_MASK | bits(Rule::Unsupported));
                self.crowded += 1;
            }
            _ => self.group.push(row),
        }
    }

    /// Packs the pages before that of an address.
    fn turn_pages(&mut self, address: u64) -> Result<(), String> {
        while self.page_end <= address {
            self.packer.add(&self.group)?;
            self.group.clear();
            self.group.push(self.written);
            self.page_end += PAGE_BYTES;
        }
        Ok(())
    }
}
