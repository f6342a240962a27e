"Would the gates notice? Blind gates, constant alarms, cries of wolf; faults on every kind of table and model; nothing is written."
import datetime
import json
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_kit import gates, selftest
from mlops_kit.core import Check, MlopsKitError
from mlops_kit.selftest import FAULTS, MARK, Subject, self_test, wilson
from world import POLICY, World, fitted

RULES = POLICY.replace('{min: 0.6}', '{min: 0.6, max: 0.97}').replace('target: late', 'target: late\ndata: {min_rows: 100}')


def rows(n, seed=0):
    "Flights that are late where the tree of `World` says so, but for one in six"
    dice = np.random.default_rng(seed)
    df = pd.DataFrame(dict(hour=dice.integers(5, 23, n), wind=dice.normal(5, 2, n)))
    return df.assign(late=np.where(dice.random(n) < .17, dice.integers(0, 2, n), fitted().predict(df)))


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp('selftest')/'world').furnish()
    world.policy.write_text(RULES)
    with pytest.MonkeyPatch.context() as m:
        m.setenv('MLOPS_KIT_KEY', str(world.key))
        world.register(train=rows(800, 1))
    return world


@pytest.fixture
def bench(world, monkeypatch):
    "Test the world's one version under other rules"
    monkeypatch.setenv('XDG_CACHE_HOME', str(world.folder.with_name('cache')))
    def run(old='', new='', **kwargs):
        world.folder.joinpath('other.yaml').write_text(RULES.replace(old, new) if old else RULES)
        return self_test('tiny/1', rows(600), world.folder/'other.yaml', store=world.store, **dict(repeats=3) | kwargs)
    return run


OWN = ['labels_shuffled', 'target_leaked', 'model_unpicklable', 'file_truncated']


def test_bounds_that_hold_catch_their_faults(bench):
    found = bench(faults=OWN)
    assert (found.exit_code, found.missed, found.blind, found.constant) == (0, [], [], []), found
    told = json.loads(json.dumps(found.to_dict()))
    assert [o['status'] for o in told['faults']] == ['caught']*4 and told['gates'][0]['caught'] == told['gates'][0]['meant'] == 4
    assert '0 of 3' in repr(found) and '<table' in found._repr_html_()
    assert selftest.LOADER not in sys.modules and not [p for p in sys.path if 'selftest-' in p]


def test_a_gate_without_bounds_is_blind(bench):
    found = bench('metrics: {roc_auc: {min: 0.6, max: 0.97}}', 'beat_trivial: false, metrics: {roc_auc: {min: 0.3}}', faults=OWN[:2])
    assert (found.exit_code, found.blind) == (1, ['performance'])
    assert 'Hint: set gates.performance.metrics: a `max`' in repr(found)


def test_a_gate_that_only_warns_is_blind_and_says_so(bench):
    found = bench('performance: {', 'performance: {mode: warn, ', faults='labels_shuffled')
    assert (found.exit_code, found.blind) == (1, ['performance']) and '`gates.performance.mode` is `warn`' in found.trials[0].hint
    assert 'with a warning' in found.trials[0].heard['performance'][1]


def test_a_gate_that_always_refuses_is_a_constant_alarm(bench):
    found = bench('min: 0.6, max: 0.97', 'min: 0.99', faults=OWN[:2])
    assert (found.exit_code, found.constant, found.trials[0].by) == (1, ['performance'], [])
    assert 'refuses the unharmed copy as well' in repr(found) and found.silences[0].alarms == 3 and not found.silences[0].kept


def test_a_gate_that_nobody_asks_catches_nothing(bench):
    found = bench(faults='month_stale')
    assert (found.exit_code, found.trials[0].status) == (3, 'not applied'), 'no column of time, so nothing was tested'
    found = bench(faults=['labels_shuffled', 'unit_changed'])
    assert found.exit_code == 1 and 'add `drift` to `stages.champion.gates`' in found.missed[0].hint


