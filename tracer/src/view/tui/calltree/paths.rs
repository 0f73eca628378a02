//! The way from the root of the tree to a site: its functions, and what stands for a process, a thread, or callers that
//! are missing.

use std::collections::HashMap;
use std::sync::Arc;

use super::Direction;
use crate::model::snapshot::CallSite;
use crate::view::tui::names::FunctionId;
use crate::view::tui::picture::Picture;
use crate::view::{frame, words};

/// One step of a path, the same in every picture of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::view::tui) enum Step {
    Function(FunctionId),
    Process(u32),
    Thread(Arc<str>),
    /// Callers are missing, for this reason.
    Cut(Arc<str>),
}

/// In `steps`: the function calls itself here.
pub(super) const RECURSIVE: u32 = 1 << 31;

/// Makes the path of a site.
pub(super) struct Paths<'a> {
    picture: Picture<'a>,
    direction: Direction,
    several: bool,
    functions: u32,
    /// Those that are no functions.
    pub(super) others: Vec<Step>,
    known: HashMap<Step, u32>,
}

impl<'a> Paths<'a> {
    pub(super) fn new(picture: &Picture<'a>, direction: Direction, functions: u32) -> Self {
        let several = picture.pid.is_none() && picture.snapshot.targets.len() > 1;
        Self { picture: *picture, direction, several, functions, others: Vec::new(), known: HashMap::new() }
    }

    /// Adds the site's steps, root first.
    pub(super) fn push(&mut self, site: &CallSite, steps: &mut Vec<u32>) {
        let start = steps.len();
        if self.several {
            steps.push(self.key(Step::Process(site.pid)));
        }
        if let Some(thread) = &site.thread {
            steps.push(self.key(Step::Thread(frame::printable(thread).into())));
        }
        let functions = self.picture.names.of(site).map_or(&[][..], |stack| &stack.functions);
        match (&site.truncated, functions.is_empty()) {
            (Some(reason), _) => steps.push(self.key(Step::Cut(reason.as_str().into()))),
            (None, true) => steps.push(self.key(Step::Cut("no stack".into()))),
            (None, false) => {}
        }
        for function in functions.iter().rev() {
            let key = function.index() as u32;
            match steps[start..].last_mut() {
                Some(last) if *last & !RECURSIVE == key => *last |= RECURSIVE,
                _ => steps.push(key),
            }
        }
        if self.direction == Direction::BottomUp {
            steps[start..].reverse();
        }
    }

    fn key(&mut self, step: Step) -> u32 {
        if let Some(&key) = self.known.get(&step) {
            return key;
        }
        let key = self.functions + self.others.len() as u32;
        self.others.push(step.clone());
        self.known.insert(step, key);
        key
    }
}

impl Step {
    /// What it is called, and where it is from or what it means.
    pub(in crate::view::tui) fn names(&self, picture: &Picture<'_>) -> (String, String) {
        match self {
            Self::Function(id) => {
                let function = picture.names.function(*id);
                (function.name.clone(), function.module.clone())
            }
            Self::Process(pid) => {
                let target = picture.snapshot.targets.iter().find(|target| target.pid == *pid);
                let comm = target.map_or("pid", |target| target.comm.as_str());
                (frame::printable(&format!("{comm}-{pid}")), "process".to_owned())
            }
            Self::Thread(name) => (name.to_string(), "thread".to_owned()),
            Self::Cut(reason) => {
                let words =
                    if &**reason == "no stack" { "nothing was walked" } else { words::truncated(reason) };
                (format!("[{}]", frame::printable(reason)), words.to_owned())
            }
        }
    }

    /// Whether the picture's filter finds it.
    pub(in crate::view::tui) fn is_found(&self, picture: &Picture<'_>) -> bool {
        match self {
            Self::Function(id) => picture.finds_function(*id),
            Self::Thread(name) => picture.filter.is_some_and(|filter| filter.is_match(name)),
            Self::Process(_) | Self::Cut(_) => false,
        }
    }
}
