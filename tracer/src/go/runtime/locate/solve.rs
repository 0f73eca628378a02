//! Finds the one address for which a rule holds.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use super::rules::{Clause, Rule};
use crate::go::runtime::layout::Layout;
use crate::units::ElfVaddr;

/// Fewest uses of a variable that tell it: each is a function and a field.
const MIN_USES: usize = 2;

/// Why a rule finds nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// The layout lacks an offset that the rule needs.
    NoLayout,
    /// The program does not have these functions, and the others do not tell enough.
    NoFunctions(Vec<&'static str>),
    /// No address is used by all these functions.
    NoAddress(Vec<&'static str>),
    /// So many addresses are used by all these functions.
    Ambiguous(usize, Vec<&'static str>),
}

/// Finds a variable. `used` says which addresses a function uses, `None` if the program does not have it.
pub(super) fn solve(
    rule: &Rule,
    layout: &Layout,
    used: &mut dyn FnMut(&'static str) -> Option<BTreeSet<u64>>,
) -> Result<ElfVaddr, Miss> {
    let mut candidates: Option<BTreeSet<u64>> = None;
    let (mut uses, mut seen, mut missing) = (0, Vec::new(), Vec::new());
    for clause in rule.clauses {
        let Some(addresses) = union(clause, used) else {
            missing.extend(clause.functions);
            continue;
        };
        seen.extend(clause.functions);
        for field in clause.fields {
            let offset = field.offset_bytes(layout).ok_or(Miss::NoLayout)?;
            uses += 1;
            candidates = Some(match candidates {
                None => starts(&addresses, offset, rule.alignment_bytes),
                Some(before) => {
                    before.into_iter().filter(|start| holds(&addresses, *start, offset)).collect()
                }
            });
        }
    }
    if uses < MIN_USES {
        return Err(Miss::NoFunctions(missing));
    }
    let candidates = candidates.unwrap_or_default();
    match (candidates.first(), candidates.len()) {
        (Some(address), 1) => Ok(ElfVaddr(*address)),
        (None, _) => Err(Miss::NoAddress(seen)),
        (Some(_), several) => Err(Miss::Ambiguous(several, seen)),
    }
}

/// What any of a clause's functions uses; `None` if the program has none of them.
fn union(
    clause: &Clause,
    used: &mut dyn FnMut(&'static str) -> Option<BTreeSet<u64>>,
) -> Option<BTreeSet<u64>> {
    clause.functions.iter().filter_map(|name| used(name)).reduce(|mut all, more| {
        all.extend(more);
        all
    })
}

/// Where a variable could begin that is used at this offset.
fn starts(addresses: &BTreeSet<u64>, offset: u64, alignment: u64) -> BTreeSet<u64> {
    let starts = addresses.iter().filter_map(|address| address.checked_sub(offset));
    starts.filter(|start| start.is_multiple_of(alignment)).collect()
}

fn holds(addresses: &BTreeSet<u64>, start: u64, offset: u64) -> bool {
    start.checked_add(offset).is_some_and(|address| addresses.contains(&address))
}

impl Display for Miss {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLayout => {
                f.write_str("the layout of its struct is not known, by which code that uses it is recognised")
            }
            Self::NoFunctions(names) => {
                write!(f, "the program does not have the code that would tell it: {}", names.join(", "))
            }
            Self::NoAddress(names) => {
                write!(f, "no address is used by all code that should: {}", names.join(", "))
            }
            Self::Ambiguous(count, names) => {
                write!(f, "{count} addresses are used by all code that uses it: {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Field;
    use super::*;

    const RULE: Rule = Rule {
        symbol: "x",
        alignment_bytes: 8,
        clauses: &[
            Clause { functions: &["a", "inlined"], fields: &[Field::Fixed(0), Field::Fixed(8)] },
            Clause { functions: &["b"], fields: &[Field::Fixed(16)] },
            Clause { functions: &["c"], fields: &[Field::Fixed(0)] },
        ],
    };

    fn layout() -> Layout {
        Layout::from_table(27).expect("the table has it")
    }

    #[track_caller]
    fn check(program: &[(&str, &[u64])], expect: Result<u64, &Miss>) {
        let found = solve(&RULE, &layout(), &mut |name| {
            program
                .iter()
                .find(|(function, _)| *function == name)
                .map(|(_, used)| used.iter().copied().collect())
        });
        assert_eq!(found.as_ref().map(|found| found.0), expect, "{program:x?}");
    }

    #[test]
    fn the_one_address_that_all_use_is_found() {
        check(&[("a", &[0x100, 0x108, 0x200]), ("b", &[0x110, 0x210]), ("c", &[0x100, 0x200])], Ok(0x100));
        // Inlined differently.
        check(&[("a", &[0x108]), ("inlined", &[0x100]), ("b", &[0x110]), ("c", &[0x100])], Ok(0x100));
        // A function is not there.
        check(&[("a", &[0x100, 0x108]), ("b", &[0x110])], Ok(0x100));
    }

    #[test]
    fn what_is_not_sure_is_not_found() {
        let all = vec!["a", "inlined", "b", "c"];
        check(
            &[("a", &[0x100, 0x108]), ("b", &[0x118]), ("c", &[0x100])],
            Err(&Miss::NoAddress(all.clone())),
        );
        let two: &[u64] = &[0x100, 0x108, 0x110, 0x118, 0x120];
        check(&[("a", two), ("b", two), ("c", &[0x100, 0x108])], Err(&Miss::Ambiguous(2, all)));
        check(&[("a", two), ("b", two), ("c", &[0x108])], Ok(0x108));
        check(&[("c", &[0x100])], Err(&Miss::NoFunctions(vec!["a", "inlined", "b"])));
        check(&[], Err(&Miss::NoFunctions(vec!["a", "inlined", "b", "c"])));
        // Not aligned.
        let odd: &[u64] = &[0x101, 0x109, 0x111];
        check(&[("a", odd), ("b", odd), ("c", odd)], Err(&Miss::NoAddress(vec!["a", "inlined", "b", "c"])));
        // At the ends of memory.
        check(
            &[("a", &[0, u64::MAX - 7]), ("b", &[0xf]), ("c", &[0])],
            Err(&Miss::NoAddress(vec!["a", "inlined", "b", "c"])),
        );
    }

    #[test]
    fn a_variable_whose_layout_is_not_known_is_not_looked_for() {
        const UNKNOWN: Rule = Rule {
            clauses: &[Clause { functions: &["a"], fields: &[Field::Fixed(0), Field::Of(|_| None)] }],
            ..RULE
        };
        let found = solve(&UNKNOWN, &layout(), &mut |_| Some(BTreeSet::from([8])));
        assert_eq!(found, Err(Miss::NoLayout));
    }
}
