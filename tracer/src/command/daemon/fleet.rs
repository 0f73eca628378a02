//! All that the daemon traces: the session, the rules, the books, and the configuration that they follow.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::Failure;
use super::super::events::Events;
use super::super::loads::Loads;
use super::super::messages::{self, Messages};
use super::super::newcomers::Newcomers;
use super::super::session::{Session, Standing};
use super::changes::Changes;
use super::known::Known;
use super::sites::TopSites;
use crate::collect::notices::Notice;
use crate::config::{self, Config};
use crate::kernel::memory;
use crate::mode::{GoSource, Mode};
use crate::model::Filter;
use crate::model::ledger::{Entry, Ledger, Limits};
use crate::model::node::{Node, NodeTarget, Own, Series, TargetId};
use crate::model::snapshot::Dimension;
use crate::model::tally::Tally;
use crate::options::{Choice, TraceOptions, UsageError};
use crate::target::kubernetes::Pods;
use crate::target::policy::Policy;

/// Of the time that a look takes: the next one waits so many times longer, so that looking takes 2 % of a processor at most,
const REST: u32 = 50;
/// but not longer than this: numbers that stand still look like processes that do, and slots come back at looks.
const REST_MAX: Duration = Duration::from_secs(3);

/// See above.
pub(super) struct Fleet {
    pub(super) session: Session,
    pub(super) newcomers: Newcomers,
    pub(super) options: TraceOptions,
    pub(super) config: Config,
    pub(super) listen: SocketAddr,
    /// What was said by hand since the configuration was read.
    pub(super) changes: Changes,
    pub(super) known: Known,
    pods: Pods,
    /// What pods say and cannot mean.
    pod_notes: Vec<String>,
    ledger: Ledger,
    top_sites: TopSites,
    started_at: jiff::Timestamp,
    started: Instant,
    looked: Instant,
    look: Duration,
    config_loaded_at: jiff::Timestamp,
    pub(super) config_error: Option<String>,
}

impl Fleet {
    /// Loads the programs, and attaches to what the rules want of what runs now.
    pub(super) fn open(
        config: Config,
        listen: SocketAddr,
        pods: Pods,
        events: &mut Events,
        messages: &Messages,
    ) -> Result<Self, Failure> {
        let options = trace_options(&config);
        let mut session = Session::open(&options, &[], messages)?;
        session.forget_what_ends();
        session.watch_processes(events)?;
        session.calibrate_all();
        let changes = Changes::default();
        let (hows, other) = changes.hows(&config);
        let newcomers = Newcomers::new(policy(&config, &pods), hows, other).reviewing();
        let now = jiff::Timestamp::now();
        let mut fleet = Self {
            session,
            newcomers,
            options,
            listen,
            changes,
            known: Known::new(&config, pods.clone()),
            pods,
            pod_notes: Vec::new(),
            ledger: Ledger::new(limits(&config)),
            top_sites: TopSites::default(),
            started_at: now,
            started: Instant::now(),
            looked: Instant::now(),
            look: Duration::MAX,
            config_loaded_at: now,
            config_error: None,
            config,
        };
        if fleet.newcomers.is_open() {
            fleet.newcomers.scan(&mut fleet.session);
            let known = &mut fleet.known;
            let mut meet = |id, rule| known.meet(id, rule);
            fleet.newcomers.admit_all(&mut fleet.session, events, messages, &mut meet);
            fleet.session.begin_all();
            fleet.session.watch_all_mappings();
        } else {
            messages.warn("no rule, so nothing is traced: [[target]] in the configuration names processes");
        }
        Ok(fleet)
    }

    pub(super) const fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// How long nothing needs to be done.
    pub(super) fn wait(&self) -> Duration {
        self.newcomers.wait().min(self.wait_for_look())
    }

    /// How long the last picture is good enough.
    pub(super) fn wait_for_look(&self) -> Duration {
        if self.look == Duration::MAX {
            return Duration::ZERO;
        }
        self.config.interval.max((self.look * REST).min(REST_MAX)).saturating_sub(self.looked.elapsed())
    }

