//! The settings that an application adds to those of the runtime.

use std::any::{Any, type_name};
use std::sync::Arc;

use clap::{ArgMatches, Args, Command, Error};

/// The type of an application's own settings.
///
/// They are flags and variables like those of the runtime; the variable of `--max-title-chars` is
/// `<NAME>_MAX_TITLE_CHARS`. [`Context::settings`](crate::Context::settings) returns their values.
///
/// # Examples
/// ```
/// use parlor::AppSettings;
///
/// #[derive(clap::Args)]
/// struct Settings {
///     /// Longest title, in characters
///     #[arg(long, default_value = "80")]
///     max_title_chars: usize,
/// }
///
/// const SETTINGS: AppSettings = AppSettings::new::<Settings>();
/// ```
#[derive(Clone, Copy)]
pub struct AppSettings {
    augment: fn(Command) -> Command,
    read: fn(&ArgMatches) -> Result<AppValues, Error>,
}

/// The values of an application's own settings.
#[derive(Clone, Debug)]
pub(crate) struct AppValues(Arc<dyn Any + Send + Sync>);

impl AppSettings {
    /// Takes the settings of `S`. Its flags must differ from those of the runtime.
    pub const fn new<S: Args + Send + Sync + 'static>() -> Self {
        Self { augment: S::augment_args, read: read::<S> }
    }

    /// Returns the settings of an application that has none.
    pub const fn none() -> Self {
        Self::new::<()>()
    }

    /// Adds the settings to a command line.
    pub(crate) fn augment(self, command: Command) -> Command {
        (self.augment)(command)
    }

    /// Reads the values of a parsed command line.
    ///
    /// # Errors
    /// Fails when a required setting is missing.
    pub(crate) fn read(self, matches: &ArgMatches) -> Result<AppValues, Error> {
        (self.read)(matches)
    }
}

impl AppValues {
    /// Returns the values.
    ///
    /// # Panics
    /// Panics when the application's settings are not of the type `S`.
    pub(crate) fn get<S: 'static>(&self) -> &S {
        let values = self.0.downcast_ref();
        values.unwrap_or_else(|| panic!("the application's settings are not {}", type_name::<S>()))
    }
}

/// No settings.
impl Default for AppValues {
    fn default() -> Self {
        Self(Arc::new(()))
    }
}

fn read<S: Args + Send + Sync + 'static>(matches: &ArgMatches) -> Result<AppValues, Error> {
    Ok(AppValues(Arc::new(S::from_arg_matches(matches)?)))
}
