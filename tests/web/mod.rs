//! HTTP: routing, headers, limits of requests, pages and redirects.

mod http;
mod pages;
mod redirects;
mod request_limits;
