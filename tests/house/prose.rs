//! What is written for people: comments, documents, and texts in code.

use std::ops::{Range, RangeInclusive};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, LitStr, Macro};

use crate::source::{Source, attributes_of, is_test, literals, read};

/// Lines of prose of one file, each with its number.
pub(crate) struct Prose {
    pub(crate) path: String,
    pub(crate) lines: Vec<(usize, String)>,
}

impl Prose {
    /// Takes each line of a file that is no Rust.
    pub(crate) fn of_file(path: &str) -> Self {
        let lines = read(path).lines().enumerate().map(|(at, line)| (at + 1, line.to_owned())).collect();
        Self { path: path.to_owned(), lines }
    }

    /// Takes the comments of a Rust file, those of its tests with them.
    pub(crate) fn comments(source: &Source) -> Self {
        let tokens: TokenStream = source.text.parse().expect("it was parsed before");
        let mut spans = Vec::new();
        flatten(tokens, &mut spans);
        let mut lines = Vec::new();
        let mut end = 0;
        spans.push(Range { start: source.text.len(), end: source.text.len() });
        for span in spans {
            add_comments(source, end..span.start.max(end), &mut lines);
            if source.text[span.clone()].starts_with("//") || source.text[span.clone()].starts_with("/*") {
                // A doc comment.
                add_comments(source, span.start.max(end)..span.end.max(end), &mut lines);
            }
            end = end.max(span.end);
        }
        Self { path: source.path.clone(), lines }
    }

    /// Takes the texts in the code of a Rust file, those of its tests left out.
    pub(crate) fn texts(source: &Source) -> Self {
        let mut texts = Texts(Vec::new());
        texts.visit_file(&source.syntax);
        Self { path: source.path.clone(), lines: texts.0 }
    }

    /// Takes all lines of a Rust file but those of its tests.
    pub(crate) fn without_tests(source: &Source) -> Self {
        let mut tests = Tests(Vec::new());
        tests.visit_file(&source.syntax);
        let lines = source.text.lines().enumerate().map(|(at, line)| (at + 1, line.to_owned()));
        let lines = lines.filter(|(line, _)| !tests.0.iter().any(|test| test.contains(line))).collect();
        Self { path: source.path.clone(), lines }
    }
}

fn flatten(tokens: TokenStream, spans: &mut Vec<Range<usize>>) {
    for token in tokens {
        if let TokenTree::Group(group) = token {
            spans.push(group.span_open().byte_range());
            flatten(group.stream(), spans);
            spans.push(group.span_close().byte_range());
        } else {
            spans.push(token.span().byte_range());
        }
    }
}

/// Adds the lines of a range that is blank but for comments.
fn add_comments(source: &Source, range: Range<usize>, lines: &mut Vec<(usize, String)>) {
    if source.text[range.clone()].trim().is_empty() {
        return;
    }
    let first = source.text[..range.start].matches('\n').count() + 1;
    for (at, line) in source.text[range].lines().enumerate() {
        if !line.trim().is_empty() {
            lines.push((first + at, line.trim().to_owned()));
        }
    }
}

/// String literals of code that is no test.
struct Texts(Vec<(usize, String)>);

impl Texts {
    fn add(&mut self, span: Span, text: &str) {
        let first = span.start().line;
        self.0.extend(text.lines().enumerate().map(|(at, line)| (first + at, line.to_owned())));
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for literal in literals(tokens) {
            if let Ok(text) = syn::parse_str::<LitStr>(&literal.to_string()) {
                self.add(literal.span(), &text.value());
            }
        }
    }
}

impl<'ast> Visit<'ast> for Texts {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes_of(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if is_test(&function.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.add(text.span(), &text.value());
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
        if !attribute.path().is_ident("doc") {
            visit::visit_attribute(self, attribute);
        }
    }
}

/// The lines of items that are for tests only.
struct Tests(Vec<RangeInclusive<usize>>);

impl<'ast> Visit<'ast> for Tests {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(attributes_of(item)) {
            let span = item.span();
            self.0.push(span.start().line..=span.end().line);
        } else {
            visit::visit_item(self, item);
        }
    }
}
