#!/usr/bin/env bash
# The main job on all-MiniLM-L6-v2: cut by tickets, compile, compare. ./dev demo calls it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH="$PWD/build/bin:$PATH" PYTHONPATH="$PWD/python"
exec .deps/venv/bin/python examples/minilm/demo.py "$@"
