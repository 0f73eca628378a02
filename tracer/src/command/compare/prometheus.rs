//! One number of a Prometheus: <https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>.

use serde::Deserialize;
use serde_json::Value;

use super::http::Server;
use crate::command::Failure;

#[derive(Debug, Deserialize)]
struct Said {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Value,
}

#[derive(Debug, Deserialize)]
struct Sample {
    value: (f64, String),
}

/// What a query is at a time: requests a second.
pub(super) fn rate(server: &Server, query: &str, at: jiff::Timestamp) -> Result<f64, Failure> {
    let failed = |why: String, what: &str| {
        Failure::Failed(anyhow::anyhow!(
            "failed to ask Prometheus at {} for the requests, {query:?}: {why}. {what}",
            server.url()
        ))
    };
    let time = format!("{:.3}", at.as_millisecond() as f64 / 1e3);
    let encoded = form_urlencoded::Serializer::new(String::new())
        .append_pair("query", query)
        .append_pair("time", &time)
        .append_pair("timeout", "10s")
        .finish();
    let answer = server.get(&format!("/api/v1/query?{encoded}")).map_err(|why| {
        failed(why, "Is it there, and --prometheus its address? --requests also takes numbers")
    })?;
    let said: Said = serde_json::from_slice(&answer.body).map_err(|_| {
        failed(
            answer.sentence(),
            "It answers as no Prometheus does: --prometheus is the address before /api/v1",
        )
    })?;
    if said.status != "success" {
        let why = said.error.unwrap_or_else(|| answer.status.to_string());
        return Err(failed(why, "Try the query in its own page"));
    }
    let value = number(said.data, at).map_err(|(why, what)| failed(why, what))?;
    match value.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err(failed(
            format!("it is {value} a second at {at}"),
            "Nothing can be divided by that: compare --per cpu-second, or a time with requests",
        )),
    }
}

/// The one number of an answer; else why there is none, and what to do.
fn number(data: Option<Data>, at: jiff::Timestamp) -> Result<String, (String, &'static str)> {
    let no_number = || {
        ("it is no number".to_owned(), "Use a rate, such as sum(rate(requests_total{$labels}[$duration]))")
    };
    let data = data.ok_or_else(no_number)?;
    if data.kind == "scalar" {
        return serde_json::from_value(data.result)
            .map(|(_, value): (f64, String)| value)
            .map_err(|_| no_number());
    }
    if data.kind != "vector" {
        return Err(no_number());
    }
    let samples: Vec<Sample> = serde_json::from_value(data.result).map_err(|_| no_number())?;
    match <[Sample; 1]>::try_from(samples) {
        Ok([sample]) => Ok(sample.value.1),
        Err(samples) if samples.is_empty() => Err((
            format!("it has no such series at {at}"),
            "Look whether the labels are those of its series, and the window is long enough for a rate",
        )),
        Err(samples) => Err((format!("it has {} series", samples.len()), "Put sum(…) around the query")),
    }
}
