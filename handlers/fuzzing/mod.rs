//! Invariants of client input that hold for all bytes. `fuzz/` generates inputs; the tests use
//! those of `fuzz/seeds/`.
//!
//! Each function panics when an invariant does not hold.

mod body;
mod centrifugo;
mod client_frame;
mod room_name;
mod safe_redirect;

mod tests {
    use std::fs;
    use std::path::Path;

    use super::{body, centrifugo, client_frame, room_name, safe_redirect};

    type Holds = fn(&[u8]);

    const TARGETS: [(&str, Holds); 5] = [
        ("body", body::body),
        ("centrifugo", centrifugo::centrifugo),
        ("client_frame", client_frame::client_frame),
        ("room_name", room_name::room_name),
        ("safe_redirect", safe_redirect::safe_redirect),
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
