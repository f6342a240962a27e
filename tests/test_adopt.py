"Adopting a champion of plain MLflow: refused in one line, hashed whole, good to go back to, and safe to kill or race at any write."
import sys
import shutil
import threading
import warnings

import pytest

from mlops_kit.core import EXIT, EvidenceError, MlopsKitError, PolicyError, RegistryError
from world import KILLED, World, fitted, flights, in_process


@pytest.fixture(scope='module')
def furnished(tmp_path_factory):
    world = World(tmp_path_factory.mktemp('adopt')/'world').furnish()
    world.log()
    world.keep(world.folder.with_name('plain'))
    with pytest.MonkeyPatch.context() as m:
        m.setenv('MLOPS_KIT_KEY', str(world.key))
        world.adopt()
        world.keep(world.folder.with_name('adopted'))
        world.register()
        world.judge('tiny/2')
        assert world.promote('tiny/2').exit_code == 0
    world.keep(world.folder.with_name('promoted'))
    return world


@pytest.fixture
def world(furnished, monkeypatch):
    "Before the adoption"
    furnished.restore(furnished.folder.with_name('plain'))
    monkeypatch.setenv('MLOPS_KIT_KEY', str(furnished.key))
    return furnished


@pytest.fixture
def adopted(world):
    "After the adoption"
    world.restore(world.folder.with_name('adopted'))
    return world


@pytest.fixture
def replaced(world):
    "After version 2 was promoted over it"
    world.restore(world.folder.with_name('promoted'))
    return world


def files_of(world): return next((world.folder/'mlartifacts/plain').rglob('MLmodel')).parent
def kinds(world): return [e.kind for e in world.book().entries(all=True)]


def whole(world, number=1):
    "One adoption, done, that the alias agrees with and that can be loaded"
    from mlops_kit.promotion import status
    from mlops_kit.registry import load
    book = world.book()
    assert [e.kind for e in book.entries(all=True) if e.void] == [] and kinds(world).count('adopt') == 1
    head = book.head('champion')
    assert (head.kind, head.decision, head.base, head.target['version'], world.alias()) == ('adopt', 'adopted', None, number, number)
    assert book.is_done(head) and status(store=world.store).exit_code == 0
    load('tiny@champion', world.store)


def again(world):
    "Adopt once more: nothing is written, and it is said"
    with pytest.warns(UserWarning, match='is adopted already: version 1'): return world.adopt()


def test_what_an_adopted_version_says_of_itself(world):
    from mlops_kit.registry import resolve
    v = world.adopt(reason='in production since spring')
    whole(world)
    assert kinds(world) == ['policy', 'adopt']
    o = resolve('tiny@champion', world.store).lineage
    assert o == v.lineage == resolve('tiny/1', world.store).lineage
    assert (o['adopted'], o['adopted_by'], o['owner'], o['task'], o['target'], o['features'], o['classes']) == (True, 'Ana Silva', 'Ana Silva', 'binary', 'late', ['hour', 'wind'], [0, 1])
    assert (o['train']['rows'], o['train']['digest'], o['train']['sources']) == (None, None, [])
    assert 'unjudged' in repr(v) and 'unjudged' in v._repr_html_()
    assert not list(files_of(world).rglob('mlops_kit'))
    before = kinds(world)
    assert again(world).to_dict() == v.to_dict() and kinds(world) == before


def logged_as_run_artifact(world, address='{place}/model'):
    "As MLflow kept models before it had LoggedModels"
    from mlops_kit.store import start_run, upload
    folder, store = shutil.copytree(files_of(world), world.folder/'old'), world.store
    run = start_run(store, 'plain', 'old')
    upload(store, run, folder, 'model')
    made = store.client.create_model_version('tiny', address.format(place=store.client.get_run(run).info.artifact_uri, run=run), run)
    store.client.set_registered_model_alias('tiny', 'champion', made.version)


def named_by_run(world): logged_as_run_artifact(world, 'runs:/{run}/model')


class Rule:
    "A model whose library this kit does not know"
    def load_context(self, context): pass
    def predict(self, context, model_input, params=None): return (model_input['hour'] > 15).astype(float)


def logged_as_pyfunc(world):
    import cloudpickle
    import mlflow
    from mlops_kit.registry import quiet
    with quiet():
        cloudpickle.register_pickle_by_value(sys.modules[__name__]) # Whoever judges has no such module
        kind = type('Later', (Rule, mlflow.pyfunc.PythonModel), {})
        x = flights()[['hour', 'wind']].astype(float).head(4)
        made = mlflow.pyfunc.log_model(python_model=kind(), name='model', registered_model_name='tiny', input_example=x, pip_requirements=['mlflow'],
                                       signature=mlflow.models.infer_signature(x, x.hour))
    world.store.client.set_registered_model_alias('tiny', 'champion', made.registered_model_version)


