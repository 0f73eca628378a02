//! One page, as it is being written.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel as _,
    EncodeLabelSet, GaugeValueEncoder, LabelSetEncoder, MetricEncoder, NativeHistogram,
    NativeHistogramBuckets, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::canary::CanaryPoint;
use super::list::METRICS;
use super::metric::{Kind, Metric, Source, Value};
use super::{Exposition, ProcessUsage, Scrape, pauses, sizes};
use crate::model::node::{GcCounts, Own, Series};
use crate::model::snapshot::StopSums;
use crate::target::labels::LabelSet;
use crate::view::canaries::ServiceCanary;

/// What is written. It has its own copy, because a collector may borrow nothing.
#[derive(Debug)]
pub(super) struct Page {
    exposition: Exposition,
    series: Vec<Series>,
    canaries: Vec<ServiceCanary>,
    pub(super) own: Own,
    pub(super) refused: Vec<(&'static str, u64)>,
    pub(super) process: ProcessUsage,
}

/// The labels of a point.
#[derive(Default)]
struct Labels<'a> {
    target: Option<&'a LabelSet>,
    own: Option<(&'static str, &'a str)>,
    canary: Vec<(&'static str, &'a str)>,
}

/// A number of a family, or a histogram.
struct Point<'a> {
    labels: Labels<'a>,
    reading: Reading<'a>,
}

enum Reading<'a> {
    Number(Value),
    Sizes(&'a Series),
    Pauses(&'a GcCounts),
    Stops(&'a StopSums),
}

impl Page {
    pub(super) fn new(exposition: Exposition, scrape: &Scrape<'_>) -> Self {
        Self {
            exposition,
            series: scrape.node.series.clone(),
            canaries: scrape.canaries.services.clone(),
            own: scrape.node.own.clone(),
            refused: scrape.refused.to_vec(),
            process: *scrape.process,
        }
    }

    fn points(&self, source: Source) -> Vec<Point<'_>> {
        let point =
            |target, own, reading| Point { labels: Labels { target, own, canary: Vec::new() }, reading };
        let number = Reading::Number;
        match source {
            Source::Series(value) => {
                let points = self.series.iter();
                points
                    .filter_map(|series| Some(point(Some(&series.labels), None, number(value(series)?))))
                    .collect()
            }
            Source::SeriesBy(label, values) => {
                let points = self.series.iter().flat_map(|series| {
                    let values = values(series).into_iter();
                    values.map(move |(name, value)| {
                        point(Some(&series.labels), Some((label, name)), number(value))
                    })
                });
                points.collect()
            }
            Source::Sizes => {
                let points = self.series.iter();
                points.map(|series| point(Some(&series.labels), None, Reading::Sizes(series))).collect()
            }
            Source::Pauses => {
                let points = self.series.iter();
                points
                    .filter_map(|series| {
                        Some(point(Some(&series.labels), None, Reading::Pauses(series.gc.as_ref()?)))
                    })
                    .collect()
            }
            Source::Stops(label) => {
                let counts = self.series.iter().filter_map(|series| Some((series, series.gc.as_ref()?)));
                let points = counts.flat_map(|(series, gc)| {
                    let stops = gc.stops.iter();
                    stops.map(move |(reason, sums)| {
                        point(Some(&series.labels), Some((label, reason.as_str())), Reading::Stops(sums))
                    })
                });
                points.collect()
            }
            Source::Canary(names, values) => {
                let of_one =
                    |canary| values(canary).into_iter().map(move |value| rollout(canary, names, value));
                self.canaries.iter().flat_map(of_one).collect()
            }
            Source::Own(value) => {
                value(self).map(|value| point(None, None, number(value))).into_iter().collect()
            }
            Source::OwnBy(label, values) => {
                let points = values(self).into_iter();
                points.map(|(name, value)| point(None, Some((label, name)), number(value))).collect()
            }
        }
    }

    /// Writes one family; one without numbers is left out.
    fn encode_family(&self, metric: &Metric, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let points = self.points(metric.source);
        if points.is_empty() {
            return Ok(());
        }
        // The encoder's text is OpenMetrics, where a family's name has no `_total`. In the older text it has: there a
        // counter is written under its full name, as a gauge is, and only its type says what it is.
        let is_older = self.exposition == Exposition::Text;
        let kind = metric.kind();
        let name = metric.name.strip_suffix("_total").filter(|_| !is_older).unwrap_or(metric.name);
        let (name, unit) = if is_older { (name, None) } else { without_unit(name) };
        let metric_type = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let mut family = encoder.encode_descriptor(name, metric.help, unit.as_ref(), metric_type)?;
        let is_counter = kind == Kind::Counter && !is_older;
        points.iter().try_for_each(|Point { labels, reading }| {
            if labels.is_empty() {
                reading.encode(is_counter, &mut family)
            } else {
                reading.encode(is_counter, &mut family.encode_family(labels)?)
            }
        })
    }
}

impl Reading<'_> {
    fn encode(&self, is_counter: bool, point: &mut MetricEncoder<'_>) -> std::fmt::Result {
        match self {
            Self::Sizes(series) => encode_sizes(series, point),
            Self::Pauses(gc) => encode_pauses(gc, point),
            Self::Stops(sums) => encode_stops(sums, point),
            Self::Number(value) if is_counter => point.encode_counter::<NoLabelSet, _, u64>(value, None),
            Self::Number(value) => point.encode_gauge(value),
        }
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        METRICS.iter().try_for_each(|metric| self.encode_family(metric, &mut encoder))
    }
}

