//! Events as MessagePack maps, as they are published in Redis.

use rmpv::Value;

/// `{"type": "chat_message", "message": "hi 你好"}` as `channels_redis` writes it.
pub const HI: &[u8] = b"\x82\xa4type\xacchat_message\xa7message\xa9hi \xe4\xbd\xa0\xe5\xa5\xbd";

/// The payload of a map with these members.
pub fn packed(members: &[(&str, Value)]) -> Vec<u8> {
    let members = members.iter().map(|(key, value)| (Value::from(*key), value.clone())).collect();
    bytes(&Value::Map(members))
}

pub fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).expect("writing to memory");
    bytes
}

pub fn event(kind: &str, message: &str) -> Vec<u8> {
    packed(&[("type", kind.into()), ("message", message.into())])
}

/// Decodes a payload as strictly as Channels does: one map, string keys, valid UTF-8, nothing after
/// it.
pub fn unpacked(payload: &[u8]) -> Vec<(String, String)> {
    let mut rest = payload;
    let value =
        rmpv::decode::read_value(&mut rest).unwrap_or_else(|error| panic!("{error} in {payload:02x?}"));
    assert!(rest.is_empty(), "bytes after the map: {rest:02x?}");
    let text =
        |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} in {payload:02x?}")).to_owned();
    value.as_map().expect("a map").iter().map(|(key, value)| (text(key), text(value))).collect()
}
