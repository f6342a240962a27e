"Wall time of the four gates side by side, beside one after another; and from decision to alias visible."
import json
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
        seconds = dict(one_after_another=timed(lambda: gates(1))[0], side_by_side=timed(lambda: gates(2))[0])
        promote(first, policy=folder/'policy.yaml', store=store, out=folder/'runs')
        promote(second, policy=folder/'policy.yaml', data=folder/'april.parquet', store=store, out=folder/'runs')
        client = store.client
        seconds['bare_alias'] = min(timed(lambda: client.set_registered_model_alias('toy', 'probe', '1'))[0] for _ in range(5))
        seconds['rollback'] = timed(lambda: rollback('toy', reason='benchmark', store=store))[0]
        ratios = dict(side_by_side=seconds['side_by_side']/seconds['one_after_another'], rollback_to_bare_alias=seconds['rollback']/seconds['bare_alias'])
    for k, v in (seconds | {f'ratio {k}': v for k, v in ratios.items()}).items(): print(f'{k:28} {v:8.3f}')
    (ROOT/'benchmarks/out').mkdir(exist_ok=True)
    (ROOT/'benchmarks/out/gates.json').write_text(json.dumps(dict(seconds=seconds, ratios=ratios), indent=1))


if __name__ == '__main__': main()
