//! What gimli's own evaluation of a row of a frame description says of the caller, on made-up registers and memory.

use gimli::{
    CfaRule, EndianSlice, EvaluationResult, LittleEndian, Location, Register, RegisterRule, UnwindExpression,
    UnwindSection, UnwindTableRow, Value, X86_64,
};
use tracer_ebpf::unwind::{MAX_FRAME_BYTES, Registers, Stop};

pub(super) type Reader<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Description<'a> = gimli::FrameDescriptionEntry<Reader<'a>>;

/// The registers at every address: FP lies above SP, as it does where it is one.
pub(super) const SP: u64 = 0x7ffd_0000_1000;
pub(super) const FP: u64 = SP + 0x400;

/// The stack: every word holds an address further up, another one for each.
pub(super) fn word_at(address: u64) -> u64 {
    SP + 0x800 + (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) * 8
}

/// One row, and what it is evaluated with.
pub(super) struct Truth<'t, 'a, S> {
    pub(super) section: &'t S,
    pub(super) function: &'t Description<'a>,
    pub(super) row: &'t UnwindTableRow<usize>,
    pub(super) pc: u64,
}

impl<'a, S: UnwindSection<Reader<'a>>> Truth<'_, 'a, S> {
    fn register(&self, register: Register) -> u64 {
        match register {
            X86_64::RSP => SP,
            X86_64::RBP => FP,
            X86_64::RA => self.pc,
            Register(other) => word_at(u64::from(other)),
        }
    }

    /// The address or value that an expression computes; the CFA lies on its stack, if it is of a register.
    fn compute(&self, expression: UnwindExpression<usize>, cfa: Option<u64>) -> Option<u64> {
        let expression = expression.get(self.section).ok()?;
        let mut evaluation = expression.evaluation(self.function.cie().encoding());
        if let Some(cfa) = cfa {
            evaluation.set_initial_value(cfa);
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                    evaluation.resume_with_memory(Value::Generic(word_at(address))).ok()?
                }
                EvaluationResult::RequiresRegister { register, .. } => {
                    evaluation.resume_with_register(Value::Generic(self.register(register))).ok()?
                }
                _ => return None,
            };
        }
        match evaluation.as_result() {
            [piece] => match piece.location {
                Location::Address { address } => Some(address),
                _ => None,
            },
            _ => None,
        }
    }

    fn cfa(&self) -> Option<u64> {
        match *self.row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                Some(self.register(register).wrapping_add(offset as u64))
            }
            CfaRule::Expression(expression) => self.compute(expression, None),
        }
    }

    /// What the caller's register holds.
    fn caller(&self, register: Register, cfa: u64, unsaid: u64) -> Option<u64> {
        match self.row.register(register) {
            None | Some(RegisterRule::Undefined) => Some(unsaid),
            Some(RegisterRule::SameValue) => Some(self.register(register)),
            Some(RegisterRule::Offset(offset)) => Some(word_at(cfa.wrapping_add(offset as u64))),
            Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add(offset as u64)),
            Some(RegisterRule::Register(other)) => Some(self.register(other)),
            Some(RegisterRule::Expression(at)) => self.compute(at, Some(cfa)).map(word_at),
            Some(RegisterRule::ValExpression(value)) => self.compute(value, Some(cfa)),
            Some(_) => None,
        }
    }

    /// The step that gimli's rules make.
    pub(super) fn step(&self) -> Option<Result<Registers, Stop>> {
        if self.row.register(X86_64::RA) == Some(RegisterRule::Undefined) {
            return Some(Err(Stop::End));
        }
        let cfa = self.cfa()?;
        let is_exact = self.function.is_signal_trampoline();
        if !is_exact && (cfa <= SP || cfa - SP > MAX_FRAME_BYTES || cfa % 8 != 0) {
            return Some(Err(Stop::BadCfa));
        }
        Some(Ok(Registers {
            pc: self.caller(X86_64::RA, cfa, 0)?,
            sp: self.caller(X86_64::RSP, cfa, cfa)?,
            fp: self.caller(X86_64::RBP, cfa, FP)?,
            is_exact,
        }))
    }

    /// Why no row can hold it, if none can.
    pub(super) fn why_unsupported(&self) -> Option<&'static str> {
        if self.row.register(X86_64::RA) == Some(RegisterRule::Undefined) {
            return None;
        }
        let step = self.step().and_then(Result::ok);
        let fp = self.row.register(X86_64::RBP);
        match *self.row.cfa() {
            CfaRule::RegisterAndOffset { register, .. }
                if register != X86_64::RSP && register != X86_64::RBP =>
            {
                Some("CFA on another register")
            }
            CfaRule::RegisterAndOffset { offset, .. } if offset < 0 => Some("CFA below its register"),
            CfaRule::RegisterAndOffset { offset, .. } if offset % 8 != 0 => Some("CFA not aligned"),
            CfaRule::RegisterAndOffset { offset, .. } if offset > 65_528 => Some("CFA too far away"),
            CfaRule::Expression(_) if !self.is_known_expression() => Some("CFA by another expression"),
            _ if self.function.is_signal_trampoline() => None,
            _ if self.row.register(X86_64::RA) != Some(RegisterRule::Offset(-8)) => Some("RA elsewhere"),
            _ if step.is_some_and(|step| Some(step.sp) != self.cfa()) => Some("SP is not the CFA"),
            CfaRule::Expression(_) => None,
            CfaRule::RegisterAndOffset { .. } => match fp {
                None | Some(RegisterRule::Undefined | RegisterRule::SameValue) => None,
                Some(RegisterRule::Offset(offset)) if (-120..=-16).contains(&offset) && offset % 8 == 0 => {
                    None
                }
                Some(_) => Some("FP elsewhere"),
            },
        }
    }

    /// By its bytes.
    fn is_known_expression(&self) -> bool {
        let CfaRule::Expression(expression) = *self.row.cfa() else { return false };
        let Ok(expression) = expression.get(self.section) else { return false };
        match expression.0.slice() {
            // DW_OP_breg6 -n; DW_OP_deref.
            [0x76, offset, 0x06] => offset & 0x40 != 0 && offset % 8 == 0,
            [0x76, offset, more, 0x06] => offset & 0x80 != 0 && more & 0x40 != 0 && offset % 8 == 0,
            // DW_OP_breg7 n; DW_OP_deref; DW_OP_plus_uconst 8.
            [0x77, offset, 0x06, 0x23, 8] => offset & 0x40 == 0 && offset % 8 == 0,
            [0x77, offset, more, 0x06, 0x23, 8] => offset & 0x80 != 0 && more & 0x40 == 0 && offset % 8 == 0,
            // Of a signal's frame.
            [0x77, 0xa0, 1, 0x06] => self.function.is_signal_trampoline(),
            [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3a | 0x3b, 0x2a, 0x33, 0x24, 0x22] => true,
            _ => false,
        }
    }
}
