"How often the drift gate cries wolf, and whether it finds what moved: simulated tables, judged by the gate, with Evidently's default decision beside it."
import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT/'benchmarks/out/alarms.json'
ALPHA, RUNS = .05, 400
SIZES = 200, 1_000, 1_001, 10_000, 100_000
UNEVEN = (100_000, 200), (100_000, 1_000), (10_000, 200) # A long training, a short table now
REPORTS = {100_000: 3} # Evidently's own; 20 of every other size
NUMBERS = [lambda g, n: g.normal(0, 1, n), lambda g, n: g.lognormal(0, 1, n), lambda g, n: g.gamma(2, 3, n), lambda g, n: g.random(n), lambda g, n: g.normal(50, 9, n).round(1),
    lambda g, n: g.poisson(4, n).astype(float), lambda g, n: np.where(g.random(n) < .8, 0, g.exponential(1, n)), lambda g, n: g.standard_t(3, n), lambda g, n: g.integers(0, 24, n).astype(float)]
KINDS = (2, 0), (3, 1), (5, 0), (8, 1), (12, .5), (20, 1.2), (50, 1), (100, 1), (300, 1), (1_000, 1.2) # How many categories; how uneven they are


@dataclass
class Drawn:
    "A table by columns: sorted numbers, or counts of categories"
    rows: int
    numbers: dict
    categories: dict

    def counts(self, name):
        from mlops_kit.profile import Counts, runs
        if name in self.numbers: return Counts(*runs(self.numbers[name]))
        n = self.categories[name]
        some = np.flatnonzero(n)
        return Counts(np.array([f'c{k:04}' for k in some], dtype=object), n[some], kind='category', dtype='string')

    def frame(self):
        import pandas as pd
        codes = {k: [f'c{i:04}' for i in np.repeat(np.arange(len(n)), n)] for k, n in self.categories.items()}
        return pd.DataFrame(self.numbers | codes)


