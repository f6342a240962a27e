"Metrics equal scikit-learn's; intervals cover what they say; the names agree with the policy's."
import tracemalloc
from types import SimpleNamespace as Config

import numpy as np
import pytest
from sklearn import metrics as m

from mlops_kit import policy
from mlops_kit.core import DataError, PolicyError
from mlops_kit.performance import BINARY, EXACT, LABELS, METRICS, REASONS, Estimate, estimates, evaluate, performance_checks

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
ALL = [(t, k) for t, names in METRICS.items() for k in names]


@pytest.mark.parametrize('task', METRICS)
def test_values_equal_scikit_learns(task):
    y, p = DATA[task]
    found = evaluate(y.astype(int) if task == 'binary' else y, p, task)
    assert set(found) == set(PEERS[task])
    for k, v in found.items():
        assert v == pytest.approx(PEERS[task][k], rel=1e-9), k
        assert estimates(k, task, y, [p])[0].value == pytest.approx(v, rel=1e-12), k


def test_extreme_probabilities_are_cut_as_in_scikit_learn():
    y, p = np.array([0, 1, 1]), np.array([0., 0., 1.])
    assert evaluate(y, p, 'binary', ['log_loss'])['log_loss'] == pytest.approx(m.log_loss(y, p), rel=1e-12)


def test_the_policy_knows_the_same_metrics():
    for task, names in METRICS.items(): assert {k: 'min' if more else 'max' for k, more in names.items()} == policy.METRICS[task]


def test_a_paired_difference_of_areas_has_delongs_error():
    "DeLong's covariances, written out from all pairs"
    parts = []
    for p in (P2, np.clip(P2 + rng.normal(0, .3, N), 0, 1).round(2)):
        pos, neg = p[Y2], p[~Y2]
        beats = (pos[:, None] > neg[None]) + .5*(pos[:, None] == neg[None])
        parts.append((p, beats.mean(1), beats.mean(0)))
    (p, v10, v01), (q, w10, w01) = parts
    found = estimates('roc_auc', 'binary', Y2, [p, q])
    var = lambda a, b: a.var(ddof=1)/len(a) + b.var(ddof=1)/len(b)
    for e, v in zip(found, (var(v10, v01), var(w10, w01), var(v10 - w10, v01 - w01))): assert e.se == pytest.approx(v**.5, rel=1e-9)


@pytest.mark.parametrize('task, name', [(t, k) for t, k in ALL if k in EXACT[t]])
def test_influences_are_what_leaving_a_row_out_shows(task, name):
    "The jackknife, which knows nothing of derivatives, finds nearly the same error"
    y, p = (o[:300] for o in DATA[task])
    fn = EXACT[task][name]
    value, rows = fn(y, p)
    left = np.array([fn(np.delete(y, i, 0), np.delete(p, i, 0))[0] for i in range(300)])
    assert abs(rows.mean()) < 1e-9
    assert np.corrcoef(value - left, rows)[0, 1] > .998
    assert (rows**2).sum()**.5/300 == pytest.approx((((left - left.mean())**2).sum()*299/300)**.5, rel=.05)


def draw(task, seed, n=400):
    "Rows with labels and two models' predictions, one better than the other"
    r = np.random.default_rng(seed)
    if task == 'regression':
        y = r.normal(0, 1, n)
        return y, y + r.normal(0, .8, n), y + r.normal(0, 1, n)
    if task == 'binary':
        x = r.normal(0, 1, n)
        y = r.random(n) < 1/(1 + np.exp(-x))
        return y, 1/(1 + np.exp(-x)), 1/(1 + np.exp(-(x + r.normal(0, 1, n))))
    x = r.normal(0, 1, (n, 3))
    soft = lambda z: np.exp(z)/np.exp(z).sum(1, keepdims=True)
    p = soft(1.5*x)
    y = (p.cumsum(1) < r.random((n, 1))).sum(1).clip(0, 2)
    return y, p, soft(1.5*(x + r.normal(0, .6, (n, 3))))


