//! Every path of a module: in `use` trees, types, expressions, patterns, macros and attributes.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{
    Attribute, ImplItem, Item, ItemImpl, ItemUse, Macro, Meta, Path, Type, UseTree, VisRestricted, Visibility,
};

use crate::source::{attributes_of, is_test};

/// A path as it is written.
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

/// What a `use` brings into a module.
pub(crate) struct Import {
    pub(crate) named: Named,
    /// The name in the module; `None` for a glob.
    pub(crate) alias: Option<String>,
    /// Whether other modules may import it from here.
    pub(crate) public: bool,
}

/// What the items of a module name, those for tests and those of its inline modules left out.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) imports: Vec<Import>,
    /// Inline paths of two segments and more, and types and constants by their name alone.
    pub(crate) paths: Vec<Named>,
    /// The types of inherent `impl` blocks.
    pub(crate) impls: Vec<Named>,
}

impl Names {
    /// Collects them from the items of a module.
    pub(crate) fn of(items: &[Item]) -> Self {
        let mut names = Self::default();
        for item in items {
            names.visit_item(item);
        }
        names
    }

    fn path(&mut self, line: usize, segments: Vec<String>) {
        let name = |segment: &String| segment.starts_with(|first: char| first.is_ascii_uppercase());
        if segments.len() > 1 || segments.first().is_some_and(name) {
            self.paths.push(Named { line, segments });
        }
    }

    /// Finds the paths among tokens that have no syntax yet: `a::b::c`.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut segments = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.path(line, std::mem::take(&mut segments));
                    }
                    if segments.is_empty() {
                        line = ident.span().start().line;
                    }
                    segments.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.path(line, std::mem::take(&mut segments));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.path(line, segments);
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes_of(item)) && !matches!(item, Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if is_test(&function.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let public = !matches!(item.vis, Visibility::Inherited);
        leaves(&item.tree, public, &mut Vec::new(), &mut self.imports);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if let (None, Type::Path(own)) = (&item.trait_, &*item.self_ty) {
            self.impls.push(Named { line: own.span().start().line, segments: segments(&own.path) });
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.path(path.span().start().line, segments(path));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }

    /// `pub(in crate::layer)` names a module and depends on nothing.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}

fn segments(path: &Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

fn leaves(tree: &UseTree, public: bool, before: &mut Vec<String>, found: &mut Vec<Import>) {
    let line = tree.span().start().line;
    let mut leaf = |last: String, alias: Option<String>| {
        let mut segments = before.clone();
        let alias =
            if last == "self" { alias.map(|_| before.last().cloned().unwrap_or_default()) } else { alias };
        if last != "self" && last != "*" {
            segments.push(last);
        }
        found.push(Import { named: Named { line, segments }, alias, public });
    };
    match tree {
        UseTree::Name(name) => leaf(name.ident.to_string(), Some(name.ident.to_string())),
        UseTree::Rename(name) => leaf(name.ident.to_string(), Some(name.rename.to_string())),
        UseTree::Glob(_) => leaf("*".to_owned(), None),
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(&path.tree, public, before, found);
            before.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, public, before, found)),
    }
}
