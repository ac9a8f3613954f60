//! A copy of the application's templates, files and catalogues that a test may change.

use std::fs;
use std::path::{Path, PathBuf};

pub struct Assets(tempfile::TempDir);

impl Assets {
    pub fn copy() -> Self {
        let target = tempfile::tempdir().expect("a temporary directory");
        for folder in ["templates", "static", "locales"] {
            copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &target.path().join(folder));
        }
        Self(target)
    }

    pub fn path(&self) -> &str {
        self.0.path().to_str().expect("a path in UTF-8")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
