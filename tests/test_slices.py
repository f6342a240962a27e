"Parts of the data: none is dropped in silence, refusals are corrected for all of them, and what cannot be judged does not pass."
from types import SimpleNamespace as Config

import numpy as np
import pandas as pd
import pytest

from mlops_kit.core import DataError, PolicyError
from mlops_kit.performance import performance_checks
from mlops_kit.policy import parse_policy
from mlops_kit.slices import slicing

rng = np.random.default_rng(0)
N = 6000
Q = rng.beta(2, 3, N)
Y = rng.random(N) < Q
FRAME = pd.DataFrame(dict(origin=rng.choice(['EWR', 'JFK', 'LGA'], N), hour=rng.integers(0, 24, N), delay=rng.normal(0, 9, N)))
POLICY = '''model: m
task: binary
target: late
owner: a
gates:
  performance:
    metrics: {roc_auc: {min: 0.6}}
    slices:
      - {by: [origin], values: [EWR], metrics: {roc_auc: {min: 0.55, max_gap: 0.2}}}
'''


def slice_of(**kwargs): return Config(**dict(by=['origin'], bins={}, values=[], min_rows=200, metrics=dict(roc_auc=Config(min=.55, max=None, margin=.02, max_gap=None))) | kwargs)


def checks(p, champion=None, frame=FRAME, y=Y, **kwargs):
    config = Config(metrics=dict(roc_auc=Config(min=.55, max=None, margin=.02)), confidence=.95, min_rows=100, slices=[slice_of(**kwargs)])
    return {c.id.removeprefix('performance:'): c for c in performance_checks(y, p, champion, config, 'binary', frame=frame)}


def test_every_row_is_in_one_group():
    for kwargs in (dict(), dict(by=['origin', 'hour'], bins=dict(hour=[6, 12, 18])), dict(by='delay', bins=dict(delay=[-5., 0., 5.])), dict(by=['hour'], min_rows=260)):
        groups, _ = slicing(FRAME, slice_of(**kwargs))
        assert sorted(np.concatenate([g.rows for g in groups])) == list(range(N))


def test_one_bad_group_of_three_is_named():
    bad = np.where(FRAME.origin == 'LGA', rng.permutation(Q), Q)
    found = checks(bad, Q)
    assert found['roc_auc:min:origin=LGA'].status == 'fail' and found['roc_auc:champion:origin=LGA'].reason == 'worse_than_champion'
    assert {c.status for k, c in found.items() if 'EWR' in k or 'JFK' in k} == {'pass'}
    assert 'corrected for 4 comparisons' in found['roc_auc:champion:origin=LGA'].message
    assert found['roc_auc:worst:origin'].message.index('LGA') < found['roc_auc:worst:origin'].message.index('JFK')


@pytest.mark.parametrize('kwargs, id, status, reason', [
    (dict(values=['SFO']), 'slice:origin=SFO', 'fail', 'missing_slice'),
    (dict(by='delay'), 'slice:delay', 'error', 'needs_bins'),
    (dict(min_rows=5000), 'slice:origin', 'inconclusive', 'too_few_rows'),
    (dict(values=['EWR'], min_rows=3000), 'slice:origin=EWR', 'inconclusive', 'too_few_rows')])
def test_what_cannot_be_judged_does_not_pass(kwargs, id, status, reason):
    found = checks(Q, **kwargs)[id]
    assert (found.status, found.reason, found.blocking) == (status, reason, True)


def test_a_group_whose_labels_are_all_alike_could_not_be_judged():
    found = checks(Q, y=Y | (FRAME.origin == 'JFK').to_numpy())
    assert found['roc_auc:origin=JFK'].status == 'error' and found['roc_auc:min:origin=EWR'].status == 'pass'


def test_a_group_of_three_rows_is_named_and_judged_with_the_others():
    few = FRAME.assign(origin=['HNL']*3 + ['SFO']*300 + FRAME.origin.tolist()[303:])
    found = checks(Q, frame=few, min_rows=290)
    assert 'small:origin=(other)' in found and '`origin=HNL`' in found['small:origin=(other)'].message and found['small:origin=(other)'].status == 'warn'


def test_rows_without_a_label_leave_their_group_too():
    y = Y.astype(object)
    y[:500] = None
    groups = checks(Q, y=y, frame=FRAME.assign(origin=['XXX']*500 + FRAME.origin.tolist()[500:]))
    assert not any('XXX' in k for k in groups)


BAD = {'values of bins fall': ('{by: [origin],', '{by: [origin], bins: {origin: [3, 2]},', 'do not rise'), 'bins of another column': ('{by: [origin],', '{by: [origin], bins: {hour: [3]},', 'not among the columns'),
       'three rows': ('values: [EWR]', 'min_rows: 3', 'greater than or equal to 30'), 'no bound': ('{min: 0.55, max_gap: 0.2}', '{}', 'no bound'), 'metric of another task': ('slices:\n      - {by: [origin], values: [EWR], metrics: {roc_auc', 'slices:\n      - {by: [origin], values: [EWR], metrics: {rmse', 'rmse'),
       'a slip': ('max_gap', 'max_gapp', 'max_gap'), 'confidence': ('metrics: {roc_auc: {min: 0.6}}', 'metrics: {roc_auc: {min: 0.6}}\n    confidence: 2', 'less than 1'),
       'calibration of a regression': ('task: binary', 'task: regression', 'roc_auc')}


@pytest.mark.parametrize('case', BAD)
def test_a_policy_that_makes_no_sense_is_refused_in_one_line(case):
    old, new, says = BAD[case]
    assert parse_policy(POLICY).gate('performance').slices[0].metrics['roc_auc'].max_gap == .2
    with pytest.raises(PolicyError) as e: parse_policy(POLICY.replace(old, new))
    assert says in str(e.value) and '\n' not in str(e.value)


def test_a_slice_column_that_the_data_lacks_is_misuse_before_anything_runs(tmp_path):
    from mlops_kit.gates import refuse_unfit
    model = Config(lineage=dict(features=['hour'], target='late', train=dict(sources=[], digest='x')), version=dict(name='m'))
    table = Config(names=['hour', 'late'], sources=[], uri='u', digest='y')
    with pytest.raises(DataError, match='the policy slices by it') as e: refuse_unfit(model, table, ['performance'], parse_policy(POLICY))
    assert e.value.exit_code == 2


@pytest.mark.slow
def test_a_candidate_like_its_champion_is_hardly_ever_refused_and_a_worse_one_hardly_ever_passes():
    "Ten groups: alike, at most alpha/2 are refused; worse by just more than the margin everywhere, at most alpha/2 pass"
    draw, runs, refused, passed = np.random.default_rng(1), 400, 0, 0
    for _ in range(runs):
        q = draw.beta(2, 3, 3000)
        y, part = draw.random(3000) < q, pd.DataFrame(dict(part=draw.integers(0, 10, 3000).astype(str)))
        config = Config(metrics=dict(brier_score=Config(min=None, max=None, margin=.0)), confidence=.95, min_rows=100,
                        slices=[Config(by='part', bins={}, values=[], min_rows=100, metrics=dict(brier_score=Config(min=None, max=None, margin=.0, max_gap=None)))])
        ours, theirs = (np.clip(q + draw.normal(0, .1, 3000), 0, 1) for _ in range(2))
        found = performance_checks(y, ours, theirs, config, 'binary', frame=part)
        refused += any(c.status == 'fail' for c in found)
        passed += all(c.status in ('pass', 'warn') for c in found)
    bound = .025 + 2*(.025*.975/runs)**.5
    assert refused/runs <= bound and passed/runs <= bound
