# Sourced by the scripts, which set `arguments`: takes OUTPUT and WEIGHTS off "$@" and leaves the flags there.
#
# From the environment:
#   GPUS       processes on this machine; by default its GPUs, one process without
#   NNODES     machines, 1 by default. With more, the same command on each, with NODE_RANK (0, 1, ...) and the first
#              one's MASTER_ADDR and MASTER_PORT (29500), and an output folder that all of them share
#   PYTHON     the Python that has the requirements; `python` by default

usage() {
    echo "usage: $(basename "$0") $arguments [flags of main.py ...]" >&2
    exit 2
}

case ${1:-} in "" | -* | @*) usage ;; esac
OUTPUT=$1
shift
WEIGHTS=
case ${1:-} in
    "" | -* | @*) ;;
    *)
        WEIGHTS=$1
        shift
        ;;
esac
case $arguments in
    *"WEIGHTS]") ;;
    *WEIGHTS) [ -n "$WEIGHTS" ] || usage ;;
    *) [ -z "$WEIGHTS" ] || usage ;;
esac
if [ -n "$WEIGHTS" ] && [ ! -e "$WEIGHTS" ]; then
    echo "error: $WEIGHTS: no such file; give the weights to start from" >&2
    exit 2
fi

NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}
if [ "$NNODES" -gt 1 ] && [ -z "${MASTER_ADDR:-}" ]; then
    echo "error: NNODES=$NNODES also needs MASTER_ADDR, the first machine, and each one's NODE_RANK" >&2
    exit 2
fi
PYTHON=${PYTHON:-python}
GPUS=${GPUS:-$("$PYTHON" -c 'import torch; print(max(torch.cuda.device_count(), 1))')}
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RECIPES=$ROOT/scripts/recipes

# launch PROGRAM [flags ...]: in GPUS processes on each machine; a single one needs no torchrun
launch() {
    local program=$ROOT/$1
    shift
    if [ "$GPUS" -eq 1 ] && [ "$NNODES" -eq 1 ]; then
        "$PYTHON" "$program" "$@"
        return
    fi
    if [ "$NNODES" -eq 1 ]; then
        set -- --standalone --nproc_per_node "$GPUS" "$program" "$@"
    else
        set -- --nnodes "$NNODES" --node_rank "$NODE_RANK" --nproc_per_node "$GPUS" \
            --master_addr "$MASTER_ADDR" --master_port "${MASTER_PORT:-29500}" "$program" "$@"
    fi
    local cores
    cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
    local threads=$((cores > GPUS ? cores / GPUS : 1))
    OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads} "$PYTHON" -m torch.distributed.run "$@"
}

# train RECIPE [flags ...]: into OUTPUT, from WEIGHTS where there are any; goes on from OUTPUT/checkpoint.pth once it is
# there
train() {
    local recipe=$1
    shift
    if [ -n "$WEIGHTS" ]; then
        set -- --pretrained_weights "$WEIGHTS" "$@"
    fi
    if [ -f "$OUTPUT/checkpoint.pth" ]; then
        set -- --resume "$OUTPUT/checkpoint.pth" "$@"
    fi
    launch main.py "@$RECIPES/$recipe.txt" --output_dir "$OUTPUT" "$@"
}

# evaluate PROGRAM RECIPE [flags ...]: what was trained, on the annotated frames of A2D-Sentences or RefCOCO
evaluate() {
    local program=$1 recipe=$2
    shift 2
    launch "$program" "@$RECIPES/$recipe.txt" --output_dir "$OUTPUT" "$@" --eval --resume "$OUTPUT/checkpoint.pth"
}

# infer PROGRAM RECIPE CHECKPOINT [flags ...]: whole videos, in GPUS processes of this machine
infer() {
    local program=$1 recipe=$2 checkpoint=$3
    shift 3
    "$PYTHON" "$ROOT/$program" "@$RECIPES/$recipe.txt" --ngpu "$GPUS" --output_dir "$OUTPUT" "$@" --resume "$checkpoint"
}

# segment_ytvos RECIPE [flags ...]: the videos of Ref-YouTube-VOS with what was trained; on the first machine
segment_ytvos() {
    local recipe=$1
    shift
    if [ "$NODE_RANK" -eq 0 ]; then
        put_aside_older_masks
        infer inference_ytvos.py "$recipe" "$OUTPUT/checkpoint.pth" "$@"
    fi
}

# Inference keeps what is finished; masks that an earlier state of the network made are not that.
put_aside_older_masks() {
    local split
    for split in train valid test; do
        if [ -d "$OUTPUT/$split" ] && [ "$OUTPUT/checkpoint.pth" -nt "$OUTPUT/$split" ]; then
            mv "$OUTPUT/$split" "$OUTPUT/${split}_before_$(date +%Y%m%d_%H%M%S)"
        fi
    done
}
