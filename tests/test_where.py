"One model, the same rows in files, DuckDB, PostgreSQL and Spark: the same verdicts, and no row leaves a server."
import os
from pathlib import Path

import pandas as pd
import pytest
import toy
from mlops_kit import judge, run_gates
from mlops_kit.core import DataError
from mlops_kit.drift import drift_checks
from mlops_kit.profile import profile
from mlops_kit.store import fresh_store
from mlops_kit.table import open_table
from test_engines import connect

DATA_GATES = ['contract', 'data_quality', 'drift']


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "A registered toy model in a store of its own"
    folder = toy.build(tmp_path_factory.mktemp('where'))
    store = fresh_store(folder/'mlflow.db')
    version = toy.enrol(folder, store)
    return folder, store, version


@pytest.fixture(scope='module')
def served(world, postgres):
    "The months of the toy model in PostgreSQL, rows in another order"
    with connect(postgres) as con:
        for name in ('april', 'train'):
            frame = pd.read_parquet(world[0]/f'{name}.parquet').sample(frac=1, random_state=0)
            con.execute(f'drop table if exists {name}')
            con.execute(f'create table {name} (wind float8, hour int8, carrier text, late int8)')
            with con.cursor() as cur, cur.copy(f'copy {name} from stdin') as copy:
                for row in frame.itertuples(index=False): copy.write_row([None if v != v else v for v in row])
    return lambda name: f'{postgres}?table={name}'


def told(checks):
    return {c.id: (c.status, c.reason, c.blocking) for c in checks}


def alike(here, there):
    "Assert that two lists of checks say the same, values to 1e-9 or their intervals overlap"
    assert told(here) == told(there)
    for a, b in zip(sorted(here, key=lambda c: c.id), sorted(there, key=lambda c: c.id)):
        if isinstance(a.value, (int, float)) and a.method != 'wasserstein': assert a.value == pytest.approx(b.value, rel=1e-9, abs=1e-12), a.id
        if a.low is not None: assert max(a.low, b.low) <= min(a.high, b.high)*(1 + 1e-9), a.id


def test_the_verdicts_are_the_same_in_postgresql(world, served):
    folder, store, version = world
    kw = dict(policy=folder/'policy.yaml', gates=DATA_GATES + ['performance'], store=store)
    here, there = judge(version, folder/'april.parquet', **kw), judge(version, served('april'), **kw)
    for a, b in zip(here, there): alike(a.checks, b.checks)


def test_no_row_leaves_the_server(world, served, monkeypatch):
    from mlops_kit import engine
    folder, store, version = world
    sizes, run, fetch = [], engine.run, engine.fetch
    monkeypatch.setattr(engine, 'fetch', lambda *a: sizes.append(len(found := fetch(*a))) or found)
    def refuse(*a): raise AssertionError('rows were read')
    monkeypatch.setattr(engine.Engine, 'batches', refuse)
    monkeypatch.setattr(engine.Engine, 'arrow', refuse)
    monkeypatch.setattr('mlops_kit.gates.candidate.answers_then_and_now', lambda c: None) # A model answers row by row
    verdicts = judge(version, served('april'), policy=folder/'policy.yaml', gates=DATA_GATES, store=store)
    assert [v.status for v in verdicts] == ['pass']*3 and max(sizes) <= open_table(folder/'april.parquet').rows


def test_training_data_in_a_database_is_known_again(world, served):
    folder, store, _ = world
    from mlops_kit import register
    version = register(toy.estimator(), 'toy', train=served('train'), test=folder/'test.parquet', target='late', contract=folder/'toy.odcs.yaml', policy=folder/'policy.yaml', store=store, owner='tests')
    assert 'toy@' not in str(version.lineage['train']) and version.lineage['train']['rows'] == 2000
    with pytest.raises(DataError, match='is training data of this version'): judge(version, served('train'), policy=folder/'policy.yaml', store=store)
    assert all(v.status == 'pass' for v in judge(version, folder/'april.parquet', policy=folder/'policy.yaml', store=store))


def test_a_declared_kind_holds_from_registration_to_judging(world):
    from mlops_kit import register
    folder, store, _ = world
    version = register(toy.estimator(), 'toy', train=folder/'train.parquet', target='late', contract=folder/'toy.odcs.yaml', policy=folder/'policy.yaml', store=store, owner='tests', kinds=dict(hour='category'))
    assert version.lineage['kinds'] == dict(hour='category')
    verdict = judge(version, folder/'april.parquet', policy=folder/'policy.yaml', gates=['drift'], store=store)[0]
    assert next(c for c in verdict.checks if c.column == 'hour').method == 'jensenshannon and chi-square'


