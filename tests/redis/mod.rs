//! What nodes write to Redis and read from it, and what they do while it is away.

mod access_after_disconnection;
mod acl;
mod announcements;
mod backfill;
mod bad_events;
mod budget;
mod clocks;
mod corrupt_records;
mod disconnects;
mod epochs;
mod failover;
mod keys;
mod large_logs;
mod layout;
mod moving_on;
mod outage;
mod payload_lengths;
mod readiness;
mod redaction;
mod refusals;
mod rewritten_logs;
mod short_stops;
mod starts;
mod unavailable;
mod version_before;
mod wire;
