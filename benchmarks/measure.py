"Run a step in a process of its own: CPU-seconds and peak memory as the system counts them."
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from fill import fill, goal_lines, step_lines

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT/'build/bench' # Tables and environments of the peers; not in git
OUT = ROOT/'benchmarks/out'


class Failed(Exception):
    "A step that did not end well"


def run(*words, python=sys.executable, env=None):
    "What `python WORDS…` cost and what its last line says; `Failed` with its last line of error where it failed"
    with tempfile.TemporaryFile() as errors:
        p = subprocess.Popen([str(python), *map(str, words)], stdout=subprocess.PIPE, stderr=errors, env=os.environ | (env or {}))
        said = p.stdout.read().decode().strip().splitlines()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status) # So that `Popen` does not wait again
        errors.seek(0)
        if p.returncode: raise Failed((errors.read().decode().strip().splitlines() or [f'exit {p.returncode}'])[-1])
    return dict(cpu=usage.ru_utime + usage.ru_stime, mb=usage.ru_maxrss/1024, said=json.loads(said[-1]) if said else None)


def step(name, *words, python=sys.executable):
    "The cost of a step of `steps.py`, and of its work between the end of its imports and its result"
    found = run(ROOT/'benchmarks/steps.py', name, *words, python=python)
    return dict(cpu=found['cpu'], work=found['said']['cpu'] - found['said'].get('imports', 0), mb=found['mb'], said=found['said'])


def turns(steps, times=3):
    "The median cost of each of several steps, run in turn so that what else the machine does meets all of them"
    runs = [{k: step(*words) for k, words in steps.items()} for _ in range(times)]
    return {k: {c: statistics.median(o[k][c] for o in runs) for c in ('cpu', 'work', 'mb')} | dict(said=runs[-1][k]['said']) for k in steps}


def costs(found):
    "What steps cost, without what they said"
    return {k: {c: round(o[c], 3) for c in ('cpu', 'work', 'mb')} for k, o in found.items()}


def goal(what, value, bound, least=False):
    "One figure beside its goal"
    return dict(what=what, value=value, goal=bound, least=least, met=value >= bound if least else value <= bound)


def show_costs(found):
    "Print what steps cost"
    show(step_lines(found))


def show_goals(goals):
    "Print figures beside their goals"
    print()
    show(goal_lines(goals))


def versions(*names):
    "What was measured with"
    from importlib.metadata import version
    from platform import python_version
    return dict(python=python_version()) | {n: version(n) for n in names}


def table(rows, seed=0, moved=False, times=1):
    "The path of a benchmark table, written by another process so that this one stays small"
    return step('write', CACHE/'tables', rows, seed, int(moved), times)['said']['path']


def pair(rows, times=1):
    "The paths of a reference table and of one that has moved in part"
    return table(rows, times=times), table(rows, 1, True, times)


def save(name, found):
    "Write what was measured as JSON, and into the README beside"
    OUT.mkdir(exist_ok=True)
    (OUT/f'{name}.json').write_text(json.dumps(found, indent=1) + '\n')
    fill()


def show(lines):
    "Print lines of cells, aligned: the first column to the left, the others to the right"
    lines = [[str(o) for o in line] for line in lines]
    wide = [max(map(len, o)) for o in zip(*lines)]
    for line in lines: print('  '.join(o.rjust(w) if i else o.ljust(w) for i, (o, w) in enumerate(zip(line, wide))))
