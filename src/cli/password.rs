//! Reads the password of a new account from the environment, a terminal or a line of stdin. Never
//! from the arguments, which every user of the machine can read.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use crate::config::setting::variable;

/// The variable, without the application's name.
pub(super) const VARIABLE: &str = "password";
/// The maximum number of bytes read from stdin, more than any valid password has.
const MAX_STDIN_BYTES: u64 = 4096;

/// Reads the password.
///
/// # Errors
/// Returns one line.
pub(super) fn read() -> Result<String, String> {
    let variable = variable(VARIABLE);
    if let Some(value) = std::env::var_os(&variable).filter(|value| !value.is_empty()) {
        return value.into_string().map_err(|_| format!("{variable}: expected UTF-8"));
    }
    let stdin = std::io::stdin();
    let read = if stdin.is_terminal() {
        twice()?
    } else {
        let mut line = String::new();
        stdin.lock().take(MAX_STDIN_BYTES).read_line(&mut line).map_err(|error| unread(&error))?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if read.is_empty() {
        return Err(format!("expected a password in {variable}, or as a line of stdin"));
    }
    Ok(read)
}

/// Asks twice, as the terminal does not echo.
fn twice() -> Result<String, String> {
    let prompt = |text| rpassword::prompt_password(text).map_err(|error| unread(&error));
    let password = prompt("Password: ")?;
    if prompt("And again: ")? != password {
        return Err("the two passwords differ".to_owned());
    }
    Ok(password)
}

fn unread(error: &std::io::Error) -> String {
    format!("could not read a password: {error}")
}
