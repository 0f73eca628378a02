//! The one count over everything that ran.

use std::fmt::{self, Display, Formatter};

use anyhow::Result;

use super::libtest::{Outcome, Skip};

/// Everything that ran, was skipped, or failed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    ran: usize,
    skipped: Vec<Skip>,
    failures: Vec<String>,
    kernel_must_work: bool,
}

impl Report {
    /// From now on a test that skips because of the kernel is a failure.
    pub(crate) fn kernel_must_work(&mut self, works: bool) {
        self.kernel_must_work = works;
    }

    /// How many failed.
    pub(crate) fn failed(&self) -> usize {
        self.failures.len()
    }

    /// Something that is no test of a binary failed.
    pub(crate) fn fail(&mut self, what: &str, why: &str) {
        self.failures.push(format!("{what}: {why}"));
    }

    /// Counts a check as one test.
    pub(crate) fn check(&mut self, what: &str, result: Result<()>) {
        self.ran += 1;
        if let Err(error) = result {
            self.fail(what, &format!("{error:#}"));
        }
    }

    /// Adds what one test binary said, and how it ended.
    pub(crate) fn add(&mut self, binary: &str, outcome: Outcome, end: &End) {
        let Outcome { passed, mut failed, failed_count, skipped, ignored, verdicts } = outcome;
        // Output of a child may tear a line apart; the verdict still counts.
        failed
            .resize_with(failed_count.max(failed.len()), || "a test whose name could not be read".to_owned());
        let clean = matches!(end, End::Success) || matches!(end, End::Failure(_)) && !failed.is_empty();
        // A test binary that came to its end is only wrong if a test of it was.
        if !clean || verdicts == 0 {
            self.fail(binary, &format!("{end} without a verdict of its tests; see its output above"));
        }
        self.ran += (passed + failed.len()).saturating_sub(skipped.len());
        self.failures.extend(failed.iter().map(|test| format!("{binary}: {test}")));
        for skip in skipped {
            if self.kernel_must_work && skip.reason.starts_with("kernel:") {
                let Skip { test, reason } = skip;
                let why = "but `tracer doctor` says that uprobes work here, so this is a failure";
                self.failures.push(format!("{binary}: {test}: skipped ({reason}), {why}"));
            } else {
                self.skipped.push(skip);
            }
        }
        if ignored > 0 {
            self.fail(binary, &format!("{ignored} tests carry #[ignore]; print SKIP and the reason instead"));
        }
    }
}

/// How the run of a test binary ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Status 0.
    Success,
    /// Another status, or a signal, in words.
    Failure(String),
    /// It had to be ended.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
}

impl Display for End {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => write!(f, "ended with status 0"),
            Self::Failure(status) => write!(f, "ended with {status}"),
            Self::TimedOut => write!(f, "hung and was ended"),
            Self::NotStarted(why) => write!(f, "could not be started ({why})"),
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for Skip { test, reason } in &self.skipped {
            writeln!(f, "skipped: {test}: {reason}")?;
        }
        for failure in &self.failures {
            writeln!(f, "failed: {failure}")?;
        }
        writeln!(f, "ran {}, skipped {}, failed {}", self.ran, self.skipped.len(), self.failures.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(passed: usize, failed: &[&str], skips: &[(&str, &str)]) -> Outcome {
        let skipped =
            skips.iter().map(|(test, reason)| Skip { test: (*test).into(), reason: (*reason).into() });
        Outcome {
            passed,
            failed_count: failed.len(),
            failed: failed.iter().map(ToString::to_string).collect(),
            skipped: skipped.collect(),
            ignored: 0,
            verdicts: 1,
        }
    }

    fn last_line(report: &Report) -> String {
        report.to_string().lines().last().unwrap().to_owned()
    }

    #[test]
    fn counts_add_up_over_binaries_and_a_skip_is_not_a_run() {
        let mut report = Report::default();
        report.check("tidy", Ok(()));
        report.add("unit", outcome(5, &[], &[]), &End::Success);
        report.add("e2e", outcome(3, &["a"], &[("b", "no gdb")]), &End::Failure("status 101".into()));
        assert_eq!(last_line(&report), "ran 9, skipped 1, failed 1");
        assert!(report.to_string().contains("skipped: b: no gdb\n"));
    }

    #[test]
    fn a_kernel_skip_fails_only_where_uprobes_work() {
        for (works, expected) in [(false, "ran 0, skipped 1, failed 0"), (true, "ran 0, skipped 0, failed 1")]
        {
            let mut report = Report::default();
            report.kernel_must_work(works);
            report.add("e2e", outcome(1, &[], &[("a", "kernel: no uprobes")]), &End::Success);
            assert_eq!(last_line(&report), expected);
        }
    }

    #[test]
    fn a_binary_that_dies_hangs_or_does_not_start_is_a_failure() {
        let ends = [End::Failure("signal 11".into()), End::TimedOut, End::NotStarted("no cargo".into())];
        for end in ends {
            let mut report = Report::default();
            report.add("it", Outcome { passed: 0, verdicts: 0, ..Outcome::default() }, &end);
            assert_eq!(report.failed(), 1, "{end}");
        }
    }

    #[test]
    fn a_bad_status_after_a_good_verdict_is_a_failure() {
        let mut report = Report::default();
        report.add("it", outcome(3, &[], &[]), &End::Failure("signal 6".into()));
        assert_eq!(last_line(&report), "ran 3, skipped 0, failed 1");
    }

    #[test]
    fn a_failure_whose_line_was_torn_apart_still_counts() {
        let mut report = Report::default();
        let torn = Outcome { failed_count: 2, ..outcome(1, &["a"], &[]) };
        report.add("e2e", torn, &End::Failure("status 101".into()));
        assert_eq!(last_line(&report), "ran 3, skipped 0, failed 2");
    }

    #[test]
    fn an_ignored_test_is_a_failure() {
        let mut report = Report::default();
        report.add("it", Outcome { ignored: 2, verdicts: 1, ..Outcome::default() }, &End::Success);
        assert_eq!(report.failed(), 1);
    }

    #[test]
    fn a_check_that_fails_says_why() {
        let mut report = Report::default();
        report.check("lint", Err(anyhow::anyhow!("clippy")));
        assert_eq!(report.to_string(), "failed: lint: clippy\nran 1, skipped 0, failed 1\n");
    }
}
