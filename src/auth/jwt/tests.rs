//! Valid tokens, and attacks on their verification.

use std::path::{Path, PathBuf};

use clap::Parser;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use super::*;
use crate::telemetry::Chain;

const SECRET: &str = "0123456789abcdefghijklmnopqrstuv";

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    tokens: Tokens,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys").join(name)
}

fn verifier(flags: &[&str]) -> Result<Verifier, String> {
    let mut tokens = Settings::try_parse_from([&["parlor"], flags].concat()).unwrap().tokens;
    tokens.read_secret().map_err(|error| Chain(&error).to_string())?;
    Ok(Verifier::new(&tokens).map_err(|error| Chain(&error).to_string())?.expect("a verifier"))
}

/// A verifier with the key in this file, and further flags.
fn with_key(file: &Path, algorithm: &str, flags: &[&str]) -> Result<Verifier, String> {
    let key = ["--token-key-file", file.to_str().unwrap(), "--token-algorithm", algorithm];
    verifier(&[&key, flags].concat())
}

fn with_secret(secret: &[u8], flags: &[&str]) -> Result<Verifier, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secret).unwrap();
    with_key(file.path(), "HS256", flags)
}

fn private(algorithm: Algorithm) -> EncodingKey {
    let pem = |name: &str| std::fs::read(fixture(name)).unwrap();
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem("rsa.pem")).unwrap(),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem("ec.pem")).unwrap(),
        Algorithm::EdDSA => EncodingKey::from_ed_pem(&pem("ed.pem")).unwrap(),
        _ => EncodingKey::from_secret(SECRET.as_bytes()),
    }
}

/// A good token's claims with these besides, or instead; `null` takes one away.
fn claims(other: &Value) -> Value {
    let mut claims = json!({ "sub": "alice", "exp": get_current_timestamp() + 60 });
    for (name, value) in other.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// The claims of a token of this user with nothing else.
fn claims_of(sub: &str) -> Claims {
    Claims {
        sub: sub.to_owned(),
        iss: String::new(),
        name: None,
        channels: BTreeSet::new(),
        info: None,
        exp: None,
    }
}

fn signed(algorithm: Algorithm, kid: Option<&str>, other: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, &claims(other), &private(algorithm)).unwrap()
}

fn hs256(other: &Value) -> String {
    signed(Algorithm::HS256, None, other)
}

/// A JWKS with these keys: their ids, and what is changed of each.
fn jwks(keys: &[(Algorithm, Value)]) -> Result<Verifier, String> {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(algorithm, changes)| {
            let jwk = Jwk::from_encoding_key(&private(*algorithm), *algorithm).unwrap();
            let mut jwk = serde_json::to_value(jwk).unwrap();
            for (name, value) in changes.as_object().unwrap() {
                jwk[name] = value.clone();
            }
            jwk.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            jwk
        })
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "keys": keys }).to_string()).unwrap();
    verifier(&["--token-jwks-file", file.path().to_str().unwrap()])
}

#[test]
fn a_good_token_of_each_algorithm_is_believed() {
    let keys = [("RS256", "rsa.pub.pem"), ("ES256", "ec.pub.pem"), ("EdDSA", "ed.pub.pem")];
    for (name, file) in keys {
        let algorithm: Algorithm = name.parse().unwrap();
        let token = signed(algorithm, Some("whatever"), &json!({ "exp": 4_000_000_000_u64 }));
        let verifier = with_key(&fixture(file), name, &[]).unwrap();
        let expected = Claims { exp: Some(4_000_000_000), ..claims_of("alice") };
        assert_eq!(verifier.verify(&token), Ok(expected), "{name}");
        let (body, signature) = token.rsplit_once('.').unwrap();
        let other = hs256(&json!({}));
        assert_eq!(verifier.verify(&format!("{body}.")), Err(TokenError::Signature), "{name}");
        assert_eq!(verifier.verify(&other), Err(TokenError::Algorithm), "{name}");
        let changed = encode(&Header::new(algorithm), &claims(&json!({ "sub": "eve" })), &private(algorithm));
        let changed = changed.unwrap();
        let body = changed.rsplit_once('.').unwrap().0;
        assert_eq!(verifier.verify(&format!("{body}.{signature}")), Err(TokenError::Signature), "{name}");
    }
    let verifier = with_secret(SECRET.as_bytes(), &[]).unwrap();
    assert_eq!(verifier.verify(&hs256(&json!({}))).unwrap().sub, "alice");
}

