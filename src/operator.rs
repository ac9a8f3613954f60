//! The operator's account of a node's settings: made when the node starts, for a node that no command reaches.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use crate::auth::accounts::SignUpError;
use crate::http::context::Context;
use crate::telemetry::Chain;
use crate::wire::error::StartError;

/// How long to wait before asking a layer again that did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// Who did it, for the audit log.
const WHO: &str = "--operator";

/// Makes the account that the settings name, unless it is there. A layer that is away is not waited for.
///
/// # Errors
/// [`StartError`] for a name or a password that no account can have.
pub(crate) async fn make_operator(context: &Arc<Context>) -> Result<(), StartError> {
    match try_operator(context).await {
        Err(SignUpError::Unavailable(error)) if error.is_retryable() => {
            warn!(error = %Chain(&error), "the operator's account is made when the layer answers");
            let node = Arc::clone(context);
            tokio::spawn(async move {
                while let Err(SignUpError::Unavailable(error)) = try_operator(&node).await
                    && error.is_retryable()
                {
                    sleep(PAUSE).await;
                }
            });
            Ok(())
        }
        Err(refused) => Err(StartError::new(format!("--operator (PARLOR_OPERATOR): {refused}"))),
        Ok(()) => Ok(()),
    }
}

async fn try_operator(context: &Context) -> Result<(), SignUpError> {
    let Some((name, password)) = context.config().auth.operator() else { return Ok(()) };
    match context.accounts().add(name, password, true).await {
        Ok(account) => {
            info!(name = account.name, "made the operator's account");
            Ok(context.audit(WHO, "user_add_staff", &account.name).await?)
        }
        Err(SignUpError::Taken) => {
            // Whoever was faster to sign up under the name is no operator by that.
            if !context.accounts().named(name).await?.is_some_and(|account| account.staff) {
                warn!(name, "somebody who is no operator has the name of --operator");
            }
            Ok(())
        }
        Err(refused) => Err(refused),
    }
}
