"A ledger cannot be swapped by whoever may write MLflow, and what housekeeping deletes is told while there is a way back."
import os
import warnings

import pytest

from mlops_kit.core import MlopsKitError
from mlops_kit.store import find_experiment, find_model
from world import World

pytestmark = pytest.mark.slow
TAG = 'mlops_kit.ledger'
BOUND = 'mlops_kit/ledger/tiny'


@pytest.fixture(scope='module')
def furnished(tmp_path_factory):
    "Ana's champion is version 1, version 2 was judged and is better"
    world = World(tmp_path_factory.mktemp('swapped')/'world').furnish()
    with pytest.MonkeyPatch.context() as m:
        m.setenv('MLOPS_KIT_KEY', str(world.key))
        for n in (1, 2):
            world.register()
            world.judge(f'tiny/{n}')
            if n == 1: assert world.promote('tiny/1').exit_code == 0
    world.keep(world.folder.with_name('kept'))
    return world


@pytest.fixture
def world(furnished, monkeypatch, tmp_path):
    from mlops_kit import registry
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'cache'))
    furnished.restore(furnished.folder.with_name('kept'))
    monkeypatch.setenv('MLOPS_KIT_KEY', str(furnished.key))
    registry._LOADED.clear()
    return furnished


def asked(fn, *args, **kwargs):
    "Exit code and words of a command"
    try: d = fn(*args, **kwargs)
    except MlopsKitError as e: return e.exit_code, str(e)
    return getattr(d, 'exit_code', 0), repr(d)


def commands(world):
    "Every command that reads a ledger"
    from mlops_kit.audit import verify
    from mlops_kit.promotion import status
    from mlops_kit.registry import load, resolve
    store = world.store
    return dict(status=world.status, statuses=lambda: status(store=store), history=world.history, verify=lambda: verify('tiny', store, progress=False),
                load=lambda: load('tiny@champion', store), load_number=lambda: load('tiny/1', store), resolve=lambda: resolve('tiny/1', store), promote=lambda: world.promote('tiny/2'),
                rollback=world.rollback, reconcile=world.reconcile, approve=lambda: world.says('approve', 'ana', 'tiny/2'), register=world.register,
                adopt=world.adopt, policy=world.change)


def refuse(world, code, *words, but=()):
    "Each command is refused with this exit code and one line that says these words and what to type; nothing moves"
    before, versions = find_model(world.store, 'tiny').aliases, len(world.store.client.search_model_versions("name = 'tiny'"))
    for name, fn in commands(world).items():
        if name in but: continue
        found, said = asked(fn)
        assert found == code, (name, found, said)
        for o in words: assert o in said, (name, o, said)
        if name != 'statuses': assert '\n' not in said and 'Hint: ' in said, (name, said)
    assert find_model(world.store, 'tiny').aliases == before and len(world.store.client.search_model_versions("name = 'tiny'")) == versions


def rename(world, to='experiment 17'):
    client = world.store.client
    client.rename_experiment(find_experiment(world.store, BOUND).experiment_id, to)
    return client


def take_over(world, tmp_path):
    "Eve begins a ledger of her own, with a policy and a key of hers under Ana's name, and promotes her version"
    from mlops_kit.evidence import make_key, public_key_file
    eve = World(tmp_path/'eve', world.address, place=world.place)
    eve.folder.mkdir()
    public_key_file(make_key(eve.key, 'Ana Silva'), eve.folder/'keys')
    eve.policy.write_text(world.policy.read_text())
    eve.data.write_bytes(world.data.read_bytes())
    os.environ['MLOPS_KIT_KEY'] = str(eve.key)
    return eve


def forged_ledger(world, tmp_path):
    "What Eve's own copy of the kit, without this check, would leave: a ledger of hers that registers and pins"
    import mlops_kit.ledger as lg
    eve = take_over(world, tmp_path)
    with pytest.MonkeyPatch.context() as m:
        m.setattr(lg, 'refuse_orphan', lambda led: None)
        m.setattr(lg, 'refuse_swapped', lambda led, seen: None)
        m.setattr(lg, 'name_ledger', lambda led, first: None)
        n = eve.register(upside_down=False).version
        eve.judge(f'tiny/{n}')
        assert eve.promote(f'tiny/{n}').exit_code == 0
    os.environ['MLOPS_KIT_KEY'] = str(world.key)
    return n


# The registered model names its ledger

def test_the_registered_model_names_its_ledger_by_run_and_first_entry(world):
    book = world.book()
    assert find_model(world.store, 'tiny').tags[TAG] == f'{book.run_id}:{book.entries()[0].digest}'


