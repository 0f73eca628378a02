//! Takes settings out of a configuration and notes everything that is wrong, so that all of it is said at once.
//!
//! What a table may hold is what it was asked for: the rest is unknown.

use std::cell::RefCell;

use super::document::{Key, Node, Position, Value};
use super::origin::{Origin, Origins};
use crate::options::UsageError;

/// A check that makes a setting of its text, or says by its name what is wrong.
pub(super) trait Check<T>: Fn(&str, &str) -> Result<T, UsageError> {}

impl<T, F: Fn(&str, &str) -> Result<T, UsageError>> Check<T> for F {}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Name of the file.
    file: String,
    /// With their places; flags have none, and come last.
    problems: RefCell<Vec<((u64, u64), String)>>,
    origins: RefCell<Origins>,
}

/// How the file writes a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    /// Text, or a number of bytes.
    Size,
}

impl Notes {
    pub(super) fn of(file: String) -> Self {
        Self { file, ..Self::default() }
    }

    /// Something is wrong at a place of the file, or without one.
    pub(super) fn wrong(&self, at: Option<Position>, text: &str) {
        let place = at.map_or_default(|at| format!("{at}:"));
        let order = at.map_or_default(|at| (at.line, at.column));
        self.problems.borrow_mut().push((order, format!("{}:{place} {text}", self.file)));
    }

    /// A flag is wrong.
    pub(super) fn wrong_flag(&self, error: &UsageError) {
        self.problems.borrow_mut().push(((u64::MAX, 0), error.to_string()));
    }

    pub(super) fn note(&self, path: String, origin: Origin) {
        self.origins.borrow_mut().note(path, origin);
    }

    /// What is wrong, in the order of the file, and where the values come from.
    pub(super) fn into_parts(self) -> (Vec<String>, Origins) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(order, _)| *order);
        (problems.into_iter().map(|(_, text)| text).collect(), self.origins.into_inner())
    }
}

/// A table that settings are taken out of.
pub(super) struct Table<'a> {
    pub(super) notes: &'a Notes,
    pub(super) at: Position,
    /// As messages name what is in it: `target.`.
    name: String,
    /// As origins name it: `target.0.`.
    path: String,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub(super) fn root(notes: &'a Notes, node: &'a Node) -> Self {
        let root = Entry { notes, name: String::new(), path: String::new(), at: node.at, node };
        root.table().unwrap_or_else(|| root.as_table(&[]))
    }

    /// What has this key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'a>> {
        self.known.push(key);
        let (found, node) = self.entries.iter().find(|(own, _)| own.name == key)?;
        let path = format!("{}{key}", self.path);
        self.notes.note(path.clone(), Origin::File(found.at.line));
        Some(Entry { notes: self.notes, name: format!("{}{key}", self.name), path, at: found.at, node })
    }

    /// The setting of this key; `None` also if it is wrong.
    pub(super) fn get<T>(&mut self, key: &'static str, kind: Kind, check: impl Check<T>) -> Option<T> {
        self.take(key)?.get(kind, check)
    }

    /// The settings of this key: one, or a list.
    pub(super) fn list<T>(&mut self, key: &'static str, check: impl Check<T>) -> Vec<T> {
        self.take(key).map_or_default(|entry| entry.list(check))
    }

    /// Whether this key is true.
    pub(super) fn truth(&mut self, key: &'static str) -> Option<bool> {
        let entry = self.take(key)?;
        match entry.node.value {
            Value::Truth(truth) => Some(truth),
            _ => entry.is_no("true or false"),
        }
    }

    /// Whether it has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(own, _)| own.name == key)
    }

    /// All entries, whatever their keys.
    pub(super) fn entries(self) -> impl Iterator<Item = (&'a Key, Entry<'a>)> {
        self.entries.iter().map(move |(key, node)| {
            let (name, path) = (format!("{}{}", self.name, key.name), format!("{}{}", self.path, key.name));
            self.notes.note(path.clone(), Origin::File(key.at.line));
            (key, Entry { notes: self.notes, name, path, at: key.at, node })
        })
    }

    /// Something of the whole table is wrong.
    pub(super) fn wrong(&self, text: &str) {
        self.notes.wrong(Some(self.at), &format!("{}: {text}", self.name.trim_end_matches('.')));
    }

    /// What has this key, if it is there, is wrong.
    pub(super) fn wrong_at(&self, key: &str, text: &str) {
        if let Some((found, _)) = self.entries.iter().find(|(own, _)| own.name == key) {
            self.notes.wrong(Some(found.at), &format!("{}{key} {text}", self.name));
        }
    }

    /// Nothing more is taken: what is left is unknown.
    pub(super) fn end(self) {
        let unknown = self.entries.iter().filter(|(key, _)| !self.known.contains(&key.name.as_str()));
        for (key, _) in unknown {
            let known = self.known.join(", ");
            let text = format!("{}{} is unknown: allowed here are {known}", self.name, key.name);
            self.notes.wrong(Some(key.at), &text);
        }
    }
}

