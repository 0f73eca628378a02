//! What a row of call frame information says, as a rule that 32 bits can hold. x86-64, System V ABI.

use gimli::{
    CfaRule, Expression, Operation, Register, RegisterRule, UnwindContextStorage, UnwindExpression,
    UnwindTableRow, X86_64,
};
use tracer_ebpf::unwind::{Cfa, Row, Rule, SavedFp};

use super::frames::{Description, Reader};

/// More operations than any expression has that is known here.
const MAX_OPERATIONS: usize = 10;

/// What a row may take of memory: a state of all registers that the ABI numbers for integers and vectors, and few states
/// that are remembered. Compilers nest two; gimli's own limit on registers makes each remembered state of a hostile file
/// expensive.
#[derive(Debug)]
pub(super) enum Storage {}

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); 40];
    type Stack = Box<[UnwindTableRow<usize, Self>; 8]>;
}

/// Why a rule cannot be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unsupported {
    /// The CFA is told by another register than SP and FP.
    CfaRegister,
    /// The CFA is below its register, too far above it, or not aligned.
    CfaOffset,
    /// The CFA is an expression of another kind.
    CfaExpression,
    /// The return address is not in the word below the CFA.
    ReturnAddress,
    /// The caller's frame pointer is in another register, or elsewhere than in the few words below the CFA.
    FramePointer,
    /// The caller's SP is not the CFA.
    StackPointer,
    /// It is the frame of a signal handler's trampoline, and not as Linux lays it out.
    Signal,
    /// The instructions that lead to the row cannot be read.
    Instructions,
    /// There are more rows in a page of code than a group can hold.
    Crowded,
}

impl Unsupported {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::CfaRegister,
        Self::CfaOffset,
        Self::CfaExpression,
        Self::ReturnAddress,
        Self::FramePointer,
        Self::StackPointer,
        Self::Signal,
        Self::Instructions,
        Self::Crowded,
    ];
}

/// The rule of a row of a function. `data` is the section: expressions are offsets into it.
///
/// # Errors
/// Why no rule says the same.
pub(super) fn rule_of(
    row: &UnwindTableRow<usize, Storage>,
    function: &Description<'_>,
    data: &[u8],
) -> Result<Rule, Unsupported> {
    let source = Source { row, function, data };
    let return_address = row.register(X86_64::RA);
    if function.cie().return_address_register() != X86_64::RA {
        return Err(Unsupported::ReturnAddress);
    }
    if return_address == Some(RegisterRule::Undefined) {
        return Ok(Rule::End);
    }
    if function.is_signal_trampoline() {
        return source.signal();
    }
    if return_address != Some(RegisterRule::Offset(-8)) {
        return Err(Unsupported::ReturnAddress);
    }
    if !matches!(row.register(X86_64::RSP), None | Some(RegisterRule::Undefined | RegisterRule::ValOffset(0)))
    {
        return Err(Unsupported::StackPointer);
    }
    let rule = match *row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            let words = u32::try_from(offset).ok().filter(|bytes| bytes % 8 == 0);
            let cfa = match register {
                X86_64::RSP => words.map(Cfa::Sp),
                X86_64::RBP => words.map(Cfa::Fp),
                _ => return Err(Unsupported::CfaRegister),
            };
            Rule::Frame(cfa.ok_or(Unsupported::CfaOffset)?, source.saved_fp(false)?)
        }
        CfaRule::Expression(expression) => source.computed(expression)?,
    };
    Row::pack(0, rule).map(|_| rule).ok_or(Unsupported::CfaOffset)
}

struct Source<'a> {
    row: &'a UnwindTableRow<usize, Storage>,
    function: &'a Description<'a>,
    data: &'a [u8],
}

