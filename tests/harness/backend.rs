//! Another program that uses the API of a site: with a key, or, on a node that no command reaches, as its operator.

use std::process::Command;

use serde_json::Value;

use super::http::{Answer, Request};
use super::node::Node;
use super::process::Process;
use super::redis::Redis;
use super::wait::PATIENCE;
use super::world::{Layer, World};

/// Whose password is what every [`command`] gets as one.
pub const OPERATOR: &str = "operator";
const PASSWORD: &str = "a password that everybody may know";

#[derive(Clone, Debug)]
pub struct Backend {
    /// What comes with each request.
    headers: Vec<(String, String)>,
    /// How its name begins and ends: `#billing`.
    pub name: String,
}

impl Backend {
    /// Shows this as its key, whatever it is.
    pub fn showing(key: &str) -> Self {
        let headers = vec![("Authorization".to_owned(), format!("Bearer {key}"))];
        Self { headers, name: String::new() }
    }

    /// With a new key that has these scopes, as `publish,read`.
    pub async fn with_key(redis: &Redis, name: &str, scopes: &str) -> Self {
        let printed = command(redis, &["key", "add", name, "--scope", scopes]).await;
        Self { name: format!("#{name}"), ..Self::showing(printed.trim()) }
    }

    /// The account [`OPERATOR`], logged in.
    pub async fn operator(node: &Node) -> Self {
        let page = Request::get("/accounts/login/").send(node).await;
        let pair = |answer: &Answer, name: &str| answer.cookie(name).split(';').next().map(str::to_owned);
        let token = pair(&page, "csrftoken").expect("a cookie");
        let token = token.split_once('=').expect("a cookie").1;
        let form =
            format!("name={OPERATOR}&password={PASSWORD}&csrfmiddlewaretoken={token}").replace(' ', "+");
        let request = Request::post("/accounts/login/").header("Cookie", &format!("csrftoken={token}"));
        let answer =
            request.header("Content-Type", "application/x-www-form-urlencoded").body(form).send(node).await;
        assert_eq!(answer.status, 303, "the operator logs in: {answer:?}");
        let (login, csrf) = (pair(&answer, "parlor_session"), pair(&answer, "csrftoken"));
        let (login, csrf) = login.zip(csrf).expect("two cookies");
        let token = csrf.split_once('=').expect("a cookie").1.to_owned();
        let headers =
            vec![("Cookie".to_owned(), format!("{login}; {csrf}")), ("X-CSRFToken".to_owned(), token)];
        Self { headers, name: OPERATOR.to_owned() }
    }

    /// Without what this header says.
    pub fn without(mut self, header: &str) -> Self {
        self.headers.retain(|(name, _)| name != header);
        self
    }

    /// Any request, as this program sends it.
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

/// A site with a program that may do everything there.
pub async fn site(layer: Layer) -> (World, Backend) {
    if layer == Layer::Redis {
        let world = World::on(layer).await;
        let redis = world.redis.as_ref().expect("a Redis");
        let backend = Backend::with_key(redis, "billing", "publish,read,disconnect").await;
        return (world, backend);
    }
    let plan = Node::plan().env("PARLOR_OPERATOR", OPERATOR).env("PARLOR_OPERATOR_PASSWORD", PASSWORD);
    let world = World { nodes: vec![plan.start().await], redis: None };
    let backend = Backend::operator(world.near()).await;
    (world, backend)
}

/// Runs `parlor` with these words beside the site: its stdout.
pub async fn command(redis: &Redis, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
    command.env_clear().env("REDIS_URL", redis.url()).env("PARLOR_PASSWORD", PASSWORD).args(words);
    let mut process = Process::spawn("parlor", &mut command);
    let status = process.exit(PATIENCE).await;
    assert!(status.success(), "parlor {words:?} ended with {status}: {}", process.stderr.text());
    process.stdout.text()
}
