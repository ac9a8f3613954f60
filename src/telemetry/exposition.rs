//! The two text formats of metrics: OpenMetrics 1.0, which the client library writes, and
//! Prometheus' own (0.0.4), which is older and which more programs read.

use std::fmt::Write as _;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// Prometheus' text format.
    Prometheus,
    /// OpenMetrics.
    OpenMetrics,
}

impl MetricsFormat {
    /// Returns the format for a client that sent this `Accept`: OpenMetrics if it is named.
    pub fn from_accept(accept: Option<&str>) -> Self {
        let is_named = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        if is_named { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Returns its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Returns metrics in this format that the library wrote as OpenMetrics.
    pub(crate) fn convert(self, openmetrics: String) -> String {
        if self == Self::OpenMetrics {
            return openmetrics;
        }
        let mut text = String::with_capacity(openmetrics.len());
        // The name of a counter is in OpenMetrics that of its samples without `_total`.
        let mut help = None;
        for line in openmetrics.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                help = rest.split_once(' ');
            } else if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
            {
                let total = if kind == "counter" { "_total" } else { "" };
                let help = help.take().map_or("", |(_, help)| help);
                // A String takes everything.
                let _ = writeln!(text, "# HELP {name}{total} {help}\n# TYPE {name}{total} {kind}");
            } else if !line.starts_with('#') {
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::MetricsFormat;

    #[test]
    fn prometheus_names_a_counter_by_its_samples() {
        let openmetrics = "# HELP a_sent What was sent.\n# TYPE a_sent counter\na_sent_total{b=\"c\"} 1\n\
                           # HELP a_open What is open.\n# TYPE a_open gauge\na_open 2\n# EOF\n";
        let text = "# HELP a_sent_total What was sent.\n# TYPE a_sent_total counter\na_sent_total{b=\"c\"} 1\n\
                    # HELP a_open What is open.\n# TYPE a_open gauge\na_open 2\n";
        assert_eq!(MetricsFormat::Prometheus.convert(openmetrics.to_owned()), text);
        assert_eq!(MetricsFormat::OpenMetrics.convert(openmetrics.to_owned()), openmetrics);
    }

    #[test]
    fn openmetrics_is_for_clients_that_ask_for_it() {
        for (accept, format) in [
            (None, MetricsFormat::Prometheus),
            (Some("*/*"), MetricsFormat::Prometheus),
            (Some("text/plain;version=0.0.4"), MetricsFormat::Prometheus),
            (Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), MetricsFormat::OpenMetrics),
        ] {
            assert_eq!(MetricsFormat::from_accept(accept), format, "{accept:?}");
        }
    }
}
