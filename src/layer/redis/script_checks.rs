//! One call of each script that changes nothing but the caller's own keys: a node learns whether
//! Redis runs them before a client needs one.

use crate::layer::redis::scripts::{Script, ScriptCall, Scripts};

/// The id of the only event of the log before the calls.
pub(super) const FIRST_ID: &str = "1-1";
/// A lifetime, in milliseconds.
const LIFETIME: &str = "10000";
/// A deadline that is never over, in Unix milliseconds.
const FAR: &str = "9007199254740991";
/// A seat's id, which is no node's.
const ID: &str = "--------0";
/// How many users are listed, and how many may join at once.
const LIMITS: [&str; 2] = ["10", "10"];
/// The parts behind the prefix of all keys that the calls use. The first one is the log's.
const PARTS: [&str; 9] =
    ["log", "x", "sent", "epoch", "decisions", "announced", "droppable", "interval", "users"];

/// Returns the keys that the calls use, the first one the log's.
pub(super) fn keys(prefix: &str) -> Vec<String> {
    PARTS.iter().map(|part| format!("{prefix}:{part}")).collect()
}

/// Returns a call of each script, in their order. They publish on the channel `prefix`, to which no
/// node subscribes.
pub(super) fn calls<'a>(scripts: &'a Scripts, prefix: &str) -> Vec<ScriptCall<'a>> {
    let Scripts {
        append,
        seat,
        redact,
        clear,
        page,
        find,
        log_end,
        log_figures,
        next_offset,
        decide,
        step,
        start_interval,
        tick,
        publish_state,
        reap,
        list,
    } = scripts;
    let [most, joins] = LIMITS;
    let calls: [(&Script, &[&str], &[&str]); 16] = [
        (next_offset, &["epoch"], &[LIFETIME, "1"]),
        (decide, &["decisions", "announced", "droppable"], &[prefix, "1", LIFETIME, "", "0", "1", "n", "{}"]),
        (redact, &["log", "x"], &[FIRST_ID, "1", LIFETIME, prefix, ""]),
        (
            append,
            &["log", "x", "sent"],
            &[prefix, "1", LIFETIME, LIFETIME, "1", "0", "", "\x02", FAR, "digest"],
        ),
        (log_end, &["log", "x"], &["1"]),
        (page, &["log", "x"], &["XREVRANGE", "+", "1", "1", "1"]),
        (find, &["log"], &["0", "1"]),
        (log_figures, &["log"], &["1", "1"]),
        (clear, &["log", "x"], &[prefix, ""]),
        (start_interval, &["interval"], &[LIFETIME, LIFETIME, prefix, ""]),
        (tick, &["interval"], &[prefix, "", LIFETIME, LIFETIME, "1"]),
        (seat, &["users"], &[most, joins, "1", prefix, ID, "l", "", "\0\0\0\0", "1", "0", "user", "name"]),
        (publish_state, &["users"], &[most, joins, prefix, "2"]),
        (list, &["users"], &[most, joins]),
        (reap, &["users"], &[most, joins, prefix, ID, "10"]),
        (step, &["announced", "interval"], &["1", "absent", "", "0", "delete", "", "0"]),
    ];
    let invoked = |(script, parts, arguments): &(&'a Script, &[&str], &[&str])| {
        let mut call = script.key(parts.iter().map(|part| format!("{prefix}:{part}")).collect::<Vec<_>>());
        for argument in *arguments {
            call.arg(*argument);
        }
        call
    };
    calls.iter().map(invoked).collect()
}
