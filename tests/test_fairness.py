"Values equal fairlearn's to 1e-12; intervals cover what they say; nobody passes who could not be judged."
import time

import fairlearn.metrics as fm
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sm

from mlops_kit import policy
from mlops_kit.core import DataError, MlopsKitError, PolicyError
from mlops_kit.fairness import FAIRNESS, REASONS, STANDARD, by_group, fairness_checks, gap, metric_frame, parts
from mlops_kit.policy import Fairness, parse_policy

rng = np.random.default_rng(0)
N = 3000
G = pd.DataFrame(dict(origin=rng.choice(['EWR', 'JFK', 'LGA', None], N, p=[.4, .3, .25, .05]), carrier=rng.choice(['UA', 'AA', 'B6'], N), age=rng.integers(1, 90, N)))
KEY = G.origin.fillna('(missing)').to_numpy(dtype=str)
CODES, NAMES = pd.factorize(KEY, sort=True)
P2 = rng.random(N)
Y2 = rng.random(N) < .2 + .5*P2*(KEY != 'LGA')
Y3, P3 = rng.integers(0, 3, N), rng.dirichlet([1, 1, 1], N)
YR = rng.normal(3, 2, N)
PR = YR + rng.normal(.1, 1, N)*(1 + (KEY == 'LGA'))
DATA = dict(binary=(Y2, P2, P2 > .5), multiclass=(Y3, P3, P3.argmax(1)), regression=(YR, PR, PR))
ALL = [(t, k) for t, names in FAIRNESS.items() for k in names]
BOUND = dict(min=dict(min=.01), max=dict(max=.9))


def theirs(task, name):
    "The same figure, by fairlearn alone"
    y, p, said = DATA[task]
    stems, how = parts(name, task)
    fns = {s: (lambda y, p: float((p - y).mean())) if s == 'mean_error' else getattr(fm, s, None) or getattr(sm, s) for s in stems}
    frame = fm.MetricFrame(metrics=fns, y_true=y, y_pred=p if stems[0] in ('roc_auc_score', 'log_loss') else said, sensitive_features=KEY)
    found = getattr(frame, how)()
    return found.min() if how in ('ratio', 'group_min') else found.max()


def ours(task, name, config=None, **more):
    y, p, _ = DATA[task]
    side = FAIRNESS[task][name]
    config = config or Fairness(groups=['origin'], metrics={name: {side: dict(min=-9., max=9.)[side]}}, **more)
    return fairness_checks(y, p, G, config, task, [0, 1] if task == 'binary' else None)[-1]


@pytest.mark.parametrize('task, name', ALL, ids=lambda o: o)
def test_values_equal_fairlearns(task, name):
    c = ours(task, name)
    assert c.value == pytest.approx(theirs(task, name), rel=1e-12, abs=1e-12) and c.low <= c.value <= c.high


def test_standard_names_are_fairlearns_own_functions():
    for name in [f'{o}_{how}' for o in STANDARD for how in ('difference', 'ratio')]:
        assert ours('binary', name).value == pytest.approx(getattr(fm, name)(Y2, P2 > .5, sensitive_features=KEY), abs=1e-12)
    for name in set(FAIRNESS['binary']) & set(dir(fm)) - {'roc_auc_score_group_min', 'log_loss_group_max'}:
        assert ours('binary', name).value == pytest.approx(getattr(fm, name)(Y2, P2 > .5, sensitive_features=KEY), abs=1e-12), name


def test_rates_by_group_are_fairlearns():
    names = ['selection_rate', 'true_positive_rate', 'false_positive_rate', 'precision_score', 'accuracy_score']
    frame = metric_frame(names, Y2, P2 > .5, KEY)
    for m in names: assert by_group(m, Y2, P2, P2 > .5, CODES, 4).value == pytest.approx(frame.by_group[m].to_numpy(), rel=1e-12)


