#!/bin/sh
# All the tests: puts what they need into place, then runs them.
set -eu
cd "$(dirname "$0")/.."
tests/setup.sh
cargo test --workspace "$@"
