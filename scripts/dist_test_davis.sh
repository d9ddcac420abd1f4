#!/usr/bin/env bash
# Segment Ref-DAVIS17 by each of its four annotations with a network that was trained on Ref-YouTube-VOS.
set -euo pipefail
arguments="OUTPUT_DIR TRAINED_WEIGHTS"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

infer inference_davis.py ytvos "$WEIGHTS" "$@"
