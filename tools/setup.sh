#!/usr/bin/env bash
# Makes the development environment in .venv, from nothing but Python 3.11+ and cargo.
#
#   tools/setup.sh          what `make demo` and `make test` need
#   tools/setup.sh --check  says what is missing, installs nothing
#
# System packages: FFmpeg's libraries are what the media extension is built on, libclang reads
# their headers at build time, and the ffmpeg program makes the clips of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(ffmpeg libavcodec-dev libavformat-dev libavutil-dev libswresample-dev libswscale-dev libclang-dev pkg-config cmake nasm)
missing=()
pkg-config --exists libavcodec libavformat libavutil libswresample libswscale 2>/dev/null || missing+=("${packages[@]}")
command -v ffmpeg >/dev/null || missing+=(ffmpeg)
# The JPEG library, libjpeg-turbo, is compiled with its assembly and linked statically.
for tool in cmake nasm; do command -v "$tool" >/dev/null || missing+=("$tool"); done
command -v cc >/dev/null || missing+=(build-essential)
# clang-sys looks for libclang in the same places.
compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || compgen -G '/usr/lib/*/libclang*.so*' >/dev/null \
  || missing+=(libclang-dev)

python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then
      python=$candidate; break
    fi
  done
fi
[ -n "$python" ] || { echo "setup: Python 3.11 or newer is needed (set PYTHON=/path/to/python)" >&2; exit 2; }
"$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)

if ! command -v cargo >/dev/null && [ ! -x "$HOME/.cargo/bin/cargo" ]; then
  echo "setup: cargo is needed to build the media extension (Rust 1.85 or newer)" >&2; exit 2
fi
command -v cargo >/dev/null || export PATH="$HOME/.cargo/bin:$PATH"

if [ "${1:-}" = --check ]; then
  [ ${#missing[@]} -eq 0 ] && echo "setup: nothing missing" || echo "setup: missing: ${missing[*]}"
  exit 0
fi

if [ ${#missing[@]} -gt 0 ]; then
  sudo=""; [ "$(id -u)" -eq 0 ] || sudo=sudo
  if ! command -v apt-get >/dev/null; then
    echo "setup: install these by your package manager, then run again: ${missing[*]}" >&2; exit 2
  fi
  echo "setup: installing system packages: ${missing[*]}"
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
[ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv

# Everything that decides what gets installed or compiled; unchanged means nothing to do.
stamp=.venv/.lmms-setup
digest=$(cat pyproject.toml constraints.txt Cargo.toml Cargo.lock $(find rust_media -name '*.rs' -o -name Cargo.toml | sort) | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null)" != "$digest" ] || ! compgen -G 'lmms/_media*.so' >/dev/null; then
  echo "setup: installing Python packages and building the media extension (a few minutes the first time)"
  VIRTUAL_ENV=$PWD/.venv .venv/bin/uv pip install --quiet --constraint constraints.txt --editable '.[dev]'
  echo "$digest" > "$stamp"
fi
