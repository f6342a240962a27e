"Killed, raced, cut off and meddled with, on every store: a sample of what `make torture` does at length."
import warnings

import pytest

from mlops_kit.core import MlopsKitError
from servers import KINDS
from torture import kill, race
from torture.checks import SEEN, broken, told
from torture.proxy import lose, lossy, overtaken
from world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module', params=KINDS)
def crowd(request, tmp_path_factory):
    "The world of `torture.kill` in a store of each kind"
    pg = request.getfixturevalue('postgres') if request.param == 'postgres' else None
    with kill.crowd(request.param, tmp_path_factory.mktemp(request.param), pg) as world:
        world.kind = request.param
        yield world


@pytest.fixture
def world(crowd):
    crowd.restore(kill.base(crowd, 'team'))
    return crowd


# Killed

SAMPLE = dict(
    sqlite={'register': ['8:after', '10:after'], 'promote': ['1', '1:after', '2:after', '3:after'], 'promote the first': ['2:after'],
            'change the policy': ['1:after', '2:after', '3:after'], 'roll back': ['1:after', '2:after'], 'waive': ['1:after']},
    postgres={'register the first': ['13:after'], 'promote': ['1:after', '2:after'], 'roll back to': ['1:after']},
    server={'promote': ['1:after', '2:after'], 'approve': ['1:after']})


def test_killed_at_a_write_the_next_command_leaves_it_whole(world):
    for scene, points in SAMPLE[world.kind].items():
        counted, wrong = kill.torture(world, [scene], ['again'], points)
        assert wrong == [] and counted[scene]['kill points'] == len(points)


def test_the_harness_sees_what_is_broken(world):
    "An invariant that nothing can break proves nothing"
    import shutil
    from mlops_kit.store import log_param_once
    assert broken(world) == []
    book = world.book()
    log_param_once(world.store, book.run_id, f'seq-{len(book.entries())+1:06d}', '{}')
    world.by_hand(2)
    gone = next(e for e in book.entries() if e.kind == 'promote').evidence['run_id']
    shutil.rmtree(next(p for p in (world.folder/'mlartifacts').rglob(gone)))
    SEEN.clear()
    said = '; '.join(broken(world))
    for o in ('is void', 'the alias `champion` is at 2, its head says 1', 'the evidence of entry 6 cannot be read'): assert o in said


# Raced

@pytest.fixture
def racers(world, tmp_path, monkeypatch):
    "Another model in the same store"
    racers = World(tmp_path/'race', name='raced', place=world.place)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(racers.key))
    return racers


def test_of_several_who_decide_at_once_no_decision_is_lost_or_doubled(racers):
    race.furnish(racers, 3)
    found, wrong = race.raced(racers, 3, 3)
    assert wrong == [] and found['decisions'] >= 3


def test_several_register_the_first_version_at_once(racers):
    racers.furnish()
    for n in range(3): race.key_of(racers, n)
    assert race.founded(racers, 3)[1] == []


# Cut off

only_server = pytest.mark.parametrize('crowd', ['server'], indirect=True)


@only_server
def test_a_lost_answer_changes_nothing(world):
    with lossy(world.address) as proxy: counted, wrong = lose(world, proxy, ['promote'], ['reply'], [1, 2])
    assert wrong == [] and counted['promote']['reply'] == 2


@only_server
def test_an_alias_that_is_set_late_is_reported_and_put_back(world):
    with lossy(world.address) as proxy: assert list(overtaken(world, proxy)) == []


# The hands of people

def asked(fn, *args, **kwargs):
    "Exit code and words of a command"
    try: d = fn(*args, **kwargs)
    except MlopsKitError as e: return e.exit_code, str(e)
    return d.exit_code, repr(d)


def loaded(world):
    "Exit code and words, or the version that the champion's name stands for and what was said of it"
    from mlops_kit.registry import load, resolve
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        try: return load('tiny@champion', world.store) and resolve('tiny@champion', world.store).version, '; '.join(str(o.message) for o in said)
        except MlopsKitError as e: return e.exit_code, str(e)


def refuses(world, says, *commands):
    "Each command says what happened and leaves with 6; nothing is decided and nothing moves"
    before = told(world), world.alias()
    for what, kwargs in [('status', {}), *commands]:
        code, said = asked(getattr(world, what), **kwargs)
        assert code == 6 and says in said, (what, code, said)
    assert (told(world), world.alias()) == before


@pytest.mark.parametrize('to', [2, None])
def test_an_alias_that_was_moved_or_deleted_is_reported_and_never_overwritten(world, to):
    if to: world.by_hand(to)
    else: world.store.client.delete_registered_model_alias('tiny', 'champion')
    says = 'is at version 2, but entry 6' if to else 'is gone, but entry 6'
    refuses(world, says, ('promote', dict(ref='tiny/3')), ('promote', dict(ref='tiny/1')), ('rollback', {}), ('rollback', dict(to=1)))
    number, said = loaded(world)
    assert (number, world.alias()) == (1, to) and says in said and 'loaded is version 1' in said
    assert asked(world.reconcile)[0] == 0 and (world.alias(), broken(world), loaded(world)) == (1, [], (1, ''))


def test_a_champion_that_was_deleted_is_reported_and_the_one_before_comes_back(world):
    for what, kwargs in kill.CROWNED: getattr(world, what)(**kwargs)
    world.register()
    world.store.client.delete_model_version('tiny', '3')
    refuses(world, 'was deleted')
    assert asked(world.reconcile)[0] == 6 and asked(world.promote, 'tiny/4')[0] == 3
    assert loaded(world)[0] == 6 and 'deleted' in loaded(world)[1]
    assert asked(world.rollback)[0] == 0 and (loaded(world)[0], world.alias(), broken(world)) == (1, 1, [])


def test_after_the_only_champion_was_deleted_there_can_be_another(world):
    world.store.client.delete_model_version('tiny', '1')
    assert asked(world.promote, 'tiny/3')[0] == 3 and asked(world.rollback)[0] == 2 and asked(world.reconcile)[0] == 6
    world.judge('tiny/3')
    world.says('approve', 'benrisk')
    assert asked(world.promote, 'tiny/3')[0] == 0 and (world.alias(), broken(world)) == (3, [])


def test_a_model_that_was_made_again_is_another_model(world):
    from mlops_kit.store import create_version, get_version
    client, files = world.store.client, [get_version(world.store, 'tiny', n).model_id for n in (1, 2, 3)]
    client.delete_registered_model('tiny')
    client.create_registered_model('tiny')
    for o in files: create_version(world.store, 'tiny', o)
    for alias, number in dict(candidate=3, champion=1).items(): world.by_hand(number, alias)
    before = told(world)
    for code, said in [asked(world.promote, 'tiny/3'), asked(world.says, 'approve', 'benrisk'), asked(world.status), loaded(world)]:
        assert code == 6 and 'deleted' in said, said
    for what in (world.rollback, world.reconcile): assert asked(what)[0]
    assert (told(world), world.alias()) == (before, 1)


def test_a_model_that_was_deleted_is_not_forgotten(world):
    from mlops_kit.promotion import status
    world.store.client.delete_registered_model('tiny')
    for code, said in [asked(world.status), asked(status, store=world.store), loaded(world)]: assert code == 6 and 'deleted' in said, said
