//! Which of several rules wants a process: the first that matches.

use std::collections::BTreeSet;

use super::comm::Comm;
use super::kubernetes::{Place, PlaceOf, Pods};
pub use super::selection::Select;
use super::selection::{Kinds, Match, Selection, is_32_bit};
use super::{Target, TargetError};

/// The number of a rule, from 0.
pub type Rule = usize;

/// Rules, in their order.
#[derive(Debug, Default)]
pub struct Policy {
    selections: Vec<Selection>,
    /// Wanted whatever the rules say, and by which of them it is treated.
    added: BTreeSet<u32>,
    /// Not wanted whatever the rules say.
    removed: BTreeSet<u32>,
    pods: Pods,
}

/// What became of the look at a process.
#[derive(Debug)]
pub enum Examined {
    /// It is wanted, and held; by a rule, or in any case.
    Wanted(Target, Option<Rule>),
    /// It is not wanted.
    Unwanted,
    /// It has ended.
    Gone,
    /// It is never a target, and why.
    Never(String),
    /// It is wanted, and cannot be looked at.
    Refused(TargetError),
}

impl Policy {
    /// One rule, of which one kind of anything is enough; no rule if nothing is asked for.
    #[must_use]
    pub fn any_of(select: Select) -> Self {
        let is_empty = select.is_empty();
        let selection = Selection::new(select, Kinds::Any);
        Self { selections: if is_empty { Vec::new() } else { vec![selection] }, ..Self::default() }
    }

    /// Several rules; of each every kind that it names must fit.
    #[must_use]
    pub fn first_of(selects: impl IntoIterator<Item = Select>) -> Self {
        let selections = selects.into_iter().map(|select| Selection::new(select, Kinds::Every));
        Self { selections: selections.collect(), ..Self::default() }
    }

    /// Rules about pods are held against these.
    #[must_use]
    pub fn with_pods(self, pods: Pods) -> Self {
        Self { pods, ..self }
    }

    /// Takes over what was added and removed by hand.
    #[must_use]
    pub fn with_changes_of(self, other: &Self) -> Self {
        Self { added: other.added.clone(), removed: other.removed.clone(), ..self }
    }

    /// Whether a process's pod is such as a rule wants it; so is every process if the rule does not ask for pods.
    #[must_use]
    pub fn pod_fits(&self, rule: Rule, pid: u32) -> bool {
        let wanted = self.selections.get(rule).map(|selection| &selection.select().pods);
        wanted.is_none_or(|wanted| wanted.is_empty() || wanted.fits(&self.place(pid)))
    }

    /// Where a process lives, as far as pods are concerned.
    #[must_use]
    pub fn place(&self, pid: u32) -> Place {
        self.pods.place(pid)
    }

    /// Wants a process, whatever the rules say.
    pub fn add(&mut self, pid: u32) {
        self.removed.remove(&pid);
        self.added.insert(pid);
    }

    /// Does not want a process, whatever the rules say.
    pub fn remove(&mut self, pid: u32) {
        self.added.remove(&pid);
        self.removed.insert(pid);
    }

    /// A process has ended: its pid may come to mean another one.
    pub fn ended(&mut self, pid: u32) {
        self.added.remove(&pid);
        self.removed.remove(&pid);
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.selections.is_empty() && self.added.is_empty()
    }

    /// Whether the names alone decide.
    #[must_use]
    pub fn asks_for_names_only(&self) -> bool {
        self.added.is_empty()
            && self.selections.iter().all(|selection| selection.select().asks_for_names_only())
    }

    /// Whether the name of a process is enough to want it.
    #[must_use]
    pub fn has_name(&self, comm: Comm) -> bool {
        self.selections.iter().any(|selection| selection.is_enough(comm))
    }

    /// Reads groups and pid files again; the processes that have come or gone since the last time.
    pub fn look_at_groups(&mut self) -> BTreeSet<u32> {
        self.selections.iter_mut().flat_map(Selection::look_at_groups).collect()
    }

