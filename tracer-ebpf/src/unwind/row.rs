//! One rule of an unwind table, in 32 bits.
//!
//! | bits | what |
//! |---|---|
//! | 31…20 | offset in its 4 KiB page from which the rule holds, until the next row |
//! | 19…17 | kind |
//! | 16…4 | offset of the CFA in words of 8 bytes; for special rules which |
//! | 3…0 | where the caller's frame pointer is |
//!
//! The offset stands highest, so that rows of one page compare as numbers.

/// A packed rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Row(pub u32);

/// Where the canonical frame address (CFA) is: SP as it was before the call. Offsets are in bytes, multiples of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cfa {
    /// SP + offset.
    Sp(u32),
    /// FP + offset.
    Fp(u32),
    /// The word at FP - offset: functions that align the stack (GCC's DRAP).
    AtFpMinus(u32),
    /// The word at SP + offset, and 8: assembly that keeps the old SP on the new stack.
    AtSpPlus(u32),
}

/// Where the caller's frame pointer register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SavedFp {
    /// Still in the register.
    Same,
    /// In the word at CFA - 8 × this, which is 2 to 15.
    BelowCfa(u8),
    /// In the word at FP: with [`Cfa::AtFpMinus`] only.
    AtFp,
}

/// What a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The return address is in the word below the CFA.
    Frame(Cfa, SavedFp),
    /// The outermost function: it has no caller.
    End,
    /// The table says nothing about this code.
    Gap,
    /// The trampoline that a signal handler returns to: the kernel has saved the registers at SP.
    Signal,
    /// An entry of the procedure linkage table: its CFA depends on how far into its 16 bytes it is. From this byte on
    /// it has pushed a word.
    Plt(u8),
    /// The table's source says something that a row cannot hold.
    Unsupported,
    /// Code without a table that keeps frame pointers, as far as is known.
    FramePointer,
}

const OFFSET_SHIFT: u32 = 20;
const KIND_SHIFT: u32 = 17;
const KIND_MASK: u32 = 7;
const CFA_SHIFT: u32 = 4;
const CFA_MASK: u32 = 0x1fff;
const FP_MASK: u32 = 15;

const KIND_SP: u32 = 0;
const KIND_FP: u32 = 1;
const KIND_AT_FP: u32 = 2;
const KIND_AT_SP: u32 = 3;
const KIND_SPECIAL: u32 = 7;

const SPECIAL_END: u32 = 0;
const SPECIAL_GAP: u32 = 1;
const SPECIAL_SIGNAL: u32 = 2;
const SPECIAL_PLT_11: u32 = 3;
const SPECIAL_PLT_10: u32 = 4;
const SPECIAL_UNSUPPORTED: u32 = 5;
const SPECIAL_FRAME_POINTER: u32 = 6;

/// [`SavedFp::AtFp`]: no other rule saves the frame pointer in the return address's word.
const FP_AT_FP: u32 = 1;

impl Row {
    /// Bits of a row that say the rule: all but the offset.
    pub const RULE_MASK: u32 = (1 << OFFSET_SHIFT) - 1;
    /// [`Rule::Gap`] from offset 0 on.
    pub const GAP: Self = Self(special(SPECIAL_GAP));
    /// [`Rule::FramePointer`] from offset 0 on.
    pub const FRAME_POINTER: Self = Self(special(SPECIAL_FRAME_POINTER));

    /// Packs a rule that holds from an offset in its page on; `None` if it does not fit.
    #[must_use]
    pub fn pack(page_offset: u16, rule: Rule) -> Option<Self> {
        let bits = match rule {
            Rule::Frame(cfa, fp) => {
                let (kind, offset) = match cfa {
                    Cfa::Sp(offset) => (KIND_SP, offset),
                    Cfa::Fp(offset) => (KIND_FP, offset),
                    Cfa::AtFpMinus(offset) => (KIND_AT_FP, offset),
                    Cfa::AtSpPlus(offset) => (KIND_AT_SP, offset),
                };
                let fp = match fp {
                    SavedFp::Same => 0,
                    SavedFp::BelowCfa(words @ 2..=15) => u32::from(words),
                    SavedFp::AtFp if kind == KIND_AT_FP => FP_AT_FP,
                    _ => return None,
                };
                if offset % 8 != 0 || offset / 8 > CFA_MASK {
                    return None;
                }
                kind << KIND_SHIFT | (offset / 8) << CFA_SHIFT | fp
            }
            Rule::End => special(SPECIAL_END),
            Rule::Gap => special(SPECIAL_GAP),
            Rule::Signal => special(SPECIAL_SIGNAL),
            Rule::Plt(11) => special(SPECIAL_PLT_11),
            Rule::Plt(10) => special(SPECIAL_PLT_10),
            Rule::Plt(_) => return None,
            Rule::Unsupported => special(SPECIAL_UNSUPPORTED),
            Rule::FramePointer => special(SPECIAL_FRAME_POINTER),
        };
        (page_offset < 4096).then_some(Self(u32::from(page_offset) << OFFSET_SHIFT | bits))
    }

