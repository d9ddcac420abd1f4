#!/usr/bin/env bash
# Train on A2D-Sentences, from pretrained weights or without them from the backbone alone, then score its test frames.
set -euo pipefail
arguments="OUTPUT_DIR [PRETRAINED_WEIGHTS]"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

recipe=${WEIGHTS:+a2d}
recipe=${recipe:-a2d_scratch}
train "$recipe" "$@"
evaluate inference_a2d.py "$recipe" "$@"
