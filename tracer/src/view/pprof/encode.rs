//! A snapshot as pprof's tables: every text, function, location and mapping once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::snapshot::{CallSite, Dimension, Frame, Snapshot};
use crate::view::pprof::mapping::{self, Key, Mappings};
use crate::view::pprof::proto::{Function, Label, Line, Location, Profile, Sample, ValueType};
use crate::view::pprof::{
    ALLOCATOR, COMM, DEFAULT, NO_STACK, PID, SAMPLE_TYPES, Served, Since, THREAD, TRUNCATED, UNKNOWN,
    comment, delta,
};
use crate::view::runtime;

/// The profile of a snapshot, as it is served or as it is in a file.
pub(super) fn profile(snapshot: &Snapshot, served: Option<&Served<'_>>) -> Profile {
    let mut encoder = Encoder::new(snapshot, served);
    for (dimension, unit) in SAMPLE_TYPES {
        let value_type = encoder.strings.value_type(dimension.name(), unit);
        encoder.profile.sample_type.push(value_type);
    }
    for site in &snapshot.sites {
        encoder.site(snapshot, site);
    }
    for text in comment::all(snapshot, encoder.since) {
        let id = encoder.strings.id(&text);
        encoder.profile.comment.push(id);
    }
    encoder.finish(snapshot)
}

/// Texts, each once; position 0 is the empty one.
struct Strings {
    table: Vec<String>,
    ids: HashMap<String, i64>,
}

impl Strings {
    fn id(&mut self, text: &str) -> i64 {
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        let id = signed(self.table.len() as u64);
        self.table.push(text.to_owned());
        self.ids.insert(text.to_owned(), id);
        id
    }

    fn value_type(&mut self, name: &str, unit: &str) -> ValueType {
        ValueType { r#type: self.id(name), unit: self.id(unit) }
    }
}

/// Mapping, address, and (function, line) of each line.
type LocationKey = (u64, u64, Vec<(u64, i64)>);

struct Encoder<'a> {
    profile: Profile,
    strings: Strings,
    mappings: Mappings,
    functions: HashMap<(i64, i64), u64>,
    locations: HashMap<LocationKey, u64>,
    labels: BTreeMap<u32, Vec<Label>>,
    is_served: bool,
    default: Dimension,
    since: Option<Since<'a>>,
    starts: HashMap<u32, u64>,
}

impl<'a> Encoder<'a> {
    fn new(snapshot: &Snapshot, served: Option<&Served<'a>>) -> Self {
        let strings = Strings { table: vec![String::new()], ids: HashMap::from([(String::new(), 0)]) };
        Self {
            profile: Profile::default(),
            strings,
            mappings: Mappings::new(snapshot),
            functions: HashMap::new(),
            locations: HashMap::new(),
            labels: BTreeMap::new(),
            is_served: served.is_some(),
            default: served.map_or(DEFAULT, |served| served.default),
            since: served.and_then(|served| served.since),
            starts: delta::starts(snapshot),
        }
    }

    /// The four numbers; none if nothing became of the site in the profile's time.
    fn values(&self, site: &CallSite) -> Option<Vec<i64>> {
        let Some(since) = self.since else {
            return Some(SAMPLE_TYPES.iter().map(|&(dimension, _)| signed(site.value(dimension))).collect());
        };
        let start = self.starts.get(&site.pid).copied().unwrap_or(0);
        let change = |&(dimension, _): &(Dimension, _)| since.base.change(start, site, dimension);
        Some(SAMPLE_TYPES.iter().map(change).collect())
            .filter(|values: &Vec<i64>| values.iter().any(|&v| v != 0))
    }

    fn site(&mut self, snapshot: &Snapshot, site: &CallSite) {
        let Some(value) = self.values(site) else { return };
        let mut location_id: Vec<u64> = physical(&site.frames).map(|frames| self.location(frames)).collect();
        if location_id.is_empty() {
            let reason = site.truncated.as_deref().unwrap_or(NO_STACK);
            let function = self.function(&format!("[{reason}]"), "");
            location_id.push(self.location_id(0, 0, vec![(function, 0)]));
        }
        let mut label = self.labels(snapshot, site.pid);
        if let Some(reason) = &site.truncated {
            label.push(self.text_label(TRUNCATED, reason));
        }
        for (key, text) in [(THREAD, &site.thread), (ALLOCATOR, &site.allocator)] {
            label.extend(text.as_deref().map(|text| self.text_label(key, text)));
        }
        self.profile.sample.push(Sample { location_id, value, label });
    }

