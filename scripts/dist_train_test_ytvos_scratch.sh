#!/usr/bin/env bash
# Train on Ref-YouTube-VOS from the backbone alone (--backbone_pretrained), then segment its validation videos.
set -euo pipefail
arguments="OUTPUT_DIR"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

train ytvos_scratch "$@"
segment_ytvos ytvos_scratch "$@"
