//! The rules, the most telling ones first: a group gets the advice of the first that holds. `docs/advice.md` has each with an
//! example of its fix.

mod go;
mod maps;
mod others;

use std::sync::LazyLock;

use super::rule::Rule;

/// All rules, in the order in which they are asked.
pub static RULES: LazyLock<Vec<&'static Rule>> =
    LazyLock::new(|| maps::RULES.iter().chain(&go::RULES).chain(&others::RULES).collect());
