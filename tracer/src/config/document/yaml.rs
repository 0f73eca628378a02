//! YAML: the parser stops at its first error.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::{Key, Node, Position, SyntaxError, Value};

pub(super) fn parse(text: &str) -> Result<Node, Vec<SyntaxError>> {
    // YAML 1.2: `yes` and `on` are text.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    match serde_saphyr::from_str_with_options::<Spanned<Value>>(text, options) {
        // A file of nothing but comments is a configuration of nothing but defaults.
        Ok(Spanned { value: Value::Other(EMPTY), .. }) => {
            Ok(Node { value: Value::Table(Vec::new()), at: Position { line: 1, column: 1 } })
        }
        Ok(root) => Ok(node(root)),
        Err(error) => {
            let at = error.location().map(position);
            Err(vec![SyntaxError { at, text: error.without_snippet().to_string() }])
        }
    }
}

const EMPTY: &str = "empty";

fn node(spanned: Spanned<Value>) -> Node {
    Node { value: spanned.value, at: position(spanned.referenced) }
}

fn position(location: Location) -> Position {
    Position { line: location.line(), column: location.column() }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Truth(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.to_string()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other("a number with a fraction"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other(EMPTY))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(spanned) = list.next_element()? {
            nodes.push(node(spanned));
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Value>>()? {
            let value = node(value);
            // The key of a merged entry has no place of its own.
            let at = if key.referenced.line() == 0 { value.at } else { position(key.referenced) };
            entries.push((Key { name: key.value, at }, value));
        }
        Ok(Value::Table(entries))
    }
}
