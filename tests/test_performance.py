"Metrics equal scikit-learn's; intervals cover what they say; the names agree with the policy's."
from types import SimpleNamespace as Config

import numpy as np
import pytest
from sklearn import metrics as m

from mlops_kit import policy
from mlops_kit.core import PolicyError
from mlops_kit.performance import METRICS, Estimate, estimates, evaluate, performance_checks

rng = np.random.default_rng(0)
N = 600
Y2, P2 = rng.random(N) < .3, np.round(rng.random(N), 2)
Y3, P3 = rng.integers(0, 3, N), rng.dirichlet([1, 1, 1], N)
YR = rng.normal(3, 2, N)
PR = YR + rng.normal(0, 1, N)

PEERS = dict(
    binary=dict(roc_auc=m.roc_auc_score(Y2, P2), average_precision=m.average_precision_score(Y2, P2), log_loss=m.log_loss(Y2, P2), brier_score=m.brier_score_loss(Y2, P2),
                **{k: f(Y2, P2 > .5) for k, f in dict(accuracy=m.accuracy_score, balanced_accuracy=m.balanced_accuracy_score, precision=m.precision_score,
                                                      recall=m.recall_score, f1=m.f1_score, matthews_corrcoef=m.matthews_corrcoef).items()}),
    multiclass=dict(roc_auc=m.roc_auc_score(Y3, P3, multi_class='ovr'), log_loss=m.log_loss(Y3, P3), f1_macro=m.f1_score(Y3, P3.argmax(1), average='macro'),
                    **{k: f(Y3, P3.argmax(1)) for k, f in dict(accuracy=m.accuracy_score, balanced_accuracy=m.balanced_accuracy_score, matthews_corrcoef=m.matthews_corrcoef).items()}),
    regression=dict(r2=m.r2_score(YR, PR), explained_variance=m.explained_variance_score(YR, PR), mae=m.mean_absolute_error(YR, PR), rmse=m.root_mean_squared_error(YR, PR),
                    median_absolute_error=m.median_absolute_error(YR, PR), mape=m.mean_absolute_percentage_error(YR, PR)))
DATA = dict(binary=(Y2, P2), multiclass=(Y3, P3), regression=(YR, PR))


@pytest.mark.parametrize('task', METRICS)
def test_values_equal_scikit_learns(task):
    y, p = DATA[task]
    found = evaluate(y.astype(int) if task == 'binary' else y, p, task)
    assert set(found) == set(PEERS[task])
    for k, v in found.items(): assert v == pytest.approx(PEERS[task][k], rel=1e-9), k


def test_the_policy_knows_the_same_metrics():
    for task, names in METRICS.items(): assert {k: 'min' if more else 'max' for k, more in names.items()} == policy.METRICS[task]


def test_standard_errors_equal_delongs():
    "The variance of one area, written out from placements"
    pos, neg = P2[Y2], P2[~Y2]
    beats = (pos[:, None] > neg[None]) + .5*(pos[:, None] == neg[None])
    v = beats.mean(1).var()/len(pos) + beats.mean(0).var()/len(neg)
    assert estimates('roc_auc', 'binary', Y2, [P2])[0].se == pytest.approx(v**.5, rel=1e-9)


def draw(task, seed, n=400):
    "Rows with labels and two models' predictions, one better than the other"
    r = np.random.default_rng(seed)
    if task == 'regression':
        y = r.normal(6, 1, n)
        return y, y + r.normal(0, .8, n), y + r.normal(0, 1, n)
    if task == 'binary':
        x = r.normal(0, 1, n)
        y = r.random(n) < 1/(1 + np.exp(-x))
        return y, 1/(1 + np.exp(-x)), 1/(1 + np.exp(-(x + r.normal(0, 1, n))))
    x = r.normal(0, 1, (n, 3))
    soft = lambda z: np.exp(z)/np.exp(z).sum(1, keepdims=True)
    p = soft(1.5*x)
    y = (p.cumsum(1) < r.random((n, 1))).sum(1)
    return y, p, soft(1.5*(x + r.normal(0, .6, (n, 3))))


@pytest.mark.slow
@pytest.mark.parametrize('task, name', [(t, k) for t, names in METRICS.items() for k in names if k not in ('average_precision', 'matthews_corrcoef', 'median_absolute_error')])
def test_intervals_of_the_difference_cover(task, name):
    "A stated 95% covers at least 93% of 500 paired differences"
    truth = estimates(name, task, *(lambda y, a, b: (y, [a, b]))(*draw(task, 10**6, 400_000)))[2].value
    hits = 0
    for seed in range(500):
        y, a, b = draw(task, seed)
        low, high = estimates(name, task, y, [a, b])[2].interval(.95)
        hits += low <= truth <= high
    assert hits >= 465, hits


