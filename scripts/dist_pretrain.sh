#!/usr/bin/env bash
# Pretrain on the images of RefCOCO, RefCOCO+ and RefCOCOg; scores after each epoch are in OUTPUT_DIR/log.txt.
set -euo pipefail
arguments="OUTPUT_DIR [PRETRAINED_WEIGHTS]"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

train pretrain "$@"
