"The store: how it fails, what it keeps to itself, and that plain MLflow can read what the kit wrote."
import os
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_kit import store as st
from mlops_kit.core import EXIT, RegistryError

pytestmark = pytest.mark.filterwarnings('ignore:The ``noload`` loader:DeprecationWarning') # MLflow 3.17 on SQLAlchemy 2.1


@pytest.fixture
def model(tmp_path):
    "A folder with a model's files"
    (tmp_path/'model'/'mlops_kit').mkdir(parents=True)
    (tmp_path/'model'/'MLmodel').write_text('flavors: {}\n')
    (tmp_path/'model'/'mlops_kit'/'lineage.json').write_text('{}')
    return tmp_path/'model'


def python(code, *args, **env):
    return subprocess.run([sys.executable, '-c', code, *map(str, args)], capture_output=True, text=True, timeout=120, env=os.environ | env)


def refused(fn, *said, code=EXIT['error']):
    with pytest.raises(RegistryError) as e: fn()
    assert e.value.exit_code == code and '\n' not in str(e.value)
    for o in said: assert o in str(e.value)


# How it fails

def test_a_server_that_is_down_is_reported_at_once():
    start = time.monotonic()
    refused(lambda: st.connect('http://ana:secret@127.0.0.1:9'), 'http://127.0.0.1:9', 'does not answer')
    assert time.monotonic() - start < 5


def test_a_server_that_hangs_is_given_up_within_five_seconds():
    with socket.create_server(('127.0.0.1', 0)) as deaf:
        start = time.monotonic()
        refused(lambda: st.connect(f'http://127.0.0.1:{deaf.getsockname()[1]}'), 'did not answer in time')
        assert time.monotonic() - start < 5


@pytest.mark.parametrize('uri, said', [('./mlruns', 'no store that this kit can use'), ('file:///srv/mlruns', 'no store'), ('sqlite://', 'no store'), ('ftp://x', 'no store')])
def test_what_is_no_store_is_misuse(uri, said): refused(lambda: st.connect(uri), said, code=EXIT['usage'])


def test_a_password_is_never_shown():
    assert 'secret' not in st.without_user('postgresql://ana:secret@db/x?password=secret')
    error = st.refusal(RuntimeError('cannot reach postgresql://ana:secret@db/x'), 'postgresql://ana:secret@db/x', 'be opened')
    assert 'secret' not in str(error)
    store = st.Store('http://ana:secret@host', None)
    assert 'secret' not in repr(store) and 'secret' not in store.uri


def test_a_read_only_store_can_be_read_and_not_written(store_uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path) # MLflow makes a folder `file:` of such an address, wherever it is
    st.create_model(st.connect(store_uri), 'tiny')
    store = st.connect(store_uri.replace('sqlite:///', 'sqlite:///file:') + '?mode=ro&uri=true')
    assert st.model_names(store) == ['tiny']
    refused(lambda: st.create_model(store, 'other'), 'readonly database', 'read-only for you')
    refused(lambda: st.start_run(store, 'x', 'r'), 'readonly database')


def test_a_folder_for_files_that_cannot_be_written(tmp_path, model):
    store = st.fresh_store(tmp_path/'mlflow.db')
    (tmp_path/'mlartifacts').write_text('a file where the folder should be')
    refused(lambda: st.log_files(store, model, 'tiny'), 'could not upload the model', 'mlartifacts')
    run = st.start_run(store, 'tiny', 'r')
    refused(lambda: st.upload(store, run, model), 'could not upload')


def test_another_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path/'shop.db') as db: db.execute('create table orders (n int)')
    db.close()
    refused(lambda: st.connect(tmp_path/'shop.db'), 'no MLflow store', code=EXIT['usage'])
    with sqlite3.connect(tmp_path/'shop.db') as db: assert db.execute('select name from sqlite_master').fetchall() == [('orders',)]
    db.close()


def test_tables_of_another_mlflow_version(tmp_path):
    st.make_file(tmp_path/'old.db')
    with sqlite3.connect(tmp_path/'old.db') as db: db.execute("update alembic_version set version_num = '451aebb31d03'")
    db.close()
    refused(lambda: st.connect(tmp_path/'old.db'), 'another MLflow version', 'mlflow db upgrade')