    /// The first rule that wants a process; no rule where it was added by hand.
    fn wants(&mut self, pid: u32) -> Result<Option<Rule>, Match> {
        if self.removed.contains(&pid) {
            return Err(Match::No);
        }
        let place = PlaceOf::new(&self.pods, pid);
        for (rule, selection) in self.selections.iter_mut().enumerate() {
            match selection.matches(pid, &place) {
                Match::Yes => return Ok(Some(rule)),
                Match::No => {}
                Match::Gone => return Err(Match::Gone),
            }
        }
        if self.added.contains(&pid) { Ok(None) } else { Err(Match::No) }
    }

    /// Holds the rules against a process and takes hold of it, if they say so or `in_any_case`.
    pub fn examine(&mut self, pid: u32, in_any_case: bool) -> Examined {
        if self.removed.contains(&pid) {
            return Examined::Unwanted;
        }
        if !in_any_case && let Err(refusal) = self.wants(pid) {
            return refused(refusal);
        }
        if pid == std::process::id() {
            return Examined::Never("it is tracer itself".to_owned());
        }
        let target = match Target::open(pid) {
            Ok(target) => target,
            Err(error @ TargetError::KernelThread { .. }) => return Examined::Never(error.to_string()),
            Err(TargetError::NotFound { .. } | TargetError::Zombie { .. } | TargetError::Thread { .. }) => {
                return Examined::Gone;
            }
            Err(error) => return Examined::Refused(error),
        };
        if is_32_bit(pid) {
            return Examined::Never(format!("process {pid} ({}) is a 32-bit program", target.comm));
        }
        // It may have executed another program, or the pid have come to mean another process, meanwhile.
        match self.wants(pid) {
            Ok(rule) => Examined::Wanted(target, rule),
            Err(_) if in_any_case => Examined::Wanted(target, None),
            Err(refusal) => refused(refusal),
        }
    }
}

const fn refused(refusal: Match) -> Examined {
    match refusal {
        Match::Gone => Examined::Gone,
        Match::Yes | Match::No => Examined::Unwanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Select {
        Select { comms: vec![name.to_owned()], ..Select::default() }
    }

    /// A process of that name, for as long as it is held.
    struct Sleeper(std::process::Child);

    impl Sleeper {
        fn new() -> Self {
            let child = std::process::Command::new("sleep").arg("60").spawn().expect("`sleep` is everywhere");
            while Comm::of_process(child.id()).is_none_or(|comm| comm.to_string() != "sleep") {
                std::thread::yield_now();
            }
            Self(child)
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn the_first_rule_that_matches_wants_a_process() {
        let sleeper = Sleeper::new();
        let check = |names: &[&str], expect: Option<Rule>| {
            let mut policy = Policy::first_of(names.iter().map(|name| named(name)));
            match (policy.examine(sleeper.0.id(), false), expect) {
                (Examined::Wanted(_, rule), Some(_)) => assert_eq!(rule, expect, "{names:?}"),
                (Examined::Unwanted, None) => {}
                (answer, _) => panic!("{names:?}: {answer:?}"),
            }
        };
        check(&["sleep", "sleep"], Some(0));
        check(&["other", "sleep", "sleep"], Some(1));
        check(&["other"], None);
        check(&[], None);
    }

    #[test]
    fn what_is_said_by_hand_goes_before_the_rules_and_ends_with_the_process() {
        let sleeper = Sleeper::new();
        let pid = sleeper.0.id();
        let mut policy = Policy::first_of([named("sleep")]);
        policy.remove(pid);
        assert!(matches!(policy.examine(pid, false), Examined::Unwanted));
        let mut reloaded = Policy::first_of([named("other")]).with_changes_of(&policy);
        assert!(matches!(reloaded.examine(pid, false), Examined::Unwanted));
        reloaded.add(pid);
        assert!(matches!(reloaded.examine(pid, false), Examined::Wanted(_, None)));
        reloaded.ended(pid);
        assert!(matches!(reloaded.examine(pid, false), Examined::Unwanted));
        assert!(reloaded.asks_for_names_only());
    }

    #[test]
    fn tracer_itself_and_what_is_gone_are_never_targets() {
        let answer = Policy::default().examine(std::process::id(), true);
        assert!(matches!(answer, Examined::Never(_)), "{answer:?}");
        assert!(matches!(Policy::default().examine(1 << 30, true), Examined::Gone));
    }
}