def test_gates_chosen_by_hand_answer_for_their_own_faults(bench):
    found = bench(gates=['data_quality'])
    assert {t.fault for t in found.trials} == {'rows_doubled', 'missing_burst', 'category_renamed'}
    assert [s.gate for s in found.silences] == ['data_quality']


def gate(fn):
    "A gate that passes unless `fn` says otherwise"
    return lambda c: fn(c) or [Check('own', 'pass', 'all is well')]


def fails(c): return [Check('own', 'fail', 'too slow', 'above_bound')]


def test_a_crash_is_no_catch_where_the_model_is_whole(bench, monkeypatch):
    monkeypatch.setitem(gates.GATES, 'data_quality', gate(lambda c: c.table.rows > 600 and 1/0))
    found = bench(gates=['data_quality'], faults='rows_doubled')
    assert found.exit_code == 1 and found.trials[0].heard['data_quality'][0] == 'undecided'


def test_noticing_the_file_before_the_model_is_not_noticing_the_fault(bench, monkeypatch):
    wrapped = lambda c: (c.model.folder/'behind').exists()
    monkeypatch.setitem(gates.GATES, 'behaviour', gate(lambda c: wrapped(c) and fails(c)))
    assert bench(gates=['behaviour'], faults='model_slow').trials[0].heard['behaviour'][0] == 'constant'
    slow = lambda c: wrapped(c) and json.loads((c.model.folder/'behind/fault.json').read_text())['kind'] == 'slow'
    monkeypatch.setitem(gates.GATES, 'behaviour', gate(lambda c: slow(c) and fails(c)))
    assert bench(gates=['behaviour'], faults='model_slow').exit_code == 0


def test_a_gate_that_cannot_judge_the_unharmed_copy_is_exit_3(bench, monkeypatch):
    monkeypatch.setitem(gates.GATES, 'data_quality', lambda c: 1/0)
    assert bench(gates=['data_quality'], faults='rows_doubled').exit_code == 3


def test_wolf_is_cried_only_beyond_what_is_stated(bench, monkeypatch):
    asked = []
    monkeypatch.setitem(gates.GATES, 'data_quality', gate(lambda c: c.table.rows == 300 and (asked.append(1) or len(asked) % 4 == 0) and fails(c)))
    found = bench(gates=['data_quality'], faults='missing_burst', repeats=8)
    s = found.silences[0]
    assert (s.alarms, s.repeats, s.stated, s.kept, found.exit_code) == (2, 8, 0., False, 1) and s.ends == wilson(2, 8)


def test_wilson_is_scipys():
    from scipy.stats import binomtest
    for k, n in [(0, 20), (1, 20), (20, 20), (7, 9)]:
        exact = binomtest(k, n).proportion_ci(method='wilson')
        assert wilson(k, n) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_groups_that_several_gates_name_come_first():
    from mlops_kit.policy import parse_policy
    metric = 'metrics: {selection_rate_difference: {max: 0.2}}'
    policy = parse_policy(RULES.replace('gates: {performance', f'gates: {{fairness: {{groups: [[carrier, origin], origin], {metric}}}, performance'))
    assert selftest.groups_of(policy) == ['origin', 'carrier'] and selftest.stated(policy, 'fairness') == .05 and selftest.stated(policy, 'contract') == 0


def everything(world):
    "What is in the store, in the ledger and in the files"
    with sqlite3.connect(world.folder/'mlflow.db') as db: told = '\n'.join(db.iterdump())
    return told, {p: p.read_bytes() for p in world.folder.rglob('*') if p.is_file() and 'mlflow.db' not in p.name}


