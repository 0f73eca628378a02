//! The rows of all functions of an object, in the order of their addresses.

use gimli::{UnwindContext, UnwindSection};
use tracer_ebpf::unwind::Rule;

use super::frames::{Description, Form, Frames, Reader};
use super::pages::Pages;
use super::rules::{Storage, Unsupported, rule_of};

/// Most rows that are computed: four times what a table of the largest size holds.
const MAX_ROWS: u64 = 16 << 20;
/// Most bytes of instructions, with those that descriptions share, each time: those of a table of the
/// largest size take some 40 MB, and a hostile one takes some 100 ns for each byte.
const MAX_INSTRUCTION_BYTES: u64 = 64 << 20;

/// What has been seen on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) rows: u64,
    pub(super) unsupported: [u64; Unsupported::ALL.len()],
}

/// Puts the rules of all descriptions into the pages. Where two cover the same code, the one that begins later holds, up
/// to its end, and of two that begin at the same address the one that stands later in the section: what lies behind
/// stays a gap, as for the C++ runtime, which looks for the last beginning only.
pub(super) fn fill(frames: &Frames, code: std::ops::Range<u64>, pages: &mut Pages) -> Result<Seen, String> {
    let mut fill = Fill {
        frames,
        pages,
        context: UnwindContext::new_in(),
        seen: Seen::default(),
        instruction_bytes: 0,
        end: code.start,
    };
    let mut waiting: Option<Description<'_>> = None;
    for &(start, at) in frames.index() {
        let Some(function) = frames.describe(at) else { continue };
        // Linkers leave descriptions of functions that they have dropped, at 0 or at no code.
        let is_code = code.contains(&start) && function.initial_address() == start && start != 0;
        if !is_code || function.len() == 0 {
            continue;
        }
        if let Some(before) = waiting.replace(function) {
            fill.function(&before, start)?;
        }
    }
    if let Some(last) = waiting {
        fill.function(&last, code.end)?;
    }
    fill.gap_until(code.end)?;
    Ok(fill.seen)
}

struct Fill<'a> {
    frames: &'a Frames,
    pages: &'a mut Pages,
    context: UnwindContext<usize, Storage>,
    seen: Seen,
    instruction_bytes: u64,
    /// Where the function before ended.
    end: u64,
}

impl Fill<'_> {
    fn function(&mut self, function: &Description<'_>, limit: u64) -> Result<(), String> {
        let start = function.initial_address();
        let end = start.saturating_add(function.len()).min(limit);
        if start >= end {
            return Ok(());
        }
        self.gap_until(start)?;
        self.end = end;
        let bytes = function.entry_len() + function.cie().entry_len();
        self.instruction_bytes += bytes as u64;
        if self.instruction_bytes > MAX_INSTRUCTION_BYTES {
            return Err(format!("its frame descriptions have more than {} MiB", MAX_INSTRUCTION_BYTES >> 20));
        }
        match self.frames.form() {
            Form::Loaded => self.rows(&self.frames.eh_frame(), function, end),
            Form::Debug => self.rows(&self.frames.debug_frame(), function, end),
        }
    }

    fn gap_until(&mut self, start: u64) -> Result<(), String> {
        if self.end < start { self.pages.set(self.end, Rule::Gap) } else { Ok(()) }
    }

    fn rows<'a, S: UnwindSection<Reader<'a>>>(
        &mut self,
        section: &S,
        function: &Description<'a>,
        end: u64,
    ) -> Result<(), String> {
        let mut reached = function.initial_address();
        let mut table = match function.rows(section, self.frames.bases(), &mut self.context) {
            Ok(table) => table,
            Err(_) => return self.unreadable(reached),
        };
        loop {
            let row = match table.next_row() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(_) => return self.unreadable(reached),
            };
            if row.start_address() >= end {
                break;
            }
            self.seen.rows += 1;
            if self.seen.rows > MAX_ROWS {
                return Err(format!("its frame descriptions have more than {MAX_ROWS} rows"));
            }
            let rule = rule_of(row, function, self.frames.data()).unwrap_or_else(|why| {
                self.seen.unsupported[why as usize] += 1;
                Rule::Unsupported
            });
            self.pages.set(row.start_address(), rule)?;
            reached = row.end_address();
        }
        Ok(())
    }

    /// The rest of a function whose instructions cannot be read.
    fn unreadable(&mut self, from: u64) -> Result<(), String> {
        self.seen.unsupported[Unsupported::Instructions as usize] += 1;
        if from < self.end { self.pages.set(from, Rule::Unsupported) } else { Ok(()) }
    }
}
