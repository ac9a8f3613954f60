//! A node in memory, which the requests of the targets reach.

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use clap::Parser as _;
use hyper::http::request::Parts;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use crate::app::Application;
use crate::auth::identity::Identity;
use crate::cli::arguments::Arguments;
use crate::config::app_settings::AppSettings;
use crate::http::client_address::ClientAddress;
use crate::http::connection::Connection;
use crate::http::context::Context;
use crate::http::params::Params;
use crate::http::request::Request;
use crate::limits::ConnectionSlot;
use crate::node;

const APPLICATION: Application = Application {
    name: "parlor",
    about: "",
    settings: AppSettings::none(),
    routes: &[],
    assets: |_| None,
    languages: &["zh", "en"],
    api_prefixes: &[],
    scopes: &[],
    renamed_records: &[],
};

struct MemoryNode {
    runtime: Runtime,
    node: Arc<Context>,
    stream: Connection,
}

static NODE: LazyLock<MemoryNode> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (node, stream) = runtime.block_on(async {
        let running =
            node::build(Arguments::parse_from([""]).config, APPLICATION).await.expect("memory is there");
        let node = Arc::clone(&running.context);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let tcp = TcpStream::connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
        tcp.set_nodelay(true).expect("it is TCP");
        (node, Connection::new(tcp, ConnectionSlot::for_test()))
    });
    MemoryNode { runtime, node, stream }
});

/// Returns the node.
pub(super) fn node() -> &'static Context {
    &NODE.node
}

/// Runs a future to completion.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    NODE.runtime.block_on(future)
}

/// Returns an anonymous client's request to the node.
pub(crate) fn request(parts: Parts, body: &str) -> Request {
    Request {
        context: Arc::clone(&NODE.node),
        stream: NODE.stream.clone(),
        peer: ClientAddress { address: Ipv4Addr::LOCALHOST.into(), secure: false },
        parts,
        params: Params::default(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        received_at: Instant::now(),
        identity: Arc::new(Identity::anonymous()),
        is_authenticated: true,
    }
}
