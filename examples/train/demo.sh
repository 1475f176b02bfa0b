#!/usr/bin/env bash
# A small GPT trained by TwIST, beside a dense one and cuts of it. ./dev demo calls it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export PATH="$PWD/build/bin:$PATH" PYTHONPATH="$PWD/python"
exec .deps/venv/bin/python examples/train/demo.py "$@"
