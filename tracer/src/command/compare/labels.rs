//! A label set as Prometheus writes selectors: <https://prometheus.io/docs/prometheus/latest/querying/basics/>.

use std::collections::BTreeMap;

use regex::Regex;

use crate::options::UsageError;

/// What a process's labels must be.
#[derive(Clone, Debug)]
pub(super) struct Matchers {
    text: String,
    all: Vec<Matcher>,
}

#[derive(Clone, Debug)]
struct Matcher {
    name: String,
    value: Value,
    is_negated: bool,
}

#[derive(Clone, Debug)]
enum Value {
    Equal(String),
    Matching(Regex),
}

impl Matchers {
    /// Of `{a="b",c!="d",e=~"f.*",g!~"h"}`.
    pub(super) fn of(text: &str) -> Result<Self, UsageError> {
        let wrong = |why: &str| {
            UsageError(format!(
                "{text}: {why}. Use labels as a query has them, such as {{service=\"shop\",canary_group=\"canary\"}}"
            ))
        };
        let inside = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let inside = inside.ok_or_else(|| wrong("it does not end with }"))?.trim().trim_end_matches(',');
        let (mut all, mut rest) = (Vec::new(), inside.trim());
        while !rest.is_empty() {
            let (matcher, after) = one(rest).map_err(|why| wrong(&why))?;
            all.push(matcher);
            rest = match after.trim_start() {
                "" => "",
                more => more.strip_prefix(',').ok_or_else(|| wrong("a comma is missing"))?.trim_start(),
            };
        }
        if all.is_empty() {
            return Err(wrong("it names no label, and would be every process"));
        }
        Ok(Self { text: inside.trim().to_owned(), all })
    }

    /// As it stands in a query, without the braces.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether these are the labels of one that is wanted; a label that is not there is empty.
    pub(super) fn wants(&self, labels: &BTreeMap<String, String>) -> bool {
        self.all.iter().all(|matcher| {
            let value = labels.get(&matcher.name).map_or("", String::as_str);
            let fits = match &matcher.value {
                Value::Equal(wanted) => value == wanted,
                Value::Matching(pattern) => pattern.is_match(value),
            };
            fits != matcher.is_negated
        })
    }
}

/// The first matcher of a text, and what follows it.
fn one(text: &str) -> Result<(Matcher, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return Err("a label's name is missing".to_owned());
    }
    let rest = rest.trim_start();
    let operators = [("=~", true, false), ("!~", true, true), ("!=", false, true), ("=", false, false)];
    let found = operators.into_iter().find_map(|(sign, is_pattern, is_negated)| {
        rest.strip_prefix(sign).map(|rest| (rest.trim_start(), is_pattern, is_negated))
    });
    let (rest, is_pattern, is_negated) = found.ok_or_else(|| format!("{name} is compared with nothing"))?;
    let (value, rest) = quoted(rest).ok_or_else(|| format!("the value of {name} is not in quotes"))?;
    let value = if is_pattern {
        // As Prometheus does: the pattern is about the whole value.
        let pattern = Regex::new(&format!("^(?s:{value})$")).map_err(|error| format!("{name}: {error}"))?;
        Value::Matching(pattern)
    } else {
        Value::Equal(value)
    };
    Ok((Matcher { name: name.to_owned(), value, is_negated }, rest))
}

/// A text in quotes with its escapes undone, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next().filter(|(_, c)| matches!(c, '"' | '\''))?;
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, text.get(at + c.len_utf8()..)?)),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_wanted_as_prometheus_wants_them() {
        let labels = [("service", "shop"), ("canary_group", "canary"), ("odd", "a\"}b")];
        let labels: BTreeMap<String, String> =
            labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let check = |text: &str, expect| {
            assert_eq!(Matchers::of(text).unwrap().wants(&labels), expect, "{text}");
        };
        check("{service=\"shop\"}", true);
        check("{service=\"shop\",canary_group=\"stable\"}", false);
        check("{service='shop', canary_group!=\"stable\",}", true);
        check("{service=~\"sh.*\"}", true);
        check("{service=~\"sh\"}", false);
        check("{service!~\"sh.*\"}", false);
        check("{missing=\"\"}", true);
        check("{missing!=\"\"}", false);
        check("{ odd = \"a\\\"}b\" }", true);
    }

    #[test]
    fn what_is_no_label_set_is_refused() {
        let check = |text: &str, expect: &str| {
            let error = Matchers::of(text).unwrap_err().to_string();
            assert!(error.contains(expect) && error.contains("such as {service="), "{text}: {error}");
        };
        check("{service=\"shop\"", "does not end with }");
        check("{}", "would be every process");
        check("{service}", "service is compared with nothing");
        check("{service=shop}", "the value of service is not in quotes");
        check("{service=\"shop}", "the value of service is not in quotes");
        check("{service=\"a\" b=\"c\"}", "a comma is missing");
        check("{=\"a\"}", "a label's name is missing");
        check("{a=~\"(\"}", "unclosed group");
    }
}
