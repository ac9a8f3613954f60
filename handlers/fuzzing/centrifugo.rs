//! Commands of Centrifugo's clients, in both encodings.

use std::borrow::Cow;

use parlor::{Action, ClientRequest, CloseCode, Command, Frame, Join};

use crate::protocols::centrifugo::encoding::{Encoding, Json, Protobuf};
use crate::protocols::centrifugo::requests;

const MAX_MESSAGE_BYTES: usize = 64;

/// Any bytes are commands, each with an answer, in an encoding that the first byte chooses.
pub(crate) fn centrifugo(bytes: &[u8]) {
    let Some((encoding, bytes)) = bytes.split_first() else { return };
    let frame = Frame::Binary(Cow::Borrowed(bytes));
    if encoding % 2 == 0 {
        check::<Json>(&frame, bytes.len());
    } else {
        check::<Protobuf>(&frame, bytes.len());
    }
}

fn check<E: Encoding>(frame: &Frame<'_>, size: usize) {
    let mut count = 0;
    for frame in E::split(frame) {
        count += 1;
        match requests::decode::<E>(&frame, MAX_MESSAGE_BYTES) {
            Ok(request) => {
                let is_pong = request.request == ClientRequest::Pong;
                assert!((request.number > 0) != is_pong, "an answer names its command");
                match request.request {
                    ClientRequest::Command(target, command) => {
                        is_channel(&target.expect("a channel").name);
                        if let Command::Publish { text, data, .. } = command {
                            let data = data.expect("data");
                            assert!(data.len() <= MAX_MESSAGE_BYTES && text.len() <= data.len(), "{data}");
                            serde_json::from_str::<serde_json::Value>(&data).expect("JSON");
                        }
                    }
                    ClientRequest::Join(Join { target, .. }) | ClientRequest::Leave(target) => {
                        is_channel(&target.name);
                    }
                    ClientRequest::Connect(connect) => {
                        connect.joins.iter().for_each(|join| is_channel(&join.target.name));
                    }
                    ClientRequest::RefreshJoin(target, _) => is_channel(&target.name),
                    ClientRequest::Refresh(_) | ClientRequest::Pong => {}
                }
            }
            Err(Action::Close(close)) => {
                let is_bad_request = close.code() == CloseCode::PolicyViolation.number();
                assert!(is_bad_request || close.reason() == "not available", "{close:?}");
            }
            Err(Action::Send(_) | Action::Nothing) => {}
        }
    }
    assert!(count <= size, "a command has a byte at least");
}

fn is_channel(name: &str) {
    assert!((1..=255).contains(&name.len()), "{name}");
}
