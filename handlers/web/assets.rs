//! The files in the binary: templates, static files and catalogues.

use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "templates/"]
#[prefix = "templates/"]
struct Templates;

#[derive(RustEmbed)]
#[folder = "static/"]
#[prefix = "static/"]
struct Static;

#[derive(RustEmbed)]
#[folder = "locales/"]
#[prefix = "locales/"]
struct Locales;

/// Returns a file by its path from the project's root.
pub(crate) fn file(path: &str) -> Option<EmbeddedFile> {
    match path.split_once('/')?.0 {
        "templates" => Templates::get(path),
        "static" => Static::get(path),
        "locales" => Locales::get(path),
        _ => None,
    }
}