def truths(task, name, n=400_000):
    y, a, b = draw(task, 10**6, n)
    one = lambda p: evaluate(y, p, task, [name])[name]
    return one(a) - one(b)


@pytest.mark.slow
@pytest.mark.parametrize('task, name', [o for o in ALL if o[1] != 'mape'])
def test_intervals_of_the_difference_cover(task, name):
    "A stated 95% covers at least 93% of 500 paired differences of 400 rows; `mape` has no variance where the target comes near 0"
    truth, hits = truths(task, name), 0
    for seed in range(500):
        y, a, b = draw(task, seed)
        low, high = estimates(name, task, y, [a, b])[-1].interval(.95)
        hits += low <= truth <= high
    assert hits >= 465, hits


def near_twins(seed, n):
    "Two models that differ on 4 rows in 1,000, always to the loss of the first"
    r = np.random.default_rng(seed)
    y = r.random(n) < .5
    champion = np.where(y ^ (r.random(n) < .1), .9, .1)
    wrong = (r.random(n) < .004/.9) & ((champion > .5) == y)
    return y, np.where(wrong, 1 - champion, champion), champion


@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(LABELS & METRICS['binary'].keys()))
def test_models_that_hardly_differ_do_not_slip_through(name):
    "At the margin itself, at most alpha pass: also where few rows or none tell the models apart"
    truth = estimates(name, 'binary', *(lambda y, a, b: (y, [a, b]))(*near_twins(10**6, 2_000_000)))[2].value
    for n in (200, 1000, 4000):
        passed = 0
        for seed in range(500):
            y, a, b = near_twins(seed, n)
            passed += -estimates(name, 'binary', y, [a, b])[2].interval(.95)[0] <= -truth
        assert passed <= .025*500 + 2*(500*.025*.975)**.5, (n, passed)


@pytest.mark.slow
def test_a_worse_model_passes_at_most_as_often_as_stated():
    "Non-inferiority at the margin: 2.5% at a confidence of 95%, within two standard errors of 1,000 runs"
    truth = truths('binary', 'roc_auc', 2_000_000)
    gate = config(roc_auc=dict(margin=truth))
    passed = 0
    for seed in range(1000):
        y, better, worse = draw('binary', seed)
        passed += performance_checks(y, worse, better, gate)[0].status == 'pass'
    assert passed <= 25 + 2*(1000*.025*.975)**.5, passed


def config(**bounds): return Config(metrics={k: Config(**(dict(min=None, max=None, margin=None) | v)) for k, v in bounds.items()}, confidence=.95, min_rows=100)


def one(*args, **kwargs):
    checks = performance_checks(*args, **kwargs)
    return checks[0].status, checks[0].reason


