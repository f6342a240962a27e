"What is measured. Each step runs in a process of its own, `python steps.py STEP ARGUMENTS…`, and prints one line of JSON."
import json
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))


def cpu():
    "CPU-seconds of this process so far"
    r = resource.getrusage(resource.RUSAGE_SELF)
    return r.ru_utime + r.ru_stime


def write(folder, rows, seed, moved, times):
    "Write a table unless it is there"
    from tables import cached_table
    return dict(path=str(cached_table(folder, int(rows), int(seed), bool(int(moved)), int(times))))


def import_ours():
    "Import all that a verdict needs; say what that cost"
    import numpy, pyarrow.compute, pyarrow.dataset, pyarrow.parquet, scipy.special # noqa: E401
    import mlops_kit.drift, mlops_kit.policy, mlops_kit.profile, mlops_kit.quality # noqa: E401
    return cpu()


def checks(reference, current, tables, drift_only=False):
    "The checks of the drift gate and of the data quality gate, by id"
    from mlops_kit.drift import drift_checks
    from mlops_kit.policy import DataQuality, Drift
    from mlops_kit.quality import quality_checks
    found = drift_checks(reference, current, Drift(method='evidently'), *tables) # So that both do the same
    if not drift_only: found += quality_checks(reference, current, DataQuality(), table=tables[1])
    return {c.id: dict(status=c.status, value=c.value, low=c.low, high=c.high, reason=c.reason) for c in found}


def verdict(reference, current, drift_only=''):
    "Ours: profile both tables, judge drift and quality"
    imports = import_ours()
    from mlops_kit.profile import profile
    from mlops_kit.table import open_table
    tables = open_table(reference), open_table(current)
    return dict(imports=imports, checks=checks(*map(profile, tables), tables, bool(drift_only)))


def keep(table, path):
    "Profile a table and save the profile"
    from mlops_kit.profile import profile, save_profile
    return dict(bytes=Path(save_profile(profile(table), path)).stat().st_size)


def stored(kept, reference, current):
    "Ours: profile the new table alone, judge it against a stored profile; the reference's rows are there if a column needs them"
    imports = import_ours()
    from mlops_kit.profile import load_profile, profile
    from mlops_kit.table import open_table
    tables = open_table(reference), open_table(current)
    return dict(imports=imports, checks=checks(load_profile(kept), profile(tables[1]), tables))


def digests(*paths):
    "Ours: name tables by the sha256 of their files, as a run's record does"
    imports = import_ours()
    from mlops_kit.table import open_table
    return dict(imports=imports, digests=[open_table(o).digest for o in paths])


def exact(reference, current):
    "Ours: the distances from the rows, as numbers rather than intervals"
    imports = import_ours()
    from mlops_kit.drift import compare
    return dict(imports=imports, drift={d.column: dict(value=d.value, drifted=d.drifted, method=d.method) for d in compare(reference, current)})


def evidently(reference, current, drift_only=''):
    "Evidently: its two presets on frames"
    import warnings
    warnings.simplefilter('ignore')
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset
    imports = cpu()
    presets = [DataDriftPreset()] if drift_only else [DataDriftPreset(), DataSummaryPreset()]
    found = Report(presets).run(pd.read_parquet(current), pd.read_parquet(reference)).dict()['metrics']
    drift = {m['config']['column']: dict(value=float(m['value']), threshold=m['config']['threshold']) for m in found if m['config']['type'].endswith(':ValueDrift')}
    return dict(imports=imports, drift=drift)


def decode(*paths):
    "pyarrow: decode tables on one thread, a row group at a time, keeping nothing"
    import pyarrow.parquet as pq
    imports, rows = cpu(), 0
    for o in map(pq.ParquetFile, paths):
        for i in range(o.num_row_groups): rows += o.read_row_group(i, use_threads=False).num_rows
    return dict(imports=imports, rows=rows)


def decode_whole(*paths):
    "pyarrow: decode tables on one thread, each as a whole"
    import pyarrow.dataset # noqa: F401 - read_table would import it
    import pyarrow.parquet as pq
    imports = cpu()
    return dict(imports=imports, rows=sum(pq.read_table(o, use_threads=False).num_rows for o in paths))


def world(folder):
    "The record of a run on a small world: a model, a policy, a contract and data"
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent/'tests'))
    import toy
    from mlops_kit.runner import prepared
    from mlops_kit.store import fresh_store
    folder = toy.build(Path(folder)/'world')
    store = fresh_store(folder/'mlflow.db')
    toy.enrol(folder, store)
    run, _ = prepared('toy/1', folder/'april.parquet', folder/'policy.yaml', folder/'runs', 'champion', None, store)
    return dict(run=str(run/'run.json'))


def gates(run, *names):
    "Ours: judge gates from a run's folder as their notebooks do, but without the reports"
    from mlops_kit.gates import GATES, candidate_of_run
    c = candidate_of_run(run)
    return dict(checks=sum(len(GATES[n](c)) for n in names), loaded=sorted(n for n in HEAVY if n in sys.modules))


def import_evidently():
    "Evidently: the bare import"
    import evidently # noqa: F401
    return {}


HEAVY = 'duckdb', 'evidently', 'ibis', 'jsonschema', 'mlflow', 'numpy', 'pandas', 'plotly', 'pyarrow', 'pydantic', 'scipy', 'sklearn', 'sqlglot'
STEPS = {f.__name__: f for f in (write, verdict, keep, stored, digests, exact, evidently, decode, decode_whole, world, gates, import_evidently)}

if __name__ == '__main__': print('\n' + json.dumps(STEPS[sys.argv[1]](*sys.argv[2:]) | dict(cpu=cpu())))
