//! Programs and libraries of the Python environment that `make test` installs.

use std::path::{Path, PathBuf};

/// A program of the environment.
pub fn program(name: &str) -> PathBuf {
    installed(&Path::new("bin").join(name))
}

/// A file or folder of the environment.
pub fn installed(path: &Path) -> PathBuf {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv")).join(path);
    assert!(path.exists(), "{} is missing: run `make test`, which installs it", path.display());
    path
}