impl Source<'_> {
    /// Where the kernel saves the registers of the interrupted code, as distances from SP in bytes: `struct ucontext`,
    /// Linux `arch/x86/include/uapi/asm/sigcontext.h`.
    fn signal(&self) -> Result<Rule, Unsupported> {
        let CfaRule::Expression(cfa) = *self.row.cfa() else { return Err(Unsupported::Signal) };
        let is_saved_at = |(register, at)| match self.row.register(register) {
            Some(RegisterRule::Expression(expression)) => self.is_sp_plus(expression, at),
            _ => false,
        };
        let is_cfa = matches!(
            self.operations(cfa)[..],
            [
                Operation::RegisterOffset { register: X86_64::RSP, offset: 160, .. },
                Operation::Deref { size: 8, .. }
            ]
        );
        let is_as_in_linux = is_cfa && [(X86_64::RBP, 120), (X86_64::RA, 168)].into_iter().all(is_saved_at);
        is_as_in_linux.then_some(Rule::Signal).ok_or(Unsupported::Signal)
    }

    fn is_sp_plus(&self, expression: UnwindExpression<usize>, bytes: i64) -> bool {
        matches!(
            self.operations(expression)[..],
            [Operation::RegisterOffset { register: X86_64::RSP, offset, .. }] if offset == bytes
        )
    }

    /// A CFA that is an expression: of GCC's realigned stacks, of OpenSSL's assembly, of the procedure linkage table.
    fn computed(&self, cfa: UnwindExpression<usize>) -> Result<Rule, Unsupported> {
        use Operation::{And, Deref, Ge, Plus, PlusConstant, RegisterOffset, Shl, UnsignedConstant};
        let bytes = |offset: i64| u32::try_from(offset).map_err(|_| Unsupported::CfaOffset);
        let frame = |cfa, may_be_at_fp| Ok(Rule::Frame(cfa, self.saved_fp(may_be_at_fp)?));
        match self.operations(cfa)[..] {
            [RegisterOffset { register: X86_64::RBP, offset, .. }, Deref { size: 8, .. }] => {
                frame(Cfa::AtFpMinus(bytes(offset.wrapping_neg())?), true)
            }
            [
                RegisterOffset { register: X86_64::RSP, offset, .. },
                Deref { size: 8, .. },
                PlusConstant { value: 8 },
            ] => frame(Cfa::AtSpPlus(bytes(offset)?), false),
            [
                RegisterOffset { register: X86_64::RSP, offset: 8, .. },
                RegisterOffset { register: X86_64::RA, offset: 0, .. },
                UnsignedConstant { value: 15 },
                And,
                UnsignedConstant { value: pushed_from @ (10 | 11) },
                Ge,
                UnsignedConstant { value: 3 },
                Shl,
                Plus,
            ] => match self.saved_fp(false)? {
                SavedFp::Same => Ok(Rule::Plt(pushed_from as u8)),
                _ => Err(Unsupported::FramePointer),
            },
            _ => Err(Unsupported::CfaExpression),
        }
    }

    fn saved_fp(&self, may_be_at_fp: bool) -> Result<SavedFp, Unsupported> {
        match self.row.register(X86_64::RBP) {
            None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => Ok(SavedFp::Same),
            Some(RegisterRule::Offset(offset)) if offset % 8 == 0 && (-120..=-16).contains(&offset) => {
                Ok(SavedFp::BelowCfa((-offset / 8) as u8))
            }
            Some(RegisterRule::Expression(expression)) if may_be_at_fp => {
                match self.operations(expression)[..] {
                    [Operation::RegisterOffset { register: X86_64::RBP, offset: 0, .. }] => Ok(SavedFp::AtFp),
                    _ => Err(Unsupported::FramePointer),
                }
            }
            Some(_) => Err(Unsupported::FramePointer),
        }
    }

    /// The first operations of an expression, one more than any that is known here has; none if they cannot be read.
    fn operations(&self, expression: UnwindExpression<usize>) -> Vec<Operation<Reader<'_>>> {
        let end = expression.offset.checked_add(expression.length);
        let data = end.and_then(|end| self.data.get(expression.offset..end)).unwrap_or_default();
        let mut operations =
            Expression(Reader::new(data, gimli::LittleEndian)).operations(self.function.cie().encoding());
        let mut found = Vec::with_capacity(MAX_OPERATIONS);
        while found.len() < MAX_OPERATIONS {
            match operations.next() {
                Ok(Some(operation)) => found.push(operation),
                Ok(None) => return found,
                Err(_) => break,
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ElfVaddr;
    use crate::unwind::UnwindTable;
    use crate::unwind::testing::{AT_ENTRY, Function, Section};

    const DEREF: u8 = 0x06;
    const AND: u8 = 0x1a;
    const PLUS: u8 = 0x22;
    const PLUS_CONSTANT: u8 = 0x23;
    const SHL: u8 = 0x24;
    const GE: u8 = 0x2a;
    const LIT: u8 = 0x30;
    const AT_RBP: u8 = 0x76;
    const AT_RSP: u8 = 0x77;
    const AT_RA: u8 = 0x80;

    /// `DW_CFA_def_cfa_expression`.
    fn cfa_at(expression: &[u8]) -> Vec<u8> {
        [&[0x0f, expression.len() as u8], expression].concat()
    }

    /// `DW_CFA_expression`: the register is saved where the expression says.
    fn saved_at(register: u8, expression: &[u8]) -> Vec<u8> {
        [&[0x10, register, expression.len() as u8], expression].concat()
    }

    fn check_with(augmentation: &'static str, instructions: &[&[u8]], expect: Result<Rule, Unsupported>) {
        let function = Function::new(0x1010, 16, &instructions.concat());
        let section = Section { augmentation, ..Section::of(&[function]) };
        let table = UnwindTable::build(&section.object(64)).expect("it is small").expect("it has a function");
        let rule = table.row_at(ElfVaddr(0x1018)).rule();
        assert_eq!(rule, expect.unwrap_or(Rule::Unsupported), "{instructions:x?}");
        for why in Unsupported::ALL {
            assert_eq!(table.statistics().unsupported(why), u64::from(expect == Err(why)), "{why:?}");
        }
    }

    #[test]
    fn registers_with_an_offset_are_rules_where_they_fit() {
        let check = |instructions: &[&[u8]], expect| check_with("", instructions, expect);
        let frame = |cfa, fp| Ok(Rule::Frame(cfa, fp));
        check(&[], frame(Cfa::Sp(8), SavedFp::Same));
        check(&[&[0x0e, 16], &[0x86, 2]], frame(Cfa::Sp(16), SavedFp::BelowCfa(2)));
        check(&[&[0x0e, 16], &[0x86, 2], &[0x0d, 6]], frame(Cfa::Fp(16), SavedFp::BelowCfa(2)));
        check(&[&[0x0c, 6, 0]], frame(Cfa::Fp(0), SavedFp::Same));
        check(&[&[0x86, 15]], frame(Cfa::Sp(8), SavedFp::BelowCfa(15)));
        check(&[&[0x86, 16]], Err(Unsupported::FramePointer));
        check(&[&[0x86, 1]], Err(Unsupported::FramePointer));
        check(&[&[0x86, 0]], Err(Unsupported::FramePointer));
        // DW_CFA_offset_extended_sf: above the CFA.
        check(&[&[0x11, 6, 0x7e]], Err(Unsupported::FramePointer));
        check(&[&[0x07, 6]], frame(Cfa::Sp(8), SavedFp::Same));
        check(&[&[0x08, 6]], frame(Cfa::Sp(8), SavedFp::Same));
        check(&[&[0x09, 6, 3]], Err(Unsupported::FramePointer));
        check(&[&[0x14, 6, 2]], Err(Unsupported::FramePointer));
        check(&[&[0x0e, 0xf8, 0xff, 0x03]], frame(Cfa::Sp(65_528), SavedFp::Same));
        check(&[&[0x0e, 0x80, 0x80, 0x04]], Err(Unsupported::CfaOffset));
        check(&[&[0x0e, 12]], Err(Unsupported::CfaOffset));
        // DW_CFA_def_cfa_offset_sf: 1 * -8.
        check(&[&[0x13, 1]], Err(Unsupported::CfaOffset));
        check(&[&[0x0d, 10]], Err(Unsupported::CfaRegister));
        check(&[&[0x0d, 3]], Err(Unsupported::CfaRegister));
        check(&[&[0x2e, 32]], frame(Cfa::Sp(8), SavedFp::Same));
    }

    #[test]
    fn the_return_address_is_below_the_cfa_or_there_is_none() {
        let check = |instructions: &[&[u8]], expect| check_with("", instructions, expect);
        check(&[&[0x07, 16]], Ok(Rule::End));
        check(&[&[0x07, 16], &[0x0d, 10]], Ok(Rule::End));
        check(&[&[0x90, 2]], Err(Unsupported::ReturnAddress));
        check(&[&[0x09, 16, 0]], Err(Unsupported::ReturnAddress));
        check(&[&[0x08, 16]], Err(Unsupported::ReturnAddress));
        check(&[&[0x09, 7, 10]], Err(Unsupported::StackPointer));
        check(&[&[0x87, 3]], Err(Unsupported::StackPointer));
        check(&[&[0x14, 7, 0]], Ok(Rule::Frame(Cfa::Sp(8), SavedFp::Same)));
    }

    #[test]
    fn known_expressions_are_rules_and_others_are_not() {
        let check = |instructions: &[&[u8]], expect| check_with("", instructions, expect);
        let frame = |cfa, fp| Ok(Rule::Frame(cfa, fp));
        let at_fp = saved_at(6, &[AT_RBP, 0]);
        // -8 as a signed LEB128 number is 0x78.
        let realigned = cfa_at(&[AT_RBP, 0x78, DEREF]);
        check(&[&realigned, &at_fp], frame(Cfa::AtFpMinus(8), SavedFp::AtFp));
        check(&[&realigned], frame(Cfa::AtFpMinus(8), SavedFp::Same));
        check(&[&realigned, &[0x86, 2]], frame(Cfa::AtFpMinus(8), SavedFp::BelowCfa(2)));
        check(&[&realigned, &saved_at(6, &[AT_RBP, 8])], Err(Unsupported::FramePointer));
        check(&[&at_fp], Err(Unsupported::FramePointer));
        check(&[&cfa_at(&[AT_RBP, 8, DEREF])], Err(Unsupported::CfaOffset));
        check(&[&cfa_at(&[AT_RBP, 0x7c, DEREF])], Err(Unsupported::CfaOffset));
        check(&[&cfa_at(&[AT_RBP, 0x78])], Err(Unsupported::CfaExpression));
        // DW_OP_deref_size 4.
        check(&[&cfa_at(&[AT_RBP, 0x78, 0x94, 4])], Err(Unsupported::CfaExpression));
        let on_new_stack = |offset, add| cfa_at(&[AT_RSP, offset, DEREF, PLUS_CONSTANT, add]);
        check(&[&on_new_stack(40, 8)], frame(Cfa::AtSpPlus(40), SavedFp::Same));
        check(&[&on_new_stack(40, 8), &[0x86, 3]], frame(Cfa::AtSpPlus(40), SavedFp::BelowCfa(3)));
        check(&[&on_new_stack(40, 8), &at_fp], Err(Unsupported::FramePointer));
        check(&[&on_new_stack(40, 16)], Err(Unsupported::CfaExpression));
        check(&[&on_new_stack(0x78, 8)], Err(Unsupported::CfaOffset));
        let plt = |from| cfa_at(&[AT_RSP, 8, AT_RA, 0, LIT + 15, AND, LIT + from, GE, LIT + 3, SHL, PLUS]);
        check(&[&plt(11)], Ok(Rule::Plt(11)));
        check(&[&plt(10)], Ok(Rule::Plt(10)));
        check(&[&plt(9)], Err(Unsupported::CfaExpression));
        check(&[&plt(11), &[0x86, 2]], Err(Unsupported::FramePointer));
        check(&[&cfa_at(&[])], Err(Unsupported::CfaExpression));
        check(&[&cfa_at(&[0xff; 3])], Err(Unsupported::CfaExpression));
        check(&[&cfa_at(&[AT_RSP, 8, AT_RA, 0, LIT + 15, AND, LIT + 11, GE, LIT + 3, SHL, PLUS, LIT])], {
            Err(Unsupported::CfaExpression)
        });
    }

    #[test]
    fn the_frame_of_a_signal_is_as_linux_lays_it_out() {
        let check = |instructions: &[&[u8]], expect| check_with("S", instructions, expect);
        let cfa = cfa_at(&[AT_RSP, 0xa0, 1, DEREF]);
        let fp = saved_at(6, &[AT_RSP, 0xf8, 0]);
        let pc = saved_at(16, &[AT_RSP, 0xa8, 1]);
        check(&[&cfa, &fp, &pc], Ok(Rule::Signal));
        check(&[&pc, &fp, &cfa], Ok(Rule::Signal));
        check(&[&cfa, &fp], Err(Unsupported::Signal));
        check(&[&cfa, &pc], Err(Unsupported::Signal));
        check(&[&fp, &pc], Err(Unsupported::Signal));
        check(&[&cfa, &fp, &saved_at(16, &[AT_RSP, 0xa0, 1])], Err(Unsupported::Signal));
        check(&[], Err(Unsupported::Signal));
        check(&[&[0x07, 16]], Ok(Rule::End));
        check_with("", &[&cfa, &fp, &pc], Err(Unsupported::ReturnAddress));
    }

    #[test]
    fn a_function_with_unreadable_instructions_is_unsupported_from_there_on() {
        let check = |instructions: &[u8], expect: [Rule; 3]| {
            let section = Section::of(&[Function::new(0x1010, 16, instructions)]);
            let table = UnwindTable::build(&section.object(64)).expect("small").expect("a function");
            let rules = [0x1010, 0x1014, 0x1020].map(|at| table.row_at(ElfVaddr(at)).rule());
            assert_eq!(rules, expect, "{instructions:x?}");
        };
        let entry = Rule::Frame(Cfa::Sp(8), SavedFp::Same);
        check(&[0x44, 0x3f], [entry, Rule::Unsupported, Rule::Gap]);
        check(&[0x3f], [Rule::Unsupported, Rule::Unsupported, Rule::Gap]);
        // A state that nobody remembered; more states than are kept.
        check(&[0x44, 0x0b], [entry, Rule::Unsupported, Rule::Gap]);
        check(&[&[0x44][..], &[0x0a; 9]].concat(), [entry, Rule::Unsupported, Rule::Gap]);
        check(&[&[0x44][..], &AT_ENTRY, &[0x0a, 0x0a, 0x0b, 0x0b]].concat(), [entry, entry, Rule::Gap]);
    }
}
