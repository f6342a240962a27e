"Everybody else goes on with plain MLflow: what was registered, promoted or adopted is loaded by it, from a file and through a real server, and nothing of the kit gets in the way."
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from mlops_kit.core import EvidenceError, RegistryError
from world import World, fitted, flights


class Served(World):
    "The same world behind a tracking server"
    address = ''
    @property
    def store(self):
        from mlops_kit.store import connect
        return connect(self.address)


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    "The address of a tracking server"
    from mlops_kit.store import fresh_store, look
    here = tmp_path_factory.mktemp('server')
    with socket.create_server(('127.0.0.1', 0)) as s: port = s.getsockname()[1]
    command = [sys.executable, '-m', 'mlflow', 'server', '--backend-store-uri', fresh_store(here/'mlflow.db').uri, '--artifacts-destination', str(here/'files'),
               '--host', '127.0.0.1', '--port', str(port), '--workers', '1']
    with open(here/'log.txt', 'wb') as log: p = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    uri, end = f'http://127.0.0.1:{port}', time.monotonic() + 60
    while True:
        try: look(uri)
        except RegistryError:
            assert time.monotonic() < end and p.poll() is None, (here/'log.txt').read_text()
            time.sleep(.3)
        else: break
    yield uri
    if p.poll() is None: os.killpg(p.pid, signal.SIGTERM)
    p.wait()


def answers(model): return model.predict(flights()[['hour', 'wind']]).tolist()


def plainly(world, ref):
    "What plain MLflow loads, by both of its ways"
    import mlflow
    from mlops_kit.registry import quiet
    mlflow.set_tracking_uri(world.store.address)
    mlflow.set_registry_uri(world.store.address)
    with quiet(): return [answers(way.load_model(f'models:/{ref}')) for way in (mlflow.sklearn, mlflow.pyfunc)]


def plain_mlflow_loads_everything(world):
    from mlops_kit.registry import _LOADED, load
    ours, theirs = answers(fitted()), answers(fitted(True))
    world.log(upside_down=True)
    assert plainly(world, 'tiny@champion') == [theirs]*2
    world.adopt()
    assert plainly(world, 'tiny@champion') == [theirs]*2
    world.register()
    assert plainly(world, 'tiny@candidate') == [ours]*2
    world.judge('tiny/2')
    assert world.promote('tiny/2').exit_code == 0
    assert plainly(world, 'tiny@champion') == plainly(world, 'tiny/2') == [ours]*2
    assert answers(load('tiny@champion', world.store)) == ours and answers(load('tiny/1', world.store)) == theirs
    assert world.rollback(reason='x').exit_code == 0
    assert plainly(world, 'tiny@champion') == [theirs]*2
    _LOADED.clear()
    assert answers(load('tiny@champion', world.store)) == theirs and answers(load('tiny/2', world.store)) == ours


def what_others_see(world):
    "Models and experiments, as a person sees them in MLflow"
    import mlflow
    from mlops_kit.promotion import status
    from mlops_kit.store import model_names
    mlflow.set_tracking_uri(world.store.address)
    assert [m.name for m in mlflow.search_registered_models()] == model_names(world.store) == [o.model for o in status(store=world.store).models] == ['tiny']
    names = {e.name for e in mlflow.search_experiments()}
    assert {n for n in names if not n.startswith('mlops_kit/')} == {'Default', 'plain', 'tiny'}
    assert {o.source_run_id for o in mlflow.search_logged_models(output_format='list', experiment_ids=[mlflow.get_experiment_by_name('tiny').experiment_id])} == {
        r.info.run_id for r in mlflow.search_runs(experiment_names=['tiny'], output_format='list')}


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    def furnish(kind=World, address=''):
        world = kind(tmp_path/'world')
        world.address = address
        world.furnish()
        monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
        return world
    return furnish


@pytest.mark.slow
def test_plain_mlflow_from_a_file(at_home):
    world = at_home()
    plain_mlflow_loads_everything(world)
    what_others_see(world)


@pytest.mark.slow
def test_plain_mlflow_through_a_server(at_home, server):
    from mlops_kit.registry import _LOADED, load, resolve
    world = at_home(Served, server)
    plain_mlflow_loads_everything(world)
    what_others_see(world)
    _LOADED.clear()
    (bad := world.folder/'model.skops').write_bytes(b'x')
    world.store.client.log_model_artifact(resolve('tiny/2', world.store).model_id, str(bad))
    with pytest.raises(EvidenceError, match='`model.skops` is changed') as e: load('tiny/2', world.store)
    assert e.value.exit_code == 3