def draw(rows, columns, seed, side, moved=()):
    "One side of a comparison: every other column a number; those in `moved` lie 0.3 standard deviations further"
    g = np.random.default_rng((seed, side, rows))
    numbers = {f'n{k:02}': np.sort(NUMBERS[k % len(NUMBERS)](g, rows)) for k in range(columns - columns//2)}
    for k in moved: numbers[k] = numbers[k] + .3*spread(int(k[1:]))
    categories = {}
    for k in range(columns//2):
        kinds, uneven = KINDS[k % len(KINDS)]
        p = 1/np.arange(1, kinds + 1)**uneven
        categories[f'c{k:02}'] = g.multinomial(rows, p/p.sum())
    return Drawn(rows, numbers, categories)


def spread(k):
    "The standard deviation of a kind of numbers"
    return float(NUMBERS[k % len(NUMBERS)](np.random.default_rng(0), 10**6).std())


def sided(o):
    "A profile, and the rows behind it"
    from mlops_kit.drift import Side
    from mlops_kit.profile import Profile, column_profile

    class Rows(Side):
        has_rows, opened = True, None
        def rows(self, name): return o.counts(name)
    found = {n: column_profile(n, o.counts(n)) for n in [*o.numbers, *o.categories]}
    for n, p in found.items(): p.kind = 'number' if n in o.numbers else 'category'
    return Rows(Profile(o.rows, found))


def verdict(r, c, **config):
    "What the gate says: whether it refuses, and the columns that it names"
    from mlops_kit.core import Verdict
    from mlops_kit.drift import drift_checks
    checks = drift_checks(r, c, SimpleNamespace(alpha=ALPHA, **config))
    return Verdict('drift', checks).status not in ('pass', 'warn'), sorted(o.column for o in checks if o.column and o.status != 'pass')


def report(r, c):
    "The columns that Evidently's own report calls drifted"
    import warnings
    from evidently import Dataset, DataDefinition, Report
    from evidently.presets import DataDriftPreset
    defined = DataDefinition(numerical_columns=[*r.numbers], categorical_columns=[*r.categories])
    with warnings.catch_warnings(), np.errstate(all='ignore'):
        warnings.simplefilter('ignore')
        found = Report([DataDriftPreset()]).run(*(Dataset.from_pandas(o.frame(), defined) for o in (c, r))).dict()['metrics']
    drifted = lambda m: m['value'] < m['config']['threshold'] if 'p_value' in m['config']['method'] else m['value'] >= m['config']['threshold']
    return sorted(m['config']['column'] for m in found if 'column' in m['config'] and drifted(m))


def quiet_run(rows, seed, columns=50, reports=0):
    "One comparison without any change"
    pair = draw(rows[0], columns, seed, 0), draw(rows[1], columns, seed, 1)
    r, c = map(sided, pair)
    (refused, named), (_, theirs) = verdict(r, c), verdict(r, c, method='evidently')
    found = dict(runs=1, refused=int(refused), columns=len(named), evidently=int(bool(theirs)), evidently_columns=len(theirs))
    if seed < reports:
        own = report(*pair)
        found |= dict(reports=1, reports_alarmed=int(bool(own)), reports_other=int(own != theirs))
    return found


def moved_run(rows, seed, columns=20, reports=0):
    "One comparison in which three columns moved"
    moved = ['n00', 'n03', 'n07']
    pair = draw(rows[0], columns, seed, 0), draw(rows[1], columns, seed, 1, moved)
    r, c = map(sided, pair)
    (refused, named), (_, theirs) = verdict(r, c), verdict(r, c, method='evidently')
    found = dict(runs=1, refused=int(refused), exactly=int(named == moved), all_three=int({*moved} <= {*named}), evidently=int(theirs == moved))
    if seed < reports:
        own = report(*pair)
        found |= dict(reports=1, reports_exact=int(own == moved), reports_other=int(own != theirs))
    return found


def cases(quick):
    "Name to: the function, the rows of both sides, how many runs, how many of Evidently's reports"
    sizes, runs = (SIZES[:3], 20) if quick else (SIZES, RUNS)
    many = lambda n: 0 if quick else min(REPORTS.get(n, 20), runs)
    found = {f'none {n}': (quiet_run, (n, n), runs, many(n)) for n in sizes}
    if not quick: found |= {f'none {a} {b}': (quiet_run, (a, b), runs, 0) for a, b in UNEVEN}
    return found | {'moved 5000': (moved_run, (5_000, 5_000), runs, many(5_000))}


def limit(runs):
    "The most refusals that the stated rate allows: alpha and two standard errors"
    return ALPHA + 2*math.sqrt(ALPHA*(1 - ALPHA)/runs)


def goals(cases):
    "Each figure beside its goal"
    from measure import goal
    quiet = [goal(f'refused without a change, {k.removeprefix("none ").replace(" ", " against ")} rows: share of runs', o['refused']/o['runs'], round(limit(o['runs']), 4))
        for k, o in cases.items() if k.startswith('none')]
    return quiet + [goal('three moved columns named, and no other: share of runs', o['exactly']/o['runs'], .95, least=True) for k, o in cases.items() if k.startswith('moved')]


def written(path):
    "What an earlier start left"
    return json.loads(path.read_text())['cases'] if path.is_file() else {}


def main(args):
    sys.path.insert(0, str(ROOT/'benchmarks'))
    from measure import show_goals, versions
    from mlops_kit.core import write_file
    found = {} if args.fresh else written(args.out)
    for name, (f, rows, runs, reports) in cases(args.quick).items():
        done = found.setdefault(name, dict(runs=0))
        while done['runs'] < min(runs, args.runs or runs):
            one = f(rows, done['runs'], reports=0 if args.no_reports else reports)
            for k, n in one.items(): done[k] = done.get(k, 0) + n
            if done['runs'] % 20 == 0 or done['runs'] == runs:
                write_file(args.out, json.dumps(dict(alpha=ALPHA, cases=found, goals=goals({k: o for k, o in found.items() if o['runs']}), versions=versions('evidently', 'numpy', 'scipy')), indent=1) + '\n')
                print(f'{name}: {done}', flush=True)
    show_goals(goals(found))
    return int(not all(o['met'] for o in goals(found)))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--quick', action='store_true', help='20 runs of the small sizes, without reports of Evidently')
    parser.add_argument('--runs', type=int, help='at most so many runs of each size')
    parser.add_argument('--no-reports', action='store_true', help='leave out reports of Evidently')
    parser.add_argument('--fresh', action='store_true', help='do not go on from what an earlier start left')
    parser.add_argument('--out', type=Path, default=OUT)
    sys.exit(main(parser.parse_args()))
