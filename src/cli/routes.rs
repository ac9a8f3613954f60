//! `parlor routes`: the route table, one line for each method of each route.

use std::fmt::Write as _;

use crate::limits::RequestKind;
use crate::server::guards::{Csrf, Rate, Who};
use crate::server::route::{Endpoint, Route, Slash};

const HEADINGS: [&str; 8] = ["METHOD", "PATH", "SLASH", "NAME", "WHO", "SCOPE", "CSRF", "RATE"];

/// Returns the table in aligned columns under headings. A hyphen stands for an empty cell.
pub(super) fn table(routes: &[Route]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(routes.iter().flat_map(lines));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = if column + 1 == HEADINGS.len() { 0 } else { widths[column] + 2 };
            let _ = write!(text, "{cell:width$}"); // a String takes everything
        }
        text.push('\n');
    }
    text
}

fn lines(route: &Route) -> Vec<[String; 8]> {
    let line = |method: &str, scope: &str, csrf: &str, rate: &str| {
        let slash = match route.slash {
            Slash::Exact => "exact",
            Slash::Optional => "optional",
            Slash::Redirect => "redirect",
        };
        let who = match route.who {
            Who::Public => "public",
            Who::Anyone => "anyone",
            Who::Staff => "staff",
        };
        [method, route.pattern.as_str(), slash, route.name, who, scope, csrf, rate].map(str::to_owned)
    };
    let websocket = route.is_websocket().then(|| line("WEBSOCKET", "-", "origin", "handshakes"));
    let sse = route.sse.map(|_| line("SSE", "-", "origin", "handshakes"));
    let endpoints = route.endpoints().map(|(method, endpoint)| {
        let (csrf, rate) = (csrf(endpoint, method.is_safe()), rate(endpoint, method.is_safe()));
        let by_address = match route.request_kind(&method) {
            RequestKind::Page => "requests",
            RequestKind::File => "files",
            RequestKind::Api => "api",
            RequestKind::Probe => "-",
        };
        let rates = [by_address, rate].into_iter().filter(|rate| *rate != "-").collect::<Vec<_>>();
        let rates = if rates.is_empty() { "-".to_owned() } else { rates.join(",") };
        line(method.as_str(), endpoint.scope.unwrap_or("-"), csrf, &rates)
    });
    websocket.into_iter().chain(sse).chain(endpoints).collect()
}

fn csrf(endpoint: &Endpoint, is_safe: bool) -> &'static str {
    match endpoint.csrf {
        Csrf::Origin => "origin",
        Csrf::Token | Csrf::SessionToken if is_safe => "-",
        Csrf::Token => "token",
        Csrf::SessionToken => "session-token",
        Csrf::Off(_) => "off",
    }
}

fn rate(endpoint: &Endpoint, is_safe: bool) -> &'static str {
    match endpoint.rate {
        Rate::ByMethod if is_safe => "-",
        Rate::ByMethod | Rate::Messages => "messages",
        Rate::Publishes => "publishes",
        Rate::PublishesPerItem => "publishes-per-item",
        Rate::Names => "names",
        Rate::Logins => "logins",
        Rate::Unlimited(_) => "-",
    }
}
