#!/usr/bin/env bash
# Train on Ref-YouTube-VOS from pretrained weights, then segment its validation videos.
set -euo pipefail
arguments="OUTPUT_DIR PRETRAINED_WEIGHTS"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

train ytvos "$@"
segment_ytvos ytvos "$@"