def test_a_database_that_is_locked_or_dies_underneath(store_uri):
    store = st.connect(store_uri)
    Path(store_uri.removeprefix('sqlite:///')).write_bytes(b'x'*8192)
    refused(lambda: st.model_names(store), 'not a database')


def test_a_lost_answer_is_settled_by_reading(store_uri):
    store = st.connect(store_uri)
    run, real = st.start_run(store, 'x', 'r'), store.client.log_param
    def lose(*args, **kwargs):
        real(*args, **kwargs)
        raise ConnectionError('the answer was lost')
    store.client.log_param = lose
    assert st.log_param_once(store, run, 'k', 'mine')
    assert not st.log_param_once(store, run, 'k', 'theirs')
    store.client.log_param = lambda *args, **kwargs: (_ for _ in ()).throw(ConnectionError('nothing arrived'))
    refused(lambda: st.log_param_once(store, run, 'other', 'mine'), 'run the command again')


# What it keeps to itself

def test_it_says_nothing_and_leaves_settings_alone(tmp_path):
    code = '''import sys, os, logging
from mlops_kit import store as st
before = dict(os.environ)
s = st.fresh_store(sys.argv[1])
st.end_run(s, st.start_run(s, 'x', 'r'))
assert {k for k in os.environ if os.environ[k] != before.get(k)} <= {'MLFLOW_DISABLE_TELEMETRY'}
assert os.environ['MLFLOW_DISABLE_TELEMETRY'] == 'true' '''
    p = python(code, tmp_path/'mlflow.db', XDG_CACHE_HOME=str(tmp_path/'cache'))
    assert (p.returncode, p.stdout, p.stderr) == (0, '', '')
    assert [p.suffix for p in (tmp_path/'cache'/'mlops_kit').iterdir()] == ['.db']


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path/'cache').write_text('a file')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))
    assert st.model_names(st.fresh_store(tmp_path/'mlflow.db')) == []


@pytest.mark.slow
def test_several_processes_make_the_same_store(tmp_path):
    code = 'import sys; from mlops_kit import store as st; s = st.connect(sys.argv[1]); st.create_model(s, "tiny"); print(st.experiment_id(s, "x"))'
    with ThreadPoolExecutor() as pool: found = list(pool.map(lambda _: python(code, tmp_path/'mlflow.db', XDG_CACHE_HOME=str(tmp_path/'cache')), range(4)))
    assert [(p.returncode, p.stderr) for p in found] == [(0, '')]*4 and len({p.stdout for p in found}) == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith('.')) == []


def test_an_address_with_options_is_the_same_file(tmp_path):
    assert st.model_names(st.connect(f'sqlite:///{tmp_path}/mlflow.db?timeout=5')) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ['mlflow.db']