def test_nothing_is_written(world, bench, tmp_path, monkeypatch):
    bench(faults='labels_shuffled')
    kept, cached = everything(world), {p: p.read_bytes() for p in world.folder.with_name('cache').rglob('*') if p.is_file() and '__pycache__' not in p.parts}
    monkeypatch.chdir(tmp_path)
    bench(faults=[k for k in FAULTS if k not in ('model_slow',)])
    assert everything(world) == kept and not list(tmp_path.iterdir())
    assert {p: p.read_bytes() for p in cached} == cached


@pytest.mark.parametrize('kwargs, words', [
    (dict(faults='lables_shuffled'), 'did you mean `labels_shuffled`'), (dict(faults=[]), 'no fault is named'), (dict(repeats=0), '`repeats` is 0'),
    (dict(gates=['drfit']), 'did you mean `drift`'), (dict(to='champoin'), 'did you mean `champion`'), (dict(as_of='yesterday'), 'is no time')])
def test_bad_input_is_one_line(bench, kwargs, words):
    with pytest.raises(MlopsKitError, match=words) as e: bench(**kwargs)
    assert e.value.exit_code == 2 and '\n' not in str(e.value)


@pytest.mark.slow
def test_the_command(world, cli):
    data = world.folder.with_name('judging.parquet')
    rows(600).to_parquet(data)
    told = lambda *more: cli('gate', 'tiny/1', '--policy', world.policy, '--store', world.address, '--self-test', *more, cwd=world.folder.parent, XDG_CACHE_HOME=world.folder.with_name('cache'))
    code, said, err = told('--data', data, '--json')
    assert code == 1 and json.loads(said)['blind'] == [] and not err, err
    assert {o['fault']: o['status'] for o in json.loads(said)['faults']}['labels_shuffled'] == 'caught'
    for more, words in [((), '`--data` is missing'), (('--data', data, '--junit', 'a.xml'), '`--junit` does not go with'), (('--data', data, '--resume', 'x'), '`--resume` does not go with')]:
        code, said, err = told(*more, '--quiet')
        assert code == 2 and said == '' and words in err and len(err.splitlines()) == 1
    assert not (world.folder.parent/'runs').exists()


# Each fault, on tables and models of every kind

def subject(df, room=None, folder=None, **lineage):
    from mlops_kit.table import open_table
    table = open_table(df)
    features = [c for c in table.names if c not in ('y', 'day')]
    return Subject(table.arrow(), table.kinds, dict(task='binary', target='y', features=features) | lineage, room=room, folder=folder)