    /// From which offset in its page on it holds.
    #[inline(always)]
    #[must_use]
    pub const fn page_offset(self) -> u32 {
        self.0 >> OFFSET_SHIFT
    }

    /// If the CFA is a register plus an offset, as nearly always: whether that is FP, and the offset in bytes.
    #[inline(always)]
    #[must_use]
    pub const fn plain_cfa(self) -> Option<(bool, u64)> {
        let kind = self.0 >> KIND_SHIFT & KIND_MASK;
        if kind > KIND_FP { None } else { Some((kind == KIND_FP, self.cfa_bytes())) }
    }

    /// Words below the CFA at which a plain row finds the caller's frame pointer; 0 if it is in its register.
    #[inline(always)]
    #[must_use]
    pub const fn fp_words(self) -> u64 {
        (self.0 & FP_MASK) as u64
    }

    const fn cfa_bytes(self) -> u64 {
        ((self.0 >> CFA_SHIFT & CFA_MASK) as u64) << 3
    }

    /// What it says; bits that no builder writes are unsupported.
    #[inline(always)]
    #[must_use]
    pub const fn rule(self) -> Rule {
        let offset = self.cfa_bytes() as u32;
        let cfa = match self.0 >> KIND_SHIFT & KIND_MASK {
            KIND_SP => Cfa::Sp(offset),
            KIND_FP => Cfa::Fp(offset),
            KIND_AT_FP => Cfa::AtFpMinus(offset),
            KIND_AT_SP => Cfa::AtSpPlus(offset),
            KIND_SPECIAL => {
                return match self.0 >> CFA_SHIFT & CFA_MASK {
                    SPECIAL_END => Rule::End,
                    SPECIAL_GAP => Rule::Gap,
                    SPECIAL_SIGNAL => Rule::Signal,
                    SPECIAL_PLT_11 => Rule::Plt(11),
                    SPECIAL_PLT_10 => Rule::Plt(10),
                    SPECIAL_FRAME_POINTER => Rule::FramePointer,
                    _ => Rule::Unsupported,
                };
            }
            _ => return Rule::Unsupported,
        };
        let fp = match (self.0 & FP_MASK, cfa) {
            (0, _) => SavedFp::Same,
            (FP_AT_FP, Cfa::AtFpMinus(_)) => SavedFp::AtFp,
            (FP_AT_FP, _) => return Rule::Unsupported,
            (words, _) => SavedFp::BelowCfa(words as u8),
        };
        Rule::Frame(cfa, fp)
    }
}

const fn special(which: u32) -> u32 {
    KIND_SPECIAL << KIND_SHIFT | which << CFA_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again_and_what_does_not_fit_is_refused() {
        let check = |offset, rule, fits: bool| {
            let row = Row::pack(offset, rule);
            assert_eq!(row.is_some(), fits, "{rule:?}");
            if let Some(row) = row {
                assert_eq!((row.page_offset(), row.rule()), (offset.into(), rule));
            }
        };
        check(0, Rule::Frame(Cfa::Sp(8), SavedFp::Same), true);
        check(4095, Rule::Frame(Cfa::Fp(16), SavedFp::BelowCfa(2)), true);
        check(4096, Rule::End, false);
        check(7, Rule::Frame(Cfa::Sp(65_528), SavedFp::BelowCfa(15)), true);
        check(7, Rule::Frame(Cfa::Sp(65_536), SavedFp::Same), false);
        check(7, Rule::Frame(Cfa::Sp(12), SavedFp::Same), false);
        check(7, Rule::Frame(Cfa::Sp(16), SavedFp::BelowCfa(1)), false);
        check(7, Rule::Frame(Cfa::Sp(16), SavedFp::BelowCfa(16)), false);
        check(7, Rule::Frame(Cfa::Fp(16), SavedFp::AtFp), false);
        check(7, Rule::Frame(Cfa::AtFpMinus(8), SavedFp::AtFp), true);
        check(7, Rule::Frame(Cfa::AtSpPlus(104), SavedFp::BelowCfa(3)), true);
        for rule in [Rule::End, Rule::Gap, Rule::Signal, Rule::Unsupported, Rule::FramePointer] {
            check(1, rule, true);
        }
        check(1, Rule::Plt(11), true);
        check(1, Rule::Plt(10), true);
        check(1, Rule::Plt(9), false);
    }

    #[test]
    fn plain_rows_tell_their_parts_without_being_unpacked() {
        let row = Row::pack(3, Rule::Frame(Cfa::Fp(16), SavedFp::BelowCfa(2))).expect("it fits");
        assert_eq!((row.plain_cfa(), row.fp_words()), (Some((true, 16)), 2));
        let row = Row::pack(3, Rule::Frame(Cfa::Sp(40), SavedFp::Same)).expect("it fits");
        assert_eq!((row.plain_cfa(), row.fp_words()), (Some((false, 40)), 0));
        let row = Row::pack(3, Rule::Frame(Cfa::AtFpMinus(8), SavedFp::AtFp)).expect("it fits");
        assert_eq!(row.plain_cfa(), None);
    }
}
