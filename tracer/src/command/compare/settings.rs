//! Arguments of `tracer compare` to checked settings.

use std::time::Duration;

use super::http::Server;
use super::requests::{self, Requests};
use super::source::Source;
use crate::canary::{Options, Per};
use crate::cli::{CompareArgs, ComparePer};
use crate::options::{self, TraceOptions, UsageError};
use crate::view::frame;

/// For a document of a daemon, which may wait for names itself.
const DAEMON: Duration = Duration::from_secs(30);
/// For an answer of a Prometheus.
const PROMETHEUS: Duration = Duration::from_secs(10);

/// What is compared, and how.
#[derive(Debug)]
pub(super) struct Settings {
    /// Base, canary.
    pub(super) sources: [Source; 2],
    /// As they were given.
    pub(super) names: [String; 2],
    pub(super) options: Options,
    /// Between two readings of the daemon, where it was given.
    pub(super) duration: Option<Duration>,
    /// Of pids, and which call sites are wanted.
    pub(super) trace: TraceOptions,
    pub(super) daemon: Server,
    requests: Option<[Requests; 2]>,
}

impl Settings {
    pub(super) fn of(args: &CompareArgs) -> Result<Self, UsageError> {
        let sources = [Source::of(&args.base)?, Source::of(&args.canary)?];
        let trace = args.trace_args().map_err(|error| UsageError(error.to_string()))?;
        let trace = options::trace(&trace, false)?;
        if args.duration.is_some() && sources.iter().all(|source| matches!(source, Source::Files(_))) {
            return Err(UsageError(
                "--duration is for pids and labels: a saved profile has its own. Leave it out".to_owned(),
            ));
        }
        let requests = requests(args, &sources)?;
        let daemon = Server::of("--daemon", &args.daemon, DAEMON)?;
        Ok(Self {
            names: [args.base.clone(), args.canary.clone()],
            options: comparing(args, requests.is_some())?,
            duration: args.duration.is_some().then_some(trace.duration).flatten(),
            daemon: daemon.with(args.token_file.as_deref(), args.ca_file.as_deref())?,
            sources,
            trace,
            requests,
        })
    }

    /// Base, canary.
    pub(super) fn requests(&self) -> [Option<&Requests>; 2] {
        match &self.requests {
            Some([base, canary]) => [Some(base), Some(canary)],
            None => [None, None],
        }
    }
}

fn comparing(args: &CompareArgs, has_requests: bool) -> Result<Options, UsageError> {
    let per = match (args.per, has_requests) {
        (Some(ComparePer::Request) | None, true) => Some(Per::Request),
        (Some(ComparePer::Request), false) => {
            return Err(UsageError(
                "--per request needs --requests N, or a query and --prometheus URL".to_owned(),
            ));
        }
        (Some(_), true) => {
            return Err(UsageError("--requests is for --per request: leave one of both out".to_owned()));
        }
        (Some(ComparePer::Process), false) => Some(Per::Process),
        (Some(ComparePer::CpuSecond), false) => Some(Per::CpuSecond),
        (Some(ComparePer::Run), false) => Some(Per::Run),
        (None, false) => None,
    };
    Ok(Options {
        per,
        confidence: percent("--confidence", &args.confidence, 50.0, 99.9999)?,
        max_increase: percent("--max-increase", &args.max_increase, 0.0, 10_000.0)?,
        sampling_error_suffices: args.sampling_error_only,
        min_share: percent("--min-share", &args.min_share, 0.0, 100.0)?,
        telling: frame::telling,
    })
}

/// A percentage as a ratio.
fn percent(option: &str, text: &str, least: f64, most: f64) -> Result<f64, UsageError> {
    let number = text.trim().strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok());
    match number {
        Some(number) if (least..=most).contains(&number) => Ok(number / 100.0),
        Some(_) => Err(UsageError(format!("{option} {text}: it must be {least}% to {most}%"))),
        None => Err(UsageError(format!("{option} {text}: use a percentage such as 5%"))),
    }
}

fn requests(args: &CompareArgs, sources: &[Source; 2]) -> Result<Option<[Requests; 2]>, UsageError> {
    let texts = match (&args.requests, &args.requests_base, &args.requests_canary) {
        (Some(both), ..) => {
            if let Some([base, canary]) = requests::counts(both) {
                refuse_prometheus(args)?;
                return Ok(Some([
                    requests::of_count(base, "--requests")?,
                    requests::of_count(canary, "--requests")?,
                ]));
            }
            let is_at_once = sources.iter().all(|source| !matches!(source, Source::Files(_)));
            if is_at_once && !both.contains("$labels") {
                return Err(UsageError(
                    "--requests: the query is the same for both sides at the same time. Write $labels where it has the \
                     labels of a side, or give --requests-base and --requests-canary"
                        .to_owned(),
                ));
            }
            [(both, "--requests"), (both, "--requests")]
        }
        (None, Some(base), Some(canary)) => [(base, "--requests-base"), (canary, "--requests-canary")],
        _ => return refuse_prometheus(args).map(|()| None),
    };
    let [base, canary] = sources;
    let [(of_base, base_option), (of_canary, canary_option)] = texts;
    let both = [one(args, of_base, base_option, base)?, one(args, of_canary, canary_option, canary)?];
    if both.iter().all(|requests| matches!(requests, Requests::Count(_))) {
        refuse_prometheus(args)?;
    }
    Ok(Some(both))
}

fn refuse_prometheus(args: &CompareArgs) -> Result<(), UsageError> {
    match &args.prometheus {
        Some(_) => Err(UsageError("--prometheus needs --requests with a query".to_owned())),
        None => Ok(()),
    }
}

fn one(args: &CompareArgs, text: &str, option: &str, source: &Source) -> Result<Requests, UsageError> {
    if let Some(number) = requests::count(text) {
        return requests::of_count(number, option);
    }
    let Some(url) = &args.prometheus else {
        return Err(UsageError(format!(
            "{option} {text:?} is no number: give --prometheus URL too if it is a query, else a number above 0"
        )));
    };
    let labels = match source {
        Source::Labels(matchers) => matchers.text(),
        Source::Files(_) | Source::Pids(_) if text.contains("$labels") => {
            return Err(UsageError(format!(
                "{option}: $labels is for sides that are given as labels. Give --requests-base and --requests-canary with \
                 the labels written out"
            )));
        }
        Source::Files(_) | Source::Pids(_) => "",
    };
    let server = Server::of("--prometheus", url, PROMETHEUS)?;
    let server = server.with(args.prometheus_token_file.as_deref(), args.ca_file.as_deref())?;
    Ok(Requests::Query { query: text.replace("$labels", labels), server })
}