AUC = config(roc_auc=dict(min=.1))
Y = Y2.astype(int)
SPOIL = np.arange(N) == 5
UNFIT = dict(
    no_metric=((Y, P2, None, config()), 'fail', 'no_bound'),
    no_bound=((Y, P2, None, config(roc_auc={})), 'fail', 'no_bound'),
    one_without_bound=((Y, P2, None, config(roc_auc=dict(min=.1), f1={})), 'fail', 'no_bound'),
    margin_alone=((Y, P2, None, config(roc_auc=dict(margin=.1))), 'fail', 'no_bound'),
    one_class=((Y*0, P2, None, AUC), 'fail', 'one_class'),
    one_word=((np.full(N, 'late'), P2, None, AUC), 'fail', 'one_class'),
    constant_target=((YR*0 + 3, PR, None, config(r2=dict(min=-9)), 'regression'), 'fail', 'one_class'),
    no_labels=((np.full(N, np.nan), P2, None, AUC), 'fail', 'missing_labels'),
    no_rows=((np.array([]), np.array([]), None, AUC), 'fail', 'missing_labels'),
    nan=((Y, np.where(SPOIL, np.nan, P2), None, AUC), 'error', 'not_finite'),
    champion_inf=((Y, P2, np.where(SPOIL, np.inf, P2), AUC), 'error', 'not_finite'),
    target_inf=((np.where(SPOIL, np.inf, YR), PR, None, config(mae=dict(max=9)), 'regression'), 'error', 'not_finite'),
    short=((Y, P2[:-1], None, AUC), 'error', 'wrong_predictions'),
    champion_short=((Y, P2, P2[:-1], AUC), 'error', 'wrong_predictions'),
    wide=((Y, np.stack([P2, P2], 1), None, AUC), 'error', 'wrong_predictions'),
    flat=((Y3, P2, None, config(accuracy=dict(min=.1)), 'multiclass'), 'error', 'wrong_predictions'),
    scores=((Y, P2*9 - 4, None, AUC), 'error', 'not_probabilities'),
    sums=((Y3, P3*2, None, config(accuracy=dict(min=.1)), 'multiclass'), 'error', 'not_probabilities'),
    few=((Y[:50], P2[:50], None, AUC), 'inconclusive', 'too_few_rows'),
    third_label=((np.where(SPOIL, 7, Y), P2, None, AUC), 'error', 'unknown_label'),
    strange_label=((np.where(SPOIL, 7, Y), P2, None, AUC, 'binary', [0, 1]), 'error', 'unknown_label'),
    class_without_rows=((Y3 % 2, P3, None, config(accuracy=dict(min=.1)), 'multiclass'), 'error', 'unknown_label'),
    mixed=((np.where(SPOIL, 'x', Y.astype(object)), P2, None, AUC), 'error', 'unknown_label'),
    text=((np.where(SPOIL, 'x', YR.astype(object)), PR, None, config(mae=dict(max=9)), 'regression'), 'error', 'unknown_label'))


@pytest.mark.parametrize('case', UNFIT)
def test_what_cannot_be_judged_never_passes(case):
    args, status, reason = UNFIT[case]
    checks = performance_checks(*args)
    assert (checks[0].status, checks[0].reason) == (status, reason), checks
    assert reason in REASONS and checks[0].message and '\n' not in checks[0].message


def test_misuse_raises_in_one_line():
    with pytest.raises(PolicyError, match='binary metric `rmse` is unknown'): performance_checks(Y, P2, None, config(rmse=dict(max=1)))
    with pytest.raises(PolicyError, match='did you mean `binary`'): evaluate(Y, P2, 'binry')
    with pytest.raises(DataError, match='shape'): evaluate(Y, P2[:9], 'binary')
    with pytest.raises(DataError, match='no finite number for 1 of 600'): evaluate(Y, np.where(SPOIL, np.nan, P2), 'binary')
    with pytest.raises(DataError, match='must be numbers'): performance_checks(Y, [[.1], [.2, .3]], None, AUC)


def test_a_class_without_rows_has_its_own_column_where_classes_are_named():
    y, p = Y3 % 2, P3
    found = evaluate(y, p, 'multiclass', classes=[0, 1, 2])
    assert found['accuracy'] == pytest.approx(m.accuracy_score(y, p.argmax(1))) and found['log_loss'] == pytest.approx(m.log_loss(y, p, labels=[0, 1, 2]))
    assert np.isnan(found['roc_auc'])
    check = performance_checks(y, p, None, config(roc_auc=dict(min=.1)), 'multiclass', [0, 1, 2])[0]
    assert (check.status, check.reason) == ('error', 'not_finite') and 'not defined' in check.message


def test_labels_may_be_words_booleans_or_numbers():
    wanted = m.roc_auc_score(Y2, P2)
    for y in (Y2, Y, Y.astype(float), np.where(Y2, 'yes', 'no'), np.where(Y2, 'yes', 'no').astype(object), Y2.astype(object)):
        assert evaluate(y, P2, 'binary', ['roc_auc'])['roc_auc'] == wanted
    assert evaluate(np.where(Y2, 'a', 'b'), P2, 'binary', ['roc_auc'], classes=['b', 'a'])['roc_auc'] == wanted


def test_missing_labels_are_counted_and_left_out():
    y = np.where(np.arange(N) < 10, np.nan, Y2.astype(float))
    checks = performance_checks(y, P2, None, AUC)
    assert checks[0].status == 'warn' and '10 of 600' in checks[0].message and not checks[0].blocking
    assert checks[1].value == pytest.approx(m.roc_auc_score(Y2[10:], P2[10:]))


