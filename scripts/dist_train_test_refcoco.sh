#!/usr/bin/env bash
# Train on RefCOCO, then score its val split; --dataset_file refcoco+ or refcocog for the others.
set -euo pipefail
arguments="OUTPUT_DIR [PRETRAINED_WEIGHTS]"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

train refcoco "$@"
evaluate main.py refcoco "$@"
