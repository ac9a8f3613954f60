//! Which module imports which.

use std::path::Path;

use crate::graph::{Graph, circles as circles_of};
use crate::layers::Layers;
use crate::modules::Crate;
use crate::visitor::Named;

/// Files that may import one another.
const MAX_CIRCLE_FILES: usize = 3;

/// Lists the imports against the order, and the folders that have no place in it.
pub(crate) fn upward(of: &Crate, layers: &Layers) -> Vec<String> {
    let mut found = Vec::new();
    for (path, module) in &of.modules {
        let from = of.layer_of(path);
        if !layers.contains(from) {
            found.push(format!("{}: `{from}` is not in layers.txt", module.file));
        }
    }
    each_edge(of, |file, named, from, to| {
        let (from, to) = (of.layer_of(from), of.layer_of(to));
        if layers.contains(from) && layers.contains(to) && !layers.allow(from, to) {
            found.push(format!("{file}:{}: {from} imports {to}: {}", named.line, named.segments.join("::")));
        }
    });
    found
}

/// Lists the circles of more than three files.
pub(crate) fn circles(of: &Crate) -> Vec<String> {
    let mut graph = Graph::new();
    for module in of.modules.values() {
        graph.entry(&module.file).or_default();
    }
    each_edge(of, |_, _, from, to| {
        let (from, to) = (&of.modules[from].file, &of.modules[to].file);
        if from != to {
            graph.entry(from).or_default().insert(to);
        }
    });
    let large = circles_of(&graph).into_iter().filter(|circle| circle.len() > MAX_CIRCLE_FILES);
    large.map(|circle| circle.into_iter().collect::<Vec<_>>().join(" ")).collect()
}

/// Lists the inherent `impl` blocks that stand outside the folder of their type.
pub(crate) fn foreign_impls(of: &Crate) -> Vec<String> {
    let mut found = Vec::new();
    for (path, module) in &of.modules {
        for own in &module.names.impls {
            let Some(definer) = of.resolve(path, &own.segments) else { continue };
            let beside = Path::new(&of.modules[&definer].file).parent() == Path::new(&module.file).parent();
            if !beside && !path.starts_with(&definer) {
                let definer = &of.modules[&definer].file;
                found.push(format!(
                    "{}:{}: impl {} of {definer}",
                    module.file,
                    own.line,
                    own.segments.join("::")
                ));
            }
        }
    }
    found
}

/// Lists the paths into other crates that the crate may not name.
pub(crate) fn of_crates(of: &Crate, forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, module) in &of.modules {
        for named in module.names.imports.iter().map(|import| &import.named).chain(&module.names.paths) {
            let first = named.segments.first().map_or("", String::as_str);
            if forbidden.contains(&first) && of.resolve(path, &named.segments).is_none() {
                found.push(format!("{}:{}: {}", module.file, named.line, named.segments.join("::")));
            }
        }
    }
    found
}

/// Calls for each name of another module, with the file, the name and both modules.
///
/// A module that only re-exports a name of a module inside it does not depend on that.
fn each_edge<'a>(of: &'a Crate, mut call: impl FnMut(&str, &Named, &'a [String], &'a [String])) {
    for (path, module) in &of.modules {
        let imports = module.names.imports.iter().map(|import| (import.public, &import.named));
        let paths = module.names.paths.iter().map(|named| (false, named));
        for (public, named) in imports.chain(paths) {
            let Some(to) = of.resolve(path, &named.segments) else { continue };
            let (to, _) = of.modules.get_key_value(&to).expect("it was resolved");
            if to != path && !(public && to.starts_with(path)) {
                call(&module.file, named, path, to);
            }
        }
    }
}
