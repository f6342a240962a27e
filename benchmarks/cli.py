"CPU of `mlops-kit --help` and `mlops-kit status` beside `mlflow --help`: medians of seven runs each, in turn."
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def cpu(words, env):
    "CPU-seconds of one command, children included"
    before = os.times()
    p = subprocess.run([str(BIN/words[0]), *words[1:]], capture_output=True, env=os.environ | env)
    if p.returncode: raise SystemExit(f'{words}: {p.stderr.decode()}')
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main():
    commands = {'mlops-kit --help': ['mlops-kit', '--help'], 'mlops-kit status': ['mlops-kit', 'status'], 'mlflow --help': ['mlflow', '--help']}
    with TemporaryDirectory() as tmp:
        env = dict(MLFLOW_TRACKING_URI=f'sqlite:///{tmp}/mlflow.db')
        for words in commands.values(): cpu(words, env)
        runs = [{k: cpu(words, env) for k, words in commands.items()} for _ in range(7)]
    found = {k: statistics.median(r[k] for r in runs) for k in commands}
    peer = found['mlflow --help']
    for k, v in found.items(): print(f'{k:20} {v:7.2f} CPU-s   {v/peer:6.3f} of mlflow --help')
    (ROOT/'benchmarks/out').mkdir(exist_ok=True)
    (ROOT/'benchmarks/out/cli.json').write_text(json.dumps(dict(cpu_seconds=found, ratio={k: v/peer for k, v in found.items()}), indent=1))


if __name__ == '__main__': main()
