//! Updates the nodes of a site one after another from another version to this one, and back, under
//! clients that send and resume, and accounts for every message: `make rolling FROM=<commit>`.
//!
//! `ROLLING_FROM` in the environment is the program of the other version.

use std::env;
use std::path::PathBuf;

use clients::Clients;
use site::{Ending, SIZE, Site, Version};

mod clients;
mod record;
mod site;

/// Messages that are acknowledged while the nodes stay as they are.
const MESSAGES: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a program of another version: `make rolling`"]
async fn an_update_and_the_way_back_lose_and_double_nothing() {
    let other = env::var_os("ROLLING_FROM").expect("`ROLLING_FROM`: a program, as `make rolling` sets it");
    let mut site = Site::start(PathBuf::from(other)).await;
    let clients = Clients::start(&site).await;
    site.check().await;
    // A node that is killed leaves clients without the answers to what they have sent.
    let mut endings = [Ending::Drained, Ending::Killed].into_iter().cycle();
    for version in [Version::Now, Version::Other] {
        for node in 0..SIZE {
            clients.wait_for_messages(MESSAGES).await;
            site.replace(node, version, endings.next().expect("one of two")).await;
            site.check().await;
        }
    }
    clients.wait_for_messages(MESSAGES).await;
    let record = clients.finish().await;
    record.check(&site.log().await);
}