def copied(world):
    store = world.store
    store.client.create_registered_model('other')
    store.client.copy_model_version('models:/tiny/1', 'other')
    made = store.client.copy_model_version('models:/other/1', 'tiny')
    store.client.set_registered_model_alias('tiny', 'champion', made.version)


@pytest.mark.parametrize('make, task, number', [(logged_as_run_artifact, None, 2), (named_by_run, None, 2), (logged_as_pyfunc, 'binary', 2), (copied, None, 2)])
def test_models_logged_in_other_ways(world, make, task, number):
    from mlops_kit.registry import check_example, load, model_files, scorer
    make(world)
    v = world.adopt(task=task)
    whole(world, number)
    files = model_files(v, world.folder/'d', world.store)
    assert check_example(files, scorer(files, 'binary')) == 4
    x = flights()[['hour', 'wind']].astype(float)
    assert load('tiny@champion', world.store).predict(x).tolist() == ((x.hour > 15).astype(float) if task else fitted().predict(x)).tolist()


def test_a_model_without_an_example(world):
    world.log(example=False)
    v = world.adopt()
    from mlops_kit.registry import check_example, model_files, scorer
    files = model_files(v, world.folder/'d', world.store)
    assert check_example(files, scorer(files, 'binary')) == 0
    world.register()
    world.judge('tiny/3')
    assert world.promote('tiny/3').exit_code == 0 and world.rollback(reason='x').exit_code == 0 and world.alias() == 2


def edit(path, fn):
    import yaml
    said = yaml.safe_load((files := path/'MLmodel').read_text())
    fn(said)
    files.write_text(yaml.safe_dump(said))


BAD = {
    'unknown model': (lambda w: dict(name='huge', policy=None, target='late'), RegistryError, 'model `huge` is unknown', 2),
    'unknown alias': (lambda w: dict(alias='champoin'), RegistryError, 'did you mean `champion`', 2),
    'no target': (lambda w: dict(policy=None), MlopsKitError, 'the target of the model is not known', 2),
    'target is a feature': (lambda w: dict(policy=None, target='wind'), MlopsKitError, 'is among the features', 2),
    'policy of another model': (lambda w: dict(policy=w.policy.with_name('p.yaml'), x=w.policy.with_name('p.yaml').write_text(w.policy.read_text().replace('tiny', 'huge'))), PolicyError, 'is for model `huge`', 2),
    'policy of another task': (lambda w: dict(task='regression'), MlopsKitError, 'is for task `binary`', 2),
    'unknown task': (lambda w: dict(task='binry', policy=None, target='late'), MlopsKitError, 'did you mean `binary`', 2),
    'bad name': (lambda w: dict(name='tiny/1'), RegistryError, 'is no name', 2),
    'long reason': (lambda w: dict(reason='x'*501), RegistryError, 'at most 500', 2),
    'no signature': (lambda w: edit(files_of(w), lambda o: o.pop('signature')), RegistryError, 'no signature with column names', 2),
    'unknown flavour': (lambda w: edit(files_of(w), lambda o: o.update(flavors=dict(spark={}))), RegistryError, 'its flavours are `spark`', 2),
    'pyfunc without task': (lambda w: logged_as_pyfunc(w) or dict(policy=None, target='late'), RegistryError, 'does not tell its task', 2),
    'no MLmodel': (lambda w: (files_of(w)/'MLmodel').unlink(), RegistryError, 'is missing or cannot be read', 3),
    'no model file': (lambda w: (files_of(w)/'model.skops').unlink(), RegistryError, '`model.skops`', 3),
    'no files': (lambda w: shutil.rmtree(files_of(w)), RegistryError, 'there are none at', 3),
    'broken model file': (lambda w: (files_of(w)/'model.skops').write_bytes(b'x') and None, EvidenceError, 'does not load', 3),
    'broken example': (lambda w: (files_of(w)/'input_example.json').write_text('{') and None, RegistryError, 'example of input cannot be read', 3),
    'parts of the kit': (lambda w: (files_of(w)/'mlops_kit').mkdir() or (files_of(w)/'mlops_kit/x').write_text('x') and None, RegistryError, 'under another ledger', 2)}


