//! Faults that are planted, each of which its rule finds.

use crate::error_words::ErrorWords;
use crate::files;
use crate::imports::{circles, foreign_impls, of_crates, upward};
use crate::layers::Layers;
use crate::literals::close_codes;
use crate::modules::Crate;
use crate::prose::Prose;
use crate::source::Source;
use crate::test_names;
use crate::words::{StopWords, of_the_application};

const LAYERS: &str = "wire\nrealtime\nserver admin\nlib";

/// A crate of these files, with a `lib.rs` that declares a module for each.
fn planted(files: &[(&str, &str)]) -> Crate {
    let mut sources =
        vec![Source::parse("src/lib.rs", "mod wire; mod realtime; mod server; pub use realtime::hub::Hub;")];
    let mut all = vec![
        ("src/wire/mod.rs", "pub(crate) mod frame; pub(crate) mod id;"),
        ("src/wire/frame.rs", "pub struct Frame;"),
        ("src/wire/id.rs", "pub struct Id;"),
        ("src/realtime/mod.rs", "pub mod hub; pub(crate) mod socket;"),
        ("src/realtime/hub.rs", "use crate::wire::frame::Frame; pub struct Hub(Frame);"),
        ("src/realtime/socket.rs", "use crate::wire::id::Id; pub struct Socket(Id);"),
        ("src/server.rs", "use crate::realtime::socket::Socket; pub struct Server(Socket);"),
    ];
    for file in files {
        match all.iter_mut().find(|(path, _)| path == &file.0) {
            Some(replaced) => *replaced = *file,
            None => all.push(*file),
        }
    }
    sources.extend(all.iter().map(|(path, text)| Source::parse(path, text)));
    Crate::new("src", "lib.rs", &sources)
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    upward(&planted(files), &Layers::parse(LAYERS))
}

#[test]
fn imports_that_point_down_are_allowed() {
    assert_eq!(found(&[]), Vec::<String>::new());
}

#[test]
fn an_upward_import_is_found_in_a_nested_use_tree() {
    let planted = "use std::fmt;\nuse crate::{wire::id::Id, realtime::{socket, hub::{self, Hub as H}}};";
    let found = found(&[("src/wire/frame.rs", planted)]);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0], "src/wire/frame.rs:2: wire imports realtime: crate::realtime::socket");
    assert_eq!(found[2], "src/wire/frame.rs:2: wire imports realtime: crate::realtime::hub::Hub");
}

#[test]
fn an_upward_import_is_found_in_an_inline_path() {
    for planted in [
        "pub struct Frame(crate::realtime::hub::Hub);",
        "fn f() { super::super::realtime::hub::new(); }",
        "fn f() { println!(\"{}\", crate::realtime::hub::SIZE); }",
        "#[derive(Args)] struct A { #[arg(value_parser = crate::realtime::hub::size)] a: u8 }",
        "fn f() { use crate::realtime::hub; }",
        "impl From<crate::realtime::hub::Hub> for u8 {}",
    ] {
        let found = found(&[("src/wire/frame.rs", planted)]);
        assert!(
            !found.is_empty() && found[0].starts_with("src/wire/frame.rs:1: wire imports realtime"),
            "{planted}"
        );
    }
}

#[test]
fn a_reexport_is_followed_to_the_file_that_defines_the_name() {
    for planted in ["use crate::Hub;", "use crate as root; use root::Hub;", "use super::Hub;"] {
        let found = found(&[
            ("src/wire/mod.rs", "pub(crate) mod frame; pub(crate) mod id; pub(crate) use crate::Hub;"),
            ("src/wire/frame.rs", planted),
        ]);
        assert!(
            found.iter().any(|line| line.starts_with("src/wire/frame.rs:1: wire imports realtime")),
            "{planted}"
        );
    }
}

#[test]
fn tests_and_visibilities_may_name_anything() {
    let planted = "pub(in crate::realtime) struct A;\n#[cfg(test)] mod tests { use crate::realtime::hub::Hub; }\n\
                   #[cfg(test)] use crate::server::Server; #[test] fn f() { crate::server::start(); }\n\
                   // use crate::server::Server;\nconst A: &str = \"crate::server::Server\";";
    assert_eq!(found(&[("src/wire/frame.rs", planted)]), Vec::<String>::new());
}

#[test]
fn code_for_tests_and_fuzzing_is_no_test() {
    let planted = "#[cfg(any(test, fuzzing))] use crate::realtime::hub::Hub;";
    assert_eq!(found(&[("src/wire/frame.rs", planted)]).len(), 1);
}

#[test]
fn a_circle_of_folders_is_found() {
    let found = found(&[("src/realtime/socket.rs", "use crate::server::Server;")]);
    assert_eq!(found, ["src/realtime/socket.rs:1: realtime imports server: crate::server::Server"]);
}

