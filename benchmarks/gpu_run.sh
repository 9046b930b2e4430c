#!/usr/bin/env bash
# Tests and measurements of a CUDA device in one call of less than 9 minutes:
#
#     benchmarks/gpu_run.sh FOLDER
#
# FOLDER gets tests.log, layers.json, layers.txt, crossover.json, crossover.txt, machine.txt and
# summary.txt. Each part has a time limit and writes its results as they come, so that a part that
# is stopped leaves what it had. Nothing is installed and nothing is fetched: the package is found
# through PYTHONPATH, which may name further folders, and what is missing is named and skipped.
#
# SKELFREQ_DEVICE=cpu tries the script without a GPU. SKELFREQ_GPU_SECONDS="120 280 90" sets the
# limits of tests, layers and crossovers in seconds. PYTHON names the interpreter (python3).
set -uo pipefail

[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 2
cd "$(dirname "$0")/.." || exit 2
python=${PYTHON:-python3}
device=${SKELFREQ_DEVICE:-cuda}
read -r tests_s layers_s crossover_s <<<"${SKELFREQ_GPU_SECONDS:-120 280 90}"
export SKELFREQ_DEVICE=$device PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MPLBACKEND=Agg
: >"$out/summary.txt"

say() { printf '%s\n' "$*" | tee -a "$out/summary.txt"; }

# Whether Python has all of the named modules; says which it lacks.
has() {
    "$python" - "$@" <<'PY'
import importlib.util
import sys

missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
print(" ".join(missing))
sys.exit(bool(missing))
PY
}

# part NAME SECONDS LOG COMMAND...: run a command within a limit, interrupted first, then killed.
part() {
    local name=$1 limit=$2 log=$3 begin=$SECONDS rc
    shift 3
    say "== $name: at most $limit s"
    timeout --signal=INT --kill-after=10 "$limit" "$@" >"$out/$log" 2>&1
    rc=$?
    case $rc in
    0) say "   done in $((SECONDS - begin)) s, see $log" ;;
    124 | 137) say "   stopped after $((SECONDS - begin)) s, $log has what there was" ;;
    *) say "   failed with status $rc after $((SECONDS - begin)) s, see $log" ;;
    esac
}

if ! missing=$(has torch torch_dct numpy einops scipy); then
    say "skelfreq and its benchmarks need what this Python lacks: $missing. Put it on PYTHONPATH."
    exit 1
fi
"$python" - "$device" >"$out/machine.txt" 2>&1 <<'PY'
import sys

import torch

device = sys.argv[1]
print("python", sys.version.split()[0], "torch", torch.__version__, "device", device)
if device == "cuda":
    if not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device")
    print(torch.cuda.get_device_properties(0))
PY
rc=$?
cat "$out/machine.txt"
[ $rc -eq 0 ] || { say "No device: see machine.txt. SKELFREQ_DEVICE=cpu tries the script without."; exit 1; }

if missing=$(has pytest hypothesis); then
    # Some test files need packages that a GPU machine may lack: the others still run.
    part "tests" "$tests_s" tests.log "$python" -m pytest -m cuda tests/library -q \
        -p no:cacheprovider --continue-on-collection-errors
    say "   $(tail -n 1 "$out/tests.log")"
else
    say "== tests: skipped, this Python lacks $missing"
fi

# The suite stops by itself before the limit; its last case may take a while to end.
part "layers" "$layers_s" layers.txt "$python" -m benchmarks --full --device "$device" \
    --threads "${OMP_NUM_THREADS:-2}" --seconds $((layers_s > 60 ? layers_s - 45 : layers_s / 2)) \
    --json "$out/layers.json"
say "   $(grep -m 1 'targets met' "$out/layers.txt" || echo 'no summary')"

part "crossovers" "$crossover_s" crossover.txt "$python" -m benchmarks --crossover \
    --device "$device" --threads "${OMP_NUM_THREADS:-2}" --json "$out/crossover.json"
say "   $(grep -c 'ward' "$out/crossover.txt") rows"

say "Took $SECONDS s. To put the results on the page: \`python -m benchmarks.page --add $out/layers.json $out/crossover.json\`"
