"Each mistake gets one clear line, the right exit code, and writes nothing."
import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import toy

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    "The toy world with one registered version"
    from mlops_kit.store import fresh_store
    folder = toy.build(tmp_path_factory.mktemp('world'))
    store = fresh_store(folder/'mlflow.db')
    toy.enrol(folder, store)
    good = pd.read_parquet(folder/'april.parquet')
    bad = folder/'bad'
    bad.mkdir()
    (bad/'broken.parquet').write_bytes((folder/'april.parquet').read_bytes()[:500])
    (bad/'text.parquet').write_text('not parquet')
    good[:0].to_parquet(bad/'empty.parquet')
    good.drop(columns='late').to_parquet(bad/'no_target.parquet')
    good.drop(columns='wind').to_parquet(bad/'no_feature.parquet')
    good.assign(extra=1).to_parquet(bad/'extra.parquet')
    good.assign(hour=good.hour.astype(str)).to_parquet(bad/'dtype.parquet')
    good.assign(wind=np.nan).to_parquet(bad/'all_missing.parquet')
    good.assign(wind=good.wind.where(good.index != 7, np.inf)).to_parquet(bad/'inf.parquet')
    good.assign(late=0).to_parquet(bad/'one_class.parquet')
    (folder/'unknown_key.yaml').write_text(toy.POLICY.replace('owner:', 'ower:'))
    (folder/'no_gate.yaml').write_text(toy.POLICY.replace('drift, perf', 'dirft, perf'))
    (folder/'broken.yaml').write_text('version: [1')
    for gate in ('contract', 'data_quality', 'performance'): (folder/f'only_{gate}.yaml').write_text(toy.POLICY.replace(toy.POLICY[toy.POLICY.index('gates: ['):].split(']')[0], f'gates: [{gate}'))
    (bad/'contract.yaml').write_text(toy.CONTRACT.replace('kind: DataContract', 'kind: DataContrct'))
    return folder


def everything(folder):
    "What is in the folder and in the store"
    files = {str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file() and '.models' not in p.parts and 'mlflow.db' not in p.name}
    with sqlite3.connect(folder/'mlflow.db') as db:
        tables = [t for t, in db.execute("select name from sqlite_master where type='table'")]
        return files, {t: db.execute(f'select count(*) from {t}').fetchone()[0] for t in tables}


GATE = ['gate', 'toy/1', '--data', 'april.parquet', '--policy', 'policy.yaml', '--quiet']


def but(**change):
    "The good command with some words changed"
    words = list(GATE)
    for k, v in change.items():
        i = dict(version=1, data=3, policy=5)[k]
        words[i] = v
    return words


MISUSE = {
    'unknown_model': (but(version='tooy/1'), ['`tooy`', 'toy']),
    'unknown_version': (but(version='toy/99'), ['99']),
    'unknown_alias': (but(version='toy@champoin'), ['champoin']),
    'no_such_path': (but(data='nothing/*.parquet'), ['nothing']),
    'unreadable': (but(data='bad/text.parquet'), ['text.parquet']),
    'truncated': (but(data='bad/broken.parquet'), ['broken.parquet']),
    'empty_table': (but(data='bad/empty.parquet'), ['empty', 'rows']),
    'no_target': (but(data='bad/no_target.parquet'), ['late', 'target']),
    'no_feature': (but(data='bad/no_feature.parquet'), ['wind', 'needs']),
    'password': (but(data='postgres://me:secret@db/x?table=t'), ['password', 'PGPASSFILE']),
    'training_data': (but(data='train.parquet'), ['training data']),
    'no_policy_file': (but(policy='nowhere.yaml'), ['nowhere.yaml']),
    'broken_policy': (but(policy='broken.yaml'), ['broken.yaml']),
    'unknown_key': (but(policy='unknown_key.yaml'), ['ower', 'owner']),
    'unknown_gate': (but(policy='no_gate.yaml'), ['dirft', 'drift']),
    'no_policy': (['gate', 'toy/1', '--data', 'april.parquet'], ['policy']),
    'no_data': (['gate', 'toy/1', '--policy', 'policy.yaml'], ['data']),
    'no_time': (GATE + ['--as-of', 'yesterday'], ['yesterday']),
    'no_jobs': (GATE + ['--jobs', '0'], ['jobs']),
    'unknown_run': (GATE + ['--resume', 'r99'], ['r99']),
    'unknown_command': (['promte', 'toy/1'], ['promte', 'promote']),
    'unknown_option': (GATE + ['--polcy', 'x'], ['--polcy']),
    'promote_unknown': (['promote', 'toy/99', '--policy', 'policy.yaml'], ['99']),
    'rollback_unknown': (['rollback', 'nobody'], ['nobody']),
    'history_unknown': (['history', 'nobody'], ['nobody'])}


@pytest.mark.parametrize('case', MISUSE)
def test_misuse_is_exit_2_and_writes_nothing(case, world, cli):
    words, says = MISUSE[case]
    before = everything(world)
    code, out, err = cli(*words, cwd=world)
    lines = [o for o in err.splitlines() if not o.startswith('store: ')]
    assert code == (3 if case == 'unknown_run' else 2), (code, err)
    assert len(lines) == 1 and lines[0].startswith('error: ') and 'Traceback' not in err, err
    for word in says: assert word in lines[0], lines[0]
    assert 'secret' not in out + err
    assert out == '' and everything(world) == before


@pytest.mark.parametrize('data, gate, reason', [
    ('extra', 'contract', 'extra_column'), ('dtype', 'contract', 'wrong_type'), ('all_missing', 'data_quality', 'all_missing'),
    ('inf', 'data_quality', 'infinite_values'), ('one_class', 'performance', 'one_class')])
def test_broken_data_is_judged_and_refused(data, gate, reason, world, cli):
    code, out, err = cli(*but(data=f'bad/{data}.parquet', policy=f'only_{gate}.yaml'), '--json', cwd=world)
    assert 'Traceback' not in err, err
    verdicts = {v['gate']: v for v in json.loads(out)['verdicts']}
    assert verdicts[gate]['status'] in ('fail', 'error'), verdicts[gate]
    assert reason in {c['reason'] for c in verdicts[gate]['checks']}, verdicts[gate]
    assert code == (3 if any(v['status'] == 'error' for v in verdicts.values()) else 1)


def test_a_contract_that_is_none_is_refused(world):
    from mlops_kit import register
    from mlops_kit.core import PolicyError
    from mlops_kit.store import connect
    before = everything(world)
    with pytest.raises(PolicyError, match='DataContrct'):
        register(toy.estimator(), 'toy', train=world/'train.parquet', target='late', contract=world/'bad/contract.yaml', store=connect(None, world/'policy.yaml'))
    assert everything(world) == before


def test_a_server_that_is_down_is_exit_3_within_seconds(world, cli):
    import time
    t = time.time()
    code, out, err = cli('status', 'toy', MLFLOW_TRACKING_URI='http://127.0.0.1:9', cwd=world)
    assert code == 3 and len([o for o in err.splitlines() if o.startswith('error: ')]) == 1 and 'Traceback' not in err, err
    assert time.time() - t < 20


def test_a_store_that_cannot_be_written_is_exit_3(world, cli, tmp_path):
    if os.geteuid() == 0: pytest.skip('root may write read-only files: the case is in test_store.py, with a read-only database')
    (world/'mlflow.db').chmod(0o444)
    try: code, out, err = cli('promote', 'toy/1', '--policy', 'policy.yaml', '--data', 'april.parquet', cwd=world)
    finally: (world/'mlflow.db').chmod(0o644)
    assert code == 3 and 'Traceback' not in err, err