#[test]
fn a_folder_without_a_place_is_found() {
    let found =
        found(&[("src/wire/mod.rs", "mod frame; mod id;"), ("src/server.rs", "mod x {} use crate::wire;")]);
    assert_eq!(found, Vec::<String>::new());
    let planted = planted(&[]);
    let found = upward(&planted, &Layers::parse("wire\nrealtime\nlib"));
    assert_eq!(found, ["src/server.rs: `server` is not in layers.txt"]);
}

#[test]
fn a_circle_of_four_files_is_found_and_one_of_three_is_not() {
    let three = [
        ("src/realtime/mod.rs", "mod hub; mod socket; mod outbox;"),
        ("src/realtime/hub.rs", "use super::socket::Socket;"),
        ("src/realtime/socket.rs", "fn f() { crate::realtime::outbox::g() }"),
        ("src/realtime/outbox.rs", "use crate::realtime::hub;"),
    ];
    assert_eq!(circles(&planted(&three)), Vec::<String>::new());
    let mut four = three.to_vec();
    four[3].1 = "use crate::realtime::reader;";
    four[0].1 = "mod hub; mod socket; mod outbox; mod reader;";
    four.push(("src/realtime/reader.rs", "use crate::realtime::hub::Hub;"));
    let found = circles(&planted(&four));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].split(' ').count(), 4, "{found:?}");
}

#[test]
fn a_reexport_alone_closes_no_circle_and_its_use_does() {
    let mut files = vec![
        (
            "src/realtime/mod.rs",
            "mod hub; mod socket; mod outbox; pub use self::{hub::Hub, socket::Socket, outbox::Outbox};",
        ),
        ("src/realtime/hub.rs", "pub struct Hub; fn f() { super::g() }"),
        ("src/realtime/socket.rs", "pub struct Socket; fn f() { super::g() }"),
        ("src/realtime/outbox.rs", "pub struct Outbox; fn f() { super::g() }"),
    ];
    assert_eq!(circles(&planted(&files)), Vec::<String>::new());
    let used = format!("{} struct All(Hub, Socket, Outbox);", files[0].1);
    files[0].1 = &used;
    assert_eq!(circles(&planted(&files)).len(), 1);
}

#[test]
fn an_impl_outside_the_folder_of_its_type_is_found() {
    let planted = planted(&[
        (
            "src/server.rs",
            "use crate::wire::frame::Frame;\nimpl Frame {}\nimpl crate::wire::id::Id {}\nimpl Clone for Frame {}",
        ),
        ("src/wire/id.rs", "use super::frame::Frame; pub struct Id; impl Id {} impl Frame {}"),
    ]);
    let found = foreign_impls(&planted);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "src/server.rs:2: impl Frame of src/wire/frame.rs");
    assert_eq!(found[1], "src/server.rs:3: impl crate::wire::id::Id of src/wire/id.rs");
}

#[test]
fn a_crate_below_the_runtime_is_found() {
    let planted = planted(&[
        ("src/server.rs", "use redis as r;\nfn f(a: ::hyper::Body, b: crate::wire::redis::A) {}"),
        ("src/wire/mod.rs", "pub mod frame; pub mod id; pub mod redis;"),
        ("src/wire/redis.rs", "use super::redis; const A: &str = \"hyper::Body\"; // hyper::Body"),
    ]);
    let found = of_crates(&planted, &["redis", "hyper"]);
    assert_eq!(found, ["src/server.rs:1: redis", "src/server.rs:2: hyper::Body"]);
}

#[test]
fn stop_words_are_found_in_comments_and_texts() {
    let words = StopWords::parse("nobody  no client\nread over  ignored");
    let planted = "//! Nobody.\n\n/// It is read\n/// over.\nfn nobody() {} // nobody's\n/* a\n nobody */\n\
                   const A: &str = \"nobody\"; fn f() { info!(\"nobody\") }\n\
                   #[cfg(test)] mod tests { const A: &str = \"nobody\"; }";
    let source = Source::parse("a.rs", planted);
    let found = words.find(&Prose::comments(&source));
    let lines: Vec<&str> = found.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["a.rs:1:", "a.rs:3:", "a.rs:7:"], "{found:?}");
    assert_eq!(words.find(&Prose::texts(&source)).len(), 2);
}

#[test]
fn words_of_the_application_are_found() {
    let find =
        |text: &str| !of_the_application(&Prose::without_tests(&Source::parse("a.rs", text))).is_empty();
    for planted in [
        "// a chat\n",
        "fn chat_message() {}",
        "struct ChatRoom;",
        "struct Rooms;",
        "const ROOM: u8 = 1;",
        "fn push_event() {}",
        "// the push button\n",
        "const A: &str = \"/push\";",
        "const A: &str = \"消息\";",
    ] {
        assert!(find(planted), "{planted}");
    }
    for allowed in [
        "fn f() { a.push(event) }",
        "fn broom() {}",
        "#[cfg(test)] mod tests {\n// a chat\n}",
        "fn headroom() {}",
    ] {
        assert!(!find(allowed), "{allowed}");
    }
}

