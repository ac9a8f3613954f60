# The project's commands; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help run test check fix cluster chaos fuzz bench picture

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build, and serve one node on http://127.0.0.1:8000/chat/
	cargo run --release

# The examples in the documentation first, so that the tests have the last word. The tests wait more than
# they work, so more of them than there are cores run at a time.
test: ## install what the tests need and this machine lacks, then run them all
	@tests/install.sh
	cargo test --doc
	cargo build --examples
	node --test tests/browser/*.test.js
	cargo test --tests -- --test-threads 8

# The cfg that cargo-fuzz sets. Nothing is linked, so that a file of any kind stands for libFuzzer,
# which would take a C++ compiler and a minute.
FUZZ_CHECK = CUSTOM_LIBFUZZER_PATH=$(CURDIR)/fuzz/Cargo.toml RUSTFLAGS='--cfg fuzzing -D warnings' \
    cargo check --manifest-path fuzz/Cargo.toml --target-dir target/fuzz

check: ## format, lints, documentation, the rules of the house, and the tests that take no time
	@tests/install.sh nodejs shellcheck
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps
	@cp Cargo.lock fuzz/Cargo.lock
	$(FUZZ_CHECK)
	cargo test --test house
	shellcheck .ci/run deploy/*.sh tests/*.sh
	@! cargo deny --version >/dev/null 2>&1 || cargo deny check
	node --test tests/browser/*.test.js
	cargo test --lib --bins
	cargo test --doc

fix: ## format, and mend what clippy knows how to
	cargo fmt
	cargo clippy --all-targets --fix --allow-dirty --allow-staged

cluster: ## Redis, three nodes and nginx on http://127.0.0.1:8080/chat/, until Ctrl-C
	@tests/install.sh redis-server nginx
	cargo build --release
	@deploy/cluster.sh

# One run after another, each with the machine for itself: its seed is printed, and CHAOS_SEED repeats it.
chaos: ## break things under a hundred clients for some minutes, and tell what became of every message
	@tests/install.sh redis-server nginx
	cargo build
	cargo test --test parlor chaos:: -- --ignored --nocapture --test-threads 1

# What a run finds stays in fuzz/corpus, for the next one to begin with. Packages are those of the server.
FUZZ_SECONDS ?= 60
fuzz: ## make up bytes for every decoder, for FUZZ_SECONDS (60) each
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	@cp Cargo.lock fuzz/Cargo.lock
	@for target in $$(cargo fuzz list); do \
	    mkdir -p fuzz/corpus/$$target; \
	    RUSTC_BOOTSTRAP=1 cargo fuzz run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) || exit; \
	done

bench: ## measure single calls, then everything under load: seven minutes, on a machine at rest
	@tests/install.sh redis-server
	cargo bench --bench micro
	cargo bench --bench load

picture: ## measure a delivery in rooms of 10 to 10,000, and draw docs/members.svg
	@tests/install.sh redis-server
	cargo bench --bench load -- picture