#[test]
fn a_token_does_not_choose_its_algorithm() {
    use base64_of as part;
    let verifier = with_key(&fixture("rsa.pub.pem"), "RS256", &[]).unwrap();
    let body = part(&claims(&json!({})));
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let token = format!("{}.{body}.", part(&json!({ "alg": alg, "typ": "JWT" })));
        assert_eq!(verifier.verify(&token), Err(TokenError::Malformed), "{alg}");
    }
    // HMAC with the public key, as it stands in its file and without the line break at its end.
    let pem = std::fs::read_to_string(fixture("rsa.pub.pem")).unwrap();
    for secret in [pem.as_str(), pem.trim_end()] {
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&Header::new(Algorithm::HS256), &claims(&json!({})), &key).unwrap();
        assert_eq!(verifier.verify(&token), Err(TokenError::Algorithm));
    }
    let other = EncodingKey::from_rsa_pem(&std::fs::read(fixture("other_rsa.pem")).unwrap()).unwrap();
    let token = encode(&Header::new(Algorithm::RS256), &claims(&json!({})), &other).unwrap();
    assert_eq!(verifier.verify(&token), Err(TokenError::Signature));
    let stronger = encode(&Header::new(Algorithm::RS512), &claims(&json!({})), &private(Algorithm::RS256));
    assert_eq!(verifier.verify(&stronger.unwrap()), Err(TokenError::Algorithm));
}

/// A part of a token that is made by hand.
fn base64_of(value: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = encode(&Header::default(), value, &key).unwrap();
    token.split('.').nth(1).unwrap().to_owned()
}

#[test]
fn times_of_tokens_are_checked_with_leeway() {
    let verifier = with_secret(SECRET.as_bytes(), &[]).unwrap();
    let now = get_current_timestamp();
    for (times, expected) in [
        (json!({ "exp": now - 2 }), None),
        (json!({ "exp": now - 10 }), Some(TokenError::Expired)),
        (json!({ "exp": 0 }), Some(TokenError::Expired)),
        (json!({ "exp": null }), Some(TokenError::Endless)),
        (json!({ "exp": "4000000000" }), Some(TokenError::Claims)),
        (json!({ "exp": -1 }), Some(TokenError::Endless)),
        (json!({ "exp": 4_000_000_000.5 }), None),
        (json!({ "exp": u64::MAX }), None),
        (json!({ "nbf": now + 2 }), None),
        (json!({ "nbf": now - 100 }), None),
        (json!({ "nbf": now + 60 }), Some(TokenError::Early)),
        (json!({ "nbf": "soon" }), Some(TokenError::Claims)),
        (json!({ "sub": null }), Some(TokenError::Subject)),
        (json!({ "sub": "" }), Some(TokenError::Subject)),
        (json!({ "channel": "news" }), Some(TokenError::Kind)),
        (json!({ "channels": ["a"], "subs": { "b": {} } }), None),
        (json!({ "channels": "a" }), Some(TokenError::Claims)),
        (json!({ "subs": { "a": { "info": 1 } } }), Some(TokenError::Claims)),
        (json!({ "sub": ["alice"] }), Some(TokenError::Claims)),
    ] {
        assert_eq!(verifier.verify(&hs256(&times)).err(), expected, "{times}");
    }
    assert_eq!(verifier.verify(&hs256(&json!({ "exp": u64::MAX }))).unwrap().exp, Some(MAX_TIME_SECONDS));
}

