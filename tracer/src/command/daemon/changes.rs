//! What `tracer ctl` asks for: changes that last until the configuration is read again, or the daemon ends.

use std::collections::BTreeMap;

use tracer_ebpf::sampling::MAX_SAMPLE_BYTES;

use super::super::newcomers::How;
use super::fleet::Fleet;
use super::known::rule_of;
use crate::config::{Config, DEFAULT_MODE, DEFAULT_SAMPLE_BYTES, TargetRule};
use crate::mode::{Change, Tracing};
use crate::model::node::{Node, NodeTarget};
use crate::serve::control::{Answer, Request, Scope, Status, StatusTarget};
use crate::target::Target;
use crate::units::Bytes;

/// All that hold.
#[derive(Debug, Default)]
pub(super) struct Changes {
    of_all: Change,
    of_rules: BTreeMap<String, Change>,
    of_processes: BTreeMap<u32, Change>,
}

impl Changes {
    /// The configuration is another.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn ended(&mut self, pid: u32) {
        self.of_processes.remove(&pid);
    }

    /// How what each rule wants is traced, and what none wants.
    pub(super) fn hows(&self, config: &Config) -> (Vec<How>, How) {
        let how = |tracing, rule: Option<&TargetRule>| {
            let of_rule = rule.and_then(|rule| self.of_rules.get(&rule.name)).copied().unwrap_or_default();
            How {
                tracing: Some(tracing),
                pod_settings: rule.is_some_and(|rule| rule.pod_settings),
                by_hand: self.of_all.with(of_rule),
                follow_forks: rule.is_some_and(|rule| rule.follow_forks),
            }
        };
        let rules = config.rules.iter().map(|rule| how(rule.tracing(), Some(rule)));
        let default =
            Tracing { mode: DEFAULT_MODE, sample_bytes: DEFAULT_SAMPLE_BYTES, ..Tracing::default() };
        (rules.collect(), how(default, None))
    }

    /// A later change goes before earlier ones of what it is about.
    fn add(&mut self, of: &Scope, change: Change) {
        let add_to = |one: &mut Change| *one = one.with(change);
        match of {
            Scope::All => {
                let others = self.of_rules.values_mut().chain(self.of_processes.values_mut());
                others.chain([&mut self.of_all]).for_each(|one| *one = one.with(change));
            }
            Scope::Rule(name) => add_to(self.of_rules.entry(name.clone()).or_default()),
            Scope::Pid(pid) => add_to(self.of_processes.entry(*pid).or_default()),
        }
    }
}

impl Fleet {
    /// Does what is asked for.
    pub(super) fn control(&mut self, request: &Request, node: &Node) -> Answer {
        let done = match request {
            Request::Status => return Answer::Status(self.status(node)),
            Request::Rate { sample_bytes, .. } if *sample_bytes > MAX_SAMPLE_BYTES => {
                Err(format!("a rate must be at most {}", Bytes(MAX_SAMPLE_BYTES)))
            }
            Request::Rate { of, sample_bytes } => {
                self.change(of, Change { sample_bytes: Some(*sample_bytes), ..Change::default() })
            }
            Request::Mode { of, mode } => self.change(of, Change { mode: Some(*mode), ..Change::default() }),
            Request::Add { pid } => self.add(*pid),
            Request::Remove { pid } => self.remove(*pid),
        };
        done.map_or_else(Answer::Refused, |processes| Answer::Done { processes })
    }

    fn change(&mut self, of: &Scope, change: Change) -> Result<u64, String> {
        match of {
            Scope::All => {}
            Scope::Rule(name) if self.config.rules.iter().any(|rule| rule.name == *name) => {}
            Scope::Rule(name) => {
                let names: Vec<_> = self.config.rules.iter().map(|rule| rule.name.as_str()).collect();
                return Err(format!("there is no rule {name}; the rules are: {}", names.join(", ")));
            }
            Scope::Pid(pid) if self.session.is_traced(*pid) => {}
            Scope::Pid(pid) => {
                return Err(format!("process {pid} is not traced: `tracer ctl status` lists who is"));
            }
        }
        self.changes.add(of, change);
        let (hows, other) = self.changes.hows(&self.config);
        let processes = self.session.pids().into_iter();
        let meant: Vec<u32> = processes.filter(|&pid| self.is_meant(of, pid)).collect();
        self.newcomers.trace_so(hows, other);
        for (&pid, change) in &self.changes.of_processes {
            self.newcomers.override_tracing(pid, *change);
        }
        for &pid in &meant {
            self.newcomers.review(&mut self.session, pid);
        }
        Ok(meant.len() as u64)
    }

    fn is_meant(&self, of: &Scope, pid: u32) -> bool {
        match of {
            Scope::All => true,
            Scope::Rule(name) => rule_of(&self.config, self.newcomers.rule_of(pid)).0 == name,
            Scope::Pid(meant) => pid == *meant,
        }
    }

    fn add(&mut self, pid: u32) -> Result<u64, String> {
        if self.session.is_traced(pid) {
            return Err(format!("process {pid} is traced already"));
        }
        Target::open(pid).map_err(|error| error.to_string())?;
        self.newcomers.add(&mut self.session, pid);
        Ok(1)
    }

    fn remove(&mut self, pid: u32) -> Result<u64, String> {
        if !self.session.is_traced(pid) {
            return Err(format!("process {pid} is not traced: `tracer ctl status` lists who is"));
        }
        self.newcomers.remove(&mut self.session, pid);
        Ok(1)
    }

    fn status(&self, node: &Node) -> Status {
        let target = |target: &NodeTarget| StatusTarget {
            id: target.id.to_string(),
            comm: target.comm.clone(),
            rule: target.rule.clone(),
            mode: target.mode,
            sample_bytes: target.sample_bytes,
            alloc_bytes_per_second: target.alloc_bytes_per_second,
            inuse_bytes: target.inuse_bytes,
            overhead_ratio: target.overhead_ratio,
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: node.started_at,
            listen: self.listen.to_string(),
            config_error: self.config_error.clone(),
            targets: node.targets.iter().map(target).collect(),
        }
    }
}
