//! One function of `.gopclntab` (`_func` and `inlinedCall` in `runtime/runtime2.go`, `runtime/symtab.go` and
//! `runtime/symtabinl.go`).

use super::header::Format;
use super::values::Values;
use super::words::{i32_at, u32_at};

/// `PCDATA_InlTreeIndex` and `FUNCDATA_InlTree` (`runtime/funcdata.h`): the same in all formats.
const INLINED_INDEX: usize = 2;
const INLINED_CALLS: usize = 3;
/// A table that a function does not have.
const NO_VALUES: u32 = 0;
/// Data that a function does not have.
const NO_DATA: u32 = u32::MAX;

/// Where the fields of a record are, in bytes.
pub(super) struct Fields {
    name: usize,
    files: usize,
    lines: usize,
    value_tables: usize,
    unit: usize,
    data_count: usize,
    /// Of the record, before its lists.
    bytes: usize,
    /// Of an inlined call, its name and where it is called.
    pub(super) call_bytes: usize,
    call_name: usize,
    call_parent: usize,
}

impl Format {
    pub(super) const fn fields(self) -> &'static Fields {
        match self {
            Self::Go118 => &Fields {
                name: 4,
                files: 20,
                lines: 24,
                value_tables: 28,
                unit: 32,
                data_count: 39,
                bytes: 40,
                call_bytes: 20,
                call_name: 12,
                call_parent: 16,
            },
            // A function has the line that it begins at; a call has lost its own file, line and parent.
            Self::Go120 => &Fields {
                name: 4,
                files: 20,
                lines: 24,
                value_tables: 28,
                unit: 32,
                data_count: 43,
                bytes: 44,
                call_bytes: 16,
                call_name: 4,
                call_parent: 8,
            },
        }
    }
}

/// A call that was inlined.
pub(super) struct Call {
    /// Of the called function's name, in the table of names.
    pub(super) name_at: usize,
    /// Distance from the entry of an instruction that stands where the call did.
    pub(super) parent: u64,
}

impl Call {
    /// The call of an index in the data of its function.
    pub(super) fn read(data: &[u8], index: usize, format: Format) -> Option<Self> {
        let fields = format.fields();
        let at = index.checked_mul(fields.call_bytes)?;
        let call = data.get(at..at.checked_add(fields.call_bytes)?)?;
        Some(Self {
            name_at: usize::try_from(i32_at(call, fields.call_name)?).ok()?,
            parent: u64::try_from(i32_at(call, fields.call_parent)?).ok()?,
        })
    }
}

/// The record of a function.
pub(super) struct Record<'a> {
    fields: &'static Fields,
    data: &'a [u8],
    /// All tables of numbers.
    values: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) const fn new(format: Format, data: &'a [u8], values: &'a [u8]) -> Self {
        Self { fields: format.fields(), data, values }
    }

    /// Of its name, in the table of names.
    pub(super) fn name_at(&self) -> Option<usize> {
        usize::try_from(i32_at(self.data, self.fields.name)?).ok()
    }

    /// Of its files' list, in the table of all units' lists.
    pub(super) fn unit(&self) -> Option<u32> {
        u32_at(self.data, self.fields.unit)
    }

    /// Which file of its unit, by instruction.
    pub(super) fn files(&self) -> Option<Values<'a>> {
        self.values_at(u32_at(self.data, self.fields.files)?)
    }

    /// Which line, by instruction.
    pub(super) fn lines(&self) -> Option<Values<'a>> {
        self.values_at(u32_at(self.data, self.fields.lines)?)
    }

    /// Which inlined call, by instruction; below 0 is none.
    pub(super) fn inlined(&self) -> Option<Values<'a>> {
        let count = self.value_tables()?;
        if INLINED_INDEX >= count {
            return None;
        }
        self.values_at(u32_at(self.data, self.fields.bytes + 4 * INLINED_INDEX)?)
    }

    /// Where its inlined calls are, from the data of all functions.
    pub(super) fn calls_at(&self) -> Option<u32> {
        if INLINED_CALLS >= usize::from(*self.data.get(self.fields.data_count)?) {
            return None;
        }
        let lists = self.fields.bytes.checked_add(self.value_tables()?.checked_mul(4)?)?;
        u32_at(self.data, lists.checked_add(4 * INLINED_CALLS)?).filter(|&at| at != NO_DATA)
    }

    fn value_tables(&self) -> Option<usize> {
        usize::try_from(u32_at(self.data, self.fields.value_tables)?).ok()
    }

    fn values_at(&self, at: u32) -> Option<Values<'a>> {
        if at == NO_VALUES {
            return None;
        }
        Some(Values::new(self.values.get(usize::try_from(at).ok()?..)?))
    }
}