def test_judging_by_a_stored_profile_leaves_the_training_table_alone(world, monkeypatch):
    folder, store, version = world
    def refuse(lineage): raise AssertionError('the training table was opened')
    monkeypatch.setattr('mlops_kit.gates.candidate.reference_table', refuse)
    assert judge(version, folder/'april.parquet', policy=folder/'policy.yaml', gates=['data_quality', 'drift'], store=store).status == 'pass'


@pytest.mark.slow
def test_gate_notebooks_judge_a_table_of_postgresql(world, served, monkeypatch):
    folder, store, version = world
    monkeypatch.setenv('MLFLOW_TRACKING_URI', store.uri)
    verdicts = run_gates(version, data=served('april'), policy=folder/'policy.yaml', out=folder/'runs', store=store, progress=False)
    assert {v.gate: v.status for v in verdicts} == dict.fromkeys(DATA_GATES + ['performance'], 'pass')
    said = (Path(verdicts.folder)/'run.json').read_text()
    assert 'toy@' not in said and '"postgres://127.0.0.1' in said


@pytest.mark.slow
def test_a_large_table_of_postgresql_gives_intervals_that_hold_the_truth(postgres, tmp_path):
    import numpy as np
    from mlops_kit.drift import compare
    with connect(postgres) as con:
        con.execute('drop table if exists big')
        con.execute("select setseed(.5)")
        con.execute('create table big as select exp(random()*8 - 4)::float8 as heavy, (1e6 + random())::float8 as far, (random()*1e6)::int8 as many, md5(random()::text) as name, (random() - .5)::float8 as even from generate_series(1, 60000)')
        rows = con.execute('select heavy, far, many, even from big').fetchall()
    here, there = pd.DataFrame(rows, columns=['heavy', 'far', 'many', 'even']), open_table(f'{postgres}?table=big', ['heavy', 'far', 'many', 'even'])
    rng = np.random.default_rng(3)
    train = pd.DataFrame(dict(heavy=np.exp(rng.normal(0, 2, 50_000)), far=1e6 + rng.random(50_000), many=rng.integers(0, 10**6, 50_000), even=rng.normal(0, .3, 50_000)))
    for method in ('wasserstein', 'jensenshannon', 'psi', 'kl_div', 'hellinger'):
        exact, bounds = compare(train, here, method=method), compare(profile(train), there, method=method)
        for a, b in zip(exact, bounds):
            assert b.low <= a.value <= b.high, (method, a.column, a.value, b.low, b.high)
            assert b.drifted in (a.drifted, None), (method, a.column)


@pytest.mark.spark
def test_the_verdicts_are_the_same_in_spark(world, spark):
    folder, store, version = world
    kw = dict(policy=folder/'policy.yaml', gates=DATA_GATES + ['performance'], store=store)
    frame = spark.read.parquet(str(folder/'april.parquet')).repartition(3)
    here, there = judge(version, folder/'april.parquet', **kw), judge(version, frame, **kw)
    for a, b in zip(here, there): alike(a.checks, b.checks)


@pytest.mark.slow
def test_exit_codes_of_a_database(world, served, cli, postgres, tmp_path):
    folder, store, _ = world
    with connect(postgres) as con: con.execute("do $$ begin create role eve login password 'right'; exception when duplicate_object then null; end $$")
    (tmp_path/'pgpass').write_text('*:*:*:*:s3cret')
    (tmp_path/'pgpass').chmod(0o600)
    def gate(data): return cli('gate', 'toy@candidate', '--data', data, '--policy', folder/'policy.yaml', '--out', tmp_path/'runs', MLFLOW_TRACKING_URI=store.uri, PGPASSFILE=tmp_path/'pgpass')
    for data, code, said in [('postgres://127.0.0.1:1/air?table=t', 3, 'cannot be reached'), (served('april').replace('toy@', 'eve@'), 2, 'password authentication failed'),
                             (served('aprill'), 2, 'did you mean `april`'), ('postgres://me:s3cret@127.0.0.1/air?table=t', 2, 'PGPASSFILE')]:
        found, out, err = gate(data)
        assert found == code and said in err and 'Traceback' not in err and 's3cret' not in out + err, err
    assert not (tmp_path/'runs').exists() or not [o for o in (tmp_path/'runs').iterdir() if o.name[0] != '.']
