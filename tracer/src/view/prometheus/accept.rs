//! Which exposition a reader wants: the header `Accept` (RFC 9110, 12.5.1). It never refuses: who asks for nothing that is
//! known gets plain text.

use super::Exposition;

const PROTOBUF: &str = "application/vnd.google.protobuf";
const MESSAGE: &str = "io.prometheus.client.MetricFamily";
const OPEN_METRICS: &str = "application/openmetrics-text";

impl Exposition {
    /// The exposition that the header asks for: that of the highest quality, the first of equal ones.
    #[must_use]
    pub fn of_accept(accept: Option<&str>) -> Self {
        let mut best = (Self::Text, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let (exposition, quality) = offered(range).unwrap_or((Self::Text, 0.0));
            if quality > best.1 {
                best = (exposition, quality);
            }
        }
        best.0
    }

    /// The header `Content-Type` of its answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// What one media range stands for and how much it is wanted; `None` if it is nothing that is written here.
fn offered(range: &str) -> Option<(Exposition, f64)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?.to_ascii_lowercase();
    let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
    let parameter = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().trim_matches('"'))
    };
    let exposition = match media.as_str() {
        PROTOBUF if parameter("proto") == Some(MESSAGE) && parameter("encoding") == Some("delimited") => {
            Exposition::Protobuf
        }
        OPEN_METRICS if matches!(parameter("version"), None | Some("0.0.1" | "1.0.0")) => {
            Exposition::OpenMetrics
        }
        "text/plain" | "text/*" | "*/*" => Exposition::Text,
        _ => return None,
    };
    let quality = parameter("q").map_or(Some(1.0), |q| q.parse().ok())?;
    (0.0..=1.0).contains(&quality).then_some((exposition, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIMITED: &str =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn prometheus_gets_what_it_likes_best() {
        let versions = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4";
        let text = "text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let check =
            |accept: &str, expect| assert_eq!(Exposition::of_accept(Some(accept)), expect, "{accept}");
        check(&format!("{versions},{text}"), Exposition::OpenMetrics);
        check(&format!("{DELIMITED};q=0.6,{versions},{text}"), Exposition::Protobuf);
        check(&format!("{DELIMITED};q=0.1,{versions},{text}"), Exposition::OpenMetrics);
        check(&format!("{DELIMITED};q=0.6;escaping=allow-utf-8,{text}"), Exposition::Protobuf);
        check("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3", Exposition::Text);
        check(
            "Application/OpenMetrics-Text; Version=\"0.0.1\" ; Q=0.9 , text/plain;q=0.8",
            Exposition::OpenMetrics,
        );
    }

    #[test]
    fn the_first_of_equals_wins() {
        let check =
            |accept: &str, expect| assert_eq!(Exposition::of_accept(Some(accept)), expect, "{accept}");
        check("text/plain, application/openmetrics-text", Exposition::Text);
        check("application/openmetrics-text, text/plain", Exposition::OpenMetrics);
        check(&format!("{DELIMITED}, application/openmetrics-text"), Exposition::Protobuf);
    }

    #[test]
    fn who_asks_for_nothing_known_gets_text() {
        assert_eq!(Exposition::of_accept(None), Exposition::Text);
        for accept in [
            "",
            ",;,=;q=",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=nan",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=-1",
            "application/openmetrics-text;q=x",
            "application/vnd.google.protobuf",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
            "application/vnd.google.protobuf;proto=a.b;encoding=delimited",
            "*/*;q=0.5, application/openmetrics-text;q=0.4",
        ] {
            assert_eq!(Exposition::of_accept(Some(accept)), Exposition::Text, "{accept}");
        }
    }
}
