//! The page of the audit log.

use minijinja::context;
use parlor::{AuditEntry, MAX_AUDIT_ENTRIES, Refusal, Request, Response, rfc3339};

/// The entries without `?all=1`.
const DEFAULT_SHOWN_ENTRIES: usize = 200;

/// `GET /admin/audit/`, `?all=1` for everything that is kept.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let all = request.query("all").is_some();
    let entries =
        request.context().audited(if all { MAX_AUDIT_ENTRIES } else { DEFAULT_SHOWN_ENTRIES }).await?;
    let more = !all && entries.len() == DEFAULT_SHOWN_ENTRIES;
    let entries: Vec<_> = entries
        .into_iter()
        .map(|AuditEntry { at, who, what, about }| context! { at => rfc3339(at), who, what, about })
        .collect();
    request.render("admin_audit.html", context! { entries, more })
}
