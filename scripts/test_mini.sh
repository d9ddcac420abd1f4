#!/usr/bin/env bash
# Every figure of pretrained_weights/tf2_mini's card: the synthetic test set, Ref-DAVIS sequences, and pasted pairs from
# the sentence alone, from the true first mask, and from an empty one.
#
#   scripts/test_mini.sh OUTPUT_DIR pretrained_weights/tf2_mini [flags of the inference programs ...]
#
# From the environment:
#   SYNTHETIC  folder of tools/data/make_synthetic.py with a test split; made by default (60 videos)
#   DAVIS      Ref-DAVIS as downloaded, data/ref-davis by default
#   PAIRS      clips to make of two of its sequences (30)
#
# Stopped, it goes on when the same command is given again.
set -euo pipefail
arguments="OUTPUT_DIR WEIGHTS"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
RUN=$OUTPUT
DAVIS=${DAVIS:-data/ref-davis}
SYNTHETIC=${SYNTHETIC:-$RUN/synthetic}

# tool SCRIPT [flags ...]
tool() {
    local script=$ROOT/$1
    shift
    PYTHONPATH=$ROOT "$PYTHON" "$script" "$@"
}

# score NAME DATA SPLIT [flags ...]: segment a set in Ref-YouTube-VOS layout and score it
score() {
    local name=$1 data=$2 split=$3
    shift 3
    tool inference_ytvos.py --resume "$WEIGHTS" --ytvos_path "$data" --split "$split" --output_dir "$RUN/$name" "$@"
    tool tools/evaluate.py --dataset ytvos --split "$split" --ground_truth "$data" --results "$RUN/$name/$split" \
        --json "$RUN/$name.json"
}

if [ "$SYNTHETIC" = "$RUN/synthetic" ]; then
    tool tools/data/make_synthetic.py --output "$SYNTHETIC" --videos 1 --valid 0 --test 60 --seed 1 --workers 2
fi
tool tools/data/convert_davis_to_ytvos.py --davis_path "$DAVIS" --output "$RUN/davis"
tool tools/data/paste_pairs.py --input "$RUN/davis" --split valid --output "$RUN/pairs" --output_split valid \
    --pairs "${PAIRS:-30}" --workers 2
[ -d "$RUN/masks_true" ] || tool tools/data/first_masks.py --ytvos_path "$RUN/pairs" --output "$RUN/masks_true"
[ -d "$RUN/masks_empty" ] || tool tools/data/first_masks.py --ytvos_path "$RUN/pairs" --output "$RUN/masks_empty" --empty

score synthetic "$SYNTHETIC" test "$@"
tool inference_davis.py --resume "$WEIGHTS" --davis_path "$RUN/davis" --output_dir "$RUN/ref_davis" "$@"
tool eval_davis.py --results_path "$RUN/ref_davis/valid" --davis_path "$DAVIS/DAVIS" --json "$RUN/ref_davis.json"
score pairs "$RUN/pairs" valid "$@"
score pairs_from_true_mask "$RUN/pairs" valid --key_masks "$RUN/masks_true" "$@"
score pairs_from_empty_mask "$RUN/pairs" valid --key_masks "$RUN/masks_empty" "$@"
