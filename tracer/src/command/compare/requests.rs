//! How many requests a side has answered, as it was given, and what part of them each of its processes is taken to have
//! answered: by its time.

use jiff::{SignedDuration, Timestamp};

use super::documents::Document;
use super::http::Server;
use super::prometheus;
use crate::canary::Unit;
use crate::command::Failure;
use crate::options::UsageError;

/// The requests of a side.
#[derive(Clone, Debug)]
pub(super) enum Requests {
    /// All of them.
    Count(f64),
    /// A query that is a rate per second.
    Query {
        /// With the side's labels; the window is still to be put in.
        query: String,
        server: Server,
    },
}

/// A time without a pause, and the documents that fill it.
struct Stretch {
    from: Timestamp,
    to: Timestamp,
    documents: Vec<usize>,
}

impl Stretch {
    fn seconds(&self) -> f64 {
        self.to.duration_since(self.from).as_secs_f64()
    }
}

/// The number that a text is.
pub(super) fn count(text: &str) -> Option<f64> {
    text.trim().replace('_', "").parse::<f64>().ok()
}

/// Both numbers of `N` or `N,N`; `None` for what is no number.
pub(super) fn counts(text: &str) -> Option<[f64; 2]> {
    match text.split_once(',') {
        Some((base, canary)) => Some([count(base)?, count(canary)?]),
        None => count(text).map(|both| [both, both]),
    }
}

/// The requests of a number.
pub(super) fn of_count(number: f64, option: &str) -> Result<Requests, UsageError> {
    if number.is_finite() && number > 0.0 {
        return Ok(Requests::Count(number));
    }
    Err(UsageError(format!("{option} {number}: it must be above 0")))
}

/// Refuses one query for both sides where they were observed at the same time: it counts the requests of both.
pub(super) fn check_apart(
    requests: [Option<&Requests>; 2],
    units: [&[Vec<Unit>]; 2],
) -> Result<(), UsageError> {
    let [Some(Requests::Query { query: base, .. }), Some(Requests::Query { query: canary, .. })] = requests
    else {
        return Ok(());
    };
    let [ours, theirs] = units.map(|documents| documents.iter().flatten().filter_map(|unit| unit.times));
    let theirs: Vec<(f64, f64)> = theirs.collect();
    let overlap = |(from, to): (f64, f64)| theirs.iter().any(|&(start, end)| from < end && start < to);
    if base == canary && ours.into_iter().any(overlap) {
        return Err(UsageError(
            "--requests: both sides were observed at the same time, where one query counts the requests of both sides. \
             Give --requests-base and --requests-canary"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Gives each unit its requests; `units` are those of each document.
pub(super) fn give(
    requests: &Requests,
    documents: &[Document],
    units: &mut [Vec<Unit>],
) -> Result<(), Failure> {
    match requests {
        Requests::Count(count) => spread(*count, units.iter_mut().flatten().collect()),
        Requests::Query { query, server } => {
            for stretch in stretches(documents, units)? {
                let seconds = stretch.seconds();
                let query = query.replace("$duration", &format!("{}s", seconds.round().max(1.0)));
                let count = prometheus::rate(server, &query, stretch.to)? * seconds;
                let within = units.iter_mut().enumerate();
                let within =
                    within.filter(|(at, _)| stretch.documents.contains(at)).flat_map(|(_, units)| units);
                spread(count, within.collect());
            }
        }
    }
    Ok(())
}

/// Gives each its part, by its time; where one has none, all the same.
fn spread(count: f64, units: Vec<&mut Unit>) {
    let seconds: Option<Vec<f64>> =
        units.iter().map(|unit| unit.seconds.filter(|&seconds| seconds > 0.0)).collect();
    let weights = seconds.unwrap_or_else(|| vec![1.0; units.len()]);
    let sum: f64 = weights.iter().sum();
    for (unit, weight) in units.into_iter().zip(weights) {
        unit.requests = Some(count * weight / sum);
    }
}

/// The times of the documents: those that overlap are of processes side by side, whose requests one query counts.
fn stretches(documents: &[Document], units: &[Vec<Unit>]) -> Result<Vec<Stretch>, Failure> {
    let mut times = Vec::new();
    for (at, (document, units)) in documents.iter().zip(units).enumerate() {
        let known = || units.iter().filter_map(|unit| unit.times);
        let from = known().map(|(from, _)| from).fold(f64::INFINITY, f64::min);
        let to = known().map(|(_, to)| to).fold(f64::NEG_INFINITY, f64::max);
        let (Some(from), Some(to)) = (timestamp(from), timestamp(to)) else {
            return Err(UsageError(format!(
                "{} does not say when and how long it was recorded, so that no query is about it: give --requests as a \
                 number",
                document.name
            ))
            .into());
        };
        times.push(Stretch { from, to, documents: vec![at] });
    }
    times.sort_by_key(|stretch| stretch.from);
    let mut stretches: Vec<Stretch> = Vec::new();
    for time in times {
        match stretches.last_mut() {
            Some(last) if time.from < last.to => {
                last.to = last.to.max(time.to);
                last.documents.extend(time.documents);
            }
            _ => stretches.push(time),
        }
    }
    Ok(stretches)
}

fn timestamp(unix_seconds: f64) -> Option<Timestamp> {
    Timestamp::UNIX_EPOCH.checked_add(SignedDuration::try_from_secs_f64(unix_seconds).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample;

    fn document(from: i64, seconds: f64) -> Document {
        let mut snapshot = sample::sample();
        snapshot.started_at = Timestamp::from_second(1_700_000_000 + from).unwrap();
        snapshot.attached_seconds = seconds;
        Document { name: "a.json".to_owned(), snapshot }
    }

    fn found(documents: &[Document]) -> Result<Vec<Stretch>, Failure> {
        let units: Vec<_> =
            documents.iter().map(|document| Unit::of(&document.snapshot, &document.name)).collect();
        stretches(documents, &units)
    }

    #[test]
    fn documents_side_by_side_are_one_stretch_of_time() {
        let documents = [document(100, 10.0), document(0, 30.0), document(20, 30.0), document(105, 1.0)];
        let found = found(&documents).unwrap();
        let found: Vec<(f64, &[usize])> =
            found.iter().map(|stretch| (stretch.seconds(), &*stretch.documents)).collect();
        assert_eq!(found, [(50.0, &[1, 2][..]), (10.0, &[0, 3])]);
    }

    #[test]
    fn a_document_without_its_time_cannot_be_asked_about() {
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let Err(error) = found(&[document(0, seconds)]) else { panic!("{seconds}") };
            assert!(error.to_string().contains("a.json does not say when"), "{error}");
        }
    }

    #[test]
    fn numbers_are_told_from_queries() {
        let check = |text: &str, expect| assert_eq!(counts(text), expect, "{text}");
        check("1000", Some([1000.0, 1000.0]));
        check("1_000, 50", Some([1000.0, 50.0]));
        check("sum(rate(a[1m]))", None);
        check("a,b", None);
        assert!(of_count(0.0, "--requests").is_err());
        assert!(of_count(f64::NAN, "--requests").is_err());
    }
}
