//! How long a process was counted in.

use std::time::{Duration, Instant};

/// A clock that runs while events count.
#[derive(Debug, Default)]
pub(super) struct Clock {
    since: Option<Instant>,
    before: Duration,
}

impl Clock {
    /// Lets it run, or stops it; either twice is once.
    pub(super) fn run(&mut self, runs: bool) {
        if runs {
            self.since.get_or_insert_with(Instant::now);
        } else {
            self.before += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        }
    }

    /// For how long it has run so far.
    pub(super) fn seconds(&self) -> f64 {
        (self.before + self.since.map_or(Duration::ZERO, |since| since.elapsed())).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn only_the_time_while_it_runs_counts() {
        let mut clock = Clock::default();
        assert_eq!(clock.seconds().to_bits(), 0);
        let begin = Instant::now();
        for runs in [true, true, false, false] {
            clock.run(runs);
            sleep(Duration::from_millis(5));
        }
        let (seen, all) = (clock.seconds(), begin.elapsed().as_secs_f64());
        assert!(seen >= 0.010 && seen <= all - 0.010, "{seen} of {all}");
        sleep(Duration::from_millis(5));
        assert_eq!(clock.seconds().to_bits(), seen.to_bits(), "it stands");
    }
}
