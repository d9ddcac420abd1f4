#!/usr/bin/env bash
# One of the scripts on several machines of a SLURM cluster. Change the lines for yours; then, in the checkout's root:
#   sbatch scripts/slurm_example.sh scripts/dist_train_test_ytvos.sh OUTPUT_DIR PRETRAINED_WEIGHTS [flags ...]
# After a time limit submit the same again: training goes on from OUTPUT_DIR/checkpoint.pth.
#SBATCH --job-name=tf2
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: sbatch scripts/slurm_example.sh SCRIPT OUTPUT_DIR ..." >&2
    exit 2
fi

machines=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
export MASTER_ADDR=${machines%%$'\n'*} MASTER_PORT=$((29500 + SLURM_JOB_ID % 1000))
export NNODES=$SLURM_NNODES GPUS=$SLURM_GPUS_ON_NODE
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1} # srun does not take it over by itself
srun bash -c 'NODE_RANK=$SLURM_NODEID exec bash "$@"' bash "$@"
