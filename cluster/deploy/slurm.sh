#!/bin/bash
# A sweep on the nodes of a Slurm job. It goes on in a new job when time is up or the job is preempted.
#   sbatch --nodes 4 --time 12:00:00 slurm.sh MY-SWEEP.yaml NAME [more options of `assay run`]
#SBATCH --job-name=assay
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
# `ray symmetric-run` would do less well here: Slurm's signal ends it before the driver has finished its records.
set -euo pipefail

sweep=${1:?the sweep file, then a name for the run}
name=${2:?a name for the run: the same name goes on with the same run}
shift 2
export ASSAY_RUNS=${ASSAY_RUNS:-$PWD/runs} # on storage that all nodes see
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
port=${ASSAY_PORT:-$((20000 + SLURM_JOB_ID % 20000))} # several jobs may share a node

umask 077
[ -s "${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}" ] || ray get-auth-token --generate >/dev/null

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]} tried=0
start() { # NODE OPTIONS...: Ray on one node, as long as the job
    local node=$1
    shift
    srun --nodes=1 --ntasks=1 --overlap --nodelist="$node" \
        ray start --block --num-cpus="${SLURM_CPUS_PER_TASK:-1}" --disable-usage-stats "$@" &
}
start "$head" --head --port="$port" --dashboard-host=127.0.0.1
until ray status --address="$head:$port" >/dev/null 2>&1; do
    ((++tried < ${ASSAY_HEAD_TRIES:-60})) || { echo "no Ray head on $head:$port" >&2; exit 1; }
    sleep 1
done
for node in "${nodes[@]:1}"; do start "$node" --address="$head:$port"; done

assay run "$sweep" --name "$name" --address "$head:$port" "$@" &
driver=$!
trap 'stopped=yes; kill -TERM "$driver" 2>/dev/null || true' TERM
code=0
wait "$driver" || code=$?
if [ -n "${stopped:-}" ]; then # the first wait ends with the signal, the second one with the driver
    wait "$driver" || true
    scontrol requeue "$SLURM_JOB_ID"
fi
mapfile -t started < <(jobs -pr)
kill "${started[@]}" 2>/dev/null || true # Ray ends with its job steps
exit "$code"
