//! Names that look like another account's, or that are unreadable, are rejected for accounts and
//! guests.

use serde_json::json;

use crate::support::cli::{operator, try_command};
use crate::support::http::Request;
use crate::support::node::Node;
use crate::support::redis::Redis;
use crate::support::user::User;
use crate::support::wait::seconds;

#[tokio::test]
async fn a_name_that_looks_like_a_taken_one_is_rejected() {
    let node = Node::alone().await;
    User::registered(&node, "alice").await;
    for name in [
        "alice",
        "Alice",
        "ALICE",
        "\u{430}lice",
        "al\u{456}ce",
        "ａｌｉｃｅ",
        "a\u{006c}ice",
        "alıce",
        "𝒶lice",
    ] {
        let response = User::anonymous().sign_up(&node, name).await;
        assert_eq!(response.status, 409, "an account called {name:?}: {response:?}");
        let mut guest = User::guest(&node).await;
        let response = guest.post(&node, "/accounts/guest/", &[("nickname", name)]).await;
        assert_eq!(response.status, 409, "a guest called {name:?}: {response:?}");
    }
    let mut bob = User::guest(&node).await;
    assert_eq!(bob.post(&node, "/accounts/guest/", &[("nickname", "bob")]).await.status, 303);
    for name in ["bob", "BOB", "b\u{43e}b", "b0b", "ｂｏｂ"] {
        let mut other = User::guest(&node).await;
        let response = other.post(&node, "/accounts/guest/", &[("nickname", name)]).await;
        assert_eq!(response.status, 409, "a second {name:?}: {response:?}");
    }
}

#[tokio::test]
async fn bidirectional_controls_and_invisible_names_are_rejected() {
    let node = Node::alone().await;
    for name in [
        "",
        " ",
        "a b",
        "~alice",
        "#alice",
        "@alice",
        "\u{202e}ecila",
        "a\u{202d}b",
        "a\u{2066}b\u{2069}",
        "a\u{200b}b",
        "a\u{200d}b",
        "a\u{feff}b",
        "\u{ad}a",
        "a\nb",
        "a\r\nSet-Cookie: x=y",
        "a\0",
        "a\tb",
        "<b>a</b>",
        "a/b",
        "a:b",
        "a*",
        "a\"b",
        "😀",
        "\u{301}a",
        "-a",
        "_a",
        ".a",
        "..",
        &"a".repeat(33),
    ] {
        let response = User::anonymous().sign_up(&node, name).await;
        assert_eq!(response.status, 400, "an account called {name:?}: {response:?}");
        if name.trim().is_empty() {
            continue;
        }
        let mut guest = User::guest(&node).await;
        let response = guest.post(&node, "/accounts/guest/", &[("nickname", name)]).await;
        assert_eq!(response.status, 400, "a guest called {name:?}: {response:?}");
    }
}

#[tokio::test]
async fn a_nickname_change_keeps_the_guest_and_frees_the_old_name() {
    let node = Node::alone().await;
    let mut ann = User::guest(&node).await;
    let mut member = ann.join(&node, "lobby").await;
    let id = member.user().to_owned();
    assert_eq!(ann.post(&node, "/accounts/guest/", &[("nickname", "ann")]).await.status, 303);
    assert_eq!(member.closed(seconds(1)).await.0, 1012, "the socket comes back under the new name");
    let again = ann.join(&node, "lobby").await;
    assert_eq!((again.user(), &again.welcome["name"]), (id.as_str(), &json!("~ann")));
    assert_eq!(ann.post(&node, "/accounts/guest/", &[("nickname", "other")]).await.status, 303);
    let mut eve = User::guest(&node).await;
    assert_eq!(
        eve.post(&node, "/accounts/guest/", &[("nickname", "ann")]).await.status,
        303,
        "the name is free"
    );
    let page = Request::get("/chat/lobby/").header("Accept", "text/html");
    assert_eq!(eve.with_cookies(page).send(&node).await.status, 200);
}

#[tokio::test]
async fn rights_meant_for_a_name_are_not_given_to_one_that_looks_like_it() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let imitation = "\u{430}nn\u{430}";
    let mut stranger = User::registered(&node, imitation).await;
    let mut owner = User::registered(&node, "carol").await;
    assert_eq!(owner.post(&node, "/rooms/", &[("room", "plans")]).await.status, 303);
    let invite = [("action", "invite"), ("name", "anna")];
    assert_eq!(owner.post(&node, "/chat/plans/members/", &invite).await.status, 400);
    assert_eq!(owner.get(&node, "/dm/anna/").await.status, 404);
    assert_eq!(owner.get(&node, "/dm/?user=anna").await.status, 404);
    let refusal = try_command(&redis, &["user", "staff", "anna", "on"]).await;
    assert!(refusal.contains("there is no account `anna`") && refusal.contains("u{430}"), "{refusal}");
    assert_eq!(stranger.get(&node, "/admin/").await.status, 404);
    // Forms of one letter are one name.
    let mut jose = User::registered(&node, "jos\u{e9}").await;
    let invite = [("action", "invite"), ("name", "jose\u{301}")];
    assert_eq!(owner.post(&node, "/chat/plans/members/", &invite).await.status, 303);
    let accept = [("room", "plans"), ("action", "accept")];
    assert_eq!(jose.post(&node, "/invitations/", &accept).await.status, 303);
}

#[tokio::test]
async fn names_of_roles_and_the_commonest_passwords_are_rejected() {
    let node = Node::alone().await;
    for name in ["admin", "Moderator", "\u{43e}perat\u{43e}r", "r00t"] {
        assert_eq!(User::anonymous().sign_up(&node, name).await.status, 409, "{name}");
        let mut guest = User::guest(&node).await;
        assert_eq!(guest.post(&node, "/accounts/guest/", &[("nickname", name)]).await.status, 409, "{name}");
    }
    for password in ["password", "PassWord1", "12345678", "qwertyuiop", "abababab", "zzzzzzzzzzzz"] {
        let fields = [("name", "dave"), ("password", password)];
        assert_eq!(
            User::anonymous().post(&node, "/accounts/signup/", &fields).await.status,
            400,
            "{password}"
        );
    }
}

#[tokio::test]
async fn the_page_of_users_gives_no_role_to_a_name_that_looks_alike() {
    let redis = Redis::start().await;
    let node = Node::on(&redis).await;
    let mut zed = operator(&node, &redis, "zed").await;
    User::registered(&node, "\u{430}nn\u{430}").await;
    let found = zed.get(&node, "/admin/users/?name=anna").await.body;
    assert!(found.contains("\\u{430}nn\\u{430}"), "its letters: {found}");
    assert!(found.contains("value=\"ban\"") && !found.contains("value=\"staff_on\""), "{found}");
    let exact = zed.get(&node, "/admin/users/?name=%D0%B0nn%D0%B0").await.body;
    assert!(exact.contains("value=\"staff_on\"") && !exact.contains("\\u{430}"), "{exact}");
}
