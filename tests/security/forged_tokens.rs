//! Forged tokens: unsigned, signed by another key, or issued for another audience or time.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::handshake::Handshake;
use crate::support::http::Request;
use crate::support::jwt_keys::{KeyPair, claims, part, time, token, unsigned, with};
use crate::support::node::{Node, Plan};

/// The responses to a bearer of this token, over HTTP and on a socket.
pub async fn statuses(node: &Node, token: &str) -> (u16, u16) {
    let request = Request::get("/chat/lobby/").header("Authorization", &format!("Bearer {token}"));
    let page = request.send(node).await.status;
    let socket = Handshake::to_room("lobby").token(token).request().send(node).await;
    let chosen = socket.header("sec-websocket-protocol").unwrap_or_default();
    assert!(!chosen.contains("parlor.token"), "a token is never echoed: {socket:?}");
    (page, socket.status)
}

pub async fn rejected(node: &Node, what: &str, token: &str) {
    assert_eq!(statuses(node, token).await, (401, 403), "{what}: {token:.200}");
}

pub async fn accepted(node: &Node, what: &str, token: &str) {
    assert_eq!(statuses(node, token).await, (200, 101), "{what}: {token:.200}");
}

pub fn plan(pair: &KeyPair) -> Plan {
    let algorithm = format!("{:?}", pair.algorithm);
    Node::plan()
        .flag("--token-key-file", pair.file().to_str().expect("a path in UTF-8"))
        .flag("--token-algorithm", &algorithm)
}

fn hmac(head: &Value, claims: &Value, secret: &[u8]) -> String {
    token(head, claims, &EncodingKey::from_secret(secret), Algorithm::HS256)
}

#[tokio::test]
async fn an_unsigned_token_is_rejected() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let pair = KeyPair::for_algorithm(algorithm);
        let node = plan(&pair).start().await;
        let (ann, name) = (claims("ann"), format!("{algorithm:?}"));
        accepted(&node, &name, &pair.token(&ann)).await;
        for none in ["none", "None", "NONE", "nOnE", "", "null"] {
            rejected(&node, none, &unsigned(&json!({ "alg": none, "typ": "JWT" }), &ann)).await;
        }
        for head in
            [json!({}), json!({ "alg": null }), json!({ "alg": [] }), json!({ "typ": "JWT" }), json!([])]
        {
            rejected(&node, "no algorithm", &unsigned(&head, &ann)).await;
        }
        let good = pair.token(&ann);
        let (message, signature) = good.rsplit_once('.').expect("a token");
        for (what, forged) in [
            ("no signature", format!("{message}.")),
            ("no third part", message.to_owned()),
            ("four parts", format!("{good}.{signature}")),
            ("a signature of zeros", format!("{message}.{}", "A".repeat(signature.len()))),
            ("half a signature", format!("{message}.{}", &signature[..signature.len() / 2])),
            ("another's claims", good.replace(&part(&ann), &part(&claims("eve")))),
            ("nothing", String::new()),
            ("dots", "..".to_owned()),
            ("no base64", "a*b.c*d.e*f".to_owned()),
            ("a hundred parts", "e30.".repeat(100)),
        ] {
            rejected(&node, what, &forged).await;
        }
    }
}

#[tokio::test]
async fn a_token_cannot_choose_its_key_or_algorithm() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let pair = KeyPair::for_algorithm(algorithm);
        let node = plan(&pair).start().await;
        let (ann, name) = (claims("ann"), format!("{algorithm:?}"));
        let pem = pair.public();
        let trimmed = String::from_utf8_lossy(&pem).trim().as_bytes().to_vec();
        for secret in [pem, trimmed, pair.der(), Vec::new(), b"secret".to_vec()] {
            for sent in ["HS256", "HS384", "hs256", &name] {
                rejected(&node, sent, &hmac(&json!({ "alg": sent, "typ": "JWT" }), &ann, &secret)).await;
            }
        }
        let other = if algorithm == Algorithm::RS256 {
            KeyPair::unknown_to_nodes()
        } else {
            KeyPair::for_algorithm(Algorithm::RS256)
        };
        let head = |more: Value| with(&json!({ "alg": name, "typ": "JWT" }), &more);
        for (what, more) in [
            ("another's key", json!({})),
            ("a key within", json!({ "jwk": { "kty": "oct", "k": part(&json!("x")) } })),
            ("an address of keys", json!({ "jku": "http://evil.example/keys.json" })),
            ("an address of a certificate", json!({ "x5u": "file:///etc/passwd" })),
            ("a certificate", json!({ "x5c": ["MIIB"] })),
            ("the name of a file", json!({ "kid": "../../../../dev/null" })),
        ] {
            rejected(&node, what, &other.signed(&head(more), &ann)).await;
        }
        for other in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
            .into_iter()
            .filter(|other| *other != algorithm)
        {
            rejected(&node, "another algorithm", &KeyPair::for_algorithm(other).token(&ann)).await;
        }
    }
}

