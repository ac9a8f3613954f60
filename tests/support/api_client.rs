//! A client of the API: with a key, or, on a node that no command reaches, with an operator's
//! session.

use serde_json::Value;

use super::backend::Backend;
use super::cli::key;
use super::deployment::{Deployment, LayerKind};
use super::http::Request;
use super::node::Node;
use super::user::{CSRF, User, password};

const OPERATOR: &str = "operator";

#[derive(Clone, Debug)]
pub struct ApiClient {
    /// The headers of every request.
    headers: Vec<(String, String)>,
    /// The name under which it acts: `#billing`.
    pub name: String,
}

impl ApiClient {
    /// Sends this as its key.
    pub fn with_bearer(key: &str) -> Self {
        let headers = vec![("Authorization".to_owned(), format!("Bearer {key}"))];
        Self { headers, name: String::new() }
    }

    /// With a new key that has these scopes, as in `publish,read`.
    pub async fn with_key(redis: &impl Backend, name: &str, scopes: &str) -> Self {
        let key = key(redis, name, scopes).await;
        Self { name: format!("#{name}"), ..Self::with_bearer(&key) }
    }

    /// A page of the site in the browser of a user with a session.
    pub fn from_session(user: &User) -> Self {
        let token = user.cookie(CSRF).expect("a token with the login").to_owned();
        let headers = vec![("Cookie".to_owned(), user.cookies()), ("X-CSRFToken".to_owned(), token)];
        Self { headers, name: user.name.clone() }
    }

    /// Without this header.
    pub fn without(mut self, header: &str) -> Self {
        self.headers.retain(|(name, _)| name != header);
        self
    }

    /// Any request with the client's headers.
    pub fn request(&self, method: &str, target: &str) -> Request {
        let request = Request::new(method, target);
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    pub fn get(&self, target: &str) -> Request {
        self.request("GET", target)
    }

    pub fn post(&self, target: &str, body: &Value) -> Request {
        self.request("POST", target).header("Content-Type", "application/json").body(body.to_string())
    }
}

/// Starts a deployment and a client with every permission.
pub async fn site(layer: LayerKind) -> (Deployment, ApiClient) {
    if layer != LayerKind::Memory {
        let deployment = Deployment::start(layer).await;
        let redis = deployment.redis.as_ref().expect("a Redis");
        let api = ApiClient::with_key(redis, "billing", "publish,read,disconnect").await;
        return (deployment, api);
    }
    let plan =
        Node::plan().env("PARLOR_OPERATOR", OPERATOR).env("PARLOR_OPERATOR_PASSWORD", &password(OPERATOR));
    let deployment = Deployment { nodes: vec![plan.start().await], redis: None };
    let api = ApiClient::from_session(&User::logged_in(deployment.first(), OPERATOR).await);
    (deployment, api)
}
