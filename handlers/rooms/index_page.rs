//! The page on which a user chooses a room.

use minijinja::context;
use parlor::{Refusal, Request, Response, StatusCode};

use crate::rooms::lists;
use crate::rooms::membership;
use crate::settings::Settings;

/// Answers `GET /`: redirects to the page on which a user chooses a room.
pub(crate) async fn root(request: Request) -> Result<Response, Refusal> {
    Ok(Response::redirect(StatusCode::FOUND, &request.url("home", &[])))
}

/// Answers `GET /chat/`.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    show(&request, StatusCode::OK, "", None).await
}

/// Renders the page with the reason why a private room was not created.
pub(crate) async fn with_error(
    request: &Request,
    status: StatusCode,
    room: &str,
    error: &str,
) -> Result<Response, Refusal> {
    show(request, status, room, Some(error)).await
}

async fn show(
    request: &Request,
    status: StatusCode,
    room: &str,
    error: Option<&str>,
) -> Result<Response, Refusal> {
    let identity = request.identity();
    let (context, mut rooms, mut invitations) = (request.context(), Vec::new(), Vec::new());
    if identity.is_user() {
        rooms = lists::private_rooms(context, identity.id()).await?;
        let open = membership::invitations(context, identity.id()).await?;
        let accounts = context.accounts();
        let owners = accounts.find_all(open.iter().filter_map(|(_, record)| record.owner.as_ref())).await?;
        invitations.extend(open.into_iter().map(|(room, record)| {
            let by = record.owner.and_then(|owner| owners.get(&owner)).map(|owner| &owner.name);
            context! { room, by }
        }));
    }
    let no_signup = request.context().config().auth.no_signup;
    let max_name_chars = request.context().settings::<Settings>().max_name_chars;
    let page = context! { rooms, invitations, room, error, no_signup, max_name_chars };
    Ok(request.render("home.html", page)?.with_status(status))
}