def test_right_after_the_rename_every_command_says_so(world):
    rename(world)
    refuse(world, 6, 'mlops_kit/ledger/tiny', 'rename the experiment `experiment 17` back')


def test_the_rename_without_the_tag_is_seen_by_the_versions(world):
    client = rename(world)
    client.delete_registered_model_tag('tiny', TAG)
    refuse(world, 6, 'version 1 of `tiny` was registered with this kit', 'rename the experiment `experiment 17` back')


@pytest.mark.parametrize('tag', ['kept', 'deleted', 'hers', 'rubbish'])
@pytest.mark.parametrize('run', ['kept', 'deleted'])
def test_a_new_ledger_in_the_place_of_the_old_one_is_not_followed(world, tmp_path, tag, run):
    old = world.book().run_id
    client = rename(world)
    for alias in ('champion', 'candidate'): client.delete_registered_model_alias('tiny', alias)
    if run == 'deleted': client.delete_run(old)
    forged_ledger(world, tmp_path)
    from mlops_kit.ledger import find_ledger
    from mlops_kit.store import get_params
    from mlops_kit.core import digest
    hers = find_ledger(world.store, 'tiny')
    if tag == 'deleted': client.delete_registered_model_tag('tiny', TAG)
    if tag == 'hers': client.set_registered_model_tag('tiny', TAG, f'{hers}:{digest(get_params(world.store, hers)["seq-000001"])}')
    if tag == 'rubbish': client.set_registered_model_tag('tiny', TAG, 'all is well')
    refuse(world, 6, 'experiment 17')


def test_without_our_guard_the_attack_would_succeed(world, tmp_path):
    "The attack of these tests is one: without the comparison Eve's version is champion"
    import mlops_kit.ledger as lg
    client = rename(world)
    for alias in ('champion', 'candidate'): client.delete_registered_model_alias('tiny', alias)
    n = forged_ledger(world, tmp_path)
    with pytest.MonkeyPatch.context() as m:
        m.setattr(lg, 'refuse_orphan', lambda led: None)
        m.setattr(lg, 'refuse_swapped', lambda led, seen: None)
        assert world.status().models[0].champion['version'] == n == world.alias()


def test_it_is_settled_by_giving_the_old_name_back(world, tmp_path):
    client = rename(world)
    for alias in ('champion', 'candidate'): client.delete_registered_model_alias('tiny', alias)
    forged_ledger(world, tmp_path)
    client.rename_experiment(find_experiment(world.store, BOUND).experiment_id, 'hers')
    rename_back = find_experiment(world.store, 'experiment 17').experiment_id
    client.rename_experiment(rename_back, BOUND)
    assert world.book().head('champion').target['version'] == 1
    assert asked(world.status)[0] == 6 and asked(world.reconcile)[0] == 0 and world.alias() == 1


# Ledgers from before there was a tag

def test_a_ledger_without_a_tag_is_read_and_gets_it_with_the_next_entry(world):
    world.store.client.delete_registered_model_tag('tiny', TAG)
    from mlops_kit.audit import verify
    assert asked(world.status)[0] == 0 and verify('tiny', world.store, progress=False).exit_code == 0
    assert TAG not in find_model(world.store, 'tiny').tags
    assert world.promote('tiny/2').exit_code == 0
    assert find_model(world.store, 'tiny').tags[TAG].startswith(world.book().run_id)


def test_a_version_whose_registration_was_interrupted_is_no_sign(world):
    from world import command
    world.keep(world.folder.with_name('before'))
    writes = command(world, 'register').writes
    world.restore(world.folder.with_name('before'))
    made = next(i for i, o in enumerate(writes, 1) if o.startswith('make a version'))
    assert command(world, 'register', crash_at=f'{made}:after').killed
    assert len(world.store.client.search_model_versions("name = 'tiny'")) == 3 and asked(world.status)[0] == 0


def test_a_model_of_plain_mlflow_may_be_adopted(tmp_path, monkeypatch):
    world = World(tmp_path/'plain').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    for _ in range(2): world.log()
    assert asked(world.status)[0] == 0
    assert world.adopt().version == 2 and asked(world.status)[0] == 0
    world.register()
    assert asked(world.status)[0] == 0


# In the trash, and gone

def gc(world, *args):
    "What whoever runs the store does once a week"
    import subprocess
    import sys
    subprocess.run([sys.executable, '-m', 'mlflow', 'gc', '--backend-store-uri', world.address, *args], check=True, capture_output=True, env=os.environ | dict(MLFLOW_TRACKING_URI=world.address))