#[test]
fn stop_words_in_the_names_of_tests_are_found() {
    let source = Source::parse("a.rs", "#[test] fn nobody_is_told() {}\nfn nobody() {}");
    let words = StopWords::parse("nobody  no client\nis told  receives");
    assert_eq!(words.find(&test_names::sentences(&source)).len(), 2);
}

#[test]
fn wide_comments_and_long_names_are_found() {
    let wide = "a".repeat(98);
    let planted = format!(
        "// {wide}\nconst A: &str = \"{wide}\";\n#[tokio::test] async fn {wide}() {{}}\nfn {wide}() {{}}"
    );
    let source = Source::parse("a.rs", &planted);
    assert_eq!(files::wide_comments(&source).len(), 1);
    assert_eq!(files::long_test_names(&source).len(), 1);
}

#[test]
fn files_without_a_sentence_and_vague_names_are_found() {
    for (text, faults) in
        [("//! It is.", 0), ("//! `it` is.", 0), ("//! it is", 1), ("//!", 1), ("use a::b;", 1)]
    {
        assert_eq!(files::shape(&Source::parse("a.rs", text)).len(), faults, "{text}");
    }
    assert_eq!(files::shape(&Source::parse("a.rs", &format!("//! It is.{}", "\n//!".repeat(600)))).len(), 1);
    assert!(files::vague("src/utils.rs").is_some() && files::vague("src/core/a.rs").is_some());
    assert!(files::vague("src/wire/score.rs").is_none());
}

#[test]
fn a_literal_close_code_is_found() {
    for planted in [
        "fn f() { Close::new(4403, \"no\") }",
        "fn f() { Close::new(1000, \"\") }",
        "const A: u16 = 4_408;",
        "fn f(code: u16) -> bool { code == 1000 || matches!(code, 1001) }",
        "fn f() { match code { 1012 => 1 } }",
    ] {
        assert!(!close_codes(&Source::parse("a.rs", planted)).is_empty(), "{planted}");
    }
    for allowed in [
        "const BYTES: usize = 4096;",
        "fn f(a: u64) -> u64 { a / 1000 }",
        "fn f(a: u64) -> u64 { a.div_ceil(1000) }",
        "#[cfg(test)] mod tests { const A: u16 = 4403; }",
        "// 4403\nconst A: &str = \"4403\";",
    ] {
        assert_eq!(close_codes(&Source::parse("a.rs", allowed)), Vec::<String>::new(), "{allowed}");
    }
}

/// An enum of two error words, and the file that a test plants.
fn error_words(path: &str, text: &str) -> Vec<String> {
    let defined = "enum Code { TooLarge, Rate }\n\
                   impl Code { fn slug(self) -> &'static str { \
                   match self { Self::TooLarge => \"too_large\", Self::Rate => \"rate\" } } }";
    let sources = [Source::parse("chat/code.rs", defined), Source::parse(path, text)];
    let words = ErrorWords::of_enum("Code", &sources);
    sources.iter().flat_map(|source| words.find(source)).collect()
}

#[test]
fn a_literal_error_word_of_frames_is_found() {
    for planted in [
        "fn f() { error(\"rate\") }",
        "const A: &str = \"too_large\";",
        "fn f(code: &str) -> bool { matches!(code, \"rate\" | \"other\") }",
        "fn f() { json!({ \"code\": \"rate\" }) }",
        "enum Other { #[serde(rename = \"rate\")] A }",
    ] {
        let found = error_words("chat/v1.rs", planted);
        assert!(found.len() == 1 && found[0].starts_with("chat/v1.rs:1: "), "{planted}: {found:?}");
    }
    for allowed in [
        "// \"rate\"\n/// rate\nfn rate() {}",
        "const A: &str = \"the rate\";",
        "enum Rate { Rate }",
        "#[cfg(test)] mod tests { const A: &str = \"rate\"; }",
    ] {
        assert_eq!(error_words("chat/v1.rs", allowed), Vec::<String>::new(), "{allowed}");
    }
    assert_eq!(error_words("chat/tests.rs", "const A: &str = \"rate\";"), Vec::<String>::new());
}

#[test]
#[should_panic(expected = "no text `rate` for its variant")]
fn an_enum_without_its_error_words_is_found() {
    let source = Source::parse("chat/code.rs", "enum Code { Rate }");
    ErrorWords::of_enum("Code", &[source]);
}
