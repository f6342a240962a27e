"""The performance gate's own work: 100,000 rows, 5 metrics, 20 slices, against a champion, in CPU-seconds.

    python benchmarks/performance.py

Beside it scikit-learn's five metrics on the same rows and slices, for both models: values alone, no intervals.
"""
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace as Config

ROOT = Path(__file__).resolve().parent.parent
ROWS, SLICES, GOAL = 100_000, 20, 10
NAMES = ['roc_auc', 'average_precision', 'log_loss', 'brier_score', 'f1']


def main():
    import numpy as np
    import pandas as pd
    from sklearn import metrics as m
    from mlops_kit.performance import METRICS, performance_checks
    rng = np.random.default_rng(0)
    q = rng.beta(2, 5, ROWS)
    y, frame = rng.random(ROWS) < q, pd.DataFrame(dict(part=rng.integers(0, SLICES, ROWS).astype(str)))
    ours, theirs = (np.clip(q + rng.normal(0, s, ROWS), .001, .999) for s in (.05, .06))
    bounds = {n: Config(min=0. if METRICS['binary'][n] else None, max=None if METRICS['binary'][n] else 9., margin=.01, max_gap=.5) for n in NAMES}
    config = Config(metrics=bounds, confidence=.95, min_rows=100, beat_trivial=True, slices=[Config(by='part', bins={}, values=[], min_rows=200, metrics=bounds)])
    checks, cpu = None, []
    for _ in range(3):
        t = time.process_time()
        checks = performance_checks(y, ours, theirs, config, 'binary', frame=frame)
        cpu.append(time.process_time() - t)
    t = time.process_time()
    for rows in [slice(None), *(np.flatnonzero(frame.part == o) for o in frame.part.unique())]:
        for p in (ours, theirs):
            m.roc_auc_score(y[rows], p[rows]), m.average_precision_score(y[rows], p[rows]), m.log_loss(y[rows], p[rows]), m.brier_score_loss(y[rows], p[rows]), m.f1_score(y[rows], p[rows] > .5)
    plain = time.process_time() - t
    print(f'{len(checks)} checks with intervals in {min(cpu):.2f} CPU-s (goal: under {GOAL}); the values alone by scikit-learn {plain:.2f} CPU-s, ratio {min(cpu)/plain:.2f}')
    out = dict(rows=ROWS, metrics=len(NAMES), slices=SLICES, checks=len(checks), cpu=round(min(cpu), 3), scikit_learn=round(plain, 3), ratio=round(min(cpu)/plain, 2), goal=GOAL)
    (ROOT/'benchmarks/out').mkdir(exist_ok=True)
    (ROOT/'benchmarks/out/performance.json').write_text(json.dumps(out, indent=1) + '\n')
    return 0 if min(cpu) < GOAL else 1


if __name__ == '__main__': sys.exit(main())
