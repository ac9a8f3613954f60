//! Invariants of client input that hold for all bytes. `fuzz/` generates inputs; the tests use
//! those of `fuzz/seeds/`.
//!
//! Each function panics when an invariant does not hold.

mod body;
mod name;
mod next;
mod said;

mod tests {
    use std::fs;
    use std::path::Path;

    use super::{body, name, next, said};

    type Holds = fn(&[u8]);

    const TARGETS: [(&str, Holds); 4] =
        [("body", body::body), ("name", name::name), ("next", next::next), ("said", said::said)];

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
