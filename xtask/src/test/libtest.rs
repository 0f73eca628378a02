//! Reads what one test binary prints: its verdict, and the tests that say that they could not run.

/// What one test binary said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// Tests that returned, skipped ones included.
    pub(crate) passed: usize,
    /// The names of the tests that failed, as far as their lines could be read.
    pub(crate) failed: Vec<String>,
    /// How many failed by the verdict.
    pub(crate) failed_count: usize,
    /// Tests that say `SKIP <name>: <reason>`.
    pub(crate) skipped: Vec<Skip>,
    /// Tests that carry `#[ignore]`.
    pub(crate) ignored: usize,
    /// Lines `test result: …`, one per binary that came to its end.
    pub(crate) verdicts: usize,
}

/// A test that could not run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Skip {
    pub(crate) test: String,
    pub(crate) reason: String,
}

impl Outcome {
    /// Takes one line of stdout in.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.verdicts += 1;
            self.passed += count(rest, "passed");
            self.failed_count += count(rest, "failed");
            self.ignored += count(rest, "ignored");
        } else if let Some(name) = failed_test(line) {
            self.failed.push(name.to_owned());
        } else if let Some(skip) = skip(line)
            && !self.skipped.contains(&skip)
        {
            self.skipped.push(skip);
        }
    }
}

/// The number before a word in `ok. 3 passed; 0 failed; 0 ignored; …`.
fn count(verdict: &str, word: &str) -> usize {
    let part = verdict.split(';').find_map(|part| part.trim().strip_suffix(word));
    part.and_then(|part| part.split_whitespace().last()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

fn skip(line: &str) -> Option<Skip> {
    let (test, reason) = line.strip_prefix("SKIP ")?.split_once(": ")?;
    Some(Skip { test: test.to_owned(), reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str) -> Outcome {
        let mut outcome = Outcome::default();
        output.lines().for_each(|line| outcome.read(line));
        outcome
    }

    #[test]
    fn passed_failed_and_skipped_tests_are_told_apart() {
        let outcome = read(
            "running 3 tests\ntest glibc::totals_are_exact ... ok\ntest glibc::seccomp ... FAILED\n\
             test perf ... ok\n\nsuccesses:\n\n---- perf stdout ----\nSKIP perf: kernel: no uprobe_multi\n\n\
             test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.1s\n",
        );
        assert_eq!(outcome.passed, 2);
        assert_eq!(outcome.failed, ["glibc::seccomp"]);
        assert_eq!(outcome.failed_count, 1);
        let skip = Skip { test: "perf".into(), reason: "kernel: no uprobe_multi".into() };
        assert_eq!(outcome.skipped, [skip]);
        assert_eq!(outcome.verdicts, 1);
    }

    #[test]
    fn a_module_path_is_not_taken_for_the_end_of_a_name() {
        let outcome = read("SKIP loss::map_full: no gdb: not installed\n");
        assert_eq!(outcome.skipped[0].test, "loss::map_full");
        assert_eq!(outcome.skipped[0].reason, "no gdb: not installed");
    }

    #[test]
    fn a_binary_that_dies_leaves_no_verdict() {
        assert_eq!(read("running 2 tests\ntest one ... ok\n").verdicts, 0);
    }
}
