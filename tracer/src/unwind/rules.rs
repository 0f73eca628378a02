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
    /// It is the frame of a signal handler's trampoline, and not as Linux lays it out.
    Signal,
    /// The instructions that lead to the row cannot be read.
    Instructions,
    /// There are more rows in a page of code than a group can hold.
    Crowded,
}

impl Unsupported {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::CfaRegister,
        Self::CfaOffset,
        Self::CfaExpression,
        Self::ReturnAddress,
        Self::FramePointer,
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
        let is_saved_at = |register, at| match self.row.register(register) {
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
        let is_as_in_linux = is_cfa && is_saved_at(X86_64::RBP, 120) && is_saved_at(X86_64::RA, 168);
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