def test_crossed_groups_are_fairlearns():
    config = Fairness(groups=[['origin', 'carrier']], metrics=dict(demographic_parity_difference=dict(max=.5)))
    c = fairness_checks(Y2, P2, G, config)[-1]
    assert c.value == pytest.approx(fm.demographic_parity_difference(Y2, P2 > .5, sensitive_features=G.fillna('?')[['origin', 'carrier']]), abs=1e-12)
    assert c.column == 'origin+carrier' and ' & carrier=' in c.slice


def test_the_policy_knows_the_same_metrics(): assert policy.FAIRNESS == FAIRNESS


def coverage(rates, rows, how, times, rng, base='selection_rate'):
    "How often the interval holds the true gap, and how often each end errs"
    rates, codes, hit = np.array(rates), np.repeat(np.arange(len(rates)), rows), np.zeros(2)
    true = dict(difference=rates.max() - rates.min(), ratio=rates.min()/rates.max(), group_min=rates.min())[how]
    k = len(rates)
    for _ in range(times):
        said = rng.random(len(codes)) < rates[codes]
        g = gap(by_group(base, said, said, said, codes, k), how, .025, .025/(k*(k - 1)))
        hit += [g.low > true + 1e-12, g.high < true - 1e-12]
    return 1 - hit.sum()/times, *hit/times


@pytest.mark.slow
@pytest.mark.parametrize('how', ['difference', 'ratio', 'group_min'])
@pytest.mark.parametrize('rates, rows', [([.2, .2], 100), ([.2, .3], [400, 50]), ([.5]*8, 60), ([.05, .1, .1, .2], [300, 40, 80, 500]), ([.02, .03, .9], 200)])
def test_intervals_cover(rates, rows, how):
    both, low, high = coverage(rates, rows, how, 1000, np.random.default_rng(1))
    assert both >= .93 and max(low, high) <= .025 + 2*(.025*.975/1000)**.5


def test_a_bound_decides_on_the_end_that_matters():
    c = ours('binary', 'true_positive_rate_difference')
    name, made = 'true_positive_rate_difference', lambda b: Fairness(groups=['origin'], metrics=dict(true_positive_rate_difference=dict(max=b)))
    assert 0 < c.low < c.value < c.high < 1
    for bound, status, reason in [(c.high + 1e-6, 'pass', ''), (c.high - 1e-6, 'inconclusive', 'undecided'), (c.low + 1e-6, 'inconclusive', 'undecided'), (c.low - 1e-6, 'fail', 'above_bound')]:
        found = ours('binary', name, made(bound))
        assert (found.status, found.reason, found.bound) == (status, reason, bound)
    assert 'rows would decide, there are 3,000' in ours('binary', name, made(c.high - .01)).message
    assert c.slice == 'origin=LGA' and 'origin=LGA' in c.message and f'{int((Y2 & (KEY == "LGA")).sum()):,} rows' in c.message


def said(y=Y2, p=P2, metrics=dict(selection_rate_difference=dict(max=.5)), task='binary', **kw):
    return fairness_checks(y, p, G, Fairness(metrics=metrics, **dict(groups=['origin']) | kw), task)


@pytest.mark.parametrize('kw, status, reason', [
    (dict(groups=[]), 'fail', 'no_group'), (dict(metrics={}), 'fail', 'no_bound'), (dict(min_rows=500), 'inconclusive', 'small_group'),
    (dict(min_rows=500, pool_small='one desk handles them'), 'inconclusive', 'small_group'),
    (dict(min_rows=500, excused={'origin=(missing)': 'a known gap'}), 'warn', 'excused'),
    (dict(y=np.full(N, np.nan)), 'fail', 'missing_labels'), (dict(y=np.where(Y2, 2, 0)), 'error', 'unknown_label'),
    (dict(p=P2*np.nan), 'error', 'not_finite'), (dict(p=P2*9), 'error', 'not_probabilities'), (dict(p=P2[:9]), 'error', 'wrong_predictions'),
    (dict(groups=['one']), 'error', 'one_group'), (dict(groups=['id']), 'inconclusive', 'small_group'),
    (dict(groups=['id'], metrics=dict(f1_score_difference=dict(max=.5))), 'inconclusive', 'small_group'),
    (dict(p=P2*0, metrics=dict(selection_rate_ratio=dict(min=.8))), 'error', 'not_finite')])
