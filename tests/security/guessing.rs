//! Guessing passwords and names is limited by address and by name, and no response reveals which
//! names exist.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::support::http::{Request, Response};
use crate::support::node::{Node, Plan};
use crate::support::user::{User, password};
use crate::support::wait::{PATIENCE, seconds};

/// A node with this limit of log-ins per minute, behind a proxy that names the client's address.
fn plan(logins: &str) -> Plan {
    Node::plan().env("PARLOR_LOGINS_PER_MINUTE", logins).flag("--trusted-proxies", "127.0.0.1/32")
}

/// An attempt from this address.
async fn guess(node: &Node, address: &str, name: &str, secret: &str) -> Response {
    let mut user = User::anonymous().with_header("X-Forwarded-For", address);
    user.post(node, "/accounts/login/", &[("name", name), ("password", secret)]).await
}

/// Creates an account from an address that does not guess.
async fn account(node: &Node, name: &str) {
    let mut user = User::anonymous().with_header("X-Forwarded-For", "198.51.100.1");
    assert_eq!(user.sign_up(node, name).await.status, 303);
}

fn is_slowed_down(response: &Response, what: &str) {
    assert_eq!(response.status, 429, "{what}: {response:?}");
    let wait: u64 = response.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{what}: {wait} s");
}

#[tokio::test]
async fn guesses_are_limited_per_address() {
    let node = plan("5").start().await;
    account(&node, "ann").await;
    for n in 0..5 {
        assert_eq!(guess(&node, "203.0.113.7", &format!("name-{n}"), "wrong wrong").await.status, 403, "{n}");
    }
    is_slowed_down(&guess(&node, "203.0.113.7", "name-9", "wrong wrong").await, "a sixth try");
    is_slowed_down(&guess(&node, "203.0.113.7", "ann", &password("ann")).await, "the right password at last");
    assert_eq!(
        guess(&node, "203.0.113.8", "ann", &password("ann")).await.status,
        303,
        "another client logs in"
    );
}

#[tokio::test]
async fn guesses_are_limited_per_name() {
    let node = plan("5").start().await;
    account(&node, "ann").await;
    account(&node, "bob").await;
    // One address alone locks no other client out.
    let mut one = Vec::new();
    for _ in 0..7 {
        one.push(guess(&node, "203.0.113.97", "ann", "wrong wrong").await.status);
    }
    assert_eq!(one[..6], [403, 403, 403, 403, 403, 429]);
    assert_eq!(
        guess(&node, "203.0.113.96", "ann", &password("ann")).await.status,
        303,
        "with the right password"
    );
    // Names that look alike are one, and many addresses share its limit: thirty attempts a minute.
    let mut many = Vec::new();
    for (n, name) in ["ann", "Ann", "ANN", "\u{430}nn", "ａｎｎ"].into_iter().cycle().take(40).enumerate()
    {
        let response = guess(&node, &format!("203.0.113.{n}"), name, "wrong wrong").await;
        if response.status == 429 {
            is_slowed_down(&response, name);
        }
        many.push(response.status);
    }
    assert_eq!((many[0], many.contains(&429)), (403, true), "{many:?}");
    assert_eq!(guess(&node, "203.0.113.98", "bob", &password("bob")).await.status, 303, "another name");
}

#[tokio::test]
async fn a_direct_client_cannot_choose_its_address() {
    let node = Node::plan().env("PARLOR_LOGINS_PER_MINUTE", "5").start().await;
    let mut statuses = Vec::new();
    for n in 0..8 {
        let response = guess(&node, &format!("203.0.113.{n}"), &format!("name-{n}"), "wrong wrong").await;
        statuses.push(response.status);
    }
    assert_eq!(statuses[5..], [429; 3], "{statuses:?}");
}

#[tokio::test]
async fn sign_ups_are_limited_like_guesses() {
    let node = plan("5").start().await;
    let mut signed_up = Vec::new();
    for n in 0..8 {
        let mut user = User::anonymous().with_header("X-Forwarded-For", "203.0.113.7");
        signed_up.push(user.sign_up(&node, &format!("name-{n}")).await.status);
    }
    assert_eq!((&signed_up[..5], &signed_up[5..]), (&[303; 5][..], &[429; 3][..]));
    let mut called = Vec::new();
    for n in 0..8 {
        let mut guest = User::anonymous().with_header("X-Forwarded-For", "203.0.113.8");
        let nickname = format!("nick-{n}");
        called.push(guest.post(&node, "/accounts/guest/", &[("nickname", &nickname)]).await.status);
    }
    assert_eq!((&called[..5], &called[5..]), (&[303; 5][..], &[429; 3][..]));
}

