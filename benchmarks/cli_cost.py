"CPU of `mlops-kit --help` and `mlops-kit status`, beside `mlflow --help` and beside the store's own cost."
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
GOAL = .25 # Of `mlflow --help`, for `mlops-kit --help`
ASK_STORE = 'import mlflow; list(mlflow.MlflowClient().search_registered_models())'


def cpu(words, cwd, env):
    "CPU seconds of one command and all that it starts; RuntimeError where it fails"
    p = subprocess.Popen([str(o) for o in words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = p.stderr.read().decode(errors='replace')
    p.stderr.close()
    _, status, used = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode: raise RuntimeError(f'exit {p.returncode}: {(said.strip().splitlines() or ["it said nothing"])[-1]}')
    return used.ru_utime + used.ru_stime


def measured(words, runs, cwd, env):
    "Seconds of each of `runs` runs after one to warm up, or why there are none"
    if not Path(words[0]).exists(): return dict(missing=f'`{Path(words[0]).name}` is not installed beside {sys.executable}')
    try:
        cpu(words, cwd, env)
        seconds = [cpu(words, cwd, env) for _ in range(runs)]
    except RuntimeError as e: return dict(missing=str(e))
    return dict(median=statistics.median(seconds), low=min(seconds), high=max(seconds), seconds=seconds)


def world(folder):
    "A store with one registered model, in `folder`; '' or why there is none"
    sys.path.insert(0, str(ROOT/'tests'))
    try:
        import toy
        from mlops_kit.store import fresh_store
        store = fresh_store(toy.build(folder)/'mlflow.db')
        toy.enrol(folder, store)
    except Exception as e: return f'{type(e).__name__}: {e}'
    return ''


def commands(store_fails):
    "Name to words; what needs the store is left out where there is none"
    asks = {'mlflow --help': [BIN/'mlflow', '--help'], 'mlops-kit --help': [BIN/'mlops-kit', '--help']}
    if store_fails: return asks
    return asks | {'the store alone': [sys.executable, '-c', ASK_STORE], 'mlops-kit status': [BIN/'mlops-kit', 'status']}


def table(found):
    "Lines for people"
    yield f'{"command":20} {"median":>8} {"low":>8} {"high":>8}   CPU seconds'
    for name, o in found.items():
        yield f'{name:20} ' + (f'NOT MEASURED: {o["missing"]}' if 'missing' in o else f'{o["median"]:8.3f} {o["low"]:8.3f} {o["high"]:8.3f}')


def ratios(found):
    "Ours over theirs, where both were measured"
    pairs = {'mlops-kit --help': 'mlflow --help', 'mlops-kit status': 'the store alone'}
    return {f'{a} / {b}': found[a]['median']/found[b]['median'] for a, b in pairs.items() if all('median' in found.get(o, {}) for o in (a, b))}


def main(runs):
    with TemporaryDirectory() as tmp:
        folder = Path(tmp)/'world'
        fails = world(folder)
        folder.mkdir(exist_ok=True)
        env = os.environ | dict(MLFLOW_TRACKING_URI=f'sqlite:///{folder/"mlflow.db"}', MLFLOW_DISABLE_TELEMETRY='true', DO_NOT_TRACK='1')
        found = {name: measured(words, runs, folder, env) for name, words in commands(fails).items()}
    if fails: found['mlops-kit status'] = dict(missing=f'no store could be made: {fails}')
    found_ratios = ratios(found)
    print(*table(found), '', *(f'{k:40} {v:6.2f}' for k, v in found_ratios.items()), sep='\n')
    help_ratio = found_ratios.get('mlops-kit --help / mlflow --help')
    kept = None if help_ratio is None else help_ratio <= GOAL
    print(f'goal: `mlops-kit --help` at most {GOAL:g} of `mlflow --help`: {"not measured" if kept is None else "kept" if kept else "MISSED"}')
    out = ROOT/'benchmarks/out/cli_cost.json'
    out.parent.mkdir(exist_ok=True)
    about = dict(python=platform.python_version(), cpus=os.cpu_count(), runs=runs)
    out.write_text(json.dumps(dict(cpu_seconds=found, ratios=found_ratios, goal=GOAL, goal_kept=kept, machine=about), indent=1) + '\n')
    return 0 if kept else 1


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=7, help='of each command; the median counts')
    sys.exit(main(parser.parse_args().runs))
