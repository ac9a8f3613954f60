//! Rust files, and their syntax.

use std::fs;
use std::path::PathBuf;

use proc_macro2::{Literal, TokenStream, TokenTree};
use syn::{Attribute, Item, Meta};

/// One file, with its path from the root of the repository.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) syntax: syn::File,
}

impl Source {
    /// Parses a text. Panics when it is no Rust.
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text: text.to_owned(), syntax }
    }

    /// Reads the Rust files below a folder, sorted by path; none if there is no such folder.
    pub(crate) fn below(folder: &str) -> Vec<Self> {
        files_below(folder)
            .iter()
            .filter(|path| ends(path, "rs"))
            .map(|path| Self::parse(path, &read(path)))
            .collect()
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Lists the files below a folder, as paths from the root of the repository, sorted. A file is
/// itself.
pub(crate) fn files_below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        match fs::read_dir(root().join(&path)) {
            Ok(entries) => open.extend(entries.map(|entry| {
                let name = entry.expect("a readable folder").file_name();
                format!("{path}/{}", name.into_string().expect("a name in UTF-8"))
            })),
            Err(_) if root().join(&path).is_file() => found.push(path),
            Err(_) => {}
        }
    }
    found.sort();
    found
}

/// Whether a path has an extension; one without any has itself.
pub(crate) fn ends(path: &str, extension: &str) -> bool {
    path.rsplit(['.', '/']).next().is_some_and(|end| end == extension)
}

/// Whether an item is compiled for tests only: `#[cfg(test)]`, alone or in `all(…)`.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        _ => false,
    })
}

/// Returns the attributes of an item of any kind.
pub(crate) fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns the literals among these tokens and in their groups, in order.
pub(crate) fn literals(tokens: TokenStream) -> Vec<Literal> {
    let of = |token| match token {
        TokenTree::Group(group) => literals(group.stream()),
        TokenTree::Literal(literal) => vec![literal],
        _ => Vec::new(),
    };
    tokens.into_iter().flat_map(of).collect()
}
