//! A program that uses Centrifugo's server API.

use serde_json::Value;

use super::centrifugo::plan;
use super::cli;
use super::http::Request;
use super::node::{Node, Plan};
use super::redis::Redis;

/// A program with a key, and a node for it.
pub struct Program {
    pub node: Node,
    pub key: String,
}

impl Program {
    pub async fn start(redis: &Redis, scopes: &str) -> Self {
        Self::on(redis, &plan(), scopes).await
    }

    /// Starts a node by this plan on this Redis.
    pub async fn on(redis: &Redis, plan: &Plan, scopes: &str) -> Self {
        let name = scopes.replace(',', "-");
        Self { node: plan.clone().redis(redis).start().await, key: cli::key(redis, &name, scopes).await }
    }

    /// Calls a method, and returns its answer.
    pub async fn call(&self, method: &str, params: &Value) -> Value {
        self.call_raw(method, &params.to_string()).await
    }

    /// As [`call`](Self::call), with parameters as they are written.
    pub async fn call_raw(&self, method: &str, body: &str) -> Value {
        let request = Request::post(&format!("/centrifugo/api/{method}")).header("X-API-Key", &self.key);
        let answer = request.body(body).send(&self.node).await;
        assert_eq!(answer.status, 200, "{method} {body}: {answer:?}");
        answer.json()
    }

    /// Calls a method that succeeds, and returns its result.
    pub async fn result(&self, method: &str, params: &Value) -> Value {
        let mut answer = self.call(method, params).await;
        assert!(answer["result"].is_object(), "{method} {params}: {answer}");
        answer["result"].take()
    }

    /// Calls a method that fails, and returns the code of its error.
    pub async fn error(&self, method: &str, params: &Value) -> u64 {
        let answer = self.call(method, params).await;
        answer["error"]["code"].as_u64().unwrap_or_else(|| panic!("{method} {params}: {answer}"))
    }

    /// Calls `batch` with this many of a command, and returns their replies.
    pub async fn batch(&self, count: usize, command: &Value) -> Vec<Value> {
        self.replies(&serde_json::json!({ "commands": vec![command; count] })).await
    }

    /// Carries out these commands in a batch; each succeeds.
    pub async fn carry_out(&self, commands: &Value) {
        let replies = self.replies(&serde_json::json!({ "commands": commands })).await;
        assert!(replies.iter().all(|reply| reply["error"].is_null()), "{replies:?}");
    }

    /// Calls `batch`, and returns its replies.
    pub async fn replies(&self, params: &Value) -> Vec<Value> {
        let mut answer = self.call("batch", params).await;
        serde_json::from_value(answer["replies"].take())
            .unwrap_or_else(|error| panic!("{params}: {error}: {answer}"))
    }
}
