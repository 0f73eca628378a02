//! What Kubernetes lets names be, so that one that can never fit is an error and not a rule that finds nothing:
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>,
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>.

/// Characters of a label of DNS, of the name in a key, of a label's value.
const MAX_LABEL: usize = 63;
/// Characters of a name of DNS.
const MAX_SUBDOMAIN: usize = 253;

/// The key of a label or annotation: a name, or `PREFIX/NAME` where the prefix is a name of DNS.
pub(crate) fn key(text: &str) -> Result<(), String> {
    let name = match text.split_once('/') {
        Some((prefix, name)) => {
            subdomain(prefix).map_err(|why| format!("before the slash: {why}"))?;
            name
        }
        None => text,
    };
    if name.is_empty() {
        return Err("a key has a name".to_owned());
    }
    value(name).map_err(|why| why.replacen("a value", "the name of a key", 1))
}

/// The value of a label.
pub(crate) fn value(text: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    at_most(text, MAX_LABEL, "a value")?;
    if let Some(wrong) = text.chars().find(|&c| !is_allowed(c)) {
        return Err(format!("a value has no {wrong:?}: it has letters, digits, '-', '_' and '.'"));
    }
    if !has_ends(text, |byte| byte.is_ascii_alphanumeric()) {
        return Err("a value begins and ends with a letter or digit".to_owned());
    }
    Ok(())
}

/// A label of DNS (RFC 1123), as namespaces and containers are named.
pub(crate) fn label(text: &str) -> Result<(), String> {
    at_most(text, MAX_LABEL, "it")?;
    if text.contains('.') {
        return Err("it has no '.': it has lower-case letters, digits and '-'".to_owned());
    }
    subdomain(text)
}

/// A name of DNS (RFC 1123), as most other things are named.
pub(crate) fn subdomain(text: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    at_most(text, MAX_SUBDOMAIN, "it")?;
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if let Some(wrong) = text.chars().find(|&c| !is_allowed(c)) {
        return Err(format!("it has no {wrong:?}: it has lower-case letters, digits, '-' and '.'"));
    }
    let is_end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !text.split('.').all(|part| !part.is_empty() && has_ends(part, is_end)) {
        return Err("it, and each part between dots, begins and ends with a letter or digit".to_owned());
    }
    Ok(())
}

fn at_most(text: &str, most: usize, subject: &str) -> Result<(), String> {
    let characters = text.chars().count();
    if characters > most {
        return Err(format!("{subject} has {most} characters at most, and this has {characters}"));
    }
    Ok(())
}

fn has_ends(text: &str, is_end: impl Fn(u8) -> bool) -> bool {
    [text.bytes().next(), text.bytes().next_back()].into_iter().flatten().all(is_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> Result<(), String>;

    fn good(check: Check, texts: &[&str]) {
        for text in texts {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    fn wrong(check: Check, texts: &[(&str, &str)]) {
        for (text, part) in texts {
            let error = check(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_key_is_a_name_with_or_without_a_prefix_of_dns() {
        let longest = "a".repeat(63);
        let parts = ["b".repeat(63), "c".repeat(63), "d".repeat(63), "e".repeat(61)].join(".");
        let whole = format!("{parts}/{longest}");
        good(key, &["app", "A", "9", "a.b_c-D", "app.kubernetes.io/name", "x/y", &longest, &whole]);
        wrong(
            key,
            &[
                ("", "a key has a name"),
                ("x/", "a key has a name"),
                ("/x", "before the slash: it is empty"),
                ("a/b/c", "the name of a key has no '/'"),
                ("A.io/x", "before the slash: it has no 'A'"),
                ("a..b/x", "each part between dots"),
                ("-a", "the name of a key begins and ends"),
                ("a.", "the name of a key begins and ends"),
                ("a b", "has no ' '"),
                ("ä", "has no 'ä'"),
                (&format!("{longest}a"), "63 characters at most, and this has 64"),
                (&format!("x{whole}"), "before the slash: it has 253 characters at most, and this has 254"),
            ],
        );
    }

    #[test]
    fn a_value_may_be_empty_and_is_short() {
        good(value, &["", "canary", "1", "V1.2_3-x", &"a".repeat(63)]);
        wrong(
            value,
            &[
                ("-", "begins and ends"),
                ("a_", "begins and ends"),
                ("a/b", "no '/'"),
                ("a\u{1b}", "no '\\u{1b}'"),
                (&"a".repeat(64), "63 characters"),
            ],
        );
    }

    #[test]
    fn names_of_dns_are_of_lower_case() {
        good(subdomain, &["a", "node-1", "ip-10-0-0-1.eu-central-1.compute.internal", "1"]);
        good(label, &["a", "kube-system", "1"]);
        wrong(
            subdomain,
            &[
                ("", "empty"),
                ("$(NODE_NAME)", "no '$'"),
                ("Node", "no 'N'"),
                ("-a", "begins and ends"),
                ("a.-b", "part"),
            ],
        );
        wrong(label, &[("", "empty"), ("a.b", "no '.'"), ("a-", "begins and ends"), (&"a".repeat(64), "63")]);
    }
}
