//! The page of users: bans, and who is an operator.

use minijinja::{Value, context};
use parlor::{Account, Context, LayerError, Refusal, Request, Response, StatusCode, rfc3339, secret};

use super::{about, back, no_action, note, user};

/// The most users on the page.
const MAX_SHOWN_USERS: usize = 100;
const PATH: &str = "/admin/users/";
/// The digits of its id that name a guest without a nickname.
const GUEST_NAME_DIGITS: usize = 8;

/// Answers `GET /admin/users/`. `?name=` finds users: an account's name, the name by which a user
/// of another site is shown, a guest's with its `~`, or an id.
pub(crate) async fn page(request: Request) -> Result<Response, Refusal> {
    let context = request.context();
    let wanted = request.query("name").map(|name| name.trim().to_owned()).unwrap_or_default();
    let banned = context.banned_guests(MAX_SHOWN_USERS).await?;
    let count = context.accounts().count().await?;
    let (accounts, guests) = if wanted.is_empty() {
        (context.accounts().newest(MAX_SHOWN_USERS).await?, banned.clone())
    } else {
        found(context, &wanted).await?
    };
    let users: Vec<Value> = accounts.iter().map(|account| row(account, &wanted)).collect();
    let guests: Vec<Value> = guests
        .iter()
        .map(|id| context! { id, name => format!("~{}", &id[..GUEST_NAME_DIGITS]), banned => banned.contains(id) })
        .collect();
    let status = if !wanted.is_empty() && users.is_empty() && guests.is_empty() {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::OK
    };
    let context = context! { users, guests, count, wanted, shown => MAX_SHOWN_USERS };
    Ok(request.render("admin_users.html", context)?.with_status(status))
}

fn row(account: &Account, wanted: &str) -> Value {
    let Account { id, name, staff, banned, made, .. } = account;
    // Another name that looks alike: its letters are shown, and it is made no operator here.
    let letters = (!wanted.is_empty() && id != wanted && !account.is_named(wanted))
        .then(|| name.escape_default().to_string());
    context! { id, name, staff, banned, by_token => account.by_token(), made => rfc3339(*made), letters }
}

/// Finds accounts, and guests by their ids.
async fn found(context: &Context, wanted: &str) -> Result<(Vec<Account>, Vec<String>), LayerError> {
    if let Some(nickname) = wanted.strip_prefix('~') {
        return Ok((Vec::new(), context.find_guest_by_nickname(nickname).await?.into_iter().collect()));
    }
    let accounts = context.accounts();
    let named = [accounts.find_confusable(wanted).await?, accounts.find_shown(wanted).await?];
    let named: Vec<Account> = named.into_iter().flatten().collect();
    if !named.is_empty() {
        return Ok((named, Vec::new()));
    }
    if let Some(account) = context.accounts().find_by_id(wanted).await? {
        return Ok((vec![account], Vec::new()));
    }
    let id = Some(wanted.to_ascii_lowercase()).filter(|id| secret::is_user_id(id));
    Ok((Vec::new(), id.into_iter().collect()))
}

/// Answers `POST /admin/users/`: form `user` (an id) and `action`, one of `ban`, `unban`,
/// `end_logins`, `staff_on`, `staff_off`.
pub(crate) async fn act(request: Request) -> Result<Response, Refusal> {
    let form = request.form();
    let context = request.context();
    let id = user(&request, form.get("user"))?;
    let action = form.get("action");
    let account = context.accounts().find_by_id(id).await?;
    let name = account.as_ref().map_or("", |account| account.name.as_str());
    match (action, &account) {
        ("ban" | "unban", _) => {
            note(&request, action, &about(name, id)).await?;
            context.set_banned(id, action == "ban").await?;
        }
        ("end_logins", Some(_)) => {
            note(&request, action, &about(name, id)).await?;
            context.end_logins(id).await?;
        }
        ("staff_on" | "staff_off", Some(account)) => {
            note(&request, action, &account.name).await?;
            context.set_staff(account, action == "staff_on").await?.ok_or_else(no_account)?;
        }
        ("end_logins" | "staff_on" | "staff_off", None) => {
            return Err(no_account());
        }
        _ => return Err(no_action()),
    }
    Ok(back(PATH))
}

fn no_account() -> Refusal {
    Refusal::bad_request("`user`: expected the id of an account")
}
