//! Secrets: read from files or the environment, never printed, and rejected if weak.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::config::secret_error::SecretError;
use crate::config::setting::{Setting, variable};
use crate::config::weakness::Weakness;

/// The maximum size of a file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A secret. `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// The two sources of a secret: a flag `--x-file` that names its file, and the variable of `--x`
/// that holds it. There is no flag `--x`: every user of the machine can read arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) flag: &'static str,
}

impl Source {
    /// Returns the variable that holds the secret.
    pub(crate) fn variable(self) -> String {
        variable(self.flag.trim_end_matches("-file"))
    }

    /// Returns the names of the source that is used: of the file, if there is one.
    pub(crate) fn shown(self, file: Option<&Path>) -> String {
        match file {
            Some(_) => Setting(self.flag).to_string(),
            None => self.variable(),
        }
    }

    /// Reads the file, or else the variable; `None` if neither is set. Strips a line break at the
    /// end of a text.
    ///
    /// # Errors
    /// Returns [`SecretError::Unreadable`] for a file that cannot be read.
    pub(crate) fn read(self, file: Option<&Path>) -> Result<Option<Secret>, SecretError> {
        let Some(path) = file else {
            let value = std::env::var_os(self.variable()).filter(|value| !value.is_empty());
            return Ok(value.map(|value| Secret::new(value.into_encoded_bytes())));
        };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Some(Secret::new(bytes))),
            Err(cause) => {
                Err(SecretError::Unreadable { setting: self.shown(file), path: path.to_owned(), cause })
            }
        }
    }

    /// Reads a secret that signs, and rejects one that can be guessed.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`SecretError::Weak`].
    pub(crate) fn read_strong(self, file: Option<&Path>) -> Result<Option<Secret>, SecretError> {
        let secret = self.read(file)?;
        match secret.as_ref().and_then(Secret::weakness) {
            Some(weakness) => Err(SecretError::Weak { setting: self.shown(file), weakness }),
            None => Ok(secret),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}), or {}", self.flag, variable(self.flag), self.variable())
    }
}

impl Secret {
    fn new(mut bytes: Vec<u8>) -> Self {
        // Random bytes are not a text, and may end with the byte of a line break.
        if let Ok(text) = std::str::from_utf8(&bytes) {
            bytes.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        Self(bytes)
    }

    /// Returns the bytes of the secret.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the secret if it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Returns why the secret is weak, without showing it.
    pub(crate) fn weakness(&self) -> Option<Weakness> {
        Weakness::find(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Source = Source { flag: "--not-set-file" };
    const GOOD: &str = "0123456789abcdefghijklmnopqrstuv";

    fn of_file(content: impl AsRef<[u8]>) -> Result<Option<Secret>, SecretError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        SOURCE.read_strong(Some(file.path()))
    }

    #[test]
    fn a_line_break_at_the_end_of_a_text_is_not_part_of_it() {
        for end in ["", "\n", "\r\n"] {
            let secret = of_file([GOOD, end].concat()).unwrap().unwrap();
            assert_eq!(secret.text(), Some(GOOD));
        }
        let bytes: Vec<u8> = (0..31).map(|n| n * 8).chain([b'\n']).collect();
        assert_eq!(of_file(&bytes).unwrap().unwrap().bytes(), bytes, "no text");
    }

    #[test]
    fn a_weak_secret_is_refused_and_not_repeated() {
        let (short, poor) = (&GOOD[1..], "abcabcabc".repeat(10));
        for weak in ["", "secret", short, &poor, &"x".repeat(100)] {
            let error = of_file(weak).unwrap_err().to_string();
            assert!(
                error.starts_with("--not-set-file (PARLOR_NOT_SET_FILE): got ") && error.contains("expected"),
                "{error}"
            );
            assert!(weak.is_empty() || !error.contains(weak), "{error}");
        }
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", of_file(GOOD).unwrap()), "Some((secret))");
    }

    #[test]
    fn an_unset_secret_is_none_and_a_missing_file_is_an_error() {
        assert_eq!(SOURCE.read_strong(None).unwrap(), None);
        let error = SOURCE.read(Some(Path::new("/no/such/file"))).unwrap_err().to_string();
        assert!(error.contains("`/no/such/file`"), "{error}");
    }
}
