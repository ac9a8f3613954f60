//! The composition root: creates and owns the services of a node.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cookie::Key as CookieKey;
use once_cell::sync::OnceCell;
use tracing::debug;

use crate::app::Application;
use crate::auth::authenticator::Authenticator;
use crate::auth::cookie_names::CookieNames;
use crate::auth::jwt::Verifier;
use crate::config::Config;
use crate::http::context::Context;
use crate::layer::{Layer, LayerListener, Retention};
use crate::limits::Limits;
use crate::realtime::hub::Hub;
use crate::realtime::intervals::Intervals;
use crate::realtime::listener::NodeListener;
use crate::realtime::runtime::Realtime;
use crate::server::routes::Routes;
use crate::server::state::State;
use crate::start_error::StartError;
use crate::telemetry::{Chain, METRICS};

/// Creates the services of a node that is connected to its layer.
///
/// # Errors
/// Returns [`StartError`] when the routes are ambiguous, a key of tokens is invalid, or the layer
/// is unreachable.
pub(crate) async fn build(config: Config, application: Application) -> Result<Arc<State>, StartError> {
    let routes = Routes(application.routes);
    routes.check()?;
    for route in application.routes {
        METRICS.add_route(route.name);
    }
    let tokens = Verifier::new(&config.tokens)?;
    let limits = Arc::new(Limits::new(config.limits, Duration::from_secs(config.log_seconds as u64)));
    let hub = Arc::new(Hub::default());
    let node_listener = Arc::new(NodeListener {
        hub: Arc::clone(&hub),
        realtime: OnceCell::new(),
        has_asked: AtomicBool::new(false),
    });
    let listener = Arc::clone(&node_listener) as Arc<dyn LayerListener>;
    let retention = Retention {
        messages: config.log_messages,
        bytes: config.log_bytes,
        age: Duration::from_secs(config.log_seconds as u64),
        replicas: config.wait_replicas,
    };
    let layer = Arc::new(match config.redis_url() {
        None => Layer::memory(retention, listener),
        Some(url) => {
            Layer::redis(
                url,
                config.redis_prefix(),
                config.channels_prefix(),
                application.renamed_records,
                config.wait_for_redis,
                retention,
                listener,
            )
            .await?
        }
    });
    let key = config.auth.secret().map(|secret| CookieKey::derive_from(secret.bytes()));
    let session_ttl = Duration::from_hours(24) * config.auth.session_days;
    let auth =
        Authenticator::new(Arc::clone(&layer), tokens, CookieNames::new(config.name), key, session_ttl);
    let node = Arc::new(Context::new(config, application.site(), layer, limits, auth));
    let realtime = Arc::new(Realtime { context: Arc::clone(&node), hub, intervals: Intervals::default() });
    let _ = node_listener.realtime.set(Arc::downgrade(&realtime)); // set only here
    if let Err(error) = node.key().await {
        debug!(error = %Chain(&error), "guests are given cookies when the layer is there");
    }
    Ok(Arc::new(State { context: node, realtime, routes }))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::auth::identity::Identity;
    use crate::cli::arguments::Arguments;
    use crate::config::app_settings::AppSettings;
    use crate::layer::{Appended, Broker as _, Control as _, HistoryRange};
    use crate::realtime::client::Client;
    use crate::realtime::ephemeral_rate::EphemeralRate;
    use crate::realtime::log_position::Kept;
    use crate::wire::event::Event;
    use crate::wire::group::Group;

    async fn node() -> Arc<State> {
        let application = Application {
            name: "parlor",
            about: "",
            settings: AppSettings::none(),
            routes: &[],
            assets: |_| None,
            languages: &["en"],
            api_prefixes: &[],
            scopes: &[],
            renamed_records: &[],
        };
        build(Arguments::parse_from([""]).config, application).await.unwrap()
    }

    #[tokio::test]
    async fn a_retry_by_another_connection_with_another_info_is_a_duplicate() {
        let node = node().await;
        let (group, identity, ephemerals) =
            (Group::new("group"), Identity::anonymous(), EphemeralRate::default());
        let append = async |text: &str, connection| {
            let client = Client {
                context: &node.context,
                identity: &identity,
                group: &group,
                ephemerals: &ephemerals,
                kept: Kept::ALL,
                lists_connections: false,
                connection: Some(connection),
            };
            client.append(&Event::new("test").with("text", text), Some("once")).await.unwrap()
        };
        let Appended::New(id, offset) = append("hi", ("first", Some("1"))).await else { panic!("it is new") };
        for again in [("first", Some("1")), ("first", Some("2")), ("second", Some("1")), ("second", None)] {
            assert_eq!(append("hi", again).await, Appended::Duplicate(id, offset), "{again:?}");
        }
        assert_eq!(append("ho", ("first", Some("1"))).await, Appended::Conflict);
        let page = node.context.layer().history(&group, HistoryRange::Before(None, 9)).await.unwrap();
        let event = &page.events[0];
        assert_eq!((event.text("client"), event.text("chan_info")), (Some("first"), Some("1")));
    }

    async fn published(node: &State) -> u64 {
        let nodes = node.context.layer().nodes().await.unwrap();
        assert_eq!(nodes.len(), 1, "{nodes:?}");
        nodes[0].published
    }

    #[tokio::test]
    async fn two_nodes_in_one_process_report_their_own_figures() {
        let (busy, idle) = (node().await, node().await);
        let (group, event) = (Group::new("group"), Event::new("test"));
        busy.context.publish(&group, &event).await.unwrap();
        busy.context.append(&group, &event, None).await.unwrap();
        assert_eq!((published(&busy).await, published(&idle).await), (2, 0));
    }
}