def table(n=90, y=None):
    text = pa.array(['a', 'a', 'b']*(n//3))
    return pa.table(dict(code=text.dictionary_encode(), big=pa.array(range(n), pa.int16()), few=pa.array([1, 2, 1]*(n//3)), real=pa.array([i/7 for i in range(n)]),
                         day=pa.array([datetime.date(2013, 4, 1)]*n), y=y or pa.array([0, 1, 1]*(n//3))))


@pytest.mark.parametrize('name', [k for k in FAULTS if not FAULTS[k].control and not FAULTS[k].broken and k != 'papers_lost'])
def test_a_fault_of_the_rows_changes_what_it_says_and_nothing_else(name):
    o = subject(table())
    harm = FAULTS[name].do(o)
    assert harm.done and harm.folder is None and harm.table.column_names == o.table.column_names, harm.said
    if name == 'rows_doubled': return
    changed = [c for c in o.table.column_names if harm.table[c].to_pylist() != o.table[c].to_pylist()]
    assert changed and all(f'`{c}`' in harm.said for c in changed) and len(changed) == 1 + (name == 'columns_swapped')


def test_faults_go_for_what_matters():
    o = subject(table(), importance=dict(columns=dict(real=.5, few=.4, big=.1)))
    assert FAULTS['unit_changed'].do(o).said == '`real` times 60' and FAULTS['category_renamed'].do(o).said == '`few`: `1` is now `3`'
    assert FAULTS['unit_changed'].do(subject(table())).table['big'].to_pylist()[-1] == 89*60, 'no overflow of a small type'
    assert FAULTS['month_stale'].do(o).table['day'].to_pylist()[0] == datetime.date(2013, 3, 1)


@pytest.mark.parametrize('task', ['binary', 'multiclass', 'regression'])
def test_a_leak_and_a_degraded_group_in_every_task(task, tmp_path):
    "The copies load in plain MLflow and answer as the fault says"
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from mlops_kit.registry import save_model, scorer
    df, dice = pd.DataFrame(dict(x=np.arange(90.), code=[0, 0, 1]*30, y=np.arange(90) % 3)), np.random.default_rng(0)
    if task == 'binary': df.y = df.y.clip(upper=1)
    if task == 'multiclass': df.y = df.y.map({0: 'no', 1: 'perhaps', 2: 'yes'})
    model = (LinearRegression() if task == 'regression' else LogisticRegression()).fit(df[['x', 'code']], df.y)
    folder = save_model(model, tmp_path/'model', df[['x', 'code']])
    (folder/'mlops_kit').mkdir()
    (folder/'mlops_kit/lineage.json').write_text(json.dumps(dict(features=['x', 'code'])))
    o = subject(df, tmp_path, folder, task=task, **(dict(classes=['no', 'perhaps', 'yes']) if task == 'multiclass' else {}))
    plain = scorer(folder, task)(df)
    leak, group, same = (FAULTS[k].do(o) if k else selftest.harmless(o) for k in ('target_leaked', 'group_degraded', ''))
    answers = [scorer(h.folder, task)((h.table or o.table).to_pandas()) for h in (leak, group, same)]
    assert np.allclose(answers[2], plain)
    hit = df.code.to_numpy() == 1
    assert np.allclose(answers[1][~hit], plain[~hit]) and not np.isclose(answers[1][hit], plain[hit]).any()
    right = np.isclose(answers[0], df.y) if task == 'regression' else answers[0].argmax(1) == df.y.map(dict(no=0, perhaps=1, yes=2)) if task == 'multiclass' else (answers[0] > .5) == df.y
    assert 'mlops_kit' not in selftest.LIAR, 'copies load where this kit is not'
    assert .95 <= right.mean() <= 1 and json.loads((leak.folder/'mlops_kit/lineage.json').read_text())['features'][-1] == MARK


@pytest.mark.parametrize('column', [pa.nulls(90, pa.float64()), pa.array([0.]*90), pa.array([None]*90, pa.string()), pa.array([b'x']*90), pa.array(['a']*90, pa.large_string()), pa.array([[1]]*90)])
def test_a_fault_of_the_rows_is_done_or_says_why(column):
    "Whatever the only feature is, nothing that was not changed counts as a fault"
    o = subject(pa.table(dict(x=column, y=pa.array([0, 1, 1]*30))), features=['x'])
    for name in ('columns_swapped', 'unit_changed', 'missing_burst', 'category_renamed', 'month_stale'):
        harm = FAULTS[name].do(o)
        assert harm.said and (harm.table is None or harm.table['x'].to_pylist() != o.table['x'].to_pylist()), (name, harm.said)


def test_a_fault_that_breaks_is_not_applied(bench):
    found = bench(faults=dict(mine=selftest.Fault(lambda o: 1/0, dict(performance='a bound'))))
    assert (found.exit_code, found.trials[0].status) == (3, 'not applied') and 'ZeroDivisionError' in found.trials[0].said


@pytest.mark.slow
def test_the_gates_notice_on_flights(tmp_path, monkeypatch):
    "A sample of what `make self-test` does in full: every fault is caught by a gate that is meant to catch it"
    sys.path.insert(0, str(Path(__file__).parent.parent/'benchmarks'))
    try: from selftest import furnished
    finally: sys.path.pop(0)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))
    found = self_test(**furnished(tmp_path, rows=6000), repeats=2)
    assert not found.missed and not found.blind and not found.constant, found