#[tokio::test]
async fn a_token_of_another_time_audience_or_issuer_is_rejected() {
    let pair = KeyPair::for_algorithm(Algorithm::EdDSA);
    let strict =
        plan(&pair).flag("--token-audience", "parlor").flag("--token-issuer", "https://issuer.example");
    let strict = strict.start().await;
    let good = with(&claims("ann"), &json!({ "aud": "parlor", "iss": "https://issuer.example" }));
    accepted(&strict, "good", &pair.token(&good)).await;
    accepted(
        &strict,
        "one audience of two",
        &pair.token(&with(&good, &json!({ "aud": ["other", "parlor"] }))),
    )
    .await;
    accepted(&strict, "within the leeway", &pair.token(&with(&good, &json!({ "exp": time(-1) })))).await;
    for (what, others) in [
        ("expired", json!({ "exp": time(-30) })),
        ("expired long ago", json!({ "exp": 0 })),
        ("before 1970", json!({ "exp": -1 })),
        ("without an end", json!({ "exp": null })),
        ("an end in words", json!({ "exp": "tomorrow" })),
        ("an end in a text", json!({ "exp": time(300).to_string() })),
        ("an end in a list", json!({ "exp": [time(300)] })),
        ("not yet", json!({ "nbf": time(120) })),
        ("another audience", json!({ "aud": "other" })),
        ("a similar audience", json!({ "aud": "parlor.evil.example" })),
        ("other audiences", json!({ "aud": ["other", "PARLOR"] })),
        ("no audience", json!({ "aud": null })),
        ("an empty list of audiences", json!({ "aud": [] })),
        ("another issuer", json!({ "iss": "https://issuer.example.evil" })),
        ("no issuer", json!({ "iss": null })),
        ("a list of issuers", json!({ "iss": ["https://other.example"] })),
    ] {
        rejected(&strict, what, &pair.token(&with(&good, &others))).await;
    }
    // Without a configured audience, a token with an audience is for another service.
    let loose = plan(&pair).start().await;
    accepted(&loose, "without an audience", &pair.token(&claims("ann"))).await;
    rejected(&loose, "for another", &pair.token(&with(&claims("ann"), &json!({ "aud": "other" })))).await;
}

/// Two public keys as a JWKS (RFC 7517): `one` for EdDSA, `two` for ES256.
fn key_set() -> Value {
    let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (ed, ec) =
        (KeyPair::for_algorithm(Algorithm::EdDSA).der(), KeyPair::for_algorithm(Algorithm::ES256).der());
    let (ed, (x, y)) = (&ed[ed.len() - 32..], ec[ec.len() - 64..].split_at(32));
    json!({ "keys": [
        { "kty": "OKP", "kid": "one", "alg": "EdDSA", "use": "sig", "crv": "Ed25519", "x": base64(ed) },
        { "kty": "EC", "kid": "two", "alg": "ES256", "use": "sig", "crv": "P-256", "x": base64(x), "y": base64(y) },
    ] })
}

#[tokio::test]
async fn a_key_id_is_compared_and_never_fetched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("keys.json");
    fs::write(&file, key_set().to_string()).expect("a file of keys");
    // A file beside it whose contents the attacker knows.
    fs::write(folder.path().join("empty"), "").expect("a file");
    let node = Node::plan().flag("--token-jwks-file", file.to_str().expect("a path in UTF-8")).start().await;
    let ann = claims("ann");
    let (ed, ec) = (KeyPair::for_algorithm(Algorithm::EdDSA), KeyPair::for_algorithm(Algorithm::ES256));
    let head = |algorithm: &str, kid: &Value| json!({ "alg": algorithm, "typ": "JWT", "kid": kid });
    accepted(&node, "one", &ed.signed(&head("EdDSA", &json!("one")), &ann)).await;
    accepted(&node, "two", &ec.signed(&head("ES256", &json!("two")), &ann)).await;
    for kid in [
        "two",
        "ONE",
        "one ",
        "one\0",
        "",
        "*",
        "one,two",
        "0",
        "-1",
        "keys.json",
        "one'--",
        "${jndi:x}",
        "../one",
    ] {
        rejected(&node, kid, &ed.signed(&head("EdDSA", &json!(kid)), &ann)).await;
    }
    for kid in [json!(1), json!(["one"]), json!({ "kid": "one" }), json!(true)] {
        rejected(&node, "a key id that is no text", &ed.signed(&head("EdDSA", &kid), &ann)).await;
    }
    // Each key with the other key's algorithm.
    rejected(&node, "one as ES256", &ec.signed(&head("ES256", &json!("one")), &ann)).await;
    rejected(&node, "two as EdDSA", &ed.signed(&head("EdDSA", &json!("two")), &ann)).await;
    rejected(&node, "said to be ES256", &ed.signed(&head("ES256", &json!("one")), &ann)).await;
    for kid in
        ["/dev/null", "../../../../../../dev/null", "./empty", "file:///dev/null", "one", "two", "..%2fempty"]
    {
        for known in [&b""[..], b"\0", &ed.public(), &ed.der()[12..], &ec.der()] {
            rejected(&node, kid, &hmac(&head("HS256", &json!(kid)), &ann, known)).await;
        }
    }
    let critical = json!({ "alg": "EdDSA", "typ": "JWT", "kid": "one", "crit": ["exp"] });
    rejected(&node, "critical", &ed.signed(&critical, &ann)).await;
}

#[tokio::test]
async fn two_tokens_or_another_scheme_are_rejected() {
    let pair = KeyPair::for_algorithm(Algorithm::EdDSA);
    let node = plan(&pair).start().await;
    let good = format!("Bearer {}", pair.token(&claims("ann")));
    let page = || Request::get("/chat/lobby/").header("Authorization", &good);
    assert_eq!(page().send(&node).await.status, 200);
    for second in [good.as_str(), "Bearer x", "Basic eDp4", ""] {
        assert_eq!(page().header("Authorization", second).send(&node).await.status, 401, "and {second:.20}");
    }
    for scheme in ["Basic", "Token", "Bearer:", "", "Bearer Bearer"] {
        let page = page().with("Authorization", &good.replacen("Bearer", scheme, 1));
        assert_eq!(page.send(&node).await.status, 401, "{scheme}");
    }
}
