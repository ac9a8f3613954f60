//! The names of tests.

use syn::visit::{self, Visit};
use syn::{Ident, ItemFn};

use crate::prose::Prose;
use crate::source::{Source, is_test};

/// Returns the names of functions with `#[test]`, `#[tokio::test]` or the like, and their lines.
pub(crate) fn test_names(source: &Source) -> Vec<(usize, String)> {
    let mut tests = Tests(Vec::new());
    tests.visit_file(&source.syntax);
    tests.0.iter().map(|name| (name.span().start().line, name.to_string())).collect()
}

/// Returns the same names as sentences.
pub(crate) fn sentences(source: &Source) -> Prose {
    let names = test_names(source).into_iter();
    let lines = names.map(|(line, name)| (line, name.replace('_', " "))).collect();
    Prose { path: source.path.clone(), lines }
}

struct Tests<'ast>(Vec<&'ast Ident>);

impl<'ast> Visit<'ast> for Tests<'ast> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        let last = |attribute: &syn::Attribute| {
            attribute.path().segments.last().map(|segment| segment.ident.clone())
        };
        if is_test(&function.attrs) || function.attrs.iter().filter_map(last).any(|name| name == "test") {
            self.0.push(&function.sig.ident);
        }
        visit::visit_item_fn(self, function);
    }
}