    pub(super) fn ended(&mut self, pid: u32) {
        self.session.ended(pid, "ended");
        self.newcomers.ended(pid);
        self.changes.ended(pid);
    }

    pub(super) fn noticed(&mut self, notice: Notice, loads: &mut Loads) {
        match notice {
            Notice::Exec { tgid, comm } => {
                self.known.executed(tgid);
                self.newcomers.executed(&mut self.session, tgid, comm);
            }
            Notice::Fork { parent, child } => self.newcomers.forked(&mut self.session, parent, child),
            Notice::Loaded { tgid } => loads.changed(&mut self.session, tgid),
        }
    }

    pub(super) fn look_at_processes(&mut self) {
        self.session.look();
        self.newcomers.look(&mut self.session, self.config.interval);
    }

    /// Pods have come, gone, or become others.
    pub(super) fn pods_changed(&mut self) {
        let changed = self.pods.take_changed();
        self.known.pods_changed(&changed);
        self.newcomers.pods_changed(&mut self.session, &changed);
        self.pod_notes = pod_notes(&self.pods);
    }

    /// Attaches to who has come.
    pub(super) fn admit(&mut self, events: &mut Events, messages: &Messages) {
        let mut meet = |id, rule| self.known.meet(id, rule);
        self.newcomers.round(&mut self.session, events, messages, &mut meet);
    }

    /// Another configuration, if it is one; else the old one stays, and that is said.
    pub(super) fn reload(&mut self, loaded: Result<Config, UsageError>, messages: &Messages) {
        let now = jiff::Timestamp::now();
        let error = loaded.as_ref().err().map(ToString::to_string);
        messages::line(&serde_json::json!({ "at": now, "event": "reload", "error": error }).to_string());
        let config = match loaded {
            Ok(config) => config,
            Err(error) => {
                messages.warn(&format!("the configuration was not read again, the old one stays: {error}"));
                self.config_error = Some(error.to_string());
                return;
            }
        };
        for setting in self.config.difference_needing_restart(&config) {
            messages.warn(&format!("{setting} changes at the next start of the daemon only"));
        }
        self.known.follow(&config);
        self.ledger.set_limits(limits(&config));
        self.changes.clear();
        let old: Vec<String> = self.config.rules.iter().map(|rule| rule.name.clone()).collect();
        self.options.labels.clone_from(&config.labels);
        self.config = config;
        let (hows, other) = self.changes.hows(&self.config);
        let renumbered = |rule: usize| {
            let name = old.get(rule)?;
            self.config.rules.iter().position(|rule| rule.name == *name)
        };
        self.newcomers.change(&mut self.session, policy(&self.config, &self.pods), (hows, other), renumbered);
        self.config_loaded_at = now;
        self.config_error = None;
    }

    /// The picture of this moment, and the last numbers of who has ended.
    pub(super) fn look(&mut self) -> Result<Node, Failure> {
        let begin = Instant::now();
        let tallies = self.session.tally(&self.options)?;
        let probes = tallies.iter().map(|(_, standing)| standing.probes).sum();
        let entries: Vec<Entry> = tallies.into_iter().map(|tallied| self.entry(tallied)).collect();
        let refused: Vec<_> = self.newcomers.refused().collect();
        self.known.keep_refused(refused.iter().map(|&(pid, _)| pid));
        let missing: Vec<_> = refused
            .into_iter()
            .map(|(pid, rule)| self.known.labels_of_pid(pid, rule, &self.config))
            .collect();
        let now = self.started.elapsed().as_secs_f64();
        let (targets, mut series) = self.ledger.look(now, &entries, &missing);
        if self.config.top_sites > 0 {
            let stay = entries.iter().filter(|entry| !entry.tally.is_over).map(|entry| entry.tally.id);
            self.look_at_sites(&targets, &mut series, &stay.collect())?;
        }
        self.session.forget_processes();
        self.known.keep(entries.iter().filter(|entry| !entry.tally.is_over).map(|entry| entry.tally.id));
        self.looked = Instant::now();
        self.look = begin.elapsed();
        Ok(Node {
            at: jiff::Timestamp::now(),
            started_at: self.started_at,
            targets,
            series,
            own: self.own(probes),
        })
    }

