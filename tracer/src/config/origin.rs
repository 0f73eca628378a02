//! Where each value of a configuration comes from.

use std::collections::BTreeMap;
use std::fmt;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is built in.
    Default,
    /// A line of the file.
    File(u64),
    /// A variable, by its name.
    Environment(String),
    /// A flag, by its name.
    Flag(String),
}

impl Origin {
    /// The flag of a setting, or its variable.
    pub(super) fn of_flag(key: &str, is_variable: bool) -> Self {
        if is_variable {
            Self::Environment(format!("TRACER_{}", key.to_uppercase()))
        } else {
            Self::Flag(format!("--{}", key.replace('_', "-")))
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "file, line {line}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag(name) => write!(f, "flag, {name}"),
        }
    }
}

/// The origins of all values that are not built in, by their path (`target.0.mode`).
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    pub(super) fn note(&mut self, path: String, origin: Origin) {
        self.0.insert(path, origin);
    }

    pub(super) fn of(&self, path: &str) -> &Origin {
        self.0.get(path).unwrap_or(&Origin::Default)
    }
}
