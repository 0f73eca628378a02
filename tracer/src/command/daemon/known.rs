//! What is known of each process beside its numbers: its labels, its memory limit, since when it is counted in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::model::node::{PodName, TargetId};
use crate::model::tally::Tally;
use crate::target::cgroup::{self, Container, Hierarchies};
use crate::target::kubernetes::{Place, Pods};
use crate::target::labels::{Facts, LabelRules, LabelSet};
use crate::target::policy::Rule;

/// Between two looks at a memory limit.
const LIMIT_LOOK: Duration = Duration::from_secs(10);

/// A rule's name and labels.
type Given<'a> = (&'a str, Option<&'a BTreeMap<String, String>>);

/// Of all processes.
#[derive(Debug)]
pub(super) struct Known {
    rules: LabelRules,
    /// Labels that everything has.
    labels: BTreeMap<String, String>,
    hierarchies: Hierarchies,
    processes: HashMap<TargetId, Met>,
    pods: Pods,
    /// Of processes that are wanted and cannot be traced.
    refused: HashMap<u32, LabelSet>,
}

/// Of one process.
#[derive(Debug)]
struct Met {
    facts: Facts,
    /// Its container, to find its pod by.
    container: Option<Container>,
    /// The facts are of another program.
    has_executed: bool,
    /// The rule that wants it, or wanted it last.
    rule: Option<Rule>,
    /// At the last look: what has ended keeps them.
    labelled: Option<(String, LabelSet)>,
    since: Instant,
    limit: Option<(Arc<str>, u64)>,
    limit_read: Option<Instant>,
}

impl Known {
    /// Nobody yet.
    pub(super) fn new(config: &Config, pods: Pods) -> Self {
        Self {
            rules: config.label_rules.clone(),
            labels: config.labels.clone(),
            hierarchies: Hierarchies::mounted(),
            processes: HashMap::new(),
            pods,
            refused: HashMap::new(),
        }
    }

    /// Other rules from now on.
    pub(super) fn follow(&mut self, config: &Config) {
        self.refused.clear();
        self.labels.clone_from(&config.labels);
        if self.rules != config.label_rules {
            self.rules = config.label_rules.clone();
            for (id, met) in &mut self.processes {
                met.read(id.pid, &self.rules, &self.pods);
            }
        }
    }

    /// A process that is about to be attached to, by this rule.
    pub(super) fn meet(&mut self, id: TargetId, rule: Option<Rule>) {
        self.processes.entry(id).or_insert_with(|| {
            let mut met = Met {
                facts: Facts::default(),
                container: None,
                has_executed: false,
                rule,
                labelled: None,
                since: Instant::now(),
                limit: None,
                limit_read: None,
            };
            met.read(id.pid, &self.rules, &self.pods);
            met
        });
    }

    /// The rule's name and the labels of a process, which `rule` wants now.
    pub(super) fn labels(
        &mut self,
        tally: &Tally,
        rule: Option<Rule>,
        config: &Config,
    ) -> (String, LabelSet) {
        self.meet(tally.id, rule);
        let Some(met) = self.processes.get_mut(&tally.id) else { return Default::default() };
        if tally.has_ended
            && let Some(labelled) = &met.labelled
        {
            return labelled.clone();
        }
        if !tally.has_ended {
            met.rule = rule;
            if std::mem::take(&mut met.has_executed) {
                met.read(tally.id.pid, &self.rules, &self.pods);
            }
        }
        let (name, given) = rule_of(config, met.rule);
        let labels = self.rules.apply(&all(given, &self.labels), &met.facts);
        met.labelled.insert((name.to_owned(), labels)).clone()
    }

    /// The labels of a process that is not traced.
    pub(super) fn labels_of_pid(&mut self, pid: u32, rule: Option<Rule>, config: &Config) -> LabelSet {
        let read = || {
            let (_, given) = rule_of(config, rule);
            let place = self.pods.place(pid);
            self.rules.apply(&all(given, &self.labels), &Facts { place, ..Facts::read(pid, &self.rules) })
        };
        self.refused.entry(pid).or_insert_with(read).clone()
    }

