"Registering, finding and loading versions: refused in one line, complete, verified, and safe to kill at any write."
import shutil

import pytest
from sklearn.base import BaseEstimator

from mlops_kit.core import DataError, EvidenceError, MlopsKitError, PolicyError, RegistryError
from world import World, fitted, flights


@pytest.fixture(scope='module')
def furnished(tmp_path_factory):
    world = World(tmp_path_factory.mktemp('registry')/'world').furnish()
    with pytest.MonkeyPatch.context() as m:
        m.setenv('MLOPS_KIT_KEY', str(world.key))
        world.register()
    world.keep(world.folder.with_name('kept'))
    return world


@pytest.fixture
def world(furnished, monkeypatch):
    from mlops_kit.registry import _LOADED
    furnished.restore(furnished.folder.with_name('kept'))
    _LOADED.clear()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(furnished.key))
    return furnished


def files_of(world, ref='tiny/1'):
    from mlops_kit.registry import resolve
    version = resolve(ref, world.store)
    return version, next(p for p in (world.folder/'mlartifacts').rglob('MLmodel') if version.model_id in str(p)).parent


def numbers(world):
    from mlops_kit.store import list_versions
    return sorted(v.version for v in list_versions(world.store, 'tiny'))


class Strange(BaseEstimator):
    "A model of a type that nobody vouches for"
    classes_ = 0, 1
    def fit(self, x, y): return self
    def predict(self, x): return [0]*len(x)
    def __sklearn_is_fitted__(self): return True


def svc():
    from sklearn.svm import LinearSVC
    df = flights().dropna()
    return LinearSVC().fit(df[['hour', 'wind']], df.late)


BAD = {
    'unfitted': (lambda w: dict(model=__import__('sklearn.tree', fromlist=['x']).DecisionTreeClassifier()), DataError, 'was not fitted'),
    'no model': (lambda w: dict(model=flights()), DataError, 'is no model'),
    'strange type': (lambda w: dict(model=Strange()), DataError, 'trusted='),
    'labels only': (lambda w: dict(model=svc(), train=flights().dropna()), DataError, 'gives labels and no probabilities'),
    'no folder': (lambda w: dict(model=str(w.folder/'nothing'), task='binary'), RegistryError, 'is no folder that MLflow saved'),
    'no training file': (lambda w: dict(train=str(w.folder/'trian.parquet')), DataError, 'trian.parquet'),
    'empty table': (lambda w: dict(train=flights().iloc[:0]), DataError, 'no rows'),
    'unknown target': (lambda w: dict(target='lat', policy=None), DataError, 'did you mean `late`'),
    'unknown feature': (lambda w: dict(features=['hour', 'wnd']), DataError, 'did you mean `wind`'),
    'target as feature': (lambda w: dict(features=['hour', 'late']), DataError, 'is among the features'),
    'test is train': (lambda w: dict(test=flights()), DataError, 'is the training table'),
    'test lacks a column': (lambda w: dict(test=flights().drop(columns='wind').iloc[1:]), DataError, '`wind`'),
    'bad name': (lambda w: dict(name='tiny/1'), RegistryError, 'is no name'),
    'bad task': (lambda w: dict(task='binry'), MlopsKitError, 'did you mean `binary`'),
    'policy of another model': (lambda w: dict(name='huge'), PolicyError, 'is for model `tiny`'),
    'no policy file': (lambda w: dict(policy=str(w.folder/'no.yaml')), PolicyError, 'no.yaml'),
    'broken contract': (lambda w: dict(contract=w.policy), PolicyError, 'policy.yaml'),
    'missing source': (lambda w: dict(sources=[str(w.folder/'no.csv')]), DataError, 'no.csv')}


@pytest.mark.parametrize('case', BAD)
def test_misuse_is_one_line_and_writes_nothing(world, case):
    from mlops_kit.registry import register
    make, error, says = BAD[case]
    given = dict(model=fitted(), name='tiny', train=flights(), target='late', policy=world.policy, store=world.store) | make(world)
    before = sorted(str(p) for p in (world.folder/'mlartifacts').rglob('*'))
    with pytest.raises(error, match='.') as e: register(given.pop('model'), given.pop('name'), **given)
    assert says in str(e.value) and '\n' not in str(e.value) and e.value.exit_code == 2
    assert numbers(world) == [1] and len(world.book().entries(all=True)) == 2
    assert sorted(str(p) for p in (world.folder/'mlartifacts').rglob('*')) == before


