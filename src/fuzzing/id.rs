//! Ids: from clients (`?since=`, `Last-Event-ID`, `before`), and of entries in Redis.

use crate::wire::id::Id;

/// Parses two ids, one a line.
pub fn id(bytes: &[u8]) {
    let ids: Vec<Id> = super::lines(bytes).take(2).filter_map(read).collect();
    if let [one, other] = ids[..] {
        let numbers =
            |id: Id| id.to_string().split('-').filter_map(|digits| digits.parse().ok()).collect::<Vec<u64>>();
        assert_eq!(one.cmp(&other), numbers(one).cmp(&numbers(other)), "{one} and {other}");
    }
}

fn read(text: &str) -> Option<Id> {
    let id: Id = text.parse().ok()?;
    assert!(id < Id::NEVER, "{text} is an id of no message");
    assert_eq!(id.to_string().parse(), Ok(id));
    assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'), "{text}");
    let without_zeros: Vec<&str> = text.split('-').map(|digits| digits.trim_start_matches('0')).collect();
    let written = id.to_string();
    let expected: Vec<&str> = written.split('-').map(|digits| digits.trim_start_matches('0')).collect();
    assert_eq!(without_zeros, expected);
    assert!(id.back(id.millis() / 2) <= id && id.back(u64::MAX) == Id::START);
    Some(id)
}
