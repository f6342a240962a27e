"CPU of a process that judges a tiny table from a run's folder without rendering reports: mostly imports. Beside `import evidently`."
import os
import subprocess
import sys
from collections import Counter
from tempfile import TemporaryDirectory

from fill import import_lines
from measure import ROOT, costs, goal, save, show, show_goals, step, turns, versions

DATA_GATES = 'contract', 'data_quality', 'drift'


def heaviest(*words, most=8):
    "The packages whose own modules take longest to import, in milliseconds by the clock"
    p = subprocess.run([sys.executable, '-X', 'importtime', ROOT/'benchmarks/steps.py', *words], capture_output=True, text=True, check=True)
    lines = [o.removeprefix('import time:').split('|') for o in p.stderr.splitlines() if o.startswith('import time:')]
    took = Counter()
    for own, _, name in lines:
        if own.strip().isdigit(): took[name.strip().partition('.')[0]] += int(own)/1000
    return {k: round(v) for k, v in took.most_common(most)}


def main():
    with TemporaryDirectory() as tmp:
        run = step('world', tmp)['said']['run']
        steps = {'the data gates in one process': ('gates', run, *DATA_GATES)} | {n: ('gates', run, n) for n in DATA_GATES} | {'import evidently': ('import_evidently',)}
        found = turns(steps, 5)
        slow = {k: heaviest(*words) for k, words in steps.items()}
    show(import_lines(costs(found)))
    for k, v in slow.items(): print(f'{k}: ' + ', '.join(f'{n} {ms} ms' for n, ms in v.items()))
    goals = [goal('CPU-s until the data gates are judged', found['the data gates in one process']['work'], 1.5)]
    show_goals(goals)
    loaded = {k: o['said']['loaded'] for k, o in found.items() if 'loaded' in o['said']}
    save('imports', dict(imports=costs(found), goals=goals, heaviest=slow, loaded=loaded, versions=versions('evidently')))


if __name__ == '__main__':
    os.environ['MLFLOW_DISABLE_TELEMETRY'] = 'true'
    main()