    /// Fills in the call sites with metrics of their own.
    fn look_at_sites(
        &mut self,
        targets: &[NodeTarget],
        series: &mut [Series],
        stay: &HashSet<TargetId>,
    ) -> Result<(), Failure> {
        let top = self.config.top_sites;
        for target in targets {
            // Their stacks go on coming.
            self.session.drain();
            let Some(snapshot) = self.session.glance_at(target.id, &self.options)? else { continue };
            self.top_sites.add(target, &snapshot.sites, top);
        }
        self.top_sites.fill(series, stay, top);
        Ok(())
    }

    fn entry(&mut self, (tally, standing): (Tally, Standing)) -> Entry {
        let rule = self.newcomers.rule_of(tally.id.pid);
        let (rule, labels) = self.known.labels(&tally, rule, &self.config);
        Entry {
            rule,
            labels,
            pod: self.known.pod(tally.id),
            sample_bytes: standing.tracing.sample_bytes,
            runtime: tally.runtime.clone(),
            memory_limit: self.known.memory_limit(tally.id),
            counted_seconds: self.known.seconds_since_met(tally.id),
            tally,
        }
    }

    /// Of the daemon itself.
    fn own(&self, probes_attached: u64) -> Own {
        let (events, mut lost) = self.ledger.events();
        *lost.entry("unknown_record".to_owned()).or_insert(0) += self.session.unknown_records();
        Own {
            events,
            lost,
            probes_attached,
            attach_failures: self.session.attach_failures().clone(),
            maps: self.session.fill().into_iter().collect(),
            map_bytes: memory::map_bytes(),
            series_suppressed: self.ledger.suppressed(),
            config_is_good: self.config_error.is_none(),
            config_loaded_at: self.config_loaded_at,
            config_error: self.config_error.clone(),
            pods: self.pods.standing(),
            look_seconds: self.look.as_secs_f64(),
            notes: [self.session.notes(), self.pod_notes.clone()].concat(),
        }
    }

    /// Removes the probes.
    pub(super) fn close(mut self) {
        self.session.stop();
        self.session.detach();
    }
}

fn policy(config: &Config, pods: &Pods) -> Policy {
    Policy::first_of(config.rules.iter().map(|rule| rule.select.clone())).with_pods(pods.clone())
}

/// The first of them; a Deployment with a wrong word has it in every pod.
fn pod_notes(pods: &Pods) -> Vec<String> {
    const MOST: usize = 20;
    let table = pods.table();
    let mut notes: Vec<String> = table.pods().flat_map(|pod| config::marks(pod).wrong).collect();
    notes.sort();
    let more = notes.len().saturating_sub(MOST);
    notes.truncate(MOST);
    if more > 0 {
        notes.push(format!("{more} more settings of pods mean nothing"));
    }
    notes
}

fn limits(config: &Config) -> Limits {
    Limits { max_series: config.max_series, expire_seconds: config.expire_after.as_secs_f64() }
}

/// As `attach` would be told.
fn trace_options(config: &Config) -> TraceOptions {
    TraceOptions {
        // What no rule says goes by `How`; this is for the size of the maps, and for the document's head.
        mode: Mode::Live,
        sample_bytes: config::DEFAULT_SAMPLE_BYTES,
        go: GoSource::Auto,
        duration: None,
        interval: config.interval,
        top: 0,
        stdout: None,
        repeats: false,
        outputs: Vec::new(),
        dimension: Dimension::AllocSpace,
        filter: Filter::default(),
        labels: config.labels.clone(),
        choice: Choice::default(),
        attach: crate::cli::Attach::Auto,
        gc_threshold: config.gc_threshold,
        follow_forks: false,
        watch_all: true,
        max_stacks: config.max_stacks,
        max_live: config.max_live,
        unwind: crate::options::Unwind::Tables,
        max_unwind_bytes: config.max_unwind_bytes,
        by_thread: false,
        keep_rows: true,
        bpf_loop: true,
        stop_one_in: 0,
    }
}