    /// Forgets all others that could not be traced.
    pub(super) fn keep_refused(&mut self, pids: impl Iterator<Item = u32>) {
        let pids: HashSet<u32> = pids.collect();
        self.refused.retain(|pid, _| pids.contains(pid));
    }

    /// A process has executed a program, maybe the same one in another environment.
    pub(super) fn executed(&mut self, pid: u32) {
        for (_, met) in self.processes.iter_mut().filter(|(id, _)| id.pid == pid) {
            met.has_executed = true;
        }
    }

    /// The pods are others: labels are made of them anew.
    pub(super) fn pods_changed(&mut self, pids: &BTreeSet<u32>) {
        self.refused.retain(|pid, _| !pids.contains(pid));
        for (_, met) in self.processes.iter_mut().filter(|(id, _)| pids.contains(&id.pid)) {
            met.find(&self.pods);
        }
    }

    /// The pod of a process.
    pub(super) fn pod(&self, id: TargetId) -> Option<PodName> {
        let found = self.processes.get(&id)?.facts.place.pod()?;
        let container = found.container();
        Some(PodName {
            namespace: found.pod.namespace.as_str().into(),
            name: found.pod.name.as_str().into(),
            container: container.map(|container| container.name.as_str().into()),
            image: container.map(|container| container.image.as_str().into()),
            owner: format!("{}/{}", found.workload.kind, found.workload.name).into(),
            labels: found.pod.labels.clone(),
        })
    }

    /// The memory limit of a process's control group, and which group that is.
    pub(super) fn memory_limit(&mut self, id: TargetId) -> Option<(Arc<str>, u64)> {
        let met = self.processes.get_mut(&id)?;
        if met.limit_read.is_none_or(|read| read.elapsed() >= LIMIT_LOOK) {
            let limit = cgroup::memory_limit(id.pid, &self.hierarchies);
            met.limit = limit.map(|(group, bytes)| (group.to_string_lossy().into(), bytes));
            met.limit_read = Some(Instant::now());
        }
        met.limit.clone()
    }

    pub(super) fn seconds_since_met(&self, id: TargetId) -> f64 {
        self.processes.get(&id).map_or(0.0, |met| met.since.elapsed().as_secs_f64())
    }

    /// Forgets all others.
    pub(super) fn keep(&mut self, ids: impl Iterator<Item = TargetId>) {
        let ids: HashSet<TargetId> = ids.collect();
        self.processes.retain(|id, _| ids.contains(id));
    }
}

impl Met {
    /// Reads what the rules look at, as the process is now.
    fn read(&mut self, pid: u32, rules: &LabelRules, pods: &Pods) {
        // What has ended keeps what is known of it.
        if std::fs::read_link(format!("/proc/{pid}/exe")).is_err() {
            return;
        }
        self.facts = Facts::read(pid, rules);
        self.container = cgroup::id_of(pid);
        self.find(pods);
    }

    fn find(&mut self, pods: &Pods) {
        let container = self.container.as_ref();
        self.facts.place = container.map_or(Place::Outside, |container| pods.place_of(container));
    }
}

/// The name and the labels of a rule.
pub(super) fn rule_of(config: &Config, rule: Option<Rule>) -> Given<'_> {
    rule.and_then(|rule| config.rules.get(rule))
        .map_or(("added by hand", None), |rule| (rule.name.as_str(), Some(&rule.labels)))
}

/// A rule's labels go before those that everything has.
fn all<'a>(
    given: Option<&'a BTreeMap<String, String>>,
    labels: &'a BTreeMap<String, String>,
) -> Vec<&'a BTreeMap<String, String>> {
    given.into_iter().chain([labels]).collect()
}
