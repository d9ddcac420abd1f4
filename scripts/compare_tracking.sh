#!/usr/bin/env bash
# The paper's claim in miniature: one small network, one budget, on the synthetic set; with tracking, with the released
# independent augmentation of the reference, and without tracking; several seeds each; a table of test scores.
# PRETRAINED_WEIGHTS, where all of them begin: best a network that reads but has seen no reference, such as what the
# stage 2_read of train_mini.sh leaves.
#
# From the environment:
#   DATA       folder of tools/data/make_synthetic.py, with a test split
#   TEXT       text encoder (tools/make_text_encoder.py)
#   BACKBONE   weights of EfficientNet-Lite0 (tools/convert_efficientnet_lite0.py)
#   CLIPS      of each training (12800)
#   SEEDS      "1 2 3" by default
#
# Stopped, it goes on when the same command is given again.
set -euo pipefail
arguments="OUTPUT_DIR [PRETRAINED_WEIGHTS]"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
: "${DATA:?the synthetic set, from make_synthetic.py}" "${TEXT:?a text encoder}" "${BACKBONE:?weights of the backbone}"
RUN=$OUTPUT

# compare NAME [flags ...]: train with each seed, segment the test videos, score them
compare() {
    local name=$1 seed
    shift
    set -- --ytvos_path "$DATA" --text_encoder "$TEXT" --backbone_pretrained "$BACKBONE" --lr_schedule cosine \
        --train_short_sides 64 80 --max_size 144 --class_target iou \
        --set_cost_bbox 0 --set_cost_giou 0 --set_cost_mask 0 --set_cost_dice 0 "$@" # the query that scores best learns
    for seed in ${SEEDS:-1 2 3}; do
        OUTPUT=$RUN/${name}_$seed
        train mini --epoch_clips "${CLIPS:-12800}" --seed "$seed" "$@"
        infer inference_ytvos.py mini "$OUTPUT/checkpoint.pth" --split test --short_side 80 "$@"
        "$PYTHON" "$ROOT/tools/evaluate.py" --dataset ytvos --split test --ground_truth "$DATA" \
            --results "$OUTPUT/test" --json "$OUTPUT/scores.json"
    done
}

# First, because it refuses flags that the others take.
compare no_tracking --no_tracking --clip_frames 1 "$@"
compare tracking --reference_dropout 0.5 "$@"
compare independent --reference_dropout 0.5 --reference_augmentation independent "$@"
"$PYTHON" "$ROOT/tools/score_table.py" --output "$RUN/table.md" \
    --runs "tracking" "$RUN"/tracking_*/scores.json \
    --runs "tracking, references augmented apart" "$RUN"/independent_*/scores.json \
    --runs "no tracking" "$RUN"/no_tracking_*/scores.json