def test_registering_moves_the_candidate_and_nothing_else(world):
    from mlops_kit.store import aliases
    v = world.register()
    assert aliases(world.store, 'tiny') == dict(candidate=2) and v.version == 2
    assert [e.kind for e in world.book().entries()] == ['policy', 'register', 'register']


def test_what_is_recorded(world):
    from mlops_kit.registry import resolve
    source = world.folder/'raw.csv'
    source.write_text('hour\n1\n')
    v = world.register(test=flights().iloc[2:9], sources=[str(source)], intended_use='for tests', owner='Bo')
    found = resolve('tiny/2', world.store).lineage
    assert found == v.lineage
    assert (found['task'], found['target'], found['features'], found['classes']) == ('binary', 'late', ['hour', 'wind'], [0, 1])
    assert (found['owner'], found['registered_by'], found['intended_use']) == ('Bo', 'Ana Silva', 'for tests')
    assert 0 <= found['metrics']['roc_auc'] <= 1
    assert found['train']['rows'] == 12 and len(found['train']['digest']) == 64 and found['test']['rows'] == 7
    assert len(found['sources'][0]['digest']) == 64
    assert found['code'] and found['environment']['packages'] and found['params']


def test_the_manifest_covers_every_file_but_itself(world):
    from mlops_kit.evidence import read_manifest
    from mlops_kit.profile import PROFILE_FILE
    version, folder = files_of(world)
    covered = read_manifest(folder).files
    assert covered.keys() == {p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()} - {'mlops_kit/manifest.json'}
    assert {'MLmodel', 'model.skops', 'requirements.txt', 'mlops_kit/lineage.json', 'mlops_kit/example.parquet', f'mlops_kit/{PROFILE_FILE}'} <= covered.keys()
    assert read_manifest(folder).digest == version.manifest


@pytest.mark.parametrize('path', ['MLmodel', 'model.skops', 'requirements.txt', 'mlops_kit/lineage.json', 'mlops_kit/example.parquet', 'mlops_kit/manifest.json'])
@pytest.mark.parametrize('how', ['changed', 'missing', 'added'])
def test_files_that_are_not_as_registered_are_not_loaded(world, tmp_path, path, how):
    from mlops_kit.registry import load, model_files
    version, folder = files_of(world)
    if how == 'changed': (folder/path).write_bytes((folder/path).read_bytes() + b' ')
    if how == 'missing': (folder/path).unlink()
    if how == 'added': (folder/path).with_name('extra').write_text('x')
    if (how, path) == ('changed', 'mlops_kit/manifest.json'): (folder/path).write_text((folder/path).read_text().replace('"MLmodel": "', '"MLmodel": "0'))
    for use in (lambda: model_files(version, tmp_path, world.store), lambda: load('tiny/1', world.store)):
        with pytest.raises(EvidenceError, match='.') as e: use()
        assert e.value.exit_code == 3 and '\n' not in str(e.value)


def test_a_damaged_download_is_fetched_again(world, tmp_path):
    from mlops_kit.registry import model_files
    version, _ = files_of(world)
    folder = model_files(version, tmp_path, world.store)
    (folder/'model.skops').write_bytes(b'x')
    assert (model_files(version, tmp_path, world.store)/'model.skops').read_bytes() != b'x'


def answers(model): return model.predict(flights()[['hour', 'wind']]).tolist()


def test_a_model_is_loaded_by_the_ledger_not_by_the_alias(world):
    from mlops_kit.registry import load, resolve
    from mlops_kit.store import set_alias
    world.register(upside_down=True)
    set_alias(world.store, 'tiny', 'candidate', 1)
    assert resolve('tiny@candidate', world.store).version == 2
    with pytest.warns(UserWarning, match='the alias `candidate` of `tiny` is at version 1.*; loaded is version 2, as the ledger says') as told:
        assert answers(load('tiny@candidate', world.store)) == answers(fitted(True))
    assert len(told) == 1 and '\n' not in str(told[0].message) and told[0].filename == __file__


def test_what_was_decided_is_loaded_before_the_alias_moved(world):
    from mlops_kit.registry import load
    book, v = world.book(), world.register(upside_down=True)
    book.append('promote', 'champion', v, base=None, decision='promoted', evidence=world.judge(v.ref).ref, policy=book.pinned()['digest'])
    assert world.alias() is None and answers(load('tiny@champion', world.store)) == answers(fitted(True))