@pytest.mark.parametrize('case', BAD)
def test_misuse_is_one_line_and_writes_nothing(world, case):
    from mlops_kit.adoption import adopt
    from mlops_kit.store import WRITES
    make, error, says, code = BAD[case]
    given = dict(name='tiny', policy=world.policy, store=world.store) | (make(world) or {})
    given.pop('x', None)
    before = len(WRITES)
    with pytest.raises(error, match='.') as e: adopt(given.pop('name'), **given)
    assert says in str(e.value) and '\n' not in str(e.value) and e.value.exit_code == code
    assert len(WRITES) == before and not world.book().run_id


def test_it_is_no_way_round_the_gates(world):
    world.register()
    world.store.client.set_registered_model_alias('tiny', 'champion', '2')
    with pytest.raises(RegistryError, match='was registered by mlops_kit') as e: world.adopt()
    assert e.value.exit_code == 2
    import time
    time.sleep(1.1)
    world.log()
    with pytest.raises(RegistryError, match='was made after a policy was pinned'): world.adopt()
    assert 'adopt' not in kinds(world)
    world.store.client.set_registered_model_alias('tiny', 'champion', '1')
    assert world.adopt(policy=None).lineage['target'] == 'late', 'as the pinned policy says'
    whole(world)


def test_what_the_ledger_decided_is_not_adopted(replaced):
    with pytest.raises(RegistryError, match='is in the ledger already: version 2, promoted') as e: replaced.adopt()
    assert e.value.exit_code == 2
    replaced.store.client.set_registered_model_alias('tiny', 'champion', '1')
    with pytest.raises(RegistryError, match='mlops-kit reconcile') as e: replaced.adopt()
    assert e.value.exit_code == EXIT['conflict']


def test_strangers_do_not_adopt(world, monkeypatch):
    from mlops_kit.store import WRITES
    before = len(WRITES)
    world.person('Cy Stranger', pinned=False)
    for path, says in (('', 'asks for a signature'), (world.folder/'cy.pem', 'is not among the keys')):
        monkeypatch.setenv('MLOPS_KIT_KEY', str(path))
        monkeypatch.setenv('HOME', str(world.folder))
        with pytest.raises(PolicyError, match=says): world.adopt()
    assert len(WRITES) == before


def test_unsigned_where_no_policy_asks_for_more(world, monkeypatch):
    monkeypatch.setenv('MLOPS_KIT_KEY', '')
    monkeypatch.setenv('HOME', str(world.folder))
    assert world.adopt(policy=None, target='late').lineage['adopted_by'].startswith('unverified:')
    assert [e.verified for e in world.book().entries()] == [False]


def test_candidates_are_compared_with_it(adopted):
    from mlops_kit.gates import judge
    adopted.register(upside_down=True)
    found = judge('tiny/2', str(adopted.data), str(adopted.policy), store=adopted.store)['performance']
    assert found.judged['champion']['version'] == 1 and found.status == 'fail'
    assert judge('tiny/1', str(adopted.data), str(adopted.policy), store=adopted.store)['performance'].ok


def test_going_back_to_it(replaced):
    d = replaced.rollback(reason='x')
    assert d.exit_code == 0 and replaced.alias() == 1 and d.reasons[1].startswith('4 stored rows')


TAMPER = {
    'changed model': lambda w, parts: (files_of(w)/'model.skops').write_bytes((files_of(w)/'model.skops').read_bytes() + b' '),
    'extra file': lambda w, parts: (files_of(w)/'extra').write_text('x'),
    'missing file': lambda w, parts: (files_of(w)/'model.skops').unlink(),
    'parts of its own': lambda w, parts: shutil.copytree(parts, files_of(w)/'mlops_kit') and (files_of(w)/'mlops_kit/lineage.json').write_text('{}'),
    'changed lineage': lambda w, parts: (parts/'lineage.json').write_text((parts/'lineage.json').read_text().replace('late', 'wind')),
    'changed example': lambda w, parts: (parts/'example.parquet').write_bytes(b'x'),
    'missing example': lambda w, parts: (parts/'example.parquet').unlink(),
    'missing lineage': lambda w, parts: (parts/'lineage.json').unlink(),
    'missing manifest': lambda w, parts: (parts/'manifest.json').unlink(),
    'swapped manifest': lambda w, parts: (parts/'manifest.json').write_text((parts/'manifest.json').read_text().replace('"MLmodel": "', '"MLmodel": "0')),
    'nothing kept': lambda w, parts: shutil.rmtree(parts)}


