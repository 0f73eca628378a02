//! TOML: every error of the syntax at once.

use std::ops::Range;

use ::toml::de::{DeTable, DeValue};

use super::{Key, Node, Position, SyntaxError, Value};

pub(super) fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node { at: Position { line: 1, column: 1 }, value: lines.table(table.get_ref()) });
    }
    let error = |error: ::toml::de::Error| SyntaxError {
        at: error.span().map(|span| lines.position(&span)),
        text: error.message().to_owned(),
    };
    let mut errors: Vec<_> = errors.into_iter().map(error).collect();
    errors.sort_by_key(|error| error.at.map(|at| (at.line, at.column)));
    // What else is wrong in a line follows from the first error of it.
    errors.dedup_by_key(|error| error.at.map(|at| at.line));
    Err(errors)
}

/// Where the lines of a text begin.
struct Lines<'a> {
    text: &'a str,
    begins: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, begins: std::iter::once(0).chain(after_newlines).collect() }
    }

    fn position(&self, span: &Range<usize>) -> Position {
        let line = self.begins.partition_point(|&begin| begin <= span.start);
        let begin = self.begins.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(begin..span.start).unwrap_or_default();
        Position { line: line as u64, column: before.chars().count() as u64 + 1 }
    }

    fn table(&self, table: &DeTable<'_>) -> Value {
        let entry = |(key, value): (&::toml::Spanned<_>, &::toml::Spanned<_>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let key = Key { name: name.to_string(), at: self.position(&key.span()) };
            (key, self.node(value))
        };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        // The parser sorts them by name; errors come in the order of the file.
        entries.sort_by_key(|(key, _)| (key.at.line, key.at.column));
        Value::Table(entries)
    }

    fn node(&self, value: &::toml::Spanned<DeValue<'_>>) -> Node {
        let at = self.position(&value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Number(number.to_string()),
                Err(_) => Value::Other("a number that is too large"),
            },
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Boolean(truth) => Value::Truth(*truth),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(list) => Value::List(list.iter().map(|value| self.node(value)).collect()),
            DeValue::Table(table) => self.table(table),
        };
        Node { value, at }
    }
}