#[test]
fn a_token_for_another_audience_is_rejected() {
    let verifier =
        with_secret(SECRET.as_bytes(), &["--token-audience", "us", "--token-issuer", "them"]).unwrap();
    for (other, expected) in [
        (json!({ "aud": "us", "iss": "them" }), None),
        (json!({ "aud": ["others", "us"], "iss": "them" }), None),
        (json!({ "aud": "others", "iss": "them" }), Some(TokenError::Audience)),
        (json!({ "aud": [], "iss": "them" }), Some(TokenError::Audience)),
        (json!({ "aud": 7, "iss": "them" }), Some(TokenError::Audience)),
        (json!({ "iss": "them" }), Some(TokenError::Audience)),
        (json!({ "aud": "us", "iss": "others" }), Some(TokenError::Issuer)),
        (json!({ "aud": "us" }), Some(TokenError::Issuer)),
    ] {
        assert_eq!(verifier.verify(&hs256(&other)).err(), expected, "{other}");
    }
    let anybodys = with_secret(SECRET.as_bytes(), &[]).unwrap();
    for audience in [json!("us"), json!(["us"]), json!([]), json!(7), json!({})] {
        let token = hs256(&json!({ "aud": audience }));
        assert_eq!(anybodys.verify(&token), Err(TokenError::Audience), "{audience}: none is expected");
    }
}

#[test]
fn a_key_id_is_compared_with_the_keys_of_the_file_only() {
    let (rs, es, ed) = (Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA);
    let keys = [(rs, json!({ "kid": "a" })), (es, json!({ "kid": "b", "alg": null })), (ed, json!({}))];
    let verifier = jwks(&keys).unwrap();
    for (algorithm, kid, expected) in [
        (rs, Some("a"), None),
        (es, Some("b"), None),
        (rs, None, None),
        (ed, None, None),
        (ed, Some("a"), Some(TokenError::Algorithm)),
        (rs, Some("b"), Some(TokenError::Algorithm)),
        (rs, Some("../../etc/passwd"), Some(TokenError::Key)),
        (rs, Some(""), Some(TokenError::Key)),
        (rs, Some("A"), Some(TokenError::Key)),
        (rs, Some("a\0"), Some(TokenError::Key)),
        (rs, Some(&"a".repeat(4000)), Some(TokenError::Key)),
        (Algorithm::HS256, None, Some(TokenError::Key)),
        (Algorithm::HS256, Some("a"), Some(TokenError::Algorithm)),
    ] {
        let token = signed(algorithm, kid, &json!({}));
        assert_eq!(verifier.verify(&token).err(), expected, "{algorithm:?} {kid:?}");
    }
    let two = jwks(&[(rs, json!({ "kid": "a" })), (rs, json!({ "kid": "b" }))]).unwrap();
    assert_eq!(two.verify(&signed(rs, None, &json!({}))), Err(TokenError::Key), "two keys would fit");
    assert!(two.verify(&signed(rs, Some("b"), &json!({}))).is_ok());
}

#[test]
fn a_malformed_token_is_refused() {
    let verifier = with_secret(SECRET.as_bytes(), &[]).unwrap();
    let good = hs256(&json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let huge = hs256(&json!({ "x": "x".repeat(8 * 1024) }));
    let deep = ["[".repeat(6000), "]".repeat(6000)].concat();
    for token in
        ["", ".", "..", "...", parts[0], &parts[..2].join("."), &format!("{good}.x"), &huge, &deep, "é.é.é"]
    {
        assert_eq!(verifier.verify(token), Err(TokenError::Malformed), "{token:.60}");
    }
    let critical =
        format!("{}.{}.", base64_of(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false })), parts[1]);
    assert_eq!(verifier.verify(&critical), Err(TokenError::Malformed));
}

