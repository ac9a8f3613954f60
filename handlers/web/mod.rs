//! Files, probes and redirects.

pub(crate) mod assets;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod safe_redirect;
pub(crate) mod static_files;