@pytest.mark.parametrize('by_hand', [False, True])
def test_a_promotion_on_evidence_that_is_nowhere_is_not_loaded(world, by_hand):
    from mlops_kit.registry import load
    from mlops_kit.store import set_alias
    book, v = world.book(), world.register(upside_down=True)
    book.append('promote', 'champion', v, base=None, decision='promoted', evidence=dict(run_id='0'*32, digest='d'), policy=book.pinned()['digest'])
    if by_hand: set_alias(world.store, 'tiny', 'champion', v.version)
    with pytest.raises(EvidenceError, match='cannot be carried out: its evidence is gone') as e: load('tiny@champion', world.store)
    assert e.value.exit_code == 6 and not book.is_done(book.head('champion'))


@pytest.mark.parametrize('forged', ['x', None])
def test_what_was_forged_is_not_loaded(world, forged):
    import json
    from dataclasses import replace
    from mlops_kit.evidence import canonical
    from mlops_kit.registry import load, resolve
    from mlops_kit.store import log_param_once
    book, v = world.book(), world.register(upside_down=True)
    chain, last = book.read()
    true = last[-1]
    body = replace(true, seq=chain.seq, kind='promote', alias='champion', base=None, evidence=dict(run_id='r', digest='d'), previous=chain.previous).body
    log_param_once(world.store, book.run_id, f'seq-{chain.seq:06d}', forged or canonical(body).decode())
    assert book.read()[1][-1].void
    for find in (load, resolve):
        with pytest.raises(RegistryError, match='alias of `tiny` `champion` is unknown'): find('tiny@champion', world.store)
    assert answers(load('tiny@candidate', world.store)) == answers(fitted(True))


@pytest.mark.parametrize('field, value', [('manifest', 'FOLDER'), ('manifest', '../'*9), ('manifest', 'A'*64), ('version', '1')])
def test_a_forged_name_of_files_reaches_no_other_folder(tmp_path, monkeypatch, field, value):
    "Downloads are kept under the manifest's digest, and what does not fit there is removed"
    from mlops_kit.evidence import canonical
    from mlops_kit.ledger import Entry, signed_entry
    from mlops_kit.registry import load
    from mlops_kit.store import log_param_once
    world = World(tmp_path/'world').furnish()
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('MLOPS_KIT_KEY', raising=False)
    v, mine = world.register(policy=None), tmp_path/'mine'
    mine.mkdir()
    book = world.book()
    chain, head = book.read().chain, book.head('candidate')
    for kind, alias, base in [('register', 'candidate', head.target), ('approve', 'champion', None)]:
        e = Entry(0, kind, 'tiny', alias, base, head.target | {field: str(mine) if value == 'FOLDER' else value}, 'registered')
        assert log_param_once(world.store, book.run_id, f'seq-{chain.seq:06d}', canonical(signed_entry(e, chain, {}).body).decode())
        assert book.read().all[-1].void.code == 'no_version'
        chain = book.read().chain
    assert answers(load('tiny@candidate', world.store)) == answers(fitted()) and mine.exists() and len(world.history(all=True).rows) == 3


def test_loading_again_costs_a_look_at_the_ledger(world, monkeypatch):
    from mlops_kit import registry, store
    first, asked = registry.load('tiny@candidate', world.store), []
    real, mine = store.Store.read, world.store
    monkeypatch.setattr(store.Store, 'read', lambda self, doing, fn, **kw: asked.append(doing) or real(self, doing, fn, **kw))
    monkeypatch.setattr(registry, 'model_files', None)
    assert registry.load('tiny@candidate', mine) is first and len(asked) <= 4
    assert registry.load('tiny/1', mine) is first and len(asked) <= 8


def test_a_version_made_again_is_not_the_one_in_memory(world):
    from mlops_kit.registry import load
    load('tiny/1', world.store)
    world.store.client.delete_registered_model('tiny')
    for ref in ('tiny/1', 'tiny@candidate'):
        with pytest.raises(RegistryError, match='not in the store any more') as e: load(ref, world.store)
        assert e.value.exit_code == 6
    world.store.client.create_registered_model('tiny')
    world.store.client.create_model_version('tiny', str(next((world.folder/'mlartifacts').rglob('MLmodel')).parent))
    for ref in ('tiny/1', 'tiny@candidate'):
        with pytest.raises(RegistryError, match='not in the store any more'): load(ref, world.store)


