//! Values that have one place: close codes.

use syn::visit::{self, Visit};
use syn::{ExprBinary, ImplItem, Item, ItemConst, LitInt, Macro};

use proc_macro2::{TokenStream, TokenTree};

use crate::source::{Source, attributes_of, is_test, literals};

/// Quantities that are close codes only by chance: a thousand of something, and 4 KiB.
const QUANTITIES: [u32; 2] = [1000, 4096];

/// Whether a number is a close code of RFC 6455, section 7.4, or of an application.
fn is_close_code(number: u32) -> bool {
    matches!(number, 1000..=1015 | 4000..=4999)
}

/// Lists the close codes that code, which is no test, has as numbers.
///
/// A thousand and 4096 are no close codes in a constant, in arithmetic and as an argument of a
/// method.
pub(crate) fn close_codes(source: &Source) -> Vec<String> {
    let mut found = CloseCodes { quantities: false, found: Vec::new() };
    found.visit_file(&source.syntax);
    found.found.iter().map(|(line, text)| format!("{}:{line}: {text}", source.path)).collect()
}

struct CloseCodes {
    /// Whether the code that is visited may hold a quantity.
    quantities: bool,
    found: Vec<(usize, String)>,
}

impl CloseCodes {
    fn with_quantities(&mut self, visit: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.quantities, true);
        visit(self);
        self.quantities = before;
    }

    fn number(&mut self, number: &LitInt) {
        let Ok(value) = number.base10_parse::<u32>() else { return };
        if is_close_code(value) && !(self.quantities && QUANTITIES.contains(&value)) {
            self.found.push((number.span().start().line, value.to_string()));
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        for literal in literals(tokens) {
            if let Ok(number) = syn::parse2::<LitInt>(TokenTree::Literal(literal).into()) {
                self.number(&number);
            }
        }
    }
}

impl<'ast> Visit<'ast> for CloseCodes {
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

    fn visit_item_const(&mut self, item: &'ast ItemConst) {
        self.with_quantities(|codes| visit::visit_item_const(codes, item));
    }

    fn visit_expr_binary(&mut self, expression: &'ast ExprBinary) {
        let compared = matches!(expression.op, syn::BinOp::Eq(_) | syn::BinOp::Ne(_));
        if compared {
            visit::visit_expr_binary(self, expression);
        } else {
            self.with_quantities(|codes| visit::visit_expr_binary(codes, expression));
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.with_quantities(|codes| visit::visit_expr_method_call(codes, call));
    }

    fn visit_lit_int(&mut self, number: &'ast LitInt) {
        self.number(number);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.tokens(call.tokens.clone());
    }
}
