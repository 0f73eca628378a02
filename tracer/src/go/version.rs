//! The version of Go that a program was built by.

use std::fmt::{self, Display, Formatter};

/// A version of Go, as `runtime.Version()` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoVersion {
    /// 27 of `go1.27.3`; `None` for what is no release, as `devel go1.28-…` (its text may still say which one it goes towards).
    pub minor: Option<u32>,
    /// As the program says it.
    pub text: String,
}

impl GoVersion {
    /// Takes apart what a program says. Betas and release candidates have the layouts of their release.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self { minor: minor(text), text: text.to_owned() }
    }
}

/// Of `go1.27`, `go1.27.3`, `go1.27rc1`, `go1.27.3 X:nodwarf5`, `go1.27.3-vendor`.
fn minor(text: &str) -> Option<u32> {
    let rest = text.strip_prefix("go1.")?;
    let end = rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    let is_end = ["", ".", " ", "-", "+", "rc", "beta"].iter().any(|&end| match end {
        "" => rest.is_empty(),
        end => rest.starts_with(end),
    });
    is_end.then(|| number.parse().ok())?
}

impl Display for GoVersion {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_releases_have_a_number() {
        let check = |text: &str, expect| {
            let version = GoVersion::parse(text);
            assert_eq!((version.minor, version.to_string()), (expect, text.to_owned()));
        };
        for (text, expect) in [
            ("go1.19.8", Some(19)),
            ("go1.27", Some(27)),
            ("go1.27.3 X:nodwarf5", Some(27)),
            ("go1.21rc2", Some(21)),
            ("go1.18beta1", Some(18)),
            ("go1.22.5-vendor.1", Some(22)),
            ("devel go1.28-abcdef Mon Jan 5", None),
            ("go1.99999999999999", None),
            ("go1.", None),
            ("go1", None),
            ("go2.1", None),
            ("go1.2x", None),
            ("", None),
        ] {
            check(text, expect);
        }
    }
}
