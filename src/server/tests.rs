//! Requests to a planted table, from the connection to the answer.

use std::net::Ipv4Addr;
use std::sync::Arc;

use clap::Parser as _;
use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::Application;
use crate::cli::arguments::Arguments;
use crate::config::app_settings::AppSettings;
use crate::handler;
use crate::http::request::Request;
use crate::http::response::{Refusal, Response};
use crate::node;
use crate::server::guards::{Csrf, Rate};
use crate::server::listener::Listener;
use crate::server::route::Route;
use crate::server::stage::Stage;

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyzABCDEF";

async fn change(_: Request) -> Result<Response, Refusal> {
    Ok(Response::text(StatusCode::OK, "changed"))
}

static ROUTES: &[Route] = &[
    Route::new("planted", "/planted").post(handler!(change)).delete(handler!(change)).get(handler!(change)),
    Route::new("unguarded", "/unguarded")
        .post(handler!(change).csrf(Csrf::Off("the sender signs it")).rate(Rate::Unlimited("for this test"))),
];

/// Serves the table, and returns the status of each request: method, path, headers and body.
async fn statuses(requests: &[(&str, &str, &str, &str)]) -> Vec<u16> {
    let application = Application {
        name: "parlor",
        about: "",
        settings: AppSettings::none(),
        routes: ROUTES,
        assets: |_| None,
        languages: &["en"],
        api_prefixes: &[],
        scopes: &[],
        renamed_records: &[],
    };
    let arguments = ["parlor", "--listen", "127.0.0.1:0", "--messages-per-second", "1"];
    let state = node::build(Arguments::parse_from(arguments).config, application).await.unwrap();
    let listener = Listener::bind(Arc::clone(&state)).unwrap();
    let port = listener.addresses().next().unwrap().port();
    let stopping = listener.serve();
    let mut statuses = Vec::new();
    for (method, path, headers, body) in requests {
        let mut tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        statuses.push(answer[9..12].parse().unwrap());
    }
    stopping.send_replace(Stage::Ending);
    statuses
}

#[tokio::test]
async fn a_route_requires_the_csrf_token_by_default() {
    let cookie = format!("Cookie: csrftoken={TOKEN}\r\n");
    let sent = format!("{cookie}X-CSRFToken: {TOKEN}\r\n");
    let foreign = format!("{sent}Origin: http://evil.example\r\n");
    let field = format!("csrfmiddlewaretoken={TOKEN}");
    let got = statuses(&[
        ("POST", "/planted", "", ""),
        ("DELETE", "/planted", "", ""),
        ("POST", "/planted", &cookie, ""),
        ("POST", "/planted", &foreign, ""),
        ("POST", "/planted", &sent, ""),
        ("POST", "/planted", &cookie, &field),
        ("GET", "/planted", "", ""),
        ("POST", "/unguarded", "", ""),
    ])
    .await;
    assert_eq!(got, [403, 403, 403, 403, 200, 200, 200, 200]);
}

#[tokio::test]
async fn a_route_is_rate_limited_by_default() {
    let sent = format!("Cookie: csrftoken={TOKEN}\r\nX-CSRFToken: {TOKEN}\r\n");
    let planted = [("POST", "/planted", sent.as_str(), ""); 20];
    assert!(statuses(&planted).await.contains(&429));
    let unguarded = [("POST", "/unguarded", "", ""); 20];
    assert_eq!(statuses(&unguarded).await, [200; 20]);
}
