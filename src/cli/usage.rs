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
    // The part of a URL before `@` is a password.
    let value = value.rsplit('@').next().unwrap_or_default();
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

/// Returns the argument, value or command that clap suggests.
fn suggestion(error: &clap::Error) -> Option<String> {
    let kinds = [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(similar) => Some(similar.clone()),
        ContextValue::Strings(similar) => similar.first().cloned(),
        _ => None,
    })
}