#[tokio::test]
async fn guesses_are_limited_per_ipv6_network() {
    let node = plan("5").start().await;
    let mut statuses = Vec::new();
    for n in 0..8 {
        let response =
            guess(&node, &format!("2001:db8:1:2::{n:x}"), &format!("name-{n}"), "wrong wrong").await;
        statuses.push(response.status);
    }
    assert_eq!(statuses[5..], [429; 3], "{statuses:?}");
    let elsewhere = guess(&node, "2001:db8:1:3::1", "name-9", "wrong wrong").await;
    assert_eq!(elsewhere.status, 403, "{elsewhere:?}");
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_get_one_answer() {
    let node = Node::alone().await;
    User::registered(&node, "ann").await;
    let mut responses = Vec::new();
    let mut user = User::guest(&node).await;
    for name in ["ann", "nobody", "a b", "", "~ann", "*"] {
        let fields = [("name", name), ("password", "wrong wrong")];
        let response = user.post(&node, "/accounts/login/", &fields).await;
        assert_eq!(response.status, 403, "{name}: {response:?}");
        assert!(user.cookie("parlor_session").is_none(), "{name}");
        // The form has the name that was sent and a token of its own.
        let token = user.cookie("csrftoken").expect("a token").to_owned();
        responses
            .push(response.body.replace(&token, "TOKEN").replace(&format!("value=\"{name}\""), "value=\"\""));
    }
    for response in &responses {
        assert_eq!(response, &responses[0]);
    }
    assert!(!responses[0].contains("wrong wrong"), "no password comes back");
}

/// The time to reject this name.
async fn refusal_of(name: &str, node: &Node, user: &mut User) -> Duration {
    let begun = Instant::now();
    let fields = [("name", name), ("password", "wrong wrong")];
    assert_eq!(user.post(node, "/accounts/login/", &fields).await.status, 403);
    begun.elapsed()
}

/// The median and the minimum, which other load on the machine has disturbed least.
fn middle_and_least(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    (times[times.len() / 2], times[0])
}

#[tokio::test]
async fn an_unknown_name_takes_as_long_as_a_wrong_password() {
    let node = Node::alone().await;
    User::registered(&node, "ann").await;
    let mut user = User::anonymous();
    user.token(&node).await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    // In turns, so that other load affects both alike. It only ever adds to a time: at 15 rounds or
    // later, both minima are those of an undisturbed attempt.
    let end = Instant::now() + seconds(60);
    let alike = |known: &[Duration], unknown: &[Duration]| {
        let (known, unknown) = (known.iter().min(), unknown.iter().min());
        known.zip(unknown).is_some_and(|(known, unknown)| *known < *unknown * 2 && *unknown < *known * 2)
    };
    while known.len() < 15 || (!alike(&known, &unknown) && Instant::now() < end) {
        known.push(refusal_of("ann", &node, &mut user).await);
        unknown.push(refusal_of("nobody", &node, &mut user).await);
    }
    let ((middle, known), (other_middle, unknown)) = (middle_and_least(known), middle_and_least(unknown));
    let seen = format!(
        "wrong password: {middle:?}, at least {known:?}; no such name: {other_middle:?}, {unknown:?}"
    );
    println!("{seen}");
    assert!(known > Duration::from_millis(2), "is the password hashed? {seen}");
    assert!(known < unknown * 2 && unknown < known * 2, "{seen}");
    // Without a hash the medians would differ by an order of magnitude.
    assert!(middle < other_middle * 3 && other_middle < middle * 3, "{seen}");
}

#[tokio::test]
async fn mass_guessing_does_not_delay_others() {
    let node = Node::alone().await;
    let mut ann = User::registered(&node, "ann").await.join(&node, "lobby").await;
    let mut user = User::anonymous();
    user.token(&node).await;
    let guesses = (0..40).map(|n| {
        let (node, mut user) = (&node, user.clone());
        async move {
            let name = format!("name-{}", n % 3);
            let fields = [("name", &*name), ("password", "wrong wrong")];
            user.post(node, "/accounts/login/", &fields).await
        }
    });
    let life = async {
        for n in 0..10 {
            let begun = Instant::now();
            ann.publish(&n.to_string()).await;
            assert_eq!(Request::get("/healthz").send(&node).await.status, 200);
            assert!(begun.elapsed() < PATIENCE, "{:?} beside the crowd", begun.elapsed());
        }
    };
    let (responses, ()) = tokio::join!(join_all(guesses), life);
    for response in responses {
        assert!(matches!(response.status, 403 | 503), "{response:?}");
    }
}

#[tokio::test]
async fn an_overlong_password_is_not_hashed() {
    let node = Node::alone().await;
    User::registered(&node, "ann").await;
    let mut user = User::anonymous();
    let long = "x".repeat(100_000);
    for target in ["/accounts/login/", "/accounts/signup/"] {
        let begun = Instant::now();
        let response = user.post(&node, target, &[("name", "ann"), ("password", &long)]).await;
        assert!((400..500).contains(&response.status), "{target}: {response:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{target}: {:?}", begun.elapsed());
    }
}
