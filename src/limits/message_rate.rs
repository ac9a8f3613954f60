//! Limits the messages and bytes of one socket.
//!
//! Rejects messages over the limit. A client that keeps sending is disconnected.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota};

use crate::config::limits::LimitsConfig;
use crate::telemetry::{LimitReason, METRICS};

/// The burst, as a multiple of the rate per second.
const BURST_FACTOR: u32 = 4;

/// The remaining allowance of a socket.
pub(crate) struct MessageRateLimiter {
    frames: Option<Allowance>,
    bytes: Option<Allowance>,
}

/// The decision about a frame, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RateDecision {
    Fine,
    /// The frame is rejected.
    TooFast,
    /// The client kept sending after rejections.
    Flood,
}

struct Allowance {
    granted: DefaultDirectRateLimiter,
    refused: DefaultDirectRateLimiter,
    reason: LimitReason,
}

impl MessageRateLimiter {
    /// Creates a limiter for a socket whose messages have at most `limit` bytes; `None` without
    /// limits.
    pub(crate) fn new(rates: &LimitsConfig, limit: usize) -> Option<Box<Self>> {
        let frames = Allowance::new(rates.messages_per_second, 0, LimitReason::Messages);
        // The burst holds the longest message and what arrives in the same read.
        let whole = u32::try_from(limit).unwrap_or(u32::MAX).saturating_mul(2);
        let bytes = Allowance::new(rates.bytes_per_second, whole, LimitReason::Bytes);
        (frames.is_some() || bytes.is_some()).then(|| Box::new(Self { frames, bytes }))
    }

    /// Counts a frame.
    pub(crate) fn frame(&self) -> RateDecision {
        Allowance::take(self.frames.as_ref(), 1)
    }

    /// Counts received bytes.
    pub(crate) fn bytes(&self, count: u32) -> RateDecision {
        Allowance::take(self.bytes.as_ref(), count)
    }
}

impl Allowance {
    fn new(rate: u32, at_least: u32, reason: LimitReason) -> Option<Self> {
        let rate = NonZeroU32::new(rate)?;
        let burst = rate
            .saturating_mul(NonZeroU32::new(BURST_FACTOR)?)
            .max(NonZeroU32::new(at_least).unwrap_or(rate));
        let quota = Quota::per_second(rate).allow_burst(burst);
        let [granted, refused] = [(); 2].map(|()| DefaultDirectRateLimiter::direct(quota));
        Some(Self { granted, refused, reason })
    }

    fn take(own: Option<&Self>, count: u32) -> RateDecision {
        let (Some(own), Some(count)) = (own, NonZeroU32::new(count)) else { return RateDecision::Fine };
        if matches!(own.granted.check_n(count), Ok(Ok(()))) {
            return RateDecision::Fine;
        }
        METRICS.refused(own.reason);
        if matches!(own.refused.check_n(count), Ok(Ok(()))) {
            RateDecision::TooFast
        } else {
            RateDecision::Flood
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(messages: u32, bytes: u32, limit: usize) -> Option<Box<MessageRateLimiter>> {
        let rates = LimitsConfig {
            messages_per_second: messages,
            bytes_per_second: bytes,
            address_bytes_per_second: 0,
            reads_per_second: 0,
            address_logs: 0,
            handshakes_per_second: 0,
            logins_per_minute: 0,
            publishes_per_second: 0,
            sockets_per_user: 0,
            sockets_per_address: 0,
            connections_per_address: 0,
            requests_per_second: 0,
        };
        MessageRateLimiter::new(&rates, limit)
    }

    #[test]
    fn a_flood_follows_as_many_refusals_as_grants() {
        let pace = pace(5, 0, 100).unwrap();
        let verdicts: Vec<RateDecision> = (0..41).map(|_| pace.frame()).collect();
        assert!(verdicts[..20].iter().all(|verdict| *verdict == RateDecision::Fine), "{verdicts:?}");
        assert!(verdicts[20..40].iter().all(|verdict| *verdict == RateDecision::TooFast), "{verdicts:?}");
        assert_eq!(verdicts[40], RateDecision::Flood);
        assert_eq!(pace.bytes(u32::MAX), RateDecision::Fine, "bytes have no limit");
    }

    #[test]
    fn the_longest_message_passes_whatever_the_rate() {
        let pace = pace(0, 10, 1000).unwrap();
        assert_eq!(pace.bytes(2000), RateDecision::Fine);
        assert_eq!(pace.bytes(1000), RateDecision::TooFast);
        assert_eq!(pace.bytes(2000), RateDecision::Flood);
        assert_eq!(pace.frame(), RateDecision::Fine);
        assert!(self::pace(0, 0, 1000).is_none());
    }

    #[test]
    fn a_message_rate_limiter_is_small() {
        assert!(
            size_of::<MessageRateLimiter>() <= 256,
            "{} bytes for each socket that spoke",
            size_of::<MessageRateLimiter>()
        );
    }
}
