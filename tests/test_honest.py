"Whatever honest people do, `verify` ends in 0: unsigned is said, and broken is kept for what is broken."
import os
from datetime import date, timedelta

import pytest

from mlops_kit.audit import verify, verify_bundle
from world import POLICY, World

pytestmark = pytest.mark.slow
OPEN = POLICY.replace('signing: {required: true}', 'signing: {required: false}')
SOON = str(date.today() + timedelta(days=5))


def whole(world, tmp_path):
    "Verify the store and a bundle of it"
    bundle = tmp_path/f'{len([*tmp_path.iterdir()])}.zip'
    for a in (verify(world.name, world.store, export=bundle, progress=False), verify_bundle(bundle, progress=False)):
        assert a.exit_code == 0 and not a.broken and not a.unchecked, a
    return repr(a)


@pytest.fixture
def hands(monkeypatch):
    "Who signs: somebody whose key is pinned, somebody whose key nobody pinned, or nobody"
    def take(world, how):
        if how != 'pinned': [p.unlink() for p in (world.folder/'keys').iterdir()]
        if how == 'second': # Ana's first key is pinned, and she signs with another one
            first = world.key
            world.key = world.folder/'second.pem'
            from mlops_kit.evidence import make_key, public_key_file, read_key
            public_key_file(read_key(first), world.folder/'keys')
            make_key(world.key, 'Ana Silva')
        monkeypatch.setenv('MLOPS_KIT_KEY', '' if how == 'none' else str(world.key))
        return world
    return take


@pytest.mark.parametrize('how, policy', [('none', OPEN), ('unpinned', OPEN), ('second', OPEN), ('pinned', OPEN), ('pinned', POLICY)])
def test_every_honest_way_through_holds(tmp_path, hands, how, policy):
    from mlops_kit.store import set_alias
    world = hands(World(tmp_path/'world').furnish(), how)
    world.policy.write_text(policy)
    world.log()
    world.adopt()
    whole(world, tmp_path)
    for upside_down in (False, True, False): world.register(upside_down=upside_down)
    for n in (3, 2, 2): world.judge(f'tiny/{n}')
    assert [world.promote(f'tiny/{n}').exit_code for n in (3, 2)] == [1, 0] # One is refused, and stays
    said = whole(world, tmp_path)
    world.rollback(reason='it was late')
    set_alias(world.store, 'tiny', 'champion', 3)
    assert world.status().exit_code == 6
    assert world.reconcile().exit_code == 0
    assert ('signed by a key that no policy pins' in said, 'unsigned' in said) == (how in ('unpinned', 'second'), how == 'none'), said
    whole(world, tmp_path)
    world.policy.write_text(policy.replace('min: 0.6', 'min: 0.5'))
    world.judge('tiny/4')
    assert world.promote('tiny/4').exit_code == 0 # Changes the policy too
    whole(world, tmp_path)


@pytest.mark.parametrize('policy', [POLICY, OPEN])
def test_keys_that_come_and_go_and_people_who_answer_leave_it_whole(tmp_path, monkeypatch, policy):
    from mlops_kit.evidence import make_key, public_key_file
    world = World(tmp_path/'world').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    world.policy.write_text(policy)
    world.person('Ben Ode')
    for upside_down in (False, True, False): world.register(upside_down=upside_down)
    world.judge('tiny/1')
    assert world.promote('tiny/1').exit_code == 0
    world.judge('tiny/2')
    for kind, kwargs in [('reject', dict(reason='not yet')), ('withdraw', {}), ('approve', {}), ('waive', dict(gate='performance', until=SOON, reason='a strike'))]:
        world.says(kind, 'ben', 'tiny/2', **kwargs)
    assert world.promote('tiny/2').exit_code == 0 # Its gate's no is waived
    whole(world, tmp_path)
    old, new = world.key, world.folder/'new.pem'
    public_key_file(make_key(new, 'Ana Silva'), world.folder/'keys')
    world.change(reason='a new machine')
    world.key = new
    monkeypatch.setenv('MLOPS_KIT_KEY', str(new))
    world.judge('tiny/3')
    assert world.promote('tiny/3').exit_code == 0
    mark = [p for p in (world.folder/'keys').iterdir() if p.read_text() == public_key_file(_read(old), tmp_path/'other').read_text()]
    [p.unlink() for p in mark]
    world.change(reason='the old machine is gone')
    assert len(mark) == 1 and world.rollback(reason='back').exit_code == 0
    whole(world, tmp_path)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(old))
    world.judge('tiny/3') # Judged with a key that counts no more
    whole(world, tmp_path)


def _read(path):
    from mlops_kit.evidence import read_key
    return read_key(path)


def test_a_label_that_names_somebody_else_is_still_broken(tmp_path, monkeypatch):
    import sqlite3
    world = World(tmp_path/'world').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    world.register()
    world.judge('tiny/1')
    assert world.promote('tiny/1').exit_code == 0
    with sqlite3.connect(world.folder/'mlflow.db') as db: db.execute("UPDATE params SET value = 'Ben Ode' WHERE key = 'signed_by'")
    a = verify('tiny', world.store, progress=False)
    assert a.exit_code == 1 and [f.what for f in a.broken] == ['evidence'] and os.environ['MLOPS_KIT_KEY']
