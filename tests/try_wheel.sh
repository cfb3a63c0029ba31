#!/bin/sh
# Build the wheel and try it in an empty folder, in a fresh environment without torch.
#   sh tests/try_wheel.sh PYTHON
set -eu
python=$(command -v "$1")
case "$python" in /*) ;; *) python="$PWD/$1" ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

git -C "$root" ls-files -z | (cd "$root" && xargs -0 tar cf -) | (mkdir "$work/src" && tar xf - -C "$work/src")
"$python" -m build --wheel --outdir "$work/dist" "$work/src" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check "$work"/dist/*.whl

mkdir "$work/empty" && cd "$work/empty"
cp "$root/examples/overfitting_cpu.log" train.log
"$work/venv/bin/gptdiag" --version
"$work/venv/bin/gptdiag" analyze train.log > report.txt
grep -q "Overfitting since step 400" report.txt
"$work/venv/bin/python" - <<'PY'
import importlib.util, pathlib
import gptdiag, gptdiag.trainer
folder = pathlib.Path(gptdiag.trainer.__file__).parent
assert (folder / "config" / "train_gpt2.py").exists() and (folder / "train.py").exists(), "the trainer's folder is not in the wheel"
assert (folder / "config" / "faults" / "tiny_data.py").exists(), "the faults are not in the wheel"
assert (pathlib.Path(gptdiag.__file__).parent / "devices.json").exists()
assert importlib.util.find_spec("torch") is None, "the core must not pull torch"
assert importlib.util.find_spec("train") is None, "a top-level package `train` would shadow train.py"
assert len(gptdiag.read("train.log").steps) == 201
PY
if "$work/venv/bin/gptdiag" train 2> error.txt; then exit 1; fi
grep -q "pip install 'gptdiag\[train\]'" error.txt

# With torch borrowed from the environment that built the wheel, the installed trainer runs.
PYTHONPATH=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parents[1])')
export PYTHONPATH
"$work/venv/bin/gptdiag" prepare "$root/CONTRIBUTING.md" --name=text > prepared.txt
"$work/venv/bin/gptdiag" train config/cpu_tiny.py --dataset=text --max_iters=12 --eval_interval=6 \
    --n_layer=1 --n_embd=32 --n_head=2 --out_dir=out > trained.txt
grep -q "^iter 12: loss" trained.txt
"$work/venv/bin/gptdiag" analyze out/run.jsonl > report.txt
"$work/venv/bin/gptdiag" sample --out_dir=out --num_samples=1 --max_new_tokens=20 > sampled.txt
echo "the wheel works in an empty folder"