def test_threads_load_one_model(world, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor
    from mlops_kit import registry
    registry._LOADED.clear()
    times, real = [], registry.model_files
    monkeypatch.setattr(registry, 'model_files', lambda *args: times.append(1) or real(*args))
    with ThreadPoolExecutor(8) as pool: found = [*pool.map(lambda _: registry.load('tiny@candidate', world.store), range(16))]
    assert len(times) == 1 and {*map(id, found)} == {id(found[0])}
    assert [*map(answers, found)] == [answers(fitted())]*16


@pytest.mark.parametrize('kind', ['linear', 'trees', 'boosting', 'regression', 'multiclass'])
def test_plain_mlflow_loads_what_was_registered(world, kind):
    import numpy as np
    from sklearn import compose, ensemble, linear_model, pipeline, preprocessing
    from mlops_kit.registry import check_example, model_files, register, resolve, scorer
    from mlops_kit.store import mlflow_quietly
    df = flights().assign(carrier=['UA', 'AA', None]*4, wind=lambda d: d.wind.fillna(0))
    y = dict(regression=df.hour*1.5, multiclass=df.hour % 3).get(kind, df.late)
    last = dict(linear=linear_model.LogisticRegression(), trees=ensemble.RandomForestClassifier(3), boosting=ensemble.HistGradientBoostingClassifier(max_iter=2),
                regression=ensemble.GradientBoostingRegressor(n_estimators=2), multiclass=ensemble.ExtraTreesClassifier(3))[kind]
    codes = preprocessing.OrdinalEncoder(handle_unknown='use_encoded_value', unknown_value=-1, encoded_missing_value=-1)
    model = pipeline.make_pipeline(compose.make_column_transformer((codes, ['carrier']), ('passthrough', ['hour', 'wind'])), last).fit(df[['carrier', 'hour', 'wind']], y)
    v = register(model, 'other', train=df.assign(late=y), target='late', store=world.store, owner='Ana')
    assert v.lineage['task'] == dict(regression='regression', multiclass='multiclass').get(kind, 'binary')
    files = model_files(v, world.folder/'d', world.store)
    assert check_example(files, scorer(files, v.lineage['task'])) == 12
    mlflow = mlflow_quietly()
    mlflow.set_tracking_uri(world.store.address)
    mlflow.set_registry_uri(world.store.address)
    x = df[['carrier', 'hour', 'wind']]
    assert np.array_equal(mlflow.sklearn.load_model('models:/other@candidate').predict(x), model.predict(x))
    assert np.array_equal(mlflow.pyfunc.load_model('models:/other/1').predict(x), model.predict(x))
    assert resolve('other@candidate', world.store).lineage['features'] == ['carrier', 'hour', 'wind']


def test_a_folder_that_mlflow_saved_is_registered_too(world, tmp_path):
    from mlops_kit.registry import load, model_files, register, resolve
    folder = model_files(resolve('tiny/1', world.store), tmp_path, world.store)
    v = register(str(folder), 'tiny', train=flights(), target='late', policy=world.policy, store=world.store)
    assert (v.version, v.lineage['features'], v.lineage['task']) == (2, ['hour', 'wind'], 'binary')
    assert load('tiny/2', world.store).predict(flights()[['hour', 'wind']]).tolist() == load('tiny/1', world.store).predict(flights()[['hour', 'wind']]).tolist()


@pytest.mark.parametrize('lost', ['model.skops', 'requirements.txt'])
def test_an_incomplete_folder_is_refused(world, tmp_path, lost):
    from mlops_kit.registry import register
    shutil.copytree(files_of(world)[1], folder := tmp_path/'model')
    (folder/lost).unlink()
    with pytest.raises(MlopsKitError, match=lost) as e: register(str(folder), 'tiny', train=flights(), target='late', policy=world.policy, store=world.store)
    assert e.value.exit_code == 2 and numbers(world) == [1]


def test_a_policy_that_asks_for_signatures_needs_a_key(world, monkeypatch):
    monkeypatch.setenv('MLOPS_KIT_KEY', '')
    monkeypatch.setenv('HOME', str(world.folder))
    with pytest.raises(PolicyError, match='asks for a signature'): world.register()
    assert numbers(world) == [1]


def test_without_policy_and_key_it_is_somebody_unverified(tmp_path, monkeypatch):
    world = World(tmp_path/'world').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', '')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert world.register(policy=None).lineage['registered_by'].startswith('unverified:')
    assert [e.verified for e in world.book().entries()] == [False]


def test_what_was_not_registered_here_is_not_found(world):
    from mlops_kit.registry import resolve
    world.store.client.create_registered_model('plain')
    world.store.client.create_model_version('plain', str(world.folder))
    with pytest.raises(RegistryError, match='none was registered by mlops_kit') as e: resolve('plain/1', world.store)
    assert e.value.exit_code == 2
