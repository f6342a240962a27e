"""All seven gates on a month of flights, side by side on two cores: how long, and where the time goes.

    python benchmarks/seven.py [--jobs 2]

The environment of the behaviour gate is built before the clock starts, as it is kept between runs. `judging` is the gate
asked once more in a process that has loaded everything; `imports` is what its cells took beyond that; `kernel` is
papermill until the first cell runs; `rendering` is from the last cell to the page of the executed notebook.
"""
import argparse
import json
import os
import sys
import time
from contextlib import chdir
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault('MLFLOW_DISABLE_TELEMETRY', 'true')
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
GATES = ['contract', 'data_quality', 'drift', 'performance', 'fairness', 'behaviour', 'governance']
GOAL = 60


def asked(policy):
    "All seven gates before `champion`; nobody committed the code of a benchmark"
    import yaml
    from mlops_kit.policy import ANSWERS
    found = yaml.safe_load(policy.read_text())
    found['stages']['champion']['gates'] = GATES
    found['gates']['governance'] = dict(require=[o for o in ANSWERS if o in ('owner', 'environment', 'contract', 'importance', 'test', 'lineage')])
    policy.write_text(yaml.safe_dump(found, sort_keys=False))
    return policy


def seconds(a, b): return (datetime.fromisoformat(b) - datetime.fromisoformat(a)).total_seconds()


def parts(folder, judging):
    "Where one gate's time went"
    nb = json.loads((folder/'executed.ipynb').read_text())
    whole, cells = nb['metadata']['papermill'], [c['metadata']['papermill'] for c in nb['cells'] if c['cell_type'] == 'code']
    ran = sum(c['duration'] for c in cells if c.get('duration'))
    page = (folder/'executed.html').stat().st_mtime - datetime.fromisoformat(whole['end_time']).timestamp()
    kernel = seconds(whole['start_time'], cells[0]['start_time'])
    return dict(kernel=kernel, imports=max(ran - judging, 0), judging=judging, rendering=max(page, 0) + max(whole['duration'] - kernel - ran, 0))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--jobs', type=int, default=2)
    a = p.parse_args()
    import selftest
    from mlops_kit import demo, promote, register, run_gates
    from mlops_kit.gates import judge_gate
    with TemporaryDirectory() as tmp, chdir(tmp):
        given = selftest.furnished(Path(tmp))
        version, data, policy, store = given['version'], given['data'], asked(Path(given['policy'])), given['store']
        kw = dict(data=data, policy=policy, out=Path(tmp)/'runs', store=store, progress=False, as_of=given['as_of'])
        print('the first run builds the environment …', file=sys.stderr)
        print(promote(version, page=None, **kw), file=sys.stderr)
        train = Path(tmp)/'train.parquet'
        again = register(demo.train([train]), demo.NAME, train=train, target=demo.TARGET, test=demo.month_file(Path(tmp)/'flights', 5), contract=Path(tmp)/'contract.yaml',
                         policy=policy, features=demo.FEATURES, trusted=demo.TRUSTED, store=store)
        start = time.perf_counter()
        verdicts = run_gates(again, jobs=a.jobs, **kw)
        wall = time.perf_counter() - start
        alone = {}
        for gate in GATES:
            for _ in range(2):
                start = time.perf_counter()
                judge_gate(gate, again.ref, str(data), str(policy), str(Path(tmp)/'runs'), run=str(verdicts.folder/'run.json'))
                alone[gate] = time.perf_counter() - start
        found = {g: parts(verdicts.folder/g, alone[g]) for g in GATES}
    total = {k: sum(o[k] for o in found.values()) for k in ('kernel', 'imports', 'judging', 'rendering')}
    print(f'{"gate":14}' + ''.join(f'{k:>11}' for k in total))
    for g, o in (found | dict(all=total)).items(): print(f'{g:14}' + ''.join(f'{o[k]:11.2f}' for k in total))
    print(f'wall {wall:.1f} s with {a.jobs} at once (goal: under {GOAL}); judging itself is {total["judging"]/sum(total.values()):.0%} of the gates\' time')
    for v in verdicts: print(v.gate, v.status)
    out = dict(wall=round(wall, 1), goal=GOAL, jobs=a.jobs, gates={g: {k: round(v, 2) for k, v in o.items()} for g, o in found.items()}, total={k: round(v, 2) for k, v in total.items()},
               statuses={v.gate: v.status for v in verdicts})
    (HERE/'out').mkdir(exist_ok=True)
    (HERE/'out/seven.json').write_text(json.dumps(out, indent=1) + '\n')


if __name__ == '__main__': main()
