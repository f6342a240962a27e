"What a model does to its worker reaches nobody: neither the key, nor the judge, nor another file."
import json
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

import hostile
from hostile import ANSWERING, LOADING, NAMES, ROWS
from mlops_kit.core import EXIT, worst
from mlops_kit.gates.isolation import DONE, available
from mlops_kit.gates.worker import REVIEWED, WorkerError, fault_of, guarded, loading_of, start_worker

STRONG = [o for o in available() if o != 'process']
SAMPLE = 'patch_the_judge', 'read_the_key', 'write_outside', 'fork_for_ever'
LONG = bool(os.environ.get('MLOPS_KIT_TORTURE'))
pytestmark = [pytest.mark.filterwarnings('ignore')]


@pytest.fixture(scope='module')
def mlmodel(tmp_path_factory):
    "What MLflow writes about a small model"
    import mlflow
    import yaml
    from sklearn.linear_model import LogisticRegression
    folder, fitted = tmp_path_factory.mktemp('m')/'m', LogisticRegression().fit(ROWS[NAMES], ROWS.late)
    mlflow.sklearn.save_model(fitted, str(folder), signature=mlflow.models.infer_signature(ROWS[NAMES], fitted.predict(ROWS[NAMES])), pip_requirements=['scikit-learn'])
    return yaml.safe_load((folder/'MLmodel').read_text()), folder


@pytest.fixture
def world(tmp_path, monkeypatch):
    "A key, a store and an open port, all worth stealing"
    key, listener = tmp_path/'key.pem', socket.create_server(('127.0.0.1', 0))
    key.write_text('PRIVATE')
    key.chmod(0o600)
    (tmp_path/'mlflow.db').write_text('the store')
    (tmp_path/'artifacts/1').mkdir(parents=True)
    (tmp_path/'artifacts/1/model.pkl').write_text('of somebody else')
    monkeypatch.setenv('MLOPS_KIT_KEY', str(key))
    monkeypatch.setenv('MLFLOW_TRACKING_URI', f'sqlite:///{tmp_path}/mlflow.db')
    monkeypatch.setattr('mlops_kit.gates.worker.MOST_MEMORY', 2_000_000_000)
    yield SimpleNamespace(folder=tmp_path, key=key, port=listener.getsockname()[1], listener=listener,
                          store=SimpleNamespace(address=f'sqlite:///{tmp_path}/mlflow.db', root=str(tmp_path/'artifacts')))
    listener.close()


def everything(folder): return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob('*')) if p.is_file()}


@pytest.mark.parametrize('mechanism', STRONG)
@pytest.mark.parametrize('name', LOADING if LONG else SAMPLE)
def test_a_hostile_model_reaches_nothing(world, mlmodel, name, mechanism):
    import json as where
    folder = hostile.loads(world, name, mlmodel[0])
    before, here = everything(world.folder), {*Path.cwd().iterdir()}
    worker = start_worker(folder, 'binary', guarded(world.store), mechanisms=(mechanism,), seconds=5)
    try:
        assert worker.ready()['holds'] and DONE not in worker.isolation['attempts'].values()
        with pytest.raises(WorkerError) as e: worker.predict(ROWS[NAMES])
        assert e.value.exit_code == EXIT['error'] and 'PRIVATE' not in str(e.value) and '\n' not in str(e.value)
    finally: worker.close()
    assert everything(world.folder) == before and {*Path.cwd().iterdir()} == here
    assert not (Path(where.__file__).parent/'mark.py').exists()
    assert worst(['fail']) == 'fail' and EXIT['error'] == 3
    world.listener.settimeout(.2)
    with pytest.raises(TimeoutError): world.listener.accept()


@pytest.mark.parametrize('name', ANSWERING if LONG else ('text', 'one_too_many', 'a_subclass_of_array', 'the_end'))
def test_what_is_no_answer_is_an_error(world, mlmodel, name):
    import numpy as np
    worker, reason = start_worker(hostile.answers(world, name, mlmodel[0]), 'binary', guarded(world.store), seconds=30), ANSWERING[name][1]
    try:
        if not reason: # The right shape, and the gates see what it is
            p = worker.predict(ROWS[NAMES])
            assert type(p) is np.ndarray and p.dtype == 'float64' and p.shape == (len(ROWS),)
        else:
            with pytest.raises(WorkerError) as e: worker.predict(ROWS[NAMES])
            assert e.value.reason == reason, str(e.value)
    finally: worker.close()


