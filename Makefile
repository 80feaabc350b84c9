# Thin: uv, maturin, cargo and pytest do the work. `make demo` and `make test` need nothing but
# Python 3.11+ and cargo; the rest is installed into .venv (and FFmpeg's libraries by apt).
SHELL := bash
BIN := .venv/bin
JOBS ?= auto
FUZZ_SECONDS ?= 600

.PHONY: help setup demo test simulate check lint bench bench-media bench-peers wheel embedded fuzz asan clean

help:            ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/  /'

setup:           ## the environment in .venv
	@tools/setup.sh

demo: setup      ## evaluate the embedded model on the embedded long-video set
	@$(BIN)/lmms +experiment=longvideo model=qwen3_vl

test: setup      ## every test
	cargo test --quiet
	$(BIN)/pytest -n $(JOBS) --dist loadfile

simulate: setup  ## coverage of intervals and precision of abilities, by simulation: minutes
	$(BIN)/pytest tests -m slow -q -s -p no:cacheprovider

check: setup     ## format, types, layers, clippy
	$(BIN)/ruff format --check lmms tasks tests benches tools
	$(BIN)/ruff check lmms tasks tests benches tools
	$(BIN)/mypy
	$(BIN)/lint-imports
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings

lint: check      ## the same, and licences and sources of every crate
	command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny
	cargo deny --log-level error check bans licenses sources

bench: bench-peers  ## every claim of the documentation, as a table
	$(BIN)/pytest benches -q -s -p no:cacheprovider

bench-media: bench-peers  ## the media layer against its peers: 20 minutes, the first time 25
	$(BIN)/pytest benches/media -q -s -p no:cacheprovider

bench-peers: setup
	$(BIN)/uv pip install --quiet --constraint constraints.txt -r pyproject.toml --extra bench

wheel: setup     ## a wheel and a source distribution in dist/
	$(BIN)/maturin build --release --sdist --out dist

embedded: setup  ## make the embedded clips again and train the canary again (CPU minutes)
	$(BIN)/python -m tools.embedded.make_data
	$(BIN)/python -m tools.embedded.train --out lmms/_data/embedded/canary-qwen3vl
	$(BIN)/python -m tools.embedded.evaluate

fuzz: setup      ## fuzz the media layer with nightly Rust, FUZZ_SECONDS for each target
	command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz
	for target in video image encode container; do \
	  cargo +nightly fuzz run --fuzz-dir rust_media/fuzz $$target -- -max_len=20000 -timeout=20 \
	    -rss_limit_mb=4096 -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done
	LMMS_FUZZ=long $(BIN)/pytest tests/media -k "hostile or fuzz" -q

asan: setup      ## the core's tests under AddressSanitizer, with nightly Rust
	RUSTFLAGS=-Zsanitizer=address cargo +nightly test --quiet --package media-core \
	  --target $(shell rustc -vV | sed -n 's/^host: //p') --target-dir target/asan

clean:           ## everything that can be made again
	rm -rf .venv target dist lmms/_media*.so
