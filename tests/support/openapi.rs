//! The OpenAPI document, and checks of requests and responses against it.

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use serde_json::Value;

use super::http::Response;

const PLACE: &str = "http://parlor.example/openapi.json";

/// One operation: method and path, as `POST /api/rooms/{room}/messages`.
pub type Operation = String;

pub struct Document(pub Value);

impl Document {
    /// Every operation.
    pub fn operations(&self) -> BTreeSet<Operation> {
        let paths = self.0["paths"].as_object().expect("paths");
        let of_path = |(path, item): (&String, &Value)| {
            let methods = item.as_object().expect("methods").keys();
            methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
        };
        paths.iter().flat_map(of_path).collect()
    }

    /// All statuses listed, by operation.
    pub fn statuses(&self) -> BTreeSet<(Operation, u16)> {
        let of_operation = |operation: Operation| {
            let responses = self.at(&format!("{}/responses", pointer(&operation)));
            let statuses: Vec<String> = responses.as_object().expect("responses").keys().cloned().collect();
            statuses.into_iter().map(move |status| (operation.clone(), status.parse().expect("a number")))
        };
        self.operations().into_iter().flat_map(of_operation).collect()
    }

    /// Asserts that the response is listed: its status, its headers, and its body by the schema.
    pub fn assert_lists(&self, operation: &str, answer: &Response) {
        let response = self.followed(&format!("{}/responses/{}", pointer(operation), answer.status));
        let what = || format!("{operation} answered {answer:?}");
        let listed = self
            .0
            .pointer(&response)
            .unwrap_or_else(|| panic!("{} is not listed: {}", answer.status, what()));
        for (name, header) in listed["headers"].as_object().into_iter().flatten() {
            let value = answer.header(name);
            assert!(header["required"] != true || value.is_some(), "no {name}: {}", what());
            if let Some(constant) = header["schema"]["const"].as_str() {
                assert_eq!(value, Some(constant), "{}", what());
            }
        }
        let content = listed["content"].as_object().expect("content");
        assert!(content.contains_key(answer.content_type()), "the type of the body: {}", what());
        let schema = format!("{response}/content/{}/schema", escaped(answer.content_type()));
        self.check(&schema, &answer.json()).unwrap_or_else(|error| panic!("{error}: {}", what()));
    }

    /// Checks a request body against the schema.
    pub fn accepts(&self, operation: &str, body: &Value) -> Result<(), String> {
        self.check(&format!("{}/requestBody/content/application~1json/schema", pointer(operation)), body)
    }

    fn check(&self, schema: &str, value: &Value) -> Result<(), String> {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource(PLACE, self.0.clone()).expect("a document");
        let index = compiler.compile(&format!("{PLACE}#{schema}"), &mut schemas);
        let index = index.unwrap_or_else(|error| panic!("the schema at {schema}: {error:#}"));
        schemas.validate(value, index).map_err(|error| format!("{error:#}"))
    }

    /// The pointer itself, or the one that it refers to.
    fn followed(&self, pointer: &str) -> String {
        let reference = self.0.pointer(pointer).and_then(|value| value["$ref"].as_str());
        reference.map_or(pointer, |reference| reference.trim_start_matches('#')).to_owned()
    }

    fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in the document"))
    }
}

fn pointer(operation: &str) -> String {
    let (method, path) = operation.split_once(' ').expect("a method and a path");
    format!("/paths/{}/{}", escaped(path), method.to_lowercase())
}

/// One part of a JSON pointer (RFC 6901).
fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}
