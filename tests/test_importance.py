"What a version records of its columns and answers, and what the drift gate makes of it."
import json

import numpy as np
import pandas as pd
import pytest

import toy
from mlops_kit.core import counted
from mlops_kit.importance import importance, importance_of
from mlops_kit.profile import load_profile
from mlops_kit.registry import ANSWERS_FILE, answer_table
from mlops_kit.table import open_table


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "The toy world with one version whose model was given a column that it does not use"
    from mlops_kit import register
    from mlops_kit.store import fresh_store
    folder = toy.build(tmp_path_factory.mktemp('importance'))
    store = fresh_store(folder/'mlflow.db')
    version = register(toy.estimator(), 'toy', train=folder/'train.parquet', test=folder/'test.parquet', target='late', policy=folder/'policy.yaml', store=store, owner='tests')
    return folder, store, version


def judged(world, data, version=None):
    from mlops_kit import judge
    folder, store, kept = world
    return {c.id: c for c in judge(version or kept, data, policy=folder/'policy.yaml', gates=['drift'], store=store)[0].checks}


def test_a_version_records_its_importance_and_its_answers(world):
    found = world[2].lineage
    known = found['importance']
    assert known['on'] == 'test' and known['rows'] == 1000 and {*known['columns']} == {*found['features']}
    assert known['columns']['wind'] > known['columns']['hour'] > abs(known['columns']['carrier'])
    assert found['predictions'] == dict(on='test', rows=1000)


def test_the_gate_weighs_and_asks_for_answers_and_labels(world):
    checks = judged(world, world[0]/'april.parquet')
    assert checks['drift:prediction'].status == checks['drift:late'].status == 'pass' and 'permutation importance on 1,000 test rows' in checks['drift:share'].message
    assert 'weight' in checks['drift:wind'].message and 'weight' not in checks['drift:prediction'].message


def test_what_the_model_ignores_warns_and_what_it_uses_fails(world):
    april = pd.read_parquet(world[0]/'april.parquet')
    moved = judged(world, april.assign(carrier='AA'))
    assert moved['drift:carrier'].status == 'fail' and counted(moved['drift:carrier']) == 'warn' and 'ignores' in moved['drift:carrier'].message
    used = judged(world, april.assign(wind=april.wind + 4))
    assert {k for k, o in used.items() if counted(o) == 'fail'} == {'drift:wind', 'drift:share', 'drift:prediction'}


def test_the_test_table_itself_tells_nothing_about_answers(world):
    assert judged(world, world[0]/'test.parquet')['drift:prediction'].reason == 'same_rows'


def test_data_without_labels_is_judged_without_them(world):
    april = pd.read_parquet(world[0]/'april.parquet')
    for unlabelled in (april.drop(columns='late'), april.assign(late=None)): assert 'drift:late' not in judged(world, unlabelled)


def test_a_version_that_kept_no_answers_warns(world, tmp_path):
    "As versions did that were registered before"
    from types import SimpleNamespace

    from mlops_kit.gates import answers_then_and_now, open_model
    model = open_model(world[2], tmp_path, world[1])
    kept = load_profile(model.folder/'mlops_kit'/ANSWERS_FILE)
    assert kept.names == ['prediction'] and kept.rows == 1000
    (model.folder/'mlops_kit'/ANSWERS_FILE).unlink()
    assert answers_then_and_now(SimpleNamespace(model=model)).reference is None


@pytest.mark.parametrize('task,classes,p,kind', [('regression', None, lambda f: f.x.to_numpy(), 'number'), ('binary', [0, 1], lambda f: (f.x > 0).to_numpy()*.5, 'number'),
    ('multiclass', ['a', 'b', 'c'], lambda f: np.eye(3)[f.x.to_numpy().astype(int) % 3], 'category'), ('multiclass', None, lambda f: f.x.to_numpy() % 3, 'category')])
def test_answers_of_every_task(task, classes, p, kind):
    frame = pd.DataFrame(dict(x=np.arange(300.), y=np.arange(300) % 2))
    assert answer_table(p, open_table(frame), ['x'], task, classes).kinds == dict(prediction=kind)
    known = importance_of(p, open_table(frame), ['x'], 'y', task, [0, 1, 2] if task == 'multiclass' else classes)
    assert known['rows'] == 300 and json.dumps(known)


@pytest.mark.parametrize('broken,said', [(lambda f: np.full(len(f), np.nan), 'NaN'), (lambda f: np.zeros(3), '3 predictions'), (lambda f: 1/0, 'ZeroDivisionError'),
    (lambda f: exit('no'), 'SystemExit'), (lambda f: ['a']*len(f), 'ValueError')])
def test_a_model_that_breaks_leaves_a_note(broken, said):
    table = open_table(pd.DataFrame(dict(x=np.arange(50.), y=np.arange(50) % 2)))
    assert said in importance_of(broken, table, ['x'], 'y', 'binary')['note']


def test_a_slow_model_is_asked_less_often():
    import time
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(2000, 5)), columns=list('abcde'))
    slow = lambda f: time.sleep(len(f)/10_000) or f.a.to_numpy()
    found = importance(slow, frame, frame.a, 'regression', seconds=.3)
    assert found['repeats'] == 1 and found['rows'] >= 200 and found['columns']['a'] > .5
