//! The configured operator's account, created at start for nodes that no command reaches.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use crate::auth::accounts::SignUpError;
use crate::http::context::Context;
use crate::start_error::StartError;
use crate::telemetry::Chain;

/// The delay between attempts while the layer does not answer.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The actor in the audit log.
const ACTOR: &str = "--operator";

/// Creates the configured account unless it exists. Does not wait for an unavailable layer.
///
/// # Errors
/// Returns [`StartError::Operator`] for an invalid name or password.
pub(crate) async fn make_operator(context: &Arc<Context>) -> Result<(), StartError> {
    match try_operator(context).await {
        Err(SignUpError::Unavailable(error)) if error.is_retryable() => {
            warn!(error = %Chain(&error), "the operator's account is made when the layer answers");
            let node = Arc::clone(context);
            tokio::spawn(async move {
                while let Err(SignUpError::Unavailable(error)) = try_operator(&node).await
                    && error.is_retryable()
                {
                    sleep(RETRY_DELAY).await;
                }
            });
            Ok(())
        }
        Err(refused) => Err(refused.into()),
        Ok(()) => Ok(()),
    }
}

async fn try_operator(context: &Context) -> Result<(), SignUpError> {
    let Some((name, password)) = context.config().auth.operator() else { return Ok(()) };
    let added = match context.accounts().check_new(name, password).await {
        Ok(checked) => {
            context.audit(ACTOR, "user_add_staff", checked.as_str()).await?;
            context.accounts().add(name, password, true).await
        }
        Err(refused) => Err(refused),
    };
    match added {
        Ok(account) => {
            info!(name = account.name, "made the operator's account");
            Ok(())
        }
        Err(SignUpError::Taken) => {
            // A user who signed up under the name first does not become an operator.
            if !context.accounts().find_by_name(name).await?.is_some_and(|account| account.staff) {
                warn!(name, "an account that is no operator has the name of --operator");
            }
            Ok(())
        }
        Err(refused) => Err(refused),
    }
}
