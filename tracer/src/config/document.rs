//! A configuration file as what both of its languages have in common: values that know where they stand.

use std::fmt;
use std::path::Path;

mod toml;
mod yaml;

/// Bytes of a file that are read: more than any configuration has.
const MAX_BYTES: u64 = 1 << 20;

/// A place in the file, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Position,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// A whole number, in decimal digits.
    Number(String),
    Truth(bool),
    List(Vec<Node>),
    Table(Vec<(Key, Node)>),
    /// What no setting is, in words.
    Other(&'static str),
}

/// A name and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) at: Position,
}

/// What the parser says is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) at: Option<Position>,
    pub(super) text: String,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Value {
    /// What it is, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Number(_) => "a number",
            Self::Truth(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Reads a file, whose suffix says its language.
pub(super) fn read(path: &Path) -> Result<Node, Vec<SyntaxError>> {
    let parse = parser(path).ok_or_else(|| {
        one("its suffix is of no language of configurations. Use .toml for TOML, or .yaml or .yml for YAML")
    })?;
    parse(&text(path)?)
}

type Parser = fn(&str) -> Result<Node, Vec<SyntaxError>>;

fn parser(path: &Path) -> Option<Parser> {
    match path.extension()?.to_str()? {
        "toml" => Some(toml::parse),
        "yaml" | "yml" => Some(yaml::parse),
        _ => None,
    }
}

fn text(path: &Path) -> Result<String, Vec<SyntaxError>> {
    // It may be a device or a pipe by mistake: then a read has no end, or waits for ever.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(one("it is no file"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(one("it has more than 1 MiB"));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

fn unreadable(error: std::io::Error) -> Vec<SyntaxError> {
    one(&format!("failed to read it: {error}"))
}

fn one(text: &str) -> Vec<SyntaxError> {
    vec![SyntaxError { at: None, text: text.to_owned() }]
}

#[cfg(test)]
mod tests;