    /// Labels of the snapshot and of the target, which wins, and the pid.
    fn labels(&mut self, snapshot: &Snapshot, pid: u32) -> Vec<Label> {
        if let Some(labels) = self.labels.get(&pid) {
            return labels.clone();
        }
        let mut texts = snapshot.labels.clone();
        let target = snapshot.targets.iter().find(|target| target.pid == pid);
        if let Some(target) = target {
            texts.extend(target.labels.clone());
        }
        if self.is_served {
            texts.extend(target.map(|target| (COMM.to_owned(), target.comm.clone())));
            texts.insert(PID.to_owned(), pid.to_string());
        }
        // An empty text would be read as the number 0.
        texts.retain(|_, value| !value.is_empty());
        let mut labels: Vec<Label> = texts.iter().map(|(key, value)| self.text_label(key, value)).collect();
        if !self.is_served {
            labels.push(Label { key: self.strings.id(PID), num: i64::from(pid), ..Label::default() });
        }
        self.labels.insert(pid, labels.clone());
        labels
    }

    fn text_label(&mut self, key: &str, value: &str) -> Label {
        Label { key: self.strings.id(key), str: self.strings.id(value), ..Label::default() }
    }

    /// The location of a physical frame, the last of `frames`, and of what is inlined into it.
    fn location(&mut self, frames: &[Arc<Frame>]) -> u64 {
        let Some(frame) = frames.last() else { return 0 };
        let mapping = Key::of(frame).map_or(0, |key| self.mappings.id(&key));
        let named = frames.iter().any(|frame| frame.function.is_some());
        let lines = if named { frames.iter().map(|frame| self.line(frame)).collect() } else { Vec::new() };
        self.location_id(mapping, mapping::address(frame), lines)
    }

    fn location_id(&mut self, mapping_id: u64, address: u64, lines: Vec<(u64, i64)>) -> u64 {
        let next = self.locations.len() as u64 + 1;
        let key = (mapping_id, address, lines);
        if let Some(&id) = self.locations.get(&key) {
            return id;
        }
        let line = key.2.iter().map(|&(function_id, line)| Line { function_id, line, column: 0 }).collect();
        self.profile.location.push(Location { id: next, mapping_id, address, line, is_folded: false });
        self.locations.insert(key, next);
        next
    }

    fn line(&mut self, frame: &Frame) -> (u64, i64) {
        let name = frame.function.as_deref().unwrap_or(UNKNOWN);
        (self.function(name, frame.file.as_deref().unwrap_or("")), frame.line.map_or(0, i64::from))
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let (name, filename) = (self.strings.id(name), self.strings.id(file));
        let next = self.functions.len() as u64 + 1;
        *self.functions.entry((name, filename)).or_insert_with(|| {
            let function = Function { id: next, name, system_name: name, filename, start_line: 0 };
            self.profile.function.push(function);
            next
        })
    }

    fn finish(mut self, snapshot: &Snapshot) -> Profile {
        let strings = &mut self.strings;
        self.profile.mapping = self.mappings.messages(|text| strings.id(text));
        let at = self.since.map_or(snapshot.started_at, |since| since.at);
        self.profile.time_nanos = i64::try_from(at.as_nanosecond()).unwrap_or(0);
        self.profile.duration_nanos = match self.since {
            Some(since) => i64::try_from(since.duration.as_nanos()).unwrap_or(i64::MAX),
            // As Go's own: what has a duration is taken by scrapers for a profile of that time alone.
            None if self.is_served => 0,
            None => (snapshot.attached_seconds * 1e9) as i64,
        };
        self.profile.period_type = Some(strings.value_type("space", "bytes"));
        self.profile.period = signed(runtime::interval_bytes(snapshot));
        self.profile.default_sample_type = strings.id(self.default.name());
        self.profile.string_table = self.strings.table;
        self.profile
    }
}

/// Splits frames into physical ones, each the last of its group, after what is inlined into it.
fn physical(frames: &[Arc<Frame>]) -> impl Iterator<Item = &[Arc<Frame>]> {
    frames.chunk_by(|frame, next| frame.inlined && frame.address == next.address)
}

/// pprof's numbers are signed; no real number here comes near the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
