//! What the methods of the server API count as, and what they cost.

use serde_json::{Value, json};

use crate::support::centrifugo::plan;
use crate::support::metrics::metric;
use crate::support::program::Program;
use crate::support::redis::Redis;

/// How many replies are no error.
fn good(replies: &[Value]) -> usize {
    let errors = replies.iter().filter_map(|reply| reply["error"]["code"].as_u64());
    assert!(errors.clone().all(|code| code == 111), "{replies:?}");
    replies.len() - errors.count()
}

#[tokio::test]
async fn each_command_of_a_batch_counts_as_its_method_alone() {
    let redis = Redis::start().await;
    let plan = plan().env("PARLOR_PUBLISHES_PER_SECOND", "5").env("PARLOR_MESSAGES_PER_SECOND", "1000");
    let plan = plan.flag("--reads-per-second", "1");
    let program = Program::on(&redis, &plan, "publish,read,disconnect").await;
    let disconnects = program.batch(50, &json!({ "disconnect": { "user": "0123456789abcdef" } })).await;
    assert!((5..20).contains(&good(&disconnects)), "{disconnects:?}");
    let audited: i64 = redis.query(&["ZCARD", "parlor:index:audit:#publish-read-disconnect"]).await;
    assert_eq!(usize::try_from(audited), Ok(good(&disconnects)));
    // Publishes and ends of subscriptions count alike.
    for command in [
        json!({ "publish": { "channel": "lobby", "data": 1 } }),
        json!({ "unsubscribe": { "user": "0123456789abcdef", "channel": "lobby" } }),
    ] {
        let replies = program.batch(50, &command).await;
        assert!(good(&replies) < 20, "{replies:?}");
    }
    // Reads count by themselves.
    let mut read = 0;
    for command in [
        json!({ "history": { "channel": "lobby", "limit": 1 } }),
        json!({ "presence": { "channel": "lobby" } }),
        json!({ "presence_stats": { "channel": "lobby" } }),
        json!({ "channels": {} }),
        json!({ "info": {} }),
    ] {
        read += good(&program.batch(20, &command).await);
    }
    assert!((10..20).contains(&read), "{read} of 100 reads");
    assert_eq!(program.error("history", &json!({ "channel": "lobby" })).await, 111);
}

#[tokio::test]
async fn a_batch_reads_about_a_megabyte() {
    let redis = Redis::start().await;
    let program = Program::start(&redis, "publish,read").await;
    for n in 0..5 {
        let data = format!("{n}{}", "x".repeat(60_000));
        program.result("publish", &json!({ "channel": "lobby", "data": data })).await;
    }
    for parallel in [false, true] {
        let command = json!({ "history": { "channel": "lobby", "limit": -1 } });
        let batch = json!({ "commands": vec![command; 50], "parallel": parallel });
        let replies = program.replies(&batch).await;
        let bytes = json!(replies).to_string().len();
        assert!((1_000_000..2_500_000).contains(&bytes), "{bytes} bytes");
        assert_eq!(replies.len(), 50);
        assert_eq!(replies[49]["error"]["code"], 106, "{}", replies[49]);
    }
}

#[tokio::test]
async fn a_publish_is_answered_with_its_offset_without_a_read() {
    let redis = Redis::start().await;
    let plan = plan().flag("--log-messages", "10");
    let program = Program::on(&redis, &plan, "publish,read").await;
    let first = json!({ "channel": "lobby", "data": "first", "idempotency_key": "order-7" });
    let answer = program.result("publish", &first).await;
    assert_eq!(answer["offset"], 1, "{answer}");
    assert_eq!(program.result("publish", &first).await, answer);
    let reads = metric(&program.node, "parlor_log_reads_total").await;
    let many = json!({ "publish": { "channel": "lobby", "data": "next" } });
    for _ in 0..4 {
        program.batch(100, &many).await;
    }
    let channels: Vec<_> = (0..100).map(|n| format!("room-{n}")).collect();
    let responses = program.result("broadcast", &json!({ "channels": channels, "data": 1 })).await;
    let responses = responses["responses"].as_array().expect("responses");
    assert!(responses.iter().all(|response| response["result"]["offset"] == 1), "{responses:?}");
    // The log has it no more.
    assert!(redis.query::<i64>(&["XLEN", "parlor:log:{chat_lobby}"]).await < 300);
    assert_eq!(program.result("publish", &first).await, json!({}));
    assert_eq!(metric(&program.node, "parlor_log_reads_total").await, reads);
}

#[tokio::test]
async fn a_history_with_an_age_does_not_read_what_is_older() {
    let redis = Redis::start().await;
    let plan = plan().env("PARLOR_NAMESPACES", ":history_ttl=60s");
    let program = Program::on(&redis, &plan, "publish,read").await;
    program.result("publish", &json!({ "channel": "lobby", "data": "new" })).await;
    // Copies of the message an hour before it, as the log has them.
    let script = "local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
        redis.call('DEL', KEYS[1])
        local fields, prev = last[2], '0-0'
        local epoch, ms = fields[8]:sub(1, 17), tonumber(last[1]:match('^%d+')) - 3600000
        for n = 1, ARGV[1] do
          local id = string.format('%.0f-%d', ms, n)
          redis.call('XADD', KEYS[1], id, 'e', fields[2], 'p', prev, 'b', n, 'o', epoch .. n)
          prev = id
        end
        redis.call('XADD', KEYS[1], last[1], 'e', fields[2], 'p', prev, 'b', ARGV[1] + 1, 'o',
          epoch .. ARGV[1] + 1)
        return ''";
    let _: String = redis.query(&["EVAL", script, "1", "parlor:log:{chat_lobby}", "3000"]).await;
    let before = metric(&program.node, "parlor_log_reads_total").await;
    let history = program.result("history", &json!({ "channel": "lobby", "limit": -1 })).await;
    let offsets: Vec<_> =
        history["publications"].as_array().expect("all").iter().map(|p| &p["offset"]).collect();
    assert_eq!(offsets, [3001], "{history}");
    let reads = metric(&program.node, "parlor_log_reads_total").await - before;
    assert!(reads <= 3, "{reads} pages");
}