/// A value that was given.
pub(super) struct Entry<'a> {
    pub(super) notes: &'a Notes,
    name: String,
    path: String,
    at: Position,
    node: &'a Node,
}

impl<'a> Entry<'a> {
    /// Its text, checked.
    pub(super) fn get<T>(&self, kind: Kind, check: impl Check<T>) -> Option<T> {
        let text = match (&self.node.value, kind) {
            (Value::Text(text), Kind::Text | Kind::Size)
            | (Value::Number(text), Kind::Number | Kind::Size) => text,
            (_, Kind::Text) => return self.is_no("text in quotes"),
            (_, Kind::Number) => return self.is_no("a whole number, without quotes"),
            (_, Kind::Size) => return self.is_no("a size such as \"512KiB\""),
        };
        match check(text, &self.name) {
            Ok(value) => Some(value),
            Err(error) => {
                self.notes.wrong(Some(self.node.at), &error.to_string());
                None
            }
        }
    }

    /// Something is wrong with it, whatever it is.
    pub(super) fn wrong(&self, text: &str) {
        self.notes.wrong(Some(self.at), &format!("{} {text}", self.name));
    }

    /// Its texts, checked: one, or a list.
    pub(super) fn list<T>(&self, check: impl Check<T>) -> Vec<T> {
        match &self.node.value {
            Value::List(nodes) => {
                nodes.iter().filter_map(|node| self.element(node).get(Kind::Text, &check)).collect()
            }
            Value::Text(_) => self.get(Kind::Text, check).into_iter().collect(),
            _ => self.is_no("text in quotes, or a list of it").into_iter().collect(),
        }
    }

    fn element(&self, node: &'a Node) -> Self {
        Self { notes: self.notes, name: self.name.clone(), path: self.path.clone(), at: node.at, node }
    }

    /// It as a table.
    pub(super) fn table(&self) -> Option<Table<'a>> {
        match &self.node.value {
            Value::Table(entries) => Some(self.as_table(entries)),
            _ => self.is_no("a table"),
        }
    }

    /// It as a list of tables.
    pub(super) fn tables(&self) -> Vec<Table<'a>> {
        let Value::List(nodes) = &self.node.value else {
            return self.is_no("a list of tables").into_iter().collect();
        };
        let element = |(at, node)| Self { path: format!("{}.{at}", self.path), ..self.element(node) };
        nodes.iter().enumerate().map(element).filter_map(|entry| entry.table()).collect()
    }

    fn as_table(&self, entries: &'a [(Key, Node)]) -> Table<'a> {
        let inside = |name: &str| if name.is_empty() { String::new() } else { format!("{name}.") };
        Table {
            notes: self.notes,
            at: self.at,
            name: inside(&self.name),
            path: inside(&self.path),
            entries,
            known: Vec::new(),
        }
    }

    fn is_no<T>(&self, wanted: &str) -> Option<T> {
        let subject = if self.name.is_empty() { "the configuration" } else { &self.name };
        let text = format!("{subject} must be {wanted}, and is {}", self.node.value.kind());
        self.notes.wrong(Some(self.node.at), &text);
        None
    }
}
