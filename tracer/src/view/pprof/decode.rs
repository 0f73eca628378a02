//! A profile as a snapshot. What pprof has no place for comes from the comment that this program writes; for
//! profiles of other programs it stays unknown.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::snapshot::{CallSite, Dimension, Frame, Mode, SiteErrors, Snapshot};
use crate::view::pprof::proto::{Function, Label, Location, Mapping, Profile, Sample};
use crate::view::pprof::{ALLOCATOR, COMM, PID, SAMPLE_TYPES, THREAD, TRUNCATED, UNKNOWN, comment, foreign};
use crate::view::read::ReadError;

const NOTE: &str = "opened from a pprof file: ages, frees per site, standard errors per site and the reasons of frames \
                    without a symbol are not in it";

/// The snapshot of a profile.
pub(super) fn snapshot(profile: &Profile) -> Result<Snapshot, ReadError> {
    let decoder = Decoder::new(profile)?;
    let comments: Vec<&str> = profile.comment.iter().map(|&id| decoder.text(id)).collect::<Result<_, _>>()?;
    let base = comment::find(comments.into_iter());
    let mode = base.as_ref().map_or(Mode::Live, |base| base.mode);
    let sites: Vec<CallSite> =
        profile.sample.iter().map(|sample| decoder.site(sample, mode)).collect::<Result<_, _>>()?;
    let mut snapshot = match base {
        Some(base) => Snapshot { sites, ..base },
        None => {
            let program = profile.mapping.first().map(|mapping| decoder.program(mapping)).transpose()?;
            foreign::snapshot(profile, sites, decoder.labels()?, program)
        }
    };
    snapshot.quality.notes.push(NOTE.to_owned());
    Ok(snapshot)
}

struct Decoder<'a> {
    profile: &'a Profile,
    /// Position of each of [`SAMPLE_TYPES`] among the values.
    values: [usize; 4],
    mappings: HashMap<u64, &'a Mapping>,
    locations: HashMap<u64, &'a Location>,
    functions: HashMap<u64, &'a Function>,
}

impl<'a> Decoder<'a> {
    fn new(profile: &'a Profile) -> Result<Self, ReadError> {
        let mut decoder = Self {
            profile,
            values: [0; 4],
            mappings: profile.mapping.iter().map(|mapping| (mapping.id, mapping)).collect(),
            locations: profile.location.iter().map(|location| (location.id, location)).collect(),
            functions: profile.function.iter().map(|function| (function.id, function)).collect(),
        };
        decoder.values = decoder.sample_types()?;
        Ok(decoder)
    }