#[test]
fn weak_and_unsuitable_keys_end_the_start() {
    for (secret, part) in [
        (&b"hunter2"[..], "got 7 characters"),
        (&[7; 64], "different characters"),
        (&std::fs::read(fixture("rsa.pub.pem")).unwrap(), "not a key as PEM"),
    ] {
        let error = with_secret(secret, &[]).err().expect("a refusal");
        assert!(
            error.starts_with("--token-key-file (PARLOR_TOKEN_KEY_FILE), or PARLOR_TOKEN_KEY: ")
                && error.contains(part),
            "{error}"
        );
    }
    for (file, algorithm, part) in [
        ("weak_rsa.pub.pem", "RS256", "2048 bits"),
        ("rsa.pem", "RS256", "a public key"),
        ("ec.pub.pem", "RS256", "RS256"),
        ("p384.pub.pem", "ES256", "ES256"),
        ("rsa.pub.pem", "ES256", "ES256"),
        ("ec.pub.pem", "EdDSA", "EdDSA"),
    ] {
        let error = with_key(&fixture(file), algorithm, &[]).err().expect("a refusal");
        assert!(error.contains(part), "{file} for {algorithm}: {error}");
    }
    for flags in [&["--token-algorithm", "RS256"][..], &["--token-audience", "us"]] {
        let error = verifier(flags).err().expect("a refusal");
        assert!(error.contains("expected a key"), "{error}");
    }
}

#[test]
fn a_key_set_with_secrets_or_nothing_for_us_ends_the_start() {
    let (rs, ed, hs) = (Algorithm::RS256, Algorithm::EdDSA, Algorithm::HS256);
    for (keys, part) in [
        (vec![(rs, json!({})), (hs, json!({}))], "got a secret"),
        (vec![], "at least one key"),
        (vec![(rs, json!({ "use": "enc" })), (rs, json!({ "alg": "PS256" }))], "at least one key"),
        (vec![(rs, json!({ "alg": "HS256" }))], "at least one key"),
        (vec![(rs, json!({ "kid": "a" })), (ed, json!({ "kid": "a" }))], "another one for each"),
        (vec![(ed, json!({ "x": "AAAA" }))], "a key for EdDSA"),
        (vec![(rs, json!({ "n": "AQAB" }))], "2048 bits"),
    ] {
        let error = jwks(&keys).err().expect("a refusal");
        assert!(error.starts_with("--token-jwks-file (") && error.contains(part), "{error}");
    }
    let unknown = json!({ "kty": "LWE", "kid": "later" });
    assert!(jwks(&[(rs, json!({})), (ed, unknown)]).is_ok(), "keys of an unknown type are ignored");
}

#[test]
fn a_subject_is_any_text_and_the_name_is_the_first_that_is_one() {
    let verifier = with_secret(SECRET.as_bytes(), &[]).unwrap();
    let verify = |other: Value| verifier.verify(&hs256(&other)).map(|found| Claims { exp: None, ..found });
    let longest = "x".repeat(255);
    for sub in ["auth0|5f7c", "a b", "~#@", "a\0b\n", "\u{202e}", "{a}:b*\"'", " ", "李", &longest] {
        assert_eq!(verify(json!({ "sub": sub })), Ok(claims_of(sub)), "{sub:?}");
    }
    for sub in [json!(""), json!("x".repeat(256)), json!("é".repeat(128))] {
        assert_eq!(verify(json!({ "sub": sub })), Err(TokenError::Subject), "{sub}");
    }
    for sub in [json!(5), json!(["a"])] {
        assert_eq!(verify(json!({ "sub": sub })), Err(TokenError::Claims), "{sub}");
    }
    for (others, name) in [
        (json!({ "name": "Alice", "preferred_username": "al" }), Some("Alice")),
        (json!({ "preferred_username": "al" }), Some("al")),
        (json!({ "name": "", "preferred_username": "al" }), Some("al")),
        (json!({ "name": 5, "preferred_username": ["al"] }), None),
        (json!({ "name": { "first": "Alice" } }), None),
    ] {
        let expected = Claims { name: name.map(str::to_owned), ..claims_of("alice") };
        assert_eq!(verify(others.clone()), Ok(expected), "{others}");
    }
    let of_site = Claims { iss: "https://a.example".to_owned(), ..claims_of("alice") };
    assert_eq!(verify(json!({ "iss": "https://a.example" })), Ok(of_site));
    assert_eq!(verify(json!({ "iss": ["https://a.example"] })), Err(TokenError::Issuer));
}
