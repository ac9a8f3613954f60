//! Time as Redis counts it, in whole milliseconds, and its texts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Milliseconds since 1970.
pub fn now() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Formats Unix milliseconds in UTC, as in RFC 3339: `2026-01-31T23:59:59Z`.
pub fn rfc3339(millis: u64) -> String {
    timestamp(millis).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats Unix milliseconds in the node's time zone, to the day: `2026-01-31`.
pub(crate) fn local_day(millis: u64) -> String {
    timestamp(millis).to_zoned(TimeZone::system()).strftime("%Y-%m-%d").to_string()
}

/// Returns the time; 1970 for one that no calendar has.
fn timestamp(millis: u64) -> Timestamp {
    let time = i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    time.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_are_known_without_files_of_the_system() {
        let zones = jiff::tz::TimeZoneDatabase::bundled();
        assert!(zones.get("Asia/Shanghai").is_ok());
    }

    #[test]
    fn a_time_has_a_text_of_seconds_and_days() {
        let millis = 1_790_000_000_999;
        assert_eq!(rfc3339(millis), "2026-09-21T14:13:20Z");
        assert_eq!(local_day(millis).len(), 10);
        for far in [u64::MAX, i64::MAX as u64] {
            assert_eq!(rfc3339(far), "1970-01-01T00:00:00Z", "{far}");
        }
    }
}
