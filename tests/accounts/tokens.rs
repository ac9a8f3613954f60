//! Bearer tokens: whom a token may name, and that no cookie replaces a rejected token.

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::security::forged_tokens::{accepted, plan, rejected};
use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::jwt_keys::{KeyPair, claims, with};
use crate::support::redis::Redis;
use crate::support::redis_snapshot::vault;
use crate::support::user::User;

#[tokio::test]
async fn a_token_needs_a_text_of_1_to_255_bytes_as_its_sub() {
    let pair = KeyPair::for_algorithm(Algorithm::EdDSA);
    let node = plan(&pair).start().await;
    for sub in [
        json!(""),
        json!("b".repeat(256)),
        json!("\u{e9}".repeat(128)),
        json!(null),
        json!(5),
        json!(["bob"]),
        json!({ "name": "bob" }),
        json!(true),
    ] {
        rejected(&node, "no sub", &pair.token(&with(&claims("x"), &json!({ "sub": sub })))).await;
    }
    for sub in ["bob", "auth0|5f7c", "b".repeat(255).as_str()] {
        accepted(&node, sub, &pair.token(&claims(sub))).await;
    }
    // A token's claims make no operator.
    let staff =
        pair.token(&with(&claims("eve"), &json!({ "staff": true, "is_staff": true, "scope": "admin" })));
    accepted(&node, "eve", &staff).await;
    let admin = Request::get("/admin/").header("Authorization", &format!("Bearer {staff}"));
    assert_eq!(admin.send(&node).await.status, 404);
}

#[tokio::test]
async fn tokens_are_neither_logged_nor_stored() {
    let pair = KeyPair::for_algorithm(Algorithm::EdDSA);
    let redis = Redis::start().await;
    let node = plan(&pair).redis(&redis).flag("--log-level", "trace").start().await;
    let good = pair.token(&claims("ann"));
    accepted(&node, "ann", &good).await;
    let bad = pair.token(&with(&claims("ann"), &json!({ "exp": 1 })));
    rejected(&node, "ann", &bad).await;
    drop(Handshake::to_room("lobby").token(&good).connect(&node).await);
    let key = "plk_0123456789abcdef_0123456789012345678901234567890123456789012";
    let asked =
        Request::get("/api/rooms").header("Authorization", &format!("Bearer {key}")).send(&node).await;
    assert_eq!(asked.status, 401, "{asked:?}");
    let mut kept = node.log().text();
    for (name, dump) in vault(&redis).await {
        kept.extend([&*name, " ", &*String::from_utf8_lossy(&dump)]);
    }
    for token in [&good, &bad, key] {
        let secret = token.rsplit(['.', '_']).next().expect("a secret part");
        assert!(!kept.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_rejected_token_does_not_fall_back_to_a_cookie_or_a_guest() {
    let pair = KeyPair::for_algorithm(Algorithm::EdDSA);
    let node = plan(&pair).start().await;
    let ann = User::registered(&node, "ann").await;
    let own = format!("http://{}", node.address());
    for bad in
        ["x", "plk_x", "plk_0123456789abcdef_x", &pair.token(&with(&claims("bob"), &json!({ "exp": 0 })))]
    {
        let bearer = format!("Bearer {bad}");
        for request in [
            Request::get("/chat/lobby/"),
            Request::post("/chat/lobby/messages").body(r#"{"message": "hi"}"#),
            Request::post("/push?room=lobby").body(""),
            Request::get("/sse/chat/lobby/"),
            Request::get("/api/rooms"),
        ] {
            let request = request.header("Authorization", &bearer).header("Origin", &own);
            let response = ann.with_cookies(request).send(&node).await;
            // An event stream is rejected like a socket.
            assert!(matches!(response.status, 401 | 403), "{bad:.40}: {response:?}");
        }
        for path in ["/ws/chat/lobby/", "/ws/push/lobby"] {
            let request = Request::upgrade(path).header("Authorization", &bearer).header("Origin", &own);
            assert_eq!(ann.with_cookies(request).send(&node).await.status, 403, "{path} {bad:.40}");
            let token = format!("parlor.v1, parlor.token.{bad}");
            let request =
                Request::upgrade(path).header("Sec-WebSocket-Protocol", &token).header("Origin", &own);
            assert_eq!(ann.with_cookies(request).send(&node).await.status, 403, "{path} {bad:.40}");
        }
    }
}
