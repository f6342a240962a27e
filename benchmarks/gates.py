"Wall and CPU time of the four gates side by side, beside one after another and beside what a model's process has to import; and from decision to alias visible."
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/'tests'))


def timed(fn):
    t = time.perf_counter()
    out = fn()
    return time.perf_counter() - t, out


def spent(fn):
    "CPU seconds of a call and of all processes that it waited for"
    def now(): return sum(o.ru_utime + o.ru_stime for o in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    t = now()
    fn()
    return now() - t


FLAVOUR = 'import numpy, pandas, pyarrow, skops.io, sklearn.pipeline, sklearn.compose, sklearn.impute, sklearn.linear_model, sklearn.preprocessing'


def main():
    import toy
    from mlops_kit import promote, rollback, run_gates
    from mlops_kit.store import fresh_store
    with TemporaryDirectory() as tmp:
        folder = toy.build(Path(tmp)/'world')
        store = fresh_store(folder/'mlflow.db')
        first, second = toy.enrol(folder, store), toy.enrol(folder, store)
        gates = lambda jobs: run_gates('toy/1', folder/'april.parquet', folder/'policy.yaml', out=folder/'runs', jobs=jobs, store=store, progress=False)
        gates(2)
        cpu = dict(run=min(spent(lambda: gates(2)) for _ in range(2)), flavour=min(spent(lambda: subprocess.run([sys.executable, '-I', '-c', FLAVOUR], check=True)) for _ in range(3)))
        seconds = dict(one_after_another=timed(lambda: gates(1))[0], side_by_side=timed(lambda: gates(2))[0])
        promote(first, policy=folder/'policy.yaml', store=store, out=folder/'runs')
        promote(second, policy=folder/'policy.yaml', data=folder/'april.parquet', store=store, out=folder/'runs')
        client = store.client
        seconds['bare_alias'] = min(timed(lambda: client.set_registered_model_alias('toy', 'probe', '1'))[0] for _ in range(5))
        seconds['rollback'] = timed(lambda: rollback('toy', reason='benchmark', store=store))[0]
        ratios = dict(side_by_side=seconds['side_by_side']/seconds['one_after_another'], rollback_to_bare_alias=seconds['rollback']/seconds['bare_alias'],
                      run_to_flavour=cpu['run']/cpu['flavour'])
    for k, v in (seconds | {f'CPU {k}': v for k, v in cpu.items()} | {f'ratio {k}': v for k, v in ratios.items()}).items(): print(f'{k:28} {v:8.3f}')
    (ROOT/'benchmarks/out').mkdir(exist_ok=True)
    (ROOT/'benchmarks/out/gates.json').write_text(json.dumps(dict(seconds=seconds, cpu=cpu, ratios=ratios), indent=1))


if __name__ == '__main__': main()
