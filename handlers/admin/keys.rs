//! The page of API keys. A key itself is shown once, when it is made.

use minijinja::{Value, context};
use parlor::{Refusal, Request, Response, StatusCode, Username, rfc3339};

use super::{back, no_action, note};
use crate::scopes::SCOPES;

const PATH: &str = "/admin/keys/";

/// `GET /admin/keys/`.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    shown(&request, context! {}).await
}

async fn shown(request: &Request, more: Value) -> Result<Response, Refusal> {
    let keys = request.context().api_keys().all().await?;
    let keys: Vec<Value> = keys
        .into_iter()
        .map(|key| context! { id => key.id, name => key.name, scopes => key.scopes, made => rfc3339(key.made) })
        .collect();
    request.render("admin_keys.html", context! { keys, scopes => SCOPES, ..more })
}

/// Answers `POST /admin/keys/`: form `action`, either `make` (`name`, and `scope_publish` and the
/// like for each scope) or `revoke` (`name`).
pub(crate) async fn act(request: Request) -> Result<Response, Refusal> {
    let form = request.form();
    let (context, name) = (request.context(), form.get("name"));
    match form.get("action") {
        "make" => {
            let has = |scope: &&str| !form.get(&format!("scope_{scope}")).is_empty();
            let scopes: Vec<String> = SCOPES.into_iter().filter(has).map(str::to_owned).collect();
            if scopes.is_empty() || Username::parse(name).is_none() {
                let error = if scopes.is_empty() { "no_scope" } else { "bad_name" };
                let page = shown(&request, context! { error, name }).await?;
                return Ok(page.with_status(StatusCode::BAD_REQUEST));
            }
            let keys = context.api_keys();
            let made = if keys.is_free(name).await? {
                note(&request, "key_add", &format!("{}: {}", name.trim(), scopes.join(", "))).await?;
                keys.make(name, &scopes).await?
            } else {
                None
            };
            let Some((key, text)) = made else {
                let page = shown(&request, context! { error => "taken", name }).await?;
                return Ok(page.with_status(StatusCode::CONFLICT));
            };
            let page = shown(&request, context! { made => text, made_name => key.name }).await?;
            Ok(page.unstored())
        }
        "revoke" => {
            let key = context.api_keys().find_by_name(name).await?.ok_or_else(Refusal::not_found)?;
            note(&request, "key_revoke", &key.name).await?;
            // `None`: it was revoked meanwhile, and is gone all the same.
            context.revoke_key(&key).await?;
            Ok(back(PATH))
        }
        _ => Err(no_action()),
    }
}
