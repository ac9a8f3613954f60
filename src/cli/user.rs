//! `parlor user`: accounts.

use clap::{Subcommand, ValueEnum};

use super::{away, note, password};
use crate::auth::accounts::{Account, Accounts};
use crate::layer::AdminClient;
use crate::wire::time::local_day;

/// What to do about accounts.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add an account; its password comes from {NAME}_PASSWORD, or from a line of stdin
    Add {
        /// Make it an operator's account, with access to /admin/
        #[arg(long)]
        staff: bool,
        /// The name of the account
        name: String,
    },
    /// Grant a user the operator's role, or revoke it
    Staff {
        /// The name of the account
        name: String,
        /// on or off
        #[arg(hide_possible_values = true)]
        staff: Switch,
    },
    /// List all accounts, the newest first: name, id, roles and creation time
    List,
}

/// A switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

impl UserCommand {
    /// Runs the command and returns its output.
    pub(super) async fn run(&self, admin: &AdminClient) -> Result<String, String> {
        let accounts = Accounts { store: admin.store() };
        match self {
            Self::Add { staff, name } => add(admin, accounts, name, *staff).await,
            Self::Staff { name, staff } => set_staff(admin, accounts, name, *staff == Switch::On).await,
            Self::List => {
                let count = accounts.count().await.map_err(away)?;
                let all = accounts.newest(count).await.map_err(away)?;
                Ok(all.iter().map(line).collect())
            }
        }
    }
}

async fn add(admin: &AdminClient, accounts: Accounts<'_>, name: &str, staff: bool) -> Result<String, String> {
    let password = password::read()?;
    let could_not = |refused| format!("could not add `{name}`: {refused}");
    let checked = accounts.check_new(name, &password).await.map_err(could_not)?;
    note(admin.store(), if staff { "user_add_staff" } else { "user_add" }, checked.as_str()).await?;
    let account = accounts.add(name, &password, staff).await.map_err(could_not)?;
    Ok(format!("added {}{}\n", account.name, if staff { ", who is an operator" } else { "" }))
}

async fn set_staff(
    admin: &AdminClient,
    accounts: Accounts<'_>,
    name: &str,
    staff: bool,
) -> Result<String, String> {
    let Some(account) = accounts.find_by_name(name).await.map_err(away)? else {
        let other = accounts.find_confusable(name).await.map_err(away)?;
        let other = other.map_or_else(String::new, |other| {
            format!("; `{}` looks like it, in other letters: {}", other.name, other.name.escape_default())
        });
        return Err(format!("there is no account `{name}`{other}"));
    };
    let words = if staff { "an operator" } else { "no operator" };
    if account.staff == staff {
        return Ok(format!("{} is {words} already\n", account.name));
    }
    note(admin.store(), if staff { "staff_on" } else { "staff_off" }, &account.name).await?;
    match Accounts::set_staff(admin, &account, staff).await.map_err(away)? {
        Some(account) => Ok(format!("{} is {words} from now on\n", account.name)),
        None => Err(format!("the account `{}` was removed in this moment", account.name)),
    }
}

fn line(account: &Account) -> String {
    let marks = [("operator", account.staff), ("banned", account.banned), ("by token", account.by_token())];
    let marks: Vec<_> = marks.into_iter().filter_map(|(mark, is)| is.then_some(mark)).collect();
    format!("{}\t{}\t{}\t{}\n", account.name, account.id, marks.join(", "), local_day(account.made))
}
