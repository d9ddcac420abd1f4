#!/usr/bin/env bash
# Train on RefCOCO/+/g as pseudo-clips together with Ref-YouTube-VOS, then segment its validation videos.
set -euo pipefail
arguments="OUTPUT_DIR [PRETRAINED_WEIGHTS]"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

train joint "$@"
segment_ytvos joint "$@"
