"Everybody else goes on with plain MLflow: what was registered, promoted or adopted is loaded by it, from a file and through a real server, and nothing of the kit gets in the way."
import pytest

from mlops_kit.core import EvidenceError
from servers import mlflow_server
from world import World, fitted, flights


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
    "Make a world, in a file or in the store of a place"
    def furnish(place=None):
        world = World(tmp_path/'world', place=place).furnish()
        monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
        return world
    return furnish


@pytest.mark.slow
def test_plain_mlflow_from_a_file(at_home):
    world = at_home()
    plain_mlflow_loads_everything(world)
    what_others_see(world)


@pytest.mark.slow
def test_plain_mlflow_through_a_server(at_home, tmp_path):
    from mlops_kit.registry import _LOADED, load, resolve
    with mlflow_server(tmp_path/'server') as server:
        world = at_home(server)
        plain_mlflow_loads_everything(world)
        what_others_see(world)
        _LOADED.clear()
        (bad := world.folder/'model.skops').write_bytes(b'x')
        world.store.client.log_model_artifact(resolve('tiny/2', world.store).model_id, str(bad))
        with pytest.raises(EvidenceError, match='`model.skops` is changed') as e: load('tiny/2', world.store)
        assert e.value.exit_code == 3
