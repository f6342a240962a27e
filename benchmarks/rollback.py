"""From the command to the alias that others see: a rollback, which verifies what comes back, beside a bare alias write.

    python benchmarks/rollback.py [--times 7] [--store sqlite|postgres|server]

Each is a process of its own, in which the clock runs from opening the store until another reader would see the alias.
What a first one, which does not count, imports meanwhile is imported before the clock starts. `bare` is MLflow's
`set_registered_model_alias` and nothing else; `fetch` has MLflow fetch the version's files before, and does nothing with
them; `plain` is what somebody who wants to know that a version still works does with MLflow alone: fetch its files,
load it, have it answer its input example, set the alias.
"""
import argparse
import gc
import json
import os
import subprocess
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT/'tests'), str(ROOT/'benchmarks')]
from fill import fill # noqa: E402
os.environ |= dict(MLFLOW_DISABLE_TELEMETRY='true', OMP_NUM_THREADS='1')


KINDS = 'bare', 'fetch', 'plain', 'rollback'


def load(names):
    "Import what the command will import, so that the clock counts its work alone"
    import importlib
    for o in names:
        try: importlib.import_module(o)
        except ImportError: pass # Some modules are made by others while they are imported


def counted_requests():
    "A list that grows by one with each request to a server"
    import requests
    sent, real = [], requests.Session.request
    def request(self, *args, **kwargs):
        sent.append(args[:2])
        return real(self, *args, **kwargs)
    requests.Session.request = request
    return sent


def once(what, address, names=()):
    "One command in this process: seconds from its first step to the visible alias, the requests that it took, and what it imported"
    warnings.simplefilter('ignore')
    load(['mlflow', *names])
    from mlflow import MlflowClient
    seen, sent, real = [], counted_requests(), MlflowClient.set_registered_model_alias
    def visible(self, *args):
        real(self, *args)
        seen.extend([perf_counter(), len(sent)])
    MlflowClient.set_registered_model_alias = visible
    gc.collect() # What the imports left is not the command's to clear away
    gc.freeze()
    before, began = {*sys.modules}, perf_counter()
    if what == 'rollback':
        from mlops_kit.promotion import rollback
        d = rollback('toy', reason='benchmark', store=address)
        assert d.decision == 'rolled back', d
    else: with_mlflow_alone(what, address)
    return seen[0] - began, seen[1], sorted({*sys.modules} - before)


def with_mlflow_alone(what, address):
    "Set an alias to version 1, after as much as `what` says"
    import mlflow
    with TemporaryDirectory() as tmp:
        if what != 'bare':
            mlflow.set_tracking_uri(address)
            files = mlflow.artifacts.download_artifacts('models:/toy/1', dst_path=tmp)
        if what == 'plain':
            import mlflow.pyfunc
            model = mlflow.pyfunc.load_model(files)
            model.predict(model.input_example)
        mlflow.MlflowClient(address, address).set_registered_model_alias('toy', 'probe', '1')


def world(folder, address):
    "A function that makes one more version take the alias, so that there is a way back for each time"
    import toy
    from mlops_kit import promote
    from mlops_kit.store import connect
    toy.build(folder)
    (folder/'policy.yaml').write_text(toy.POLICY.replace('gates: [contract, data_quality, drift, performance]', 'gates: [data_quality]'))
    store = connect(address)
    return lambda: promote(toy.enrol(folder, store), policy=folder/'policy.yaml', data=folder/'april.parquet', store=store, out=folder/'runs', progress=False, page=None)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--times', type=int, default=7)
    p.add_argument('--store', default='sqlite', choices=['sqlite', 'postgres', 'server'])
    p.add_argument('--once', nargs='+', help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.once: return print(json.dumps(once(*a.once[:2], a.once[2:])))
    with TemporaryDirectory() as tmp, ExitStack() as stack:
        address = opened(a.store, Path(tmp), stack)
        one_more = world(Path(tmp)/'world', address)
        for _ in range(a.times + 2): assert one_more().decision == 'promoted'
        def run(what, names=()): return json.loads(subprocess.run([sys.executable, __file__, '--once', what, address, *names], check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        names = {o: run(o)[2] for o in KINDS}
        found = [{o: run(o, names[o]) for o in KINDS} for _ in range(a.times)]
    seconds, requests = {k: median(o[k][0] for o in found) for k in KINDS}, {k: found[-1][k][1] for k in KINDS}
    times = {k: median(o['rollback'][0]/o[k][0] for o in found) for k in KINDS[:-1]}
    fetching = median(o['fetch'][0]/o['bare'][0] for o in found)
    print(f'{a.store}: bare alias {seconds["bare"]:.3f} s, fetch {seconds["fetch"]:.3f} s, plain {seconds["plain"]:.3f} s, rollback {seconds["rollback"]:.3f} s, '
          f'{times["bare"]:.2f} times bare (goal: at most 3; fetching alone is {fetching:.2f}), {times["plain"]:.2f} times plain')
    out = ROOT/'benchmarks/out/rollback.json'
    kept = json.loads(out.read_text()) if out.exists() else {}
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(kept | {a.store: dict(seconds={k: round(v, 4) for k, v in seconds.items()}, ratio=round(times['bare'], 2), fetching=round(fetching, 2), beside=round(times['plain'], 2), requests=requests, goal=3, times=a.times)}, indent=1) + '\n')
    fill()


def opened(kind, folder, stack):
    "The address of a store of this kind, which lives as long as `stack`"
    if kind == 'sqlite':
        from mlops_kit.store import fresh_store
        return fresh_store(folder/'mlflow.db').uri
    from postgres import server
    from servers import place
    return stack.enter_context(place(kind, folder, stack.enter_context(server()) if kind == 'postgres' else None, **(dict(workers=4) if kind == 'server' else {}))).address


if __name__ == '__main__': main()