def test_a_rare_class_is_said():
    y = (np.arange(N) < 4).astype(int)
    checks = performance_checks(y, P2, None, AUC)
    assert (checks[0].status, checks[0].reason, checks[0].blocking) == ('warn', 'few_of_a_class', False)


def test_against_the_champion():
    y, good, poor = draw('binary', 1, 5000)
    status = lambda a, b, margin: performance_checks(y, a, b, config(roc_auc=dict(margin=margin)))[0]
    unasked = performance_checks(y, good, poor, AUC)[-1]
    assert (unasked.status, unasked.reason, unasked.blocking) == ('warn', 'not_compared', False)
    assert status(good, poor, .0).status == 'pass'
    assert (status(poor, good, .0).status, status(poor, good, .0).reason) == ('fail', 'worse_than_champion')
    assert status(good, good, .0).status == 'pass', 'a model is not worse than itself'
    assert status(good, good, -.01).status == 'fail', 'nor is it better'
    edge = -status(good, poor, 0).value
    undecided = status(good, poor, -edge*.98)
    assert (undecided.status, undecided.reason) == ('inconclusive', 'undecided') and 'rows would decide' in undecided.message


def test_less_is_better_for_losses():
    y, good, poor = draw('binary', 1, 5000)
    gate = config(log_loss=dict(max=2, margin=0), brier_score=dict(margin=0))
    assert {c.status for c in performance_checks(y, good, poor, gate)} == {'pass'}
    assert [c.status for c in performance_checks(y, poor, good, gate)] == ['pass', 'fail', 'fail']


def test_the_rows_that_would_decide_do():
    y, good, poor = draw('binary', 3, 300)
    gate = config(roc_auc=dict(margin=0))
    first = performance_checks(y, good, poor*.5 + good*.5, gate)[0]
    assert first.status == 'inconclusive', first.message
    wanted = int(first.message.split('about ')[1].split(' rows')[0].replace(',', ''))
    often = lambda share: [np.tile(o, -(-int(wanted*share)//300)) for o in (y, good, poor*.5 + good*.5)]
    assert performance_checks(*often(1.2), gate)[0].status == 'pass'
    assert performance_checks(*often(.7), gate)[0].status == 'inconclusive'


def test_a_hundred_rows_without_a_difference_are_no_proof():
    y = np.arange(100) % 2
    p, q = np.where(y, .9, .1), np.where(y, .8, .2)
    for name in ('accuracy', 'roc_auc', 'f1'): assert performance_checks(y, p, q, config(**{name: dict(margin=.005)}))[0].status == 'inconclusive', name
    assert performance_checks(y, p, p, config(roc_auc=dict(margin=.005)))[0].status == 'pass'


def test_no_champion_is_said():
    checks = performance_checks(Y, P2, None, config(roc_auc=dict(min=.1, margin=.01)))
    assert [c.id for c in checks] == ['performance:roc_auc:min', 'performance:champion'] and 'no champion yet' in checks[1].message


def test_the_same_rows_give_the_same_verdict():
    gate = config(median_absolute_error=dict(max=9, margin=.1))
    a, b = (performance_checks(YR, PR, PR + .1, gate, 'regression') for _ in range(2))
    assert a == b


def test_a_metric_never_seen_is_the_worst():
    assert BINARY['precision'](Y2, P2*.4)[0] == 0 == m.precision_score(Y2, P2*.4 > .5, zero_division=0)
    assert BINARY['matthews_corrcoef'](Y2, P2*.4)[0] == 0


def test_memory_grows_with_the_rows_not_with_the_resamples():
    y, a, b = draw('regression', 0, 100_000)
    tracemalloc.start()
    estimates('median_absolute_error', 'regression', y, [a, b])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20*y.nbytes, peak/y.nbytes


def test_an_interval_is_symmetric(): assert Estimate(1, .5).interval(.95) == pytest.approx((1 - 1.959964*.5, 1 + 1.959964*.5), rel=1e-6)