def test_what_could_not_be_judged_never_passes(kw, status, reason):
    frame = G.assign(one='x', id=np.arange(N).astype(str))
    checks = fairness_checks(kw.pop('y', Y2), kw.pop('p', P2), frame, Fairness(**dict(groups=['origin'], metrics=dict(selection_rate_difference=dict(max=.5))) | kw), 'binary', [0, 1])
    assert (status, reason) in {(c.status, c.reason) for c in checks}
    assert all(c.reason in REASONS for c in checks if c.reason)
    if status != 'warn': assert any(c.blocking and c.status in ('fail', 'error', 'inconclusive') for c in checks)


def test_few_rows_that_count_are_not_judged():
    y = Y2 & ((KEY != 'JFK') | (np.arange(N) < 100))
    c = said(y=y, metrics=dict(equal_opportunity_difference=dict(max=.9)))[-1]
    assert (c.status, c.reason) == ('inconclusive', 'small_group') and 'origin=JFK' in c.message and 'rows that count' in c.message
    excused = {'origin=JFK': 'counted by hand', 'origin=(missing)': 'nobody'}
    c = said(y=y, metrics=dict(equal_opportunity_difference=dict(max=.9)), excused=excused)[-1]
    assert c.status == 'pass' and 'excused for want of rows: `origin=JFK` (9 rows' in c.message


def test_an_excuse_holds_only_while_a_group_is_small():
    metrics = dict(true_positive_rate_difference=dict(max=.1))
    assert [c.status for c in said(metrics=metrics, excused={'origin=LGA': 'please'})] == [c.status for c in said(metrics=metrics)]


def test_missing_values_are_a_group_and_numbers_are_cut():
    assert 'origin=(missing)' in said()[0].message
    checks = said(groups=['age'], bins=dict(age=[30, 60]))
    assert checks[0].message.startswith('3 groups of `age`')
    assert said(groups=['age'], bins=dict(age='values'), pool_small='fine')[0].status == 'pass'


@pytest.mark.parametrize('kw, error, text', [
    (dict(groups=['orign']), DataError, 'did you mean `origin`'), (dict(groups=['age']), PolicyError, 'which are no groups'),
    (dict(groups=['carrier'], bins=dict(carrier=[1])), PolicyError, 'cannot be cut'), (dict(metrics=dict(selection_rat_difference=dict(max=.1))), PolicyError, 'did you mean'),
    (dict(metrics=dict(selection_rate_difference=dict(max=.1)), task='regression'), PolicyError, 'regression fairness metric')])
def test_a_mistake_is_one_clear_line(kw, error, text):
    with pytest.raises(error, match=text) as e: said(**kw)
    assert '\n' not in str(e.value) and e.value.exit_code == 2


POLICY = 'version: 1\nmodel: m\ntask: binary\ntarget: late\nowner: me\ngates:\n  fairness:\n'


@pytest.mark.parametrize('text, says', [
    ('    groups: [late]', 'is the target itself'), ('    groups: [a, a]', 'named twice'), ('    groups: [[a, a]]', 'named twice'), ('    groups: [[a]]', 'groups'),
    ('    metrics: {selection_rate_diference: {max: 0.1}}', 'did you mean `selection_rate_difference`'), ('    metrics: {selection_rate_difference: {min: 0.1}}', 'bounded by `max`'),
    ('    metrics: {selection_rate_difference: {}}', 'has no bound'), ('    metrics: {selection_rate_difference: {max: 10}}', 'every version would pass'),
    ('    metrics: {selection_rate_difference: {max: 0}}', 'no version could'), ('    metrics: {selection_rate_ratio: {min: 1}}', 'no version could'),
    ('    metrics: {selection_rate_ratio: {min: 0}}', 'every version would pass'), ('    confidence: 2', 'confidence'), ('    min_rows: 1', 'min_rows'),
    ('    groups: [a]\n    bins: {b: [1]}', 'not under `groups`'), ('    groups: [a]\n    bins: {a: [2, 1]}', 'do not rise'), ('    excused: {a=1: " "}', 'excused'),
    ('    group: [a]', 'did you mean `groups`')])