/// A number of a rollout.
fn rollout<'a>(canary: &'a ServiceCanary, names: &[&'static str], point: CanaryPoint) -> Point<'a> {
    let further = names.iter().copied().zip(point.labels);
    let all = canary.labels.pairs().into_iter().chain(further).collect();
    Point { labels: Labels { canary: all, ..Labels::default() }, reading: Reading::Number(point.value) }
}

/// The name without the unit that it ends in: the encoder puts it there again.
fn without_unit(name: &str) -> (&str, Option<Unit>) {
    for (suffix, unit) in [("_bytes", Unit::Bytes), ("_seconds", Unit::Seconds)] {
        if let Some(name) = name.strip_suffix(suffix) {
            return (name, Some(unit));
        }
    }
    (name, None)
}

fn encode_sizes(series: &Series, point: &mut MetricEncoder<'_>) -> std::fmt::Result {
    let sizes::Whole { sum_bytes, count } = sizes::whole(series);
    let native = sizes::native(&series.sizes);
    point.encode_histogram_with_native::<NoLabelSet>(
        sum_bytes as f64,
        count,
        &sizes::classic(&series.sizes),
        None,
        NativeHistogram {
            schema: sizes::SCHEMA,
            zero_threshold: sizes::ZERO_BYTES as f64,
            zero_count: native.zero_count,
            negative: NativeHistogramBuckets { spans: &[], deltas: &[] },
            positive: NativeHistogramBuckets { spans: native.span.as_slice(), deltas: &native.deltas },
            created: None,
        },
    )
}

fn encode_pauses(gc: &GcCounts, point: &mut MetricEncoder<'_>) -> std::fmt::Result {
    point.encode_histogram::<NoLabelSet>(gc.pause_seconds, pauses::count(gc), &pauses::classic(gc), None)
}

fn encode_stops(sums: &StopSums, point: &mut MetricEncoder<'_>) -> std::fmt::Result {
    point.encode_histogram::<NoLabelSet>(sums.seconds, sums.count, &pauses::of_stops(sums), None)
}

impl Labels<'_> {
    const fn is_empty(&self) -> bool {
        self.target.is_none() && self.own.is_none() && self.canary.is_empty()
    }
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        let target = self.target.into_iter().flat_map(LabelSet::pairs);
        let mut all = target.chain(self.canary.iter().copied()).chain(self.own);
        all.try_for_each(|pair| pair.encode(encoder.encode_label()))
    }
}

impl EncodeCounterValue for Value {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(value) => EncodeCounterValue::encode(value, encoder),
            Self::Real(value) => EncodeCounterValue::encode(value, encoder),
        }
    }
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(value) => EncodeGaugeValue::encode(value, encoder),
            Self::Real(value) => EncodeGaugeValue::encode(value, encoder),
        }
    }
}
