//! The series at a node's `/metrics`.

use super::http::Request;
use super::node::Node;
use super::wait::{PATIENCE, holds, until};

/// The value of one series, written as in Prometheus' text format:
/// `parlor_closed_total{code="1001"}`; 0 when it is absent.
pub async fn metric(node: &Node, series: &str) -> i64 {
    let response = Request::get("/metrics").send(node).await;
    assert_eq!(response.status, 200, "{response:?}");
    let line = response.body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.trim_end_matches(".0").parse().expect("a whole number"))
}

/// Waits until the series has this value.
pub async fn wait_for_metric(node: &Node, series: &str, wanted: i64) {
    until(PATIENCE, &format!("{series} to be {wanted}"), async || {
        let value = metric(node, series).await;
        holds(value == wanted, || value.to_string())
    })
    .await;
}