def test_files_stay_where_the_database_is(tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = st.connect('sqlite:///here.db')
    model_id = st.log_files(store, model, 'tiny')
    (tmp_path/'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path/'elsewhere')
    assert st.sizes(st.download(st.connect(store.address), model_id, 'back')) == st.sizes(model)
    assert [p.name for p in (tmp_path/'elsewhere').iterdir()] == ['back']


def test_what_loading_leaves_behind_is_not_fetched(tmp_path, store_uri, model):
    store = st.connect(store_uri)
    model_id = st.log_files(store, model, 'tiny')
    kept = next(tmp_path.rglob('m-*/artifacts'))
    (kept/'registered_model_meta').write_text('model_name: x')
    (kept/'code'/'__pycache__').mkdir(parents=True)
    (kept/'code'/'__pycache__'/'a.pyc').write_bytes(b'planted')
    assert [p.name for p in sorted(st.download(store, model_id, tmp_path/'back').rglob('*')) if p.is_file()] == ['MLmodel', 'lineage.json']


def test_files_that_are_not_whole_are_refused(tmp_path, store_uri, model, monkeypatch):
    store = st.connect(store_uri)
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
    real = LocalArtifactRepository.log_artifacts
    def half(self, folder):
        real(self, folder)
        next(tmp_path.rglob('m-*/artifacts/MLmodel')).write_text('cut')
    monkeypatch.setattr(LocalArtifactRepository, 'log_artifacts', half)
    refused(lambda: st.log_files(store, model, 'tiny'), '`MLmodel`', 'did not arrive')
    model_id = next(tmp_path.rglob('m-*')).name
    st.create_model(store, 'tiny')
    refused(lambda: st.create_version(store, 'tiny', model_id), 'not ready')


def test_every_write_can_be_the_last(tmp_path):
    code = '''import sys; from mlops_kit import store as st
s = st.connect(sys.argv[1]); r = st.start_run(s, 'x', 'r'); st.log_param_once(s, r, 'k', 'v'); print(st.WRITES)'''
    whole = python(code, tmp_path/'0.db')
    assert whole.stdout.strip() == str(['make the experiment `x`', 'make the run `r`', 'write the param `k`'])
    for at, kept in [('3', 0), ('3:after', 1)]:
        db = tmp_path/f'{kept+1}.db'
        p = python(code, db, MLOPS_KIT_CRASH_AT=at)
        assert p.returncode == -9 and p.stdout == ''
        assert len(st.find_runs(st.connect(db), 'x', 'k', 'v')) == kept


# Plain MLflow

@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:.*integer column.*:UserWarning')
def test_plain_mlflow_loads_what_the_kit_wrote(tmp_path, store_uri):
    save = '''import sys, warnings; warnings.simplefilter('ignore')
import numpy as np, mlflow.sklearn, pathlib
from sklearn.linear_model import LogisticRegression
from mlops_kit import store as st
X = np.arange(20.).reshape(-1, 1)
mlflow.sklearn.save_model(LogisticRegression().fit(X, X[:, 0] > 9), sys.argv[2], pip_requirements=['scikit-learn'])
kit = pathlib.Path(sys.argv[2])/'mlops_kit'
kit.mkdir(); (kit/'lineage.json').write_text('{}')
s = st.connect(sys.argv[1]); run = st.start_run(s, 'tiny', 'r')
m = st.log_files(s, sys.argv[2], 'tiny', run); st.create_model(s, 'tiny')
st.set_alias(s, 'tiny', 'champion', st.create_version(s, 'tiny', m).version)'''
    load = '''import warnings; warnings.simplefilter('ignore')
import mlflow, numpy as np
X = np.array([[1.], [15.]])
print(mlflow.sklearn.load_model('models:/tiny@champion').predict(X), mlflow.pyfunc.load_model('models:/tiny/1').predict(X))'''
    p = python(save, store_uri, tmp_path/'model')
    assert p.returncode == 0, p.stderr
    p = python(load, MLFLOW_TRACKING_URI=store_uri)
    assert p.stdout.strip() == '[False  True] [False  True]', p.stderr
    store = st.connect(store_uri)
    assert st.sizes(st.download(store, st.get_version(store, 'tiny', 1).model_id, tmp_path/'back')) == st.sizes(tmp_path/'model')


# A tracking server

@pytest.fixture(scope='module')
def server(tmp_path_factory):
    "A tracking server on SQLite"
    here = tmp_path_factory.mktemp('server')
    with socket.create_server(('127.0.0.1', 0)) as s: port = s.getsockname()[1]
    command = [sys.executable, '-m', 'mlflow', 'server', '--backend-store-uri', st.fresh_store(here/'mlflow.db').uri, '--artifacts-destination', str(here/'files'),
        '--host', '127.0.0.1', '--port', str(port), '--workers', '1']
    with open(here/'log.txt', 'wb') as log: p = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    uri, end = f'http://127.0.0.1:{port}', time.monotonic() + 60
    while True:
        try: st.look(uri)
        except RegistryError:
            assert time.monotonic() < end and p.poll() is None, (here/'log.txt').read_text()
            time.sleep(.3)
        else: break
    yield uri, p
    if p.poll() is None: os.killpg(p.pid, 15)
    p.wait()


@pytest.mark.slow
def test_a_server_holds_what_a_file_holds(server, tmp_path, model):
    store = st.connect(server[0])
    run = st.start_run(store, 'tiny', 'r')
    model_id = st.log_files(store, model, 'tiny', run)
    st.create_model(store, 'tiny')
    v = st.create_version(store, 'tiny', model_id)
    assert (v.version, v.model_id, v.run_id) == (1, model_id, run)
    assert st.get_version(store, 'tiny', 1) == v and st.get_version(store, 'tiny', 2) is None
    assert [st.get_alias(store, 'tiny', 'champion'), st.get_alias(store, 'unknown', 'champion')] == [None, None]
    st.set_alias(store, 'tiny', 'champion', 1)
    assert st.aliases(store, 'tiny') == dict(champion=1) and [o.version for o in st.list_versions(store, 'tiny')] == [1]
    refused(lambda: st.set_alias(store, 'tiny', 'champion', 9), 'not found', code=EXIT['usage'])
    assert st.sizes(st.download(store, model_id, tmp_path/'back')) == st.sizes(model)
    assert [st.log_param_once(store, run, 'k', o) for o in ('mine', 'theirs')] == [True, False]
    st.upload(store, run, model, 'kept')
    assert st.sizes(st.download_artifacts(store, run, 'kept', tmp_path/'kept')) == st.sizes(model)
    assert [o.run_id for o in st.find_runs(store, 'tiny', 'k', 'mine')] == [run]
    (empty := tmp_path/'log.txt').touch() # What a gate that prints nothing leaves
    st.upload(store, run, empty, 'gate')
    assert st.run_files(store, run, 'gate') == {'gate/log.txt': 0}
    assert st.download_artifacts(store, run, 'gate', tmp_path/'gate').joinpath('log.txt').read_bytes() == b''


@pytest.mark.slow
def test_a_server_keeps_a_ledger(server, tmp_path, model):
    from mlops_kit.evidence import make_key
    from mlops_kit.ledger import identity, ledger, project
    store, ana = st.connect(server[0]), make_key(tmp_path/'ana.pem', 'Ana')
    st.create_model(store, 'signed')
    v = st.create_version(store, 'signed', st.log_files(store, model, 'signed', st.start_run(store, 'signed', 'r')))
    target = identity(vars(v) | dict(manifest='0'*64))
    led = ledger(store, 'signed')
    text = 'model: signed\ntask: binary\ntarget: late\nowner: Ana\nsigning: {required: true}\nstages: {champion: {gates: [drift]}}\n'
    proof = dict(run_id=st.start_run(store, 'mlops_kit/evidence/signed', 'r'), digest='e'*64)
    st.log_batch(store, proof['run_id'], dict(evidence=proof['digest'], manifest=target['manifest']))
    policy = led.pin(text, {ana.keyid: dict(person='Ana', role='', public=ana.public)}, ana).policy
    led.append('register', 'candidate', target, base=None, decision='registered', key=ana)
    led.append('promote', 'champion', target, base=None, decision='promoted', evidence=proof, policy=policy, key=ana)
    assert [project(led, a).code for a in ('candidate', 'champion', 'champion')] == ['moved', 'moved', 'ok']
    again = ledger(st.connect(server[0]), 'signed')
    assert [(e.kind, e.actor, e.verified) for e in again.entries(all=True)] == [('policy', 'Ana', True), ('register', 'Ana', True), ('promote', 'Ana', True)]
    assert st.aliases(store, 'signed') == dict(candidate=1, champion=1)


@pytest.mark.slow
def test_a_server_that_dies_meanwhile(server):
    uri, p = server
    store = st.connect(uri)
    run = st.start_run(store, 'tiny', 'r')
    os.killpg(p.pid, 9)
    p.wait()
    start = time.monotonic()
    with pytest.raises(RegistryError, match='does not answer|broke off') as e: st.log_param_once(store, run, 'k', 'v')
    assert e.value.exit_code == 3
    assert time.monotonic() - start < 5
