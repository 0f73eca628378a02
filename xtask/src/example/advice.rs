//! What `tracer advise` says of the service.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    process::{output, privileged},
    toolchain,
};

/// One advice about a function of the service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Advice {
    /// Its name of the rule.
    pub(super) rule: String,
    pub(super) function: String,
}

impl Advice {
    /// It names a function that returns a map of an item, or takes one from the pool for it.
    pub(super) fn is_about_maps(&self) -> bool {
        [").lookup", ").take"].iter().any(|name| self.function.contains(name))
    }
}

/// Asks for advice on a process.
pub(super) fn on(pid: u32, duration: Duration) -> Result<Vec<Advice>> {
    let mut tracer = privileged(toolchain::tracer(true))?;
    tracer.args(["advise", "--pid", &pid.to_string(), "--duration", &format!("{}s", duration.as_secs())]);
    let text = output(tracer.args(["--format", "json"]))?;
    parse(&text).with_context(|| format!("`tracer advise` says:\n{text}"))
}

/// Those that name a function of the package `main`.
fn parse(text: &str) -> Result<Vec<Advice>> {
    let value: Value = serde_json::from_str(text).context("it is no JSON")?;
    let list = value["advice"].as_array().context("it has no list `advice`")?;
    let mut found = Vec::new();
    for advice in list {
        let text = |name: &str| advice[name].as_str().with_context(|| format!("an advice has no {name}"));
        let rule = text("rule")?.to_owned();
        match advice["function"].as_str() {
            Some(function) if function.starts_with("main.") => {
                found.push(Advice { rule, function: function.to_owned() });
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_on_the_services_own_functions_is_read() {
        let text = r#"{"schema": "tracer-advice/1", "advice": [
            {"rule": "empty-maps", "function": "main.(*freshMaps).lookupLabels"},
            {"rule": "closure", "function": "main.summarizeViews"},
            {"rule": "tiny", "function": "net/http.(*conn).serve"}, {"rule": "tiny", "function": null}]}"#;
        let found = parse(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found.iter().map(Advice::is_about_maps).collect::<Vec<_>>(), [true, false]);
        assert!(parse(r#"{"advice": []}"#).unwrap().is_empty());
    }

    #[test]
    fn a_document_that_is_no_advice_is_not_taken_for_none() {
        for text in ["", "{}", r#"{"advice": {}}"#, r#"{"advice": [{"function": "main.x"}]}"#] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