def test_a_policy_that_decides_nothing_is_refused(text, says):
    with pytest.raises(PolicyError) as e: parse_policy(POLICY + text + '\n')
    assert says in str(e.value) and '\n' not in str(e.value)


def test_many_rows_and_groups_take_little_time():
    n, k = 100_000, 20 # Twenty carriers; and a column in which every row is a group
    rng = np.random.default_rng(2)
    y, p, groups = rng.random(n) < .3, rng.random(n), pd.DataFrame(dict(carrier=rng.choice([f'c{i}' for i in range(k)], n), id=np.arange(n).astype(str)))
    metrics = dict(demographic_parity_difference=dict(max=.1), equalized_odds_difference=dict(max=.1), equal_opportunity_ratio=dict(min=.8), accuracy_score_group_min=dict(min=.4), roc_auc_score_difference=dict(max=.2))
    start = time.process_time()
    assert len(fairness_checks(y, p, groups, Fairness(groups=['carrier'], metrics=metrics))) == 6
    assert {c.status for c in fairness_checks(y, p, groups, Fairness(groups=['id'], metrics=metrics))} == {'inconclusive'}
    assert time.process_time() - start < 4


def test_groups_need_a_row_each():
    with pytest.raises(MlopsKitError, match='row by row'): fairness_checks(Y2, P2, G[:10], Fairness(groups=['origin'], metrics=dict(selection_rate_difference=dict(max=.5))))


ASKED = '  fairness:\n    groups: [desk, [desk, carrier], hour]\n    bins: {hour: [12]}\n    metrics: {equalized_odds_difference: {max: 0.5}, selection_rate_ratio: {min: 0.1}}\n'


@pytest.fixture(scope='module')
def toys(tmp_path_factory):
    "The toy model, and a month with a column that it never saw"
    import toy
    from mlops_kit.store import fresh_store
    folder = toy.build(tmp_path_factory.mktemp('fair'))
    store = fresh_store(folder/'mlflow.db')
    month = pd.read_parquet(folder/'april.parquet').assign(desk=lambda d: np.where(d.index % 3 == 0, 'north', np.where(d.index % 3 == 1, 'south', None)), code=lambda d: d.index % 40)
    month.to_parquet(folder/'april.parquet', index=False)
    toy.enrol(folder, store)
    return folder, store


def toy_policy(folder, asked):
    import toy
    text = toy.POLICY.replace('gates: [contract, data_quality, drift, performance]', 'gates: [fairness]') + asked
    (folder/'fair.yaml').write_text(text)
    return folder/'fair.yaml'


@pytest.mark.slow
def test_a_candidate_is_judged_by_group(toys):
    from mlops_kit import judge, run_gates
    folder, store = toys
    policy = toy_policy(folder, ASKED)
    here = judge('toy/1', folder/'april.parquet', policy, store=store)['fairness']
    assert here.status == 'pass', here
    assert {c.column for c in here.checks} == {'desk', 'desk+carrier', 'hour'} and len(here.checks) == 9
    run = run_gates('toy/1', folder/'april.parquet', policy, out=folder/'runs', store=store, progress=False)['fairness']
    assert [c.to_dict() for c in run.checks] == [c.to_dict() for c in here.checks]


@pytest.mark.slow
@pytest.mark.parametrize('asked, error, text', [
    (ASKED.replace('[desk,', '[dsk,', 1), DataError, 'did you mean `desk`'), (ASKED.replace('    bins: {hour: [12]}\n', ''), PolicyError, '`hour` holds numbers'),
    (ASKED.replace('equalized_odds_', 'equalised_odds_'), PolicyError, 'did you mean `equalized_odds_difference`')])
def test_a_wrong_address_is_refused_before_anything_runs(toys, asked, error, text):
    from mlops_kit import run_gates
    folder, store = toys
    with pytest.raises(error, match=text): run_gates('toy/1', folder/'april.parquet', toy_policy(folder, asked), out=folder/'none', store=store, progress=False)
    assert not list((folder/'none').glob('*/run.json'))