    fn sample_types(&self) -> Result<[usize; 4], ReadError> {
        let found: Vec<&str> =
            self.profile.sample_type.iter().map(|value| self.text(value.r#type)).collect::<Result<_, _>>()?;
        let mut missing = Vec::new();
        let values = SAMPLE_TYPES.map(|(dimension, _)| {
            let at = found.iter().position(|&name| name == dimension.name());
            at.unwrap_or_else(|| {
                missing.push(dimension.name());
                0
            })
        });
        if missing.is_empty() {
            return Ok(values);
        }
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        Err(ReadError::SampleTypes { missing: missing.join(", "), found })
    }

    fn text(&self, id: i64) -> Result<&'a str, ReadError> {
        let texts = &self.profile.string_table;
        let text = usize::try_from(id).ok().and_then(|at| texts.get(at));
        text.map(String::as_str)
            .ok_or_else(|| ReadError::Damaged(format!("text {id} of {} is referred to", texts.len())))
    }

    /// A text, none if it is empty.
    fn some_text(&self, id: i64) -> Result<Option<String>, ReadError> {
        let text = self.text(id)?;
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn site(&self, sample: &Sample, mode: Mode) -> Result<CallSite, ReadError> {
        let value = |dimension: Dimension| {
            let of = SAMPLE_TYPES.iter().position(|&(other, _)| other == dimension).unwrap_or(0);
            sample.value.get(self.values[of]).map_or(0, |&value| u64::try_from(value).unwrap_or(0))
        };
        let in_use = |dimension| (mode == Mode::Live).then(|| value(dimension));
        let (mut pid, mut truncated, mut thread, mut allocator) = (0, None, None, None);
        for label in &sample.label {
            match self.text(label.key)? {
                PID => pid = self.pid(label)?,
                TRUNCATED => truncated = self.some_text(label.str)?,
                THREAD => thread = self.some_text(label.str)?,
                ALLOCATOR => allocator = self.some_text(label.str)?,
                _ => {}
            }
        }
        Ok(CallSite {
            called: None,
            id: 0,
            pid,
            thread: thread.map(Arc::from),
            allocator: allocator.map(Arc::from),
            alloc_objects: value(Dimension::AllocObjects),
            alloc_bytes: value(Dimension::AllocSpace),
            free_objects: None,
            inuse_objects: in_use(Dimension::InuseObjects),
            inuse_bytes: in_use(Dimension::InuseSpace),
            oldest_seconds: None,
            standard_error: SiteErrors::default(),
            interval_95: None,
            // With every allocation looked at, they are the samples; else nobody knows.
            samples: if self.profile.period == 0 { value(Dimension::AllocObjects) } else { 0 },
            inuse_samples: None,
            recent: None,
            truncated,
            by_frame_pointers: false,
            frames: self.frames(&sample.location_id)?.into(),
        })
    }

    /// A number, or a text that is one, as other programs write it.
    fn pid(&self, label: &Label) -> Result<u32, ReadError> {
        let text = self.text(label.str)?;
        Ok(u32::try_from(label.num).ok().filter(|&pid| pid > 0).or_else(|| text.parse().ok()).unwrap_or(0))
    }

    fn frames(&self, location_ids: &[u64]) -> Result<Vec<Arc<Frame>>, ReadError> {
        let mut frames = Vec::new();
        for id in location_ids {
            let location = self.locations.get(id).ok_or_else(|| missing("location", *id))?;
            self.location(location, &mut frames)?;
        }
        // A stack without frames was written as its reason in brackets.
        if let [frame] = frames.as_slice()
            && frame.module.is_none()
            && frame.address == "0x0"
            && frame.function.as_deref().is_some_and(|name| name.starts_with('['))
        {
            frames.clear();
        }
        Ok(frames)
    }

    fn location(&self, location: &Location, frames: &mut Vec<Arc<Frame>>) -> Result<(), ReadError> {
        let mapping = match location.mapping_id {
            0 => None,
            id => Some(self.mappings.get(&id).ok_or_else(|| missing("mapping", id))?),
        };
        let offset = |mapping: &Mapping| {
            location.address.checked_sub(mapping.memory_start)?.checked_add(mapping.file_offset)
        };
        let bare = Frame {
            address: format!("{:#x}", location.address),
            function: None,
            module: mapping.map(|mapping| self.some_text(mapping.filename)).transpose()?.flatten(),
            build_id: mapping.map(|mapping| self.some_text(mapping.build_id)).transpose()?.flatten(),
            file_offset: mapping.and_then(|mapping| offset(mapping)),
            file: None,
            line: None,
            inlined: false,
            reason: None,
        };
        for (line, left) in location.line.iter().zip((0..location.line.len()).rev()) {
            let function = self.functions.get(&line.function_id);
            let function = function.ok_or_else(|| missing("function", line.function_id))?;
            frames.push(Arc::new(Frame {
                function: self.some_text(function.name)?.filter(|name| name != UNKNOWN),
                file: self.some_text(function.filename)?,
                line: u32::try_from(line.line).ok().filter(|&line| line > 0),
                inlined: left > 0,
                ..bare.clone()
            }));
        }
        if location.line.is_empty() {
            frames.push(Arc::new(bare));
        }
        Ok(())
    }

    /// Path and build-id.
    fn program(&self, mapping: &Mapping) -> Result<(String, Option<String>), ReadError> {
        Ok((self.text(mapping.filename)?.to_owned(), self.some_text(mapping.build_id)?))
    }

    /// Text labels that all samples agree on.
    fn labels(&self) -> Result<BTreeMap<String, String>, ReadError> {
        let mut common: Option<BTreeMap<String, String>> = None;
        for sample in &self.profile.sample {
            let mut labels = BTreeMap::new();
            for label in sample.label.iter().filter(|label| label.str != 0) {
                labels.insert(self.text(label.key)?.to_owned(), self.text(label.str)?.to_owned());
            }
            match &mut common {
                Some(common) => common.retain(|key, value| labels.get(key) == Some(value)),
                None => common = Some(labels),
            }
        }
        let mut common = common.unwrap_or_default();
        common.retain(|key, _| ![PID, COMM, TRUNCATED, THREAD, ALLOCATOR].contains(&key.as_str()));
        Ok(common)
    }
}

fn missing(table: &str, id: u64) -> ReadError {
    ReadError::Damaged(format!("{table} {id} is referred to and not there"))
}
