//! Usage errors on one line: both names of the setting, the value and what was expected.

use std::error::Error;

use clap::Command;
use clap::error::{ContextKind, ContextValue};

/// Returns clap's error as one line.
pub(crate) fn line(error: &clap::Error, command: &Command) -> String {
    let context = |kind| error.get(kind).map(ToString::to_string);
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let flag = argument.split_whitespace().next().unwrap_or_default();
    let variable = command
        .get_arguments()
        .find(|known| known.get_long().is_some_and(|long| flag == format!("--{long}")))
        .and_then(|known| known.get_env()?.to_str());
    let (Some(variable), Some(value)) = (variable, context(ContextKind::InvalidValue)) else {
        let text = error.to_string();
        // clap lists missing arguments on separate lines, and hints after an empty one.
        let said = text.lines().map(str::trim).take_while(|line| !line.is_empty());
        let line = said.collect::<Vec<_>>().join(" ");
        let line = line.trim_start_matches("error: ");
        return match suggestion(error) {
            Some(similar) => format!("{line}; did you mean `{similar}`? see --help"),
            None => format!("{line}; see --help"),
        };
    };
    let value = without_secrets(&value);
    let valid = context(ContextKind::ValidValue).filter(|valid| !valid.is_empty());
    let expected = match (error.source(), valid) {
        (Some(why), _) => why.to_string(),
        (None, Some(valid)) => format!("expected one of {valid}"),
        (None, None) => "expected a value".to_owned(),
    };
    match suggestion(error) {
        Some(similar) => format!("{flag} ({variable}): got `{value}`, {expected}; did you mean `{similar}`?"),
        None => format!("{flag} ({variable}): got `{value}`, {expected}"),
    }
}

/// Replaces the part of a URL before `@`, which holds a password, by `…`, and the parameters if
/// there is a password among them.
fn without_secrets(value: &str) -> String {
    let shown = match value.rsplit_once('@') {
        None => value.to_owned(),
        Some((login, rest)) => match login.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://…@{rest}"),
            None => rest.to_owned(),
        },
    };
    match shown.split_once('?') {
        Some((address, parameters)) if parameters.contains("pass") => format!("{address}?…"),
        _ => shown,
    }
}

/// Returns the argument, value or command that clap suggests.
fn suggestion(error: &clap::Error) -> Option<String> {
    let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(similar) => Some(similar.clone()),
        ContextValue::Strings(similar) => similar.first().cloned(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn a_value_is_shown_without_the_password_in_it() {
        for (value, shown) in [
            ("rediss://:p@w@cache.example.com:6379", "rediss://…@cache.example.com:6379"),
            ("user:pw@host", "host"),
            ("redis://host", "redis://host"),
            ("redis://host?db=x", "redis://host?db=x"),
            ("redis+unix:///a?db=x&pass=p", "redis+unix:///a?…"),
            ("many", "many"),
        ] {
            assert_eq!(without_secrets(value), shown);
        }
    }
}
