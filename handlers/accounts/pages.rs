//! Login, logout, sign-up, and nicknames of guests.

use minijinja::context;
use parlor::{PASSWORD_CHARS, Refusal, Request, Response, SignUpError, StatusCode, Username};

use crate::web::safe_redirect::SafeRedirect;

/// `GET /accounts/login/`.
pub(crate) async fn login_page(request: Request) -> Result<Response, Refusal> {
    login_form(&request, &SafeRedirect::from_query(&request), "", None)
}

/// `POST /accounts/login/`: form `name`, `password`, `next`.
pub(crate) async fn login(request: Request) -> Result<Response, Refusal> {
    let form = request.form();
    let (name, next) = (form.get("name"), SafeRedirect::from_form(&form));
    match request.check_password(name, form.get("password")).await? {
        None => login_form(&request, &next, name, Some("wrong")),
        Some(account) if account.banned => login_form(&request, &next, name, Some("banned")),
        Some(account) => request.log_in(&account, next.redirect()).await,
    }
}

/// Answers a wrong password and an unknown name alike.
fn login_form(
    request: &Request,
    next: &SafeRedirect,
    name: &str,
    error: Option<&str>,
) -> Result<Response, Refusal> {
    let no_signup = request.context().config().auth.no_signup;
    let context = context! { next => next.path(), name, error, no_signup };
    let page = request.render("login.html", context)?;
    Ok(if error.is_some() { page.with_status(StatusCode::FORBIDDEN) } else { page })
}

/// `GET /accounts/signup/`.
pub(crate) async fn signup_page(request: Request) -> Result<Response, Refusal> {
    may_sign_up(&request)?;
    signup_form(&request, &SafeRedirect::from_query(&request), "", None)
}

/// `POST /accounts/signup/`: form `name`, `password`, `next`.
pub(crate) async fn signup(request: Request) -> Result<Response, Refusal> {
    may_sign_up(&request)?;
    let form = request.form();
    let (name, next) = (form.get("name"), SafeRedirect::from_form(&form));
    let refused = match request.context().accounts().sign_up(name, form.get("password")).await {
        Ok(account) => return request.log_in(&account, next.redirect()).await,
        Err(SignUpError::Name) => (StatusCode::BAD_REQUEST, "bad_name"),
        Err(SignUpError::Password) => (StatusCode::BAD_REQUEST, "bad_password"),
        Err(SignUpError::Taken) => (StatusCode::CONFLICT, "taken"),
        Err(SignUpError::Unavailable(unavailable)) => return Err(unavailable.into()),
        Err(SignUpError::Busy) => {
            return Err(Refusal::unavailable("the server is checking other passwords: try again later"));
        }
    };
    signup_form(&request, &next, name, Some(refused))
}

fn signup_form(
    request: &Request,
    next: &SafeRedirect,
    name: &str,
    refused: Option<(StatusCode, &str)>,
) -> Result<Response, Refusal> {
    let (status, error) = refused.map_or((StatusCode::OK, None), |(status, error)| (status, Some(error)));
    let (shortest, longest) = PASSWORD_CHARS.into_inner();
    let context = context! { next => next.path(), name, error, shortest, longest };
    Ok(request.render("signup.html", context)?.with_status(status))
}

/// Returns 404 where sign-up is off.
fn may_sign_up(request: &Request) -> Result<(), Refusal> {
    if request.context().config().auth.no_signup { Err(Refusal::not_found()) } else { Ok(()) }
}

/// `POST /accounts/logout/`.
pub(crate) async fn logout(request: Request) -> Result<Response, Refusal> {
    request.log_out(SafeRedirect::home().redirect()).await
}

/// `GET /accounts/guest/`.
pub(crate) async fn nickname_page(request: Request) -> Result<Response, Refusal> {
    may_be_guest(&request)?;
    let identity = request.identity();
    let name = identity.name().trim_start_matches('~');
    // Without a nickname, a guest is named by the start of its id.
    let nickname = if identity.id().starts_with(name) { "" } else { name };
    nickname_form(&request, &SafeRedirect::from_query(&request), nickname, None)
}

/// `POST /accounts/guest/`: form `nickname`, which may be empty, `next`.
pub(crate) async fn nickname(request: Request) -> Result<Response, Refusal> {
    may_be_guest(&request)?;
    let form = request.form();
    let (nickname, next) = (form.get("nickname"), SafeRedirect::from_form(&form));
    if let Some(answer) = request.set_nickname(nickname, next.redirect()).await? {
        return Ok(answer);
    }
    let is_name = Username::parse(nickname).is_some();
    let refused =
        if is_name { (StatusCode::CONFLICT, "taken") } else { (StatusCode::BAD_REQUEST, "bad_name") };
    nickname_form(&request, &next, nickname, Some(refused))
}

fn nickname_form(
    request: &Request,
    next: &SafeRedirect,
    nickname: &str,
    refused: Option<(StatusCode, &str)>,
) -> Result<Response, Refusal> {
    let (status, error) = refused.map_or((StatusCode::OK, None), |(status, error)| (status, Some(error)));
    let context = context! { next => next.path(), nickname, error };
    Ok(request.render("guest.html", context)?.with_status(status))
}

/// Returns 404 for accounts, and where guests are not admitted.
fn may_be_guest(request: &Request) -> Result<(), Refusal> {
    let is_guest = request.identity().role() <= parlor::Role::Guest;
    if is_guest && !request.context().config().auth.no_guests { Ok(()) } else { Err(Refusal::not_found()) }
}
