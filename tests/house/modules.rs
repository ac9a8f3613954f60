//! The modules of a crate, and where a path leads.

use std::collections::{BTreeMap, HashMap};

use syn::{Item, ItemMod};

use crate::source::{Source, is_test};
use crate::visitor::Names;

/// Re-exports that are followed one after another, as a bound for those that lead to themselves.
const MAX_REEXPORTS: usize = 16;

/// A module: `["realtime", "hub"]`; the root is empty.
pub(crate) type ModulePath = Vec<String>;

/// One module, in a file of its own or inline.
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) names: Names,
    /// What its `use` items bring in, by the name that it has here.
    aliases: HashMap<String, Vec<String>>,
}

/// A crate without its tests.
pub(crate) struct Crate {
    folder: String,
    entry: String,
    pub(crate) modules: BTreeMap<ModulePath, Module>,
}

impl Crate {
    /// Reads a crate of this repository.
    pub(crate) fn load(folder: &str, entry: &str) -> Self {
        Self::new(folder, entry, &Source::below(folder))
    }

    /// Follows `mod` items from the entry through the files.
    pub(crate) fn new(folder: &str, entry: &str, files: &[Source]) -> Self {
        let mut made = Self { folder: folder.to_owned(), entry: entry.to_owned(), modules: BTreeMap::new() };
        let files: HashMap<&str, &Source> = files.iter().map(|file| (file.path.as_str(), file)).collect();
        made.add_file(Vec::new(), &format!("{folder}/{entry}"), &files);
        made
    }

    fn add_file(&mut self, path: ModulePath, file: &str, files: &HashMap<&str, &Source>) {
        let source = files.get(file).unwrap_or_else(|| panic!("no file {file}"));
        self.add(path, file, &source.syntax.items, files);
    }

    fn add(&mut self, path: ModulePath, file: &str, items: &[Item], files: &HashMap<&str, &Source>) {
        let children =
            items.iter().filter_map(|item| if let Item::Mod(child) = item { Some(child) } else { None });
        for child @ ItemMod { ident, content, .. } in children.filter(|child| !is_test(&child.attrs)) {
            let mut child_path = path.clone();
            child_path.push(child.ident.to_string());
            if let Some((_, items)) = content {
                self.add(child_path, file, items, files);
            } else {
                let stem = format!("{}/{}", self.folder, child_path.join("/"));
                let candidates = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
                let found = candidates.iter().find(|file| files.contains_key(file.as_str()));
                let found = found.unwrap_or_else(|| panic!("{file}: no file for `mod {ident}`"));
                self.add_file(child_path, found, files);
            }
        }
        let names = Names::of(items);
        let aliases = names.imports.iter().filter_map(|import| {
            let alias = import.alias.clone()?;
            Some((alias, import.named.segments.clone()))
        });
        let aliases = aliases.collect();
        self.modules.insert(path, Module { file: file.to_owned(), names, aliases });
    }

    /// Returns the folder, or the file, directly below the crate's root that a module is in.
    pub(crate) fn layer_of<'a>(&'a self, module: &'a [String]) -> &'a str {
        module.first().map_or(self.entry.trim_end_matches(".rs"), String::as_str)
    }

    /// Returns the module that defines what a path of a module names; `None` for another crate's.
    ///
    /// Re-exports are followed. A name of another crate that a module re-exports is that module's.
    pub(crate) fn resolve(&self, from: &[String], segments: &[String]) -> Option<ModulePath> {
        self.follow(from, segments, MAX_REEXPORTS)
    }

    fn follow(&self, from: &[String], segments: &[String], hops: usize) -> Option<ModulePath> {
        let hops = hops.checked_sub(1)?;
        let (first, mut rest) = segments.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Vec::new(),
            "self" => from.to_vec(),
            "super" => {
                let ups = 1 + rest.iter().take_while(|segment| *segment == "super").count();
                rest = &rest[ups - 1..];
                from[..from.len().checked_sub(ups)?].to_vec()
            }
            _ => {
                let alias = self.modules[from].aliases.get(first);
                // `use time::time` in a module that has no `time` of its own is another crate's.
                let alias = alias.filter(|target| target.first() != Some(first));
                if let Some(target) = alias {
                    return self.follow(from, &[target, rest].concat(), hops);
                }
                let child = [from, std::slice::from_ref(first)].concat();
                self.modules.contains_key(&child).then_some(child)?
            }
        };
        while let Some((next, after)) = rest.split_first() {
            let child = [&at, std::slice::from_ref(next)].concat();
            if self.modules.contains_key(&child) {
                at = child;
                rest = after;
                continue;
            }
            if let Some(target) = self.modules[&at].aliases.get(next) {
                return Some(self.follow(&at, &[target, after].concat(), hops).unwrap_or(at));
            }
            break;
        }
        Some(at)
    }
}