@pytest.mark.slow
@pytest.mark.parametrize('task, name', [('binary', 'average_precision'), ('binary', 'matthews_corrcoef'), ('regression', 'median_absolute_error')])
def test_bootstrapped_intervals_cover(task, name, monkeypatch):
    "The same for the bootstrapped ones, with fewer repetitions: at least 93% less two standard errors"
    import mlops_kit.performance as perf
    monkeypatch.setattr(perf, 'RESAMPLES', 100)
    y, a, b = draw(task, 10**6, 200_000)
    fn = perf.by_weight(task, name)
    truth, hits = fn(y, a, None) - fn(y, b, None), 0
    for seed in range(60):
        y, a, b = draw(task, seed)
        low, high = estimates(name, task, y, [a, b])[2].interval(.95)
        hits += low <= truth <= high
    assert hits >= 52, hits


def config(**bounds): return Config(metrics={k: Config(**(dict(min=None, max=None, margin=None) | v)) for k, v in bounds.items()}, confidence=.95, min_rows=100)


def one(*args, **kwargs):
    checks = performance_checks(*args, **kwargs)
    return checks[0].status, checks[0].reason


def test_what_cannot_be_judged_never_passes():
    good = config(roc_auc=dict(min=.1))
    y = Y2.astype(int)
    assert one(y, P2, None, config()) == ('fail', 'no_bound')
    assert one(y, P2, None, config(roc_auc={})) == ('fail', 'no_bound')
    assert one(y*0, P2, None, good) == ('fail', 'one_class')
    assert one(np.full(N, np.nan), P2, None, good) == ('fail', 'missing_labels')
    assert one(y, np.where(np.arange(N) == 5, np.nan, P2), None, good) == ('error', 'not_finite')
    assert one(y, P2, np.where(np.arange(N) == 5, np.inf, P2), good) == ('error', 'not_finite')
    assert one(y, P2[:-1], None, good) == ('error', 'wrong_predictions')
    assert one(y, np.stack([P2, P2], 1), None, good) == ('error', 'wrong_predictions')
    assert one(y[:50], P2[:50], None, good) == ('inconclusive', 'too_few_rows')
    assert one(np.where(np.arange(N) == 5, 7, y), P2, None, good) == ('error', 'unknown_label')
    with pytest.raises(PolicyError, match='rmse'): performance_checks(y, P2, None, config(rmse=dict(max=1)))


def test_missing_labels_are_counted_and_left_out():
    y = np.where(np.arange(N) < 10, np.nan, Y2.astype(float))
    checks = performance_checks(y, P2, None, config(roc_auc=dict(min=.1)))
    assert checks[0].status == 'warn' and '10 of 600' in checks[0].message and not checks[0].blocking
    assert checks[1].value == pytest.approx(m.roc_auc_score(Y2[10:], P2[10:]))


def test_against_the_champion():
    y, good, poor = draw('binary', 1, 5000)
    status = lambda a, b, margin: performance_checks(y, a, b, config(roc_auc=dict(margin=margin)))[0]
    assert one(y, good, None, config(roc_auc=dict(margin=.1))) == ('fail', 'no_bound'), 'a margin alone proves nothing without a champion'
    unasked = performance_checks(y, good, poor, config(roc_auc=dict(min=.1)))[-1]
    assert (unasked.status, unasked.reason, unasked.blocking) == ('warn', 'not_compared', False)
    assert status(good, poor, .0).status == 'pass'
    assert (status(poor, good, .0).status, status(poor, good, .0).reason) == ('fail', 'worse_than_champion')
    assert status(good, good, .0).status == 'pass', 'a model is not worse than itself'
    assert status(good, good, -.01).status == 'fail', 'nor is it better'
    edge = -status(good, poor, 0).value
    undecided = status(good, poor, -edge*.98)
    assert (undecided.status, undecided.reason) == ('inconclusive', 'undecided') and 'rows would decide' in undecided.message


def test_no_champion_is_said():
    checks = performance_checks(Y2.astype(int), P2, None, config(roc_auc=dict(min=.1, margin=.01)))
    assert [c.id for c in checks] == ['performance:roc_auc:min', 'performance:champion'] and 'no champion yet' in checks[1].message


def test_an_interval_is_symmetric(): assert Estimate(1, .5).interval(.95) == pytest.approx((1 - 1.959964*.5, 1 + 1.959964*.5), rel=1e-6)
