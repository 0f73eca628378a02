//! Tables of one number per instruction: runs of equal ones, as steps of number and address (`pcvalue` in
//! `runtime/symtab.go`).

use super::words::varint;

/// The runs of one table: the distance from the function's entry that each ends at, and its number.
pub(super) struct Values<'a> {
    rest: &'a [u8],
    end: u64,
    value: i32,
    is_first: bool,
}

impl<'a> Values<'a> {
    /// The table that begins here.
    pub(super) const fn new(data: &'a [u8]) -> Self {
        Self { rest: data, end: 0, value: -1, is_first: true }
    }

    /// The number at a distance from the function's entry.
    pub(super) fn at(self, distance: u64) -> Option<i32> {
        let (_, value) = { self }.find(|&(end, _)| distance < end)?;
        Some(value)
    }

    fn take(&mut self) -> Option<u64> {
        let (number, bytes) = varint(self.rest)?;
        self.rest = self.rest.get(bytes..)?;
        Some(number)
    }
}

impl Iterator for Values<'_> {
    type Item = (u64, i32);

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.take()?;
        // The end is a step of nothing, which the first run may begin with too.
        if step == 0 && !self.is_first {
            return None;
        }
        self.is_first = false;
        // The lowest bit is the sign.
        let (half, is_negative) = ((step >> 1) as i32, step & 1 == 1);
        self.value = self.value.wrapping_add(if is_negative { !half } else { half });
        // x86-64 counts instructions by bytes (`minLC` is 1).
        self.end = self.end.checked_add(self.take()?)?;
        Some((self.end, self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_holds_up_to_the_end_of_its_run() {
        // From -1: up by 3 for 4 bytes, down by 3 for 200, up by 7 for 1.
        let table = [6, 4, 5, 0xc8, 1, 14, 1, 0, 99];
        let check = |distance, expect| assert_eq!(Values::new(&table).at(distance), expect, "{distance}");
        for (distance, expect) in
            [(0, Some(2)), (3, Some(2)), (4, Some(-1)), (203, Some(-1)), (204, Some(6)), (205, None)]
        {
            check(distance, expect);
        }
    }

    #[test]
    fn a_table_that_is_cut_off_ends() {
        for table in [&[][..], &[6], &[6, 0x80], &[0xff; 30]] {
            assert_eq!(Values::new(table).at(u64::MAX), None, "{table:02x?}");
        }
    }
}
