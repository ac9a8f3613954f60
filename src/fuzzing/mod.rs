//! Properties of the decoders of untrusted bytes. `fuzz/` generates inputs; the tests run those of
//! `fuzz/seeds/`.
//!
//! Each function panics when a property is violated.

mod disconnect;
mod event;
mod form;
mod frame_decoder;
mod guest;
mod headers;
mod host;
mod id;
pub(crate) mod memory_node;
mod origin;
mod redis_address;
mod request;
mod resp;
mod token;
mod username;

pub use self::disconnect::disconnect;
pub use self::event::event;
pub use self::form::form;
pub use self::frame_decoder::frame_decoder;
pub use self::guest::guest;
pub use self::headers::headers;
pub use self::host::host;
pub use self::id::id;
pub use self::origin::origin;
pub use self::redis_address::redis_address;
pub use self::request::request;
pub use self::resp::resp;
pub use self::token::token;
pub use self::username::username;

/// Runs `decode` and checks that it never holds more than `most` bytes of memory.
fn within<T>(most: usize, decode: impl FnOnce() -> T) -> T {
    let mut decoded = None;
    let taken = allocation_counter::measure(|| decoded = Some(decode())).bytes_max;
    assert!(taken <= most as u64, "took {taken} bytes, where {most} are enough");
    decoded.expect("it was called")
}

/// Returns the lines that are UTF-8.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &str> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    type Holds = fn(&[u8]);

    const TARGETS: [(&str, Holds); 14] = [
        ("disconnect", super::disconnect),
        ("event", super::event),
        ("form", super::form),
        ("frame_decoder", super::frame_decoder),
        ("guest", super::guest),
        ("headers", super::headers),
        ("host", super::host),
        ("id", super::id),
        ("origin", super::origin),
        ("redis_address", super::redis_address),
        ("request", super::request),
        ("resp", super::resp),
        ("token", super::token),
        ("username", super::username),
    ];

    #[test]
    fn the_seeds_keep_the_invariants() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for (target, holds) in TARGETS {
            let files = fs::read_dir(seeds.join(target)).unwrap_or_else(|error| panic!("{target}: {error}"));
            for file in files {
                let path = file.unwrap().path();
                println!("{}", path.display());
                holds(&fs::read(path).unwrap());
            }
        }
    }
}
