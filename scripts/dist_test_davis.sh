#!/usr/bin/env bash
# Segment Ref-DAVIS17 by each of its four annotations with a network that was trained on Ref-YouTube-VOS, and score it.
set -euo pipefail
arguments="OUTPUT_DIR TRAINED_WEIGHTS"
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

infer inference_davis.py ytvos "$WEIGHTS" "$@"

# Scores where the ground truth is there: the folder DAVIS of the data set as downloaded.
data=data/ref-davis
for ((i = 1; i < $#; i++)); do
    if [ "${!i}" = --davis_path ]; then
        next=$((i + 1))
        data=${!next}
    fi
done
if [ -d "$data/DAVIS" ]; then
    "$PYTHON" "$ROOT/eval_davis.py" --results_path "$OUTPUT/valid" --davis_path "$data/DAVIS" \
        --json "$OUTPUT/scores_davis.json"
else
    echo "note: no scores: $data/DAVIS not found; eval_davis.py --davis_path .../DAVIS gives them" >&2
fi
