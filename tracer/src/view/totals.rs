//! What a process's totals are called and how exact they are. For the table and the live view.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::snapshot::{Allocator, FunctionTotals, Target, Totals};

/// The target's functions that were called, under the names people know them by; the most called first.
pub(crate) fn functions(target: &Target) -> Vec<(String, FunctionTotals)> {
    let mut functions: BTreeMap<&str, FunctionTotals> = BTreeMap::new();
    for (name, function) in &target.totals.by_function {
        let sums = functions.entry(readable(name, &target.allocators)).or_default();
        sums.calls += function.calls;
        sums.bytes = sums.bytes.saturating_add(function.bytes);
        sums.failed = match (sums.failed, function.failed) {
            (None, None) => None,
            (sum, failed) => Some(sum.unwrap_or(0) + failed.unwrap_or(0)),
        };
    }
    let mut functions: Vec<(String, FunctionTotals)> = functions
        .into_iter()
        .filter(|(_, sums)| sums.calls > 0 || sums.failed.is_some_and(|failed| failed > 0))
        .map(|(name, sums)| (name.to_owned(), sums))
        .collect();
    functions.sort_by_key(|(_, sums)| Reverse(sums.calls));
    functions
}

/// ` ±3.1%` for a number of the totals that is estimated, by its name in the document.
pub(crate) fn relative(totals: &Totals, name: &str) -> String {
    let value = match name {
        "alloc_objects" => Some(totals.alloc_objects),
        "alloc_bytes" => Some(totals.alloc_bytes),
        "free_objects" => totals.free_objects,
        "free_bytes" => totals.free_bytes,
        "inuse_objects" => totals.inuse_objects,
        _ => totals.inuse_bytes,
    };
    match (totals.standard_error.get(name), value) {
        (Some(&error), Some(value)) if error > 0.0 && value > 0 => {
            format!(" ±{:.1}%", error / value as f64 * 100.0)
        }
        _ => String::new(),
    }
}

/// What people call a function: a C name of the same address if it has one, else the operator of C++.
fn readable<'a>(name: &'a str, allocators: &'a [Allocator]) -> &'a str {
    const OPERATORS: [(&str, &str); 4] = [
        ("_Zna", "operator new[]"),
        ("_Znw", "operator new"),
        ("_Zda", "operator delete[]"),
        ("_Zdl", "operator delete"),
    ];
    let Some((_, operator)) = OPERATORS.into_iter().find(|(start, _)| name.starts_with(start)) else {
        return name;
    };
    let probes = allocators.iter().flat_map(|allocator| &allocator.probes);
    let mut aliases = probes.filter(|probe| probe.function == name).flat_map(|probe| &probe.aliases);
    aliases.find(|alias| *alias == "free").map_or(operator, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::Probe;

    /// Check that the operators of C++ are called by their names, and `free` by its own where it is the same function.
    #[test]
    fn mangled_functions_have_readable_names() {
        let check = |name: &str, aliases: &[&str], expect: &str| {
            let probe = Probe {
                function: name.to_owned(),
                aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
                file_offset: 0,
                shift: 0,
                emulated: true,
                attach: "uprobe_multi".to_owned(),
                returns: "none".to_owned(),
                note: None,
            };
            let allocator = Allocator {
                name: "tcmalloc".to_owned(),
                object: "/lib/libtcmalloc.so".to_owned(),
                version: None,
                prefix: String::new(),
                source: "uprobe".to_owned(),
                sample_bytes: None,
                profile_age_seconds: None,
                lag_bytes: None,
                totals: None,
                probes: vec![probe],
            };
            assert_eq!(readable(name, &[allocator]), expect);
        };
        check("_ZdaPv", &["_ZdlPv", "free", "tc_free"], "free");
        check("_ZdaPv", &["_ZdlPv"], "operator delete[]");
        check("_Znam", &["_Znwm", "tc_new"], "operator new[]");
        check("_ZnwmSt11align_val_t", &[], "operator new");
        check("malloc", &["tc_malloc"], "malloc");
        check("_rjem_malloc", &[], "_rjem_malloc");
    }
}