def test_with_everything_switched_off_no_code_of_an_author_runs(world, mlmodel, monkeypatch):
    monkeypatch.setenv('MLOPS_KIT_ISOLATION', 'process')
    folder = hostile.folder_of(world, 'marks', mlmodel[0])
    mark = world.folder/'mark'
    import pickle
    (folder/'model.pkl').write_bytes(pickle.dumps(hostile.Program(f'open({str(mark)!r}, "w").write("was here")')))
    for anyway in (False, True):
        worker = start_worker(folder, 'binary', guarded(world.store), anyway=anyway)
        assert not worker.ready()['holds'] and worker.isolation['code']
        with pytest.raises(WorkerError) as e: worker.predict(ROWS[NAMES])
        assert (e.value.reason == 'no_isolation') != anyway and mark.exists() == anyway
        worker.close()
    data = start_worker(mlmodel[1], 'binary', guarded(world.store))
    assert len(data.predict(ROWS[NAMES])) == len(ROWS) and not data.isolation['holds'] and not data.isolation['code']
    data.close()


def test_what_a_version_says_of_itself_is_not_trusted(world, mlmodel, tmp_path):
    "A file of skops that holds a type nobody reviewed is not loaded, whatever its MLmodel lists"
    import shutil
    import skops.io
    import yaml
    from sklearn.preprocessing import FunctionTransformer
    from numpy.testing import assert_equal
    folder = tmp_path/'own'
    shutil.copytree(mlmodel[1], folder)
    said = yaml.safe_load((folder/'MLmodel').read_text())
    file = said['flavors']['sklearn']['pickled_model']
    skops.io.dump(FunctionTransformer(assert_equal), folder/file)
    for listed in ([], ['numpy.testing._private.utils.assert_equal', 'numpy.testing.assert_equal']):
        said['flavors']['sklearn']['skops_trusted_types'] = listed
        (folder/'MLmodel').write_text(yaml.safe_dump(said))
        assert loading_of(folder).kind == 'skops'
        worker = start_worker(folder, 'regression', guarded(world.store))
        with pytest.raises(WorkerError, match='nobody has reviewed') as e: worker.predict(ROWS[NAMES])
        assert e.value.reason == 'untrusted' and 'models: {trusted:' in e.value.hint
        worker.close()
    if (named := said['flavors']['sklearn']['skops_trusted_types']):
        with pytest.raises(WorkerError, match='nobody has reviewed'): start_worker(folder, 'regression', guarded(world.store), weigh=True)
        assert not {*named} & {*REVIEWED}


@pytest.mark.parametrize('change', [
    dict(python_function=dict(loader_module='shop')), dict(python_function=dict(code='code')), dict(python_function=dict(data='data')),
    dict(sklearn=dict(serialization_format='cloudpickle')), dict(sklearn=dict(code='code')), dict(sklearn=dict(pickled_model='../m/model.skops')),
    dict(xgboost={}), dict(python_function=dict(model_path='other'))])
def test_every_other_way_in_makes_it_code(mlmodel, tmp_path, change):
    import shutil
    import yaml
    folder = tmp_path/'m'
    shutil.copytree(mlmodel[1], folder)
    said = yaml.safe_load((folder/'MLmodel').read_text())
    for flavor, keys in change.items(): said['flavors'].setdefault(flavor, {}).update(keys)
    (folder/'MLmodel').write_text(yaml.safe_dump(said))
    assert loading_of(mlmodel[1]).kind == 'skops' and loading_of(folder).kind == 'code'


def test_an_owner_that_dies_leaves_nothing_behind(world, mlmodel):
    import subprocess
    import sys
    import time
    script = ('import os, sys, json\nfrom mlops_kit.gates.worker import guarded, start_worker\n'
              'w = start_worker(sys.argv[1], "binary", guarded())\nw.ready()\nprint(w.address, w.process.pid, flush=True)\nos.kill(os.getpid(), 9)')
    said = subprocess.run([sys.executable, '-c', script, mlmodel[1]], capture_output=True, text=True).stdout.split()
    until = time.monotonic() + 20
    while time.monotonic() < until and (Path(said[0]).parent.exists() or Path(f'/proc/{said[1]}').exists()): time.sleep(.1)
    assert not Path(said[0]).parent.exists() and not Path(f'/proc/{said[1]}').exists()


def test_a_worker_gets_no_credentials(world, mlmodel, monkeypatch):
    "Nothing of the judge's environment but what is on the list"
    import pickle
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'secret')
    folder = hostile.folder_of(world, 'tells', mlmodel[0])
    (folder/'model.pkl').write_bytes(pickle.dumps(hostile.Program('import os\nraise ValueError(sorted(os.environ))')))
    worker = start_worker(folder, 'binary', guarded(world.store), anyway=True)
    with pytest.raises(WorkerError) as e: worker.predict(ROWS[NAMES])
    worker.close()
    assert 'HOME' in str(e.value) and not [o for o in ('AWS', 'MLOPS_KIT', 'TRACKING_URI', 'USER') if o in str(e.value)]


def test_faults_are_values():
    for told in (dict(stopped='died', word='x'), dict(stopped='made up'), dict(raised='a\nb'), dict(untrusted=['a.b'])):
        e = fault_of(told)
        assert isinstance(e, WorkerError) and e.reason and '\n' not in str(e) and e.exit_code == 3
    assert fault_of(dict(shape=[1])) is None and json.dumps(fault_of(dict(stopped='hung')).reason) == '"hung"'