def warned(fn):
    "What was loaded, and what was said of it"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        return fn(), '; '.join(str(o.message) for o in said)


def brought_back(world, line):
    "Type the command that a hint names"
    import subprocess
    import sys
    words = line.split('Hint: ')[1].split()
    assert words[0] == 'mlflow'
    subprocess.run([sys.executable, '-m', *words], check=True, capture_output=True, env=os.environ | dict(MLFLOW_TRACKING_URI=world.address))


def test_a_ledger_in_the_trash_is_said_at_once_with_the_line_that_restores_it(world):
    run = world.book().run_id
    world.store.client.delete_run(run)
    refuse(world, 3, 'is in the trash', f'mlflow runs restore --run-id {run}')
    brought_back(world, asked(world.status)[1])
    assert asked(world.status)[0] == 0 and world.promote('tiny/2').exit_code == 0


@pytest.mark.parametrize('name', [BOUND, 'mlops_kit/ledgers/tiny'])
def test_an_experiment_of_the_ledger_in_the_trash(world, name):
    number = find_experiment(world.store, name).experiment_id
    world.store.client.delete_experiment(number)
    refuse(world, 3, 'is in the trash', f'mlflow experiments restore -x {number}')
    brought_back(world, asked(world.status)[1])
    assert asked(world.status)[0] == 0


def test_a_ledger_that_was_purged_ends_in_one_line(world):
    run = world.book().run_id
    world.store.client.delete_run(run)
    gc(world)
    refuse(world, 3, f'its run `{run}` was deleted and purged', 'backup of its database')


def test_an_experiment_that_was_purged_ends_in_one_line(world):
    for name in (BOUND, 'mlops_kit/ledgers/tiny'): world.store.client.delete_experiment(find_experiment(world.store, name).experiment_id)
    gc(world)
    refuse(world, 3, 'was deleted and purged', 'backup of its database')


@pytest.mark.parametrize('purged', [False, True])
def test_load_serves_what_it_verified_last_and_says_so(world, purged):
    from mlops_kit import registry
    load = lambda: warned(lambda: registry.load('tiny@champion', world.store))
    assert load()[1] == ''
    world.store.client.delete_run(world.book().run_id)
    if purged: gc(world)
    for _ in range(2):
        model, said = load()
        assert hasattr(model, 'predict') and 'Loaded is version 1' in said and ('backup of its database' if purged else 'mlflow runs restore') in said
        registry._LOADED.clear()
    copy = next(p for p in (cache(world)).rglob('model.skops'))
    copy.write_bytes(copy.read_bytes()[:-1] + b'x')
    code, said = asked(load)
    assert code == 3 and ('purged' if purged else 'trash') in said


def cache(world): return __import__('pathlib').Path(os.environ['XDG_CACHE_HOME'])/'mlops_kit'


def test_a_swapped_ledger_is_not_served_from_the_cache(world):
    from mlops_kit import registry
    registry.load('tiny@champion', world.store)
    rename(world)
    assert asked(lambda: registry.load('tiny@champion', world.store))[0] == 6


def test_evidence_in_the_trash_is_said_by_status_and_verify(world):
    from mlops_kit.audit import verify
    run = world.book().head('champion').evidence['run_id']
    world.store.client.delete_run(run)
    code, said = asked(world.status)
    assert code == 3 and 'evidence' in said and f'mlflow runs restore --run-id {run}' in said
    a = verify('tiny', world.store, progress=False)
    assert a.exit_code == 3 and not a.broken and f'mlflow runs restore --run-id {run}' in repr(a)


def test_files_in_the_trash_are_said_and_served_from_the_cache(world):
    from mlops_kit import registry
    from mlops_kit.audit import verify
    registry.load('tiny@champion', world.store)
    world.store.client.delete_logged_model(world.book().head('champion').target['model_id'])
    registry._LOADED.clear()
    assert asked(world.status)[0] == 3 and verify('tiny', world.store, progress=False).exit_code == 3
    model, said = warned(lambda: registry.load('tiny@champion', world.store))
    assert hasattr(model, 'predict') and 'was deleted in MLflow' in said
    import shutil
    shutil.rmtree(cache(world))
    registry._LOADED.clear()
    code, said = asked(lambda: registry.load('tiny@champion', world.store))
    assert code == 3 and 'was deleted in MLflow' in said and 'Hint: ' in said
