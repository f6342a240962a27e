"""From the command to the alias that others see: a rollback, which verifies what comes back, beside a bare alias write.

    python benchmarks/rollback.py [--times 7] [--store sqlite|postgres|server]

Each is a process of its own: it imports what it needs, then the clock runs from opening the store until another
reader would see the alias. `bare` is MLflow's `set_registered_model_alias` and nothing else; `plain` is what somebody
who wants to know that a version still works does with MLflow alone: fetch its files, load it, have it answer its input
example, set the alias.
"""
import argparse
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


def imports(*names):
    "Load what the command will load, so that the clock counts its work alone"
    import importlib
    for o in names: importlib.import_module(o)


KINDS = 'bare', 'plain', 'rollback'
SHARED = ('mlflow', 'mlflow.store.tracking.sqlalchemy_store', 'mlflow.store.model_registry.sqlalchemy_store', 'mlflow.store.tracking.rest_store',
          'mlflow.store.model_registry.rest_store', 'sqlite3', 'psycopg')
OURS = ('mlflow.sklearn', 'mlflow.pyfunc', 'mlflow.artifacts', 'mlflow.store.artifact.models_artifact_repo', 'mlflow.store.artifact.mlflow_artifacts_repo',
        'mlflow.store.artifact.local_artifact_repo', 'skops.io', 'pandas', 'pyarrow.parquet', 'pyarrow.dataset', 'sklearn.pipeline', 'sklearn.compose', 'sklearn.impute',
        'sklearn.linear_model', 'sklearn.preprocessing', 'scipy.stats', 'securesystemslib.dsse', 'securesystemslib.signer', 'narwhals._pandas_like.namespace', 'narwhals._interchange.dataframe', 'narwhals.stable.v2._namespace', 'pandas.api.internals', 'rfc8785', 'yaml', 'mlops_kit.policy',
        'mlops_kit.notify', 'mlops_kit.promotion')


def counted_requests():
    "A list that grows by one with each request to a server"
    import requests
    sent, real = [], requests.Session.request
    def request(self, *args, **kwargs):
        sent.append(args[:2])
        return real(self, *args, **kwargs)
    requests.Session.request = request
    return sent


def once(what, address):
    "One command in this process: seconds from its first step to the visible alias, and the requests that it took"
    warnings.simplefilter('ignore')
    imports(*SHARED, *(() if what == 'bare' else OURS))
    from mlflow import MlflowClient
    seen, sent, real = [], counted_requests(), MlflowClient.set_registered_model_alias
    def visible(self, *args):
        real(self, *args)
        seen.extend([perf_counter(), len(sent)])
    MlflowClient.set_registered_model_alias = visible
    began = perf_counter()
    if what == 'bare':
        MlflowClient(address, address).set_registered_model_alias('toy', 'probe', '1')
        return seen[0] - began, seen[1]
    if what == 'plain':
        plain(address)
        return seen[0] - began, seen[1]
    from mlops_kit.promotion import rollback
    d = rollback('toy', reason='benchmark', store=address)
    assert d.decision == 'rolled back', d
    return seen[0] - began, seen[1]


def plain(address):
    "Verify version 1 with MLflow alone, then set an alias to it"
    import mlflow
    mlflow.set_tracking_uri(address)
    with TemporaryDirectory() as tmp:
        model = mlflow.pyfunc.load_model(mlflow.artifacts.download_artifacts('models:/toy/1', dst_path=tmp))
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
    p.add_argument('--once', nargs=2, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.once: return print(json.dumps(once(*a.once)))
    with TemporaryDirectory() as tmp, ExitStack() as stack:
        address = opened(a.store, Path(tmp), stack)
        one_more = world(Path(tmp)/'world', address)
        for _ in range(a.times + 1): assert one_more().decision == 'promoted'
        run = lambda what: json.loads(subprocess.run([sys.executable, __file__, '--once', what, address], check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        found = [{o: run(o) for o in KINDS} for _ in range(a.times)]
    seconds, requests = {k: median(o[k][0] for o in found) for k in KINDS}, {k: found[-1][k][1] for k in KINDS}
    ratio, beside = (median(o['rollback'][0]/o[k][0] for o in found) for k in ('bare', 'plain'))
    print(f'{a.store}: bare alias {seconds["bare"]:.3f} s, plain {seconds["plain"]:.3f} s, rollback {seconds["rollback"]:.3f} s, {ratio:.2f} times bare (goal: at most 3), {beside:.2f} times plain')
    out = ROOT/'benchmarks/out/rollback.json'
    kept = json.loads(out.read_text()) if out.exists() else {}
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(kept | {a.store: dict(seconds={k: round(v, 4) for k, v in seconds.items()}, ratio=round(ratio, 2), beside=round(beside, 2), requests=requests, goal=3, times=a.times)}, indent=1) + '\n')
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
