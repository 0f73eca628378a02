//! Names of other scripts for a demangler that knows ASCII only.
//!
//! A mangled name says how many bytes each identifier has, so what stands for a character has as many bytes.

use std::fmt::Write as _;

/// What stands for characters begins with this, and identifiers of C++ do not hold it otherwise.
const MARK: char = '$';
/// Digits of what stands for a character: as many characters of two bytes can be told apart.
const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Gives a name to `demangle`, with stand-ins for all characters that are not ASCII, and puts them back.
pub(super) fn through(name: &str, demangle: impl Fn(&str) -> Option<String>) -> Option<String> {
    if name.is_ascii() {
        return demangle(name);
    }
    if name.contains(MARK) {
        return None;
    }
    let mut known: Vec<char> = Vec::new();
    let mut plain = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii() {
            plain.push(c);
            continue;
        }
        let at = known.iter().position(|one| *one == c).unwrap_or_else(|| {
            known.push(c);
            known.len() - 1
        });
        let digit = char::from(*DIGITS.get(at)?);
        write!(plain, "{MARK}{digit:_>width$}", width = c.len_utf8() - 1).ok()?;
    }
    let demangled = demangle(&plain)?;
    let mut parts = demangled.split(MARK);
    let mut whole = parts.next()?.to_owned();
    for part in parts {
        // The character says how long its stand-in was.
        let (at, width) = stand_in(part, &known)?;
        whole.push(known[at]);
        whole.push_str(&part[width..]);
    }
    Some(whole)
}

/// The number of the character whose stand-in a text begins with, and its length.
fn stand_in(text: &str, known: &[char]) -> Option<(usize, usize)> {
    let width = text.bytes().take_while(|&byte| byte == b'_').count() + 1;
    let digit = text.as_bytes().get(width - 1)?;
    let at = DIGITS.iter().position(|one| one == digit)?;
    (known.get(at)?.len_utf8() - 1 == width).then_some((at, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_back_as_they_were() {
        let same = |name: &str| through(name, |name| Some(name.to_owned()));
        for name in ["plain", "größe", "キャッシュに挿入する", "aéb挿c𝒳d", "é0é00挿0_é_"]
        {
            assert_eq!(same(name).as_deref(), Some(name));
        }
        let lengths = |name: &str| through(name, |name| Some(name.len().to_string()));
        assert_eq!(lengths("キャッシュに挿入する").as_deref(), Some("30"));
    }

    #[test]
    fn what_cannot_be_told_apart_stays_mangled() {
        let many: String = ('а'..='я').chain('А'..='Я').collect();
        for name in ["a$é", many.as_str()] {
            assert_eq!(through(name, |name| Some(name.to_owned())), None, "{name}");
        }
    }
}
