//! Several commands in one request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{StreamExt, iter};
use parlor::Request;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::centrifugo::api::answer::{Answer, outcome};
use crate::centrifugo::api::params::{MAX_ITEMS, bad_params, params};
use crate::centrifugo::api::{Charge, find, run};
use crate::protocols::centrifugo::error::{Error, ErrorCode};
use crate::protocols::centrifugo::replies::raw;

/// The bytes of replies from which on no further command of a batch reads.
const MAX_REPLY_BYTES: usize = 1024 * 1024;
/// Commands of a batch that are carried out at a time, if the program asks for that.
const MAX_PARALLEL_COMMANDS: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// Each has a method as its only member.
    commands: Vec<BTreeMap<String, Box<RawValue>>>,
    #[serde(default)]
    parallel: bool,
}

/// Carries out commands, each as the method alone, in their order unless they are `parallel`.
pub(super) async fn run_all(request: &Request, body: &str) -> Result<Answer, Error> {
    let Batch { commands, parallel } = params(body)?;
    if !(1..=MAX_ITEMS).contains(&commands.len()) {
        return Err(bad_params(&format!("`commands`: expected 1 to {MAX_ITEMS}")));
    }
    let bytes = AtomicUsize::new(0);
    let each = commands.iter().map(async |command| {
        let reply = reply(request, command, bytes.load(Ordering::Relaxed)).await;
        bytes.fetch_add(reply.get().len(), Ordering::Relaxed);
        reply
    });
    let each = iter(each.collect::<Vec<_>>());
    let replies: Vec<Answer> =
        each.buffered(if parallel { MAX_PARALLEL_COMMANDS } else { 1 }).collect().await;
    Ok(raw(&replies))
}

/// Carries out a command, after replies of so many bytes.
async fn reply(request: &Request, command: &BTreeMap<String, Box<RawValue>>, replied: usize) -> Answer {
    let mut methods = command.iter();
    let (Some((method, body)), None) = (methods.next(), methods.next()) else {
        return outcome("", Err(bad_params("expected one method")));
    };
    if replied >= MAX_REPLY_BYTES && find(method).is_ok_and(|method| method.charge == Charge::Read) {
        return outcome("", Err(ErrorCode::LimitExceeded));
    }
    outcome(method, run(request, method, body.get()).await)
}
