//! Pages fit a phone and a wide screen; screenshots are in `target/screenshots`.

use serde_json::json;

use super::rooms::{
    CHINESE, ENGLISH, gets_a_push_line, has_no_errors, open_room, publish_in_page, wait_for_message,
};
use crate::support::browser::{Browser, Window};
use crate::support::node::Node;
use crate::support::tutorial_client::TutorialClient;

/// The elements that exceed the screen or need horizontal scrolling. A text with an ellipsis may;
/// what is clipped for screen readers may be anywhere.
const TOO_WIDE: &str = "
    const width = document.documentElement.clientWidth;
    const style = (one) => getComputedStyle(one);
    const ends = (one) => one && (style(one).textOverflow === 'ellipsis' || ends(one.parentElement));
    return [...document.querySelectorAll('*')]
        .filter((one) => one.checkVisibility() && style(one).clipPath === 'none' && !ends(one))
        .filter((one) => {
            const { left, right } = one.getBoundingClientRect();
            const hides = one.clientWidth > 0 && one.scrollWidth > one.clientWidth;
            return left < -0.5 || right > width + 0.5 || hides;
        })
        .map((one) => `${one.tagName} ${one.id} ${one.className} ${JSON.stringify(one.getBoundingClientRect())}`);
";

async fn fits(window: &Window, (width, height): (u32, u32), what: &str) {
    window.screen(width, height, width < 500).await;
    let size = window.run("return [innerWidth, innerHeight]", &[]).await;
    assert_eq!(size, json!([width, height]), "the size of the screen");
    assert_eq!(window.run(TOO_WIDE, &[]).await, json!([]), "{what}: elements that do not fit");
}

pub async fn fits_everywhere(window: &Window, page: &str) {
    for (screen, size) in [("phone", (375, 812)), ("wide", (1440, 900))] {
        let name = format!("{page}-{screen}");
        fits(window, size, &name).await;
        window.screenshot(&name).await;
    }
}

#[tokio::test]
async fn every_page_fits_a_phone_and_a_wide_screen() {
    let (node, browser) = tokio::join!(Node::alone(), Browser::start());
    let url = |path: &str| format!("http://{}{path}", node.address());
    let (li, ann) = tokio::join!(browser.window(CHINESE), browser.window(ENGLISH));
    for (window, page) in [(&li, "home-zh"), (&ann, "home-en")] {
        window.open(&url("/chat/")).await;
        fits_everywhere(window, page).await;
        open_room(window, &url("/chat/lobby/")).await;
    }

    publish_in_page(&li, "大家早上好！今天的会议几点开始？").await;
    wait_for_message(&ann, "大家早上好！今天的会议几点开始？").await;
    publish_in_page(&ann, "Good morning! At ten, in the big room.").await;
    wait_for_message(&li, "Good morning! At ten, in the big room.").await;
    publish_in_page(&li, "好的，谢谢。").await;
    wait_for_message(&ann, "好的，谢谢。").await;
    ann.click("#push-start").await;
    tokio::join!(gets_a_push_line(&li, "lobby"), gets_a_push_line(&ann, "lobby"));
    for (window, page) in [(&li, "room-zh"), (&ann, "room-en")] {
        fits_everywhere(window, page).await;
        window.dark(true).await;
        fits_everywhere(window, &format!("{page}-dark")).await;
        window.dark(false).await;
    }

    let mut guest = TutorialClient::chat(&node, "lobby").await;
    let words = ["Donaudampfschifffahrtselektrizitätenhauptbetriebswerk".repeat(5), "/?&%20".repeat(50)];
    for word in &words {
        guest.publish(word).await;
        wait_for_message(&ann, word).await;
    }
    fits_everywhere(&ann, "long-words").await;
    guest.publish(&"a long message ".repeat(260)).await;
    ann.wait_until("a folded message", "document.querySelector('.unfold')", &[]).await;
    fits_everywhere(&ann, "folded").await;
    // The longest room name.
    let name = "W".repeat(64);
    open_room(&ann, &url(&format!("/chat/{name}/"))).await;
    fits_everywhere(&ann, "long-name").await;
    tokio::join!(has_no_errors(&li), has_no_errors(&ann));
}
