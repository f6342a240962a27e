"How often the interval of the widest gap holds the true one, and how often each end errs: groups drawn from known rates."
import argparse
import json
import time
from pathlib import Path
from statistics import NormalDist

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RATES = {'2 equal groups': ([.2, .2], 100), '2 groups, one small': ([.2, .3], [400, 50]), '8 equal groups of 60': ([.5]*8, 60), '4 groups, rates near 0': ([.05, .1, .1, .2], [300, 40, 80, 500]),
    '3 groups, rates near 0 and 1': ([.02, .03, .9], 200), '2 groups of 30, far apart': ([.05, .95], 30), '20 groups': (list(np.linspace(.2, .4, 20)), 200)}


def share(rng, level, n):
    "Labels and predictions whose selection rate is `level`"
    said = rng.random(n) < level
    return said, said*1., said


def mean(rng, level, n):
    "Errors from a skewed distribution whose mean size is `level`"
    return np.zeros(n), rng.gamma(2, level/2, n), None


def area(rng, level, n):
    "Scores whose area under the curve is `level`"
    y = rng.random(n) < .4
    p = rng.normal(0, 1, n) + y*NormalDist().inv_cdf(level)*2**.5
    return y, p, p > 0


CASES = [(f'selection rate, {how}', 'selection_rate', share, how, *o, k) for how in ('difference', 'ratio', 'group_min') for k, o in RATES.items()] + [
    (f'mean absolute error, {how}', 'mean_absolute_error', mean, how, [10., 12., 12., 15.], [200, 60, 400, 100], '4 groups') for how in ('difference', 'ratio', 'group_max')] + [
    (f'roc_auc, {how}', 'roc_auc_score', area, how, [.7, .75, .8], [300, 150, 500], '3 groups') for how in ('difference', 'group_min')]


def true_gap(levels, how):
    "What is estimated"
    a, b = min(levels), max(levels)
    return dict(difference=b - a, ratio=a/b, group_min=a, group_max=b)[how]


def measured(metric, draw, how, levels, rows, runs, rng, confidence=.95):
    "The share of runs in which the interval holds the gap, and in which it lies above or below"
    from mlops_kit.fairness import by_group, gap
    k, rows, tail = len(levels), np.broadcast_to(rows, len(levels)), (1 - confidence)/2
    codes, true, hits = np.repeat(np.arange(k), rows), true_gap(levels, how), np.zeros(2)
    for _ in range(runs):
        y, p, said = (np.concatenate(o) if o[0] is not None else None for o in zip(*(draw(rng, v, n) for v, n in zip(levels, rows))))
        found = gap(by_group(metric, y, p, p if said is None else said, codes, k), how, tail, tail/(k*(k - 1)))
        hits += [found.low > true + 1e-12, found.high < true - 1e-12]
    return dict(covered=1 - hits.sum()/runs, above=hits[0]/runs, below=hits[1]/runs)


def seconds(rows=100_000, groups=20):
    "CPU-seconds of five metrics on many rows and groups, ours and fairlearn's own functions, both warm"
    import fairlearn.metrics as fm
    import pandas as pd
    from mlops_kit.fairness import fairness_checks
    from mlops_kit.policy import Fairness
    rng = np.random.default_rng(0)
    y, p, frame = rng.random(rows) < .3, rng.random(rows), pd.DataFrame(dict(carrier=rng.choice([f'c{i}' for i in range(groups)], rows)))
    names = 'demographic_parity_difference', 'equalized_odds_difference', 'equal_opportunity_difference', 'selection_rate_difference', 'accuracy_score_difference'
    config = Fairness(groups=['carrier'], metrics={o: dict(max=.1) for o in names})
    def cost(fn):
        fn()
        start = time.process_time()
        fn()
        return time.process_time() - start
    ours, theirs = cost(lambda: fairness_checks(y, p, frame, config)), cost(lambda: [getattr(fm, o)(y, p > .5, sensitive_features=frame) for o in names])
    return dict(rows=rows, groups=groups, metrics=len(names), ours=ours, fairlearn=theirs)


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument('--runs', type=int, default=10_000)
    runs, rng = ask.parse_args().runs, np.random.default_rng(0)
    cases = [dict(what=what, groups=k, **measured(metric, draw, how, levels, rows, runs, rng)) for what, metric, draw, how, levels, rows, k in CASES]
    for o in cases: print(f'{o["what"]:32} {o["groups"]:30} covered {o["covered"]:.4f}  too high {o["above"]:.4f}  too low {o["below"]:.4f}')
    (ROOT/'benchmarks/out').mkdir(exist_ok=True)
    (ROOT/'benchmarks/out/fairness.json').write_text(json.dumps(dict(runs=runs, cases=cases, cost=seconds()), indent=1))
    from fill import fill
    fill()


if __name__ == '__main__': main()
