//! Text that comes from processes and pods, made fit to be exported.

use regex::Regex;

/// Characters of a value: what OpenMetrics allows a label set of an exemplar to have, and plenty for a name.
pub const MAX_VALUE_CHARACTERS: usize = 128;

/// A value as it may be exported: short, and without what a terminal or a parser would obey. Names with two underscores before
/// them are the daemon's own (`__other__`).
#[must_use]
pub fn clean(text: &str) -> String {
    let text = text.trim();
    let text = if text.starts_with("__") { text.trim_start_matches('_') } else { text };
    let characters = text.chars().take(MAX_VALUE_CHARACTERS);
    characters.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code =
            after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let decoded = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A group that a template names and that the pattern does not have.
pub(super) fn unknown_group<'a>(template: &'a str, pattern: &Regex) -> Option<&'a str> {
    groups(template).find(|group| !has_group(pattern, group))
}

/// The groups that a template names, as [`regex::Captures::expand`] reads it.
fn groups(template: &str) -> impl Iterator<Item = &str> {
    let mut rest = template;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('$')? + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                rest = after;
                continue;
            }
            let name = match rest.strip_prefix('{') {
                Some(inside) => inside.split_once('}').map_or("", |(name, _)| name),
                None => {
                    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                    &rest[..end.unwrap_or(rest.len())]
                }
            };
            if !name.is_empty() {
                return Some(name);
            }
        }
    })
}

fn has_group(pattern: &Regex, name: &str) -> bool {
    match name.parse::<usize>() {
        Ok(number) => number < pattern.captures_len(),
        Err(_) => pattern.capture_names().flatten().any(|known| known == name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_short_and_has_no_control_characters() {
        let check = |text: &str, expect: &str| assert_eq!(clean(text), expect);
        check(&"ü".repeat(200), &"ü".repeat(128));
        check("a\u{1b}[31m\nb\0", "a\u{fffd}[31m\u{fffd}b\u{fffd}");
        check("  shop \n", "shop");
        check("__other__", "other__");
        check("_shop", "_shop");
    }

    #[test]
    fn percent_codes_are_decoded_and_what_is_none_stays() {
        let check = |text, expect: &str| assert_eq!(percent_decoded(text), expect);
        check("a%20b%2Cc", "a b,c");
        check("%C3%BC", "ü");
        check("100%", "100%");
        check("%2", "%2");
        check("%zz%+1", "%zz%+1");
        check("%ff", "\u{fffd}");
    }
}
