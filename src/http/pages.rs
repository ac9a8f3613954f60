//! Pages: templates, catalogues of texts and static files, from the binary or, while developing,
//! from a folder.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value, context};
use rust_embed::EmbeddedFile;

use crate::http::csrf::CsrfToken;
use crate::http::response::Refusal;
use crate::http::response::failed;
use crate::http::site::Site;

/// The templates, catalogues and static files of an application.
pub(crate) struct Pages {
    application: Site,
    folder: Option<PathBuf>,
    environment: Environment<'static>,
    catalogues: HashMap<&'static str, Value>,
}

impl Pages {
    /// Creates the pages of this application. With `folder`, files are read from it at each use.
    pub(crate) fn new(application: Site, folder: Option<PathBuf>) -> Self {
        let environment = Self::environment(application.clone(), folder.clone());
        let languages = application.languages;
        let mut pages = Self { application, folder, environment, catalogues: HashMap::new() };
        pages.catalogues = languages.iter().map(|lang| (*lang, pages.read_catalogue(lang))).collect();
        pages
    }

    /// Returns a file by its path, as in `static/icon.svg`.
    pub(crate) fn file(&self, path: &str) -> Option<EmbeddedFile> {
        file(&self.application, self.folder.as_ref(), path)
    }

    /// Returns the language for a client: the first of its list that the application has. The
    /// default is the application's first language, or its last for a client that lists only
    /// others.
    pub(crate) fn language(&self, accept: Option<&str>) -> &'static str {
        let languages = self.application.languages;
        let fallback = if accept.is_some() { languages.last() } else { languages.first() };
        let wanted = accept_language::parse_with_quality(accept.unwrap_or_default());
        let wanted = wanted
            .iter()
            .filter(|(_, quality)| *quality > 0.0)
            .map(|(tag, _)| tag.split('-').next().unwrap_or_default().to_ascii_lowercase());
        let found = wanted.into_iter().find_map(|tag| languages.iter().find(|language| **language == tag));
        found.or(fallback).copied().unwrap_or_default()
    }

    /// Renders a page from a template.
    pub(crate) fn render(
        &self,
        template: &str,
        language: &str,
        context: &Value,
        csrf: &CsrfToken,
    ) -> Result<String, Refusal> {
        let t = self.catalogue(language);
        let context = context! { lang => language, t => t, csrf_token => csrf.function(), ..context.clone() };
        let fresh = self
            .folder
            .as_ref()
            .map(|folder| Self::environment(self.application.clone(), Some(folder.clone())));
        let environment = fresh.as_ref().unwrap_or(&self.environment);
        let page = environment.get_template(template).and_then(|template| template.render(context));
        page.map_err(|error| failed(&error))
    }

    /// Renders the page that explains a refusal.
    pub(crate) fn refusal(&self, refusal: &Refusal, language: &str) -> Result<String, Refusal> {
        let t = self.catalogue(language);
        let status = refusal.status.as_u16();
        let title = t.get_attr("errors").and_then(|titles| titles.get_item(&Value::from(status.to_string())));
        let title = title.ok().filter(|title| !title.is_undefined());
        let title = title.map_or_else(
            || refusal.status.canonical_reason().unwrap_or_default().to_owned(),
            |title| title.to_string(),
        );
        let sentence = refusal.message_key.and_then(|entry| sentence(&t, entry, &refusal.message_values));
        let detail = sentence.unwrap_or_else(|| refusal.detail.to_string());
        let csrf = CsrfToken::from_headers(&hyper::HeaderMap::new());
        self.render("error.html", language, &context! { status, title, detail }, &csrf)
    }

    fn catalogue(&self, language: &str) -> Value {
        match &self.folder {
            Some(_) => self.read_catalogue(language),
            None => self.catalogues.get(language).cloned().unwrap_or_default(),
        }
    }

    fn read_catalogue(&self, language: &str) -> Value {
        let file = self.file(&format!("locales/{language}.json"));
        let texts = file.and_then(|file| serde_json::from_slice::<serde_json::Value>(&file.data).ok());
        Value::from(Serde(texts))
    }

    /// Creates a template environment with Django's helpers.
    fn environment(application: Site, folder: Option<PathBuf>) -> Environment<'static> {
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder().keep_trailing_newline(true).build().expect("Jinja's own delimiters"),
        );
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let site = application.clone();
        environment.set_loader(move |name| {
            let found = file(&site, folder.as_ref(), &format!("templates/{name}"));
            Ok(found.map(|found| String::from_utf8_lossy(&found.data).into_owned()))
        });
        environment.add_filter("json_script", json_script);
        environment.add_function("static", |path: &str| Value::from_safe_string(format!("/static/{path}")));
        environment.add_function("url", move |name: &str, arguments: Kwargs| {
            let values = arguments.args().map(|key| Ok((key, arguments.get::<String>(key)?)));
            let values = values.collect::<Result<Vec<_>, Error>>()?;
            let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
            application.urls.url(name, &values).map(Value::from_safe_string).ok_or_else(|| {
                let expected = format!("`url`: no route `{name}` with these arguments");
                Error::new(ErrorKind::InvalidOperation, expected)
            })
        });
        environment
    }
}

/// Returns a text of a catalogue with these values in place of their names in braces.
fn sentence(catalogue: &Value, entry: &str, values: &[(&str, String)]) -> Option<String> {
    let text = catalogue.get_attr(entry).ok().filter(|text| !text.is_undefined())?;
    let fill = |text: String, (name, value): &(&str, String)| text.replace(&format!("{{{name}}}"), value);
    Some(values.iter().fold(text.to_string(), fill))
}

/// Returns a file by its path, never from outside the folder.
fn file(application: &Site, folder: Option<&PathBuf>, path: &str) -> Option<EmbeddedFile> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
    if !path.split('/').all(plain) {
        return None;
    }
    match folder {
        Some(folder) => rust_embed::utils::read_file_from_fs(&folder.join(path)).ok(),
        None => (application.assets)(path),
    }
}

/// Formats a value as Django's `json_script` does: ASCII JSON without characters that are special
/// in HTML.
fn json_script(value: &Value, id: &str) -> Result<Value, Error> {
    let json = serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::BadSerialization, "`json_script`: no JSON").with_source(error)
    })?;
    let mut script = format!("<script id=\"{}\" type=\"application/json\">", minijinja::HtmlEscape(id));
    for letter in json.chars() {
        match letter {
            '<' => script.push_str("\\u003C"),
            '>' => script.push_str("\\u003E"),
            '&' => script.push_str("\\u0026"),
            '\0'..='\x7e' => script.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(script, "\\u{unit:04x}"); // a String takes everything
                }
            }
        }
    }
    script.push_str("</script>");
    Ok(Value::from_safe_string(script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_script_escapes_as_django_does() {
        let script = json_script(&Value::from("聊天 <&> \"😀\""), "room-name").unwrap();
        assert_eq!(
            script.to_string(),
            "<script id=\"room-name\" type=\"application/json\">\
             \"\\u804a\\u5929 \\u003C\\u0026\\u003E \\\"\\ud83d\\ude00\\\"\"</script>"
        );
    }
}
