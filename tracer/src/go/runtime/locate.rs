//! Where the variables of Go's runtime are in an object: by its symbols, and where those were stripped by the code that uses
//! the variables.
//!
//! An address is found by one of both for sure or not at all: a place that several could be is none.

mod code;
mod rules;
mod solve;

use std::cell::LazyCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use self::rules::Rule;
use super::layout::Layout;
use crate::elf::Image;
use crate::go::GoProgram;
use crate::units::ElfVaddr;

/// Addresses in the object (not in the process) of the runtime's variables, as far as they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `runtime.mbuckets` (`runtime/mprof.go`): a pointer, the head of the list of the heap profile's buckets.
    pub mbuckets: Option<ElfVaddr>,
    /// `runtime.MemProfileRate` (`runtime/mprof.go`): an `int`, bytes between samples.
    pub mem_profile_rate: Option<ElfVaddr>,
    /// `runtime.mProfCycle` (`runtime/mprof.go`): 32 bits, the cycle of the heap profile shifted by one, and a flag.
    pub profile_cycle: Option<ElfVaddr>,
    /// `runtime.memstats` (`runtime/mstats.go`): a `mstats`.
    pub memstats: Option<ElfVaddr>,
    /// `runtime.gcController` (`runtime/mgcpacer.go`): a `gcControllerState`.
    pub gc_controller: Option<ElfVaddr>,
    /// `runtime.runtimeInitTime` (`runtime/proc.go`): an `int64`, nanoseconds of the monotonic clock.
    pub runtime_init_time: Option<ElfVaddr>,
    /// `runtime.allp` (`runtime/runtime2.go`): the header of a slice of pointers to `p`.
    pub allp: Option<ElfVaddr>,
    /// Each variable that was not found, and why: for the report.
    pub notes: Vec<String>,
}

/// Where the code of a function is, by its exact name: several places if several have it, as wrappers for other calling
/// conventions do, and none if the object has no such function.
pub type Functions<'a> = dyn Fn(&str) -> Vec<Range<ElfVaddr>> + 'a;

/// Finds the variables: by `.symtab` (also of a separate debug file), else by code.
///
/// The offsets in `layout` are what structs are recognised by in code; without them structs are found by symbols alone.
#[must_use]
pub fn variables(image: &Image, program: &GoProgram, layout: &Layout) -> Variables {
    let named = image.data_named(&rules::ALL.map(|rule| rule.symbol));
    // One pass over all functions, and none where the symbols say everything.
    let code = LazyCell::new(|| {
        let wanted: HashSet<&str> = rules::functions().collect();
        program.lines.functions_where(&|name| wanted.contains(name))
    });
    let places = |name: &str| {
        let places = code.iter().filter(|(function, _)| function == name);
        places.map(|(_, place)| place.clone()).collect()
    };
    search(image, &places, layout, &named)
}

/// Finds the variables by code alone, as if the object had no symbols.
#[must_use]
pub fn variables_by_code(image: &Image, functions: &Functions<'_>, layout: &Layout) -> Variables {
    search(image, functions, layout, &[])
}

fn search(
    image: &Image,
    functions: &Functions<'_>,
    layout: &Layout,
    named: &[(String, ElfVaddr)],
) -> Variables {
    let mut search = Search { image, functions, layout, named, used: HashMap::new(), notes: Vec::new() };
    Variables {
        mbuckets: search.find(&rules::MBUCKETS),
        mem_profile_rate: search.find(&rules::MEM_PROFILE_RATE),
        profile_cycle: search.find(&rules::PROFILE_CYCLE),
        memstats: search.find(&rules::MEMSTATS),
        gc_controller: search.find(&rules::GC_CONTROLLER),
        runtime_init_time: search.find(&rules::RUNTIME_INIT_TIME),
        allp: search.find(&rules::ALLP),
        notes: search.notes,
    }
}

/// One search through one object.
struct Search<'a> {
    image: &'a Image,
    functions: &'a Functions<'a>,
    layout: &'a Layout,
    named: &'a [(String, ElfVaddr)],
    /// Addresses of data by the function that uses them; `None`: there is no such function.
    used: HashMap<&'static str, Option<BTreeSet<u64>>>,
    notes: Vec<String>,
}

impl Search<'_> {
    fn find(&mut self, rule: &Rule) -> Option<ElfVaddr> {
        let named: BTreeSet<ElfVaddr> = self
            .named
            .iter()
            .filter(|(name, address)| name == rule.symbol && code::is_data(self.image, address.0))
            .map(|(_, address)| *address)
            .collect();
        if let (Some(address), 1) = (named.first(), named.len()) {
            return Some(*address);
        }
        let (image, functions, used) = (self.image, self.functions, &mut self.used);
        let found = solve::solve(rule, self.layout, &mut |name| {
            used.entry(name).or_insert_with(|| code::data_used(image, &functions(name))).clone()
        });
        if let Err(miss) = &found {
            self.notes.push(format!("{}: no symbol says where it is, and {miss}", rule.symbol));
        }
        found.ok()
    }
}