@pytest.mark.parametrize('how', TAMPER)
def test_tampering_is_noticed_before_it_is_loaded(replaced, how):
    from mlops_kit.registry import _LOADED, load
    parts = next((replaced.folder/'mlartifacts').rglob('adopted/*/*/mlops_kit'))
    TAMPER[how](replaced, parts)
    _LOADED.clear()
    with pytest.raises(EvidenceError, match='.') as e: load('tiny/1', replaced.store)
    assert e.value.exit_code == 3 and '\n' not in str(e.value)
    with pytest.raises(EvidenceError, match='cannot come back') as e: replaced.rollback(reason='x')
    assert e.value.exit_code == 3 and replaced.alias() == 2


def interposed(monkeypatch, before, fn):
    "Have somebody do something just before adoption calls one of its functions"
    from mlops_kit import adoption
    real = getattr(adoption, before)
    def call(*args, **kwargs):
        monkeypatch.setattr(adoption, before, real)
        fn()
        return real(*args, **kwargs)
    monkeypatch.setattr(adoption, before, call)


@pytest.mark.parametrize('what', ['moved', 'removed', 'deleted'])
@pytest.mark.parametrize('when', ['refuse_moved', 'settle'])
def test_the_alias_moves_meanwhile(world, monkeypatch, when, what):
    world.log(alias=None)
    c = world.store.client
    hand = dict(moved=lambda: c.set_registered_model_alias('tiny', 'champion', '2'), removed=lambda: c.delete_registered_model_alias('tiny', 'champion'),
                deleted=lambda: c.delete_model_version('tiny', '1'))[what]
    interposed(monkeypatch, when, hand)
    with pytest.raises(RegistryError, match='.') as e: world.adopt()
    assert e.value.exit_code == EXIT['conflict'] and '\n' not in str(e.value)
    assert kinds(world) == ([] if when == 'refuse_moved' else ['policy', 'adopt'])
    if when == 'settle' and what == 'moved':
        assert world.reconcile().decision == 'reconciled' and world.alias() == 1


def test_somebody_else_adopts_meanwhile(world, monkeypatch):
    interposed(monkeypatch, 'enter_adoption', world.adopt)
    again(world)
    whole(world)


@pytest.mark.slow
def test_threads_adopt_at_once(world):
    found, gate = [], threading.Barrier(3)
    def run():
        gate.wait()
        try: found.append(world.adopt().manifest)
        except MlopsKitError as e: found.append(e)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        threads = [threading.Thread(target=run) for _ in range(3)]
        for t in threads: t.start()
        for t in threads: t.join()
    head = world.book().head('champion')
    assert found == [head.target['manifest']]*3
    whole(world)


def test_a_copy_that_somebody_left_half_written_is_passed_over(adopted):
    from mlops_kit.audit import verify
    from mlops_kit.registry import _LOADED, load
    parts, before = next((adopted.folder/'mlartifacts').rglob('adopted/*/*/mlops_kit')), verify('tiny', adopted.store)
    assert before.exit_code == 0
    for name in ('0', 'z'):
        shutil.copytree(parts, half := parts.parent.with_name(name)/'mlops_kit')
        (half/'example.parquet').write_bytes(b'')
        (half/'manifest.json').unlink()
    _LOADED.clear()
    assert load('tiny/1', adopted.store) and verify('tiny', adopted.store).to_dict() == before.to_dict()


@pytest.mark.slow
def test_killed_anywhere_the_next_adoption_finishes(world):
    code, writes = in_process(world, 'adopt')
    assert code == 0 and len(writes) > 6
    plain = world.folder.with_name('plain')
    for at in [*map(str, range(1, len(writes)+1)), f'{len(writes)}:after']:
        world.restore(plain)
        assert in_process(world, 'adopt', crash_at=at)[0] == KILLED, at
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            world.adopt()
        whole(world)


@pytest.mark.slow
def test_a_store_that_fails_at_any_read_is_told_and_the_next_adoption_finishes(world, monkeypatch):
    from mlops_kit.store import Store, refusal
    real, asked, plain = Store.read, [], world.folder.with_name('plain')
    def read(self, doing, fn, **kwargs):
        asked.append(doing)
        if len(asked) == at: raise refusal(ConnectionError('it does not answer'), self.address, doing)
        return real(self, doing, fn, **kwargs)
    monkeypatch.setattr(Store, 'read', read)
    at = 0
    store = world.store
    asked.clear()
    world.adopt(store=store)
    for at in range(1, len(asked) + 1):
        world.restore(plain)
        store = world.store
        asked.clear()
        with pytest.raises(MlopsKitError, match='does not answer') as e: world.adopt(store=store)
        assert e.value.exit_code == EXIT['error'] and '\n' not in str(e.value)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            world.adopt()
        whole(world)
