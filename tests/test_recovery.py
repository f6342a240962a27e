"A lost last key, and keys that change for many models: the way on, and what a recovery key may not do."
import os

import pytest

from mlops_kit.approval import approve, change_keys
from mlops_kit.audit import verify
from mlops_kit.core import MlopsKitError, PolicyError, RegistryError
from mlops_kit.evidence import make_key, public_key_file
from world import POLICY, World

ASKS = POLICY.replace('gates: [performance]', 'gates: [performance], approvals: {required: 1, roles: [risk]}')


@pytest.fixture
def world(tmp_path, monkeypatch):
    "A champion, and a recovery key that was pinned with the first policy"
    world = World(tmp_path/'world').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    public_key_file(make_key(world.folder/'spare.pem', 'recovery', 'recovery'), world.folder/'keys')
    return world


def champion(world):
    world.register()
    world.judge('tiny/1')
    assert world.promote('tiny/1').exit_code == 0


def lose(world, monkeypatch):
    "All private halves but the recovery key's are gone; Ana makes a new key and puts it beside the policy"
    for p in (world.key, *world.folder.glob('ben*.pem')): p.unlink()
    for p in [p for p in (world.folder/'keys').iterdir() if not p.name.startswith('recovery')]: p.unlink()
    world.key = world.folder/'new.pem'
    public_key_file(make_key(world.key, 'Ana Silva'), world.folder/'keys')
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))


def refused(fn, *said, kind=MlopsKitError):
    with pytest.raises(kind) as e: fn()
    assert all(o in str(e.value) for o in said), e.value
    return e.value


def test_a_recovery_key_puts_new_keys_in_the_place_of_those_that_were_lost(world, monkeypatch):
    champion(world)
    lose(world, monkeypatch)
    refused(world.register, 'not among the keys', 'Ana Silva, recovery', 'mlops-kit policy tiny', kind=PolicyError)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.folder/'spare.pem'))
    said = world.change(reason='the laptop was lost')
    assert (said.exit_code, said.entry['decision'], said.entry['actor']) == (0, 'recovered', 'recovery'), said
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    world.register()
    world.judge('tiny/2')
    assert world.promote('tiny/2').exit_code == 0
    found = verify('tiny', world.store, progress=False)
    assert found.exit_code == 0 and sum('recovery key' in f.said for f in found.notes) == 1, found


def test_a_recovery_key_asks_nobody_since_nobody_is_left(world, monkeypatch):
    world.team(ASKS)
    world.register()
    world.judge('tiny/1')
    world.says('approve', 'benrisk', 'tiny/1')
    assert world.promote('tiny/1').exit_code == 0
    world.says('reject', 'deerisk', 'tiny', policy=change_of(world), reason='not yet')
    lose(world, monkeypatch)
    world.person('Ben Ode', 'risk')
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.folder/'spare.pem'))
    refused(lambda: world.change(reason='and no more approvals'), 'is a recovery key', '--keys keys', kind=PolicyError)
    world.policy.write_text(ASKS)
    assert world.change(reason='all keys were lost').entry['decision'] == 'recovered'
    assert verify('tiny', world.store, progress=False).exit_code == 0


def change_of(world):
    "A changed policy that somebody objects to"
    world.policy.write_text(POLICY)
    return world.policy


def test_a_recovery_key_does_nothing_else(world, monkeypatch):
    world.team(ASKS)
    world.register()
    world.judge('tiny/1')
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.folder/'spare.pem'))
    before = len(world.book().entries(all=True))
    for fn in (world.register, lambda: world.promote('tiny/1'), lambda: approve('tiny/1', store=world.store)):
        refused(fn, 'is a recovery key', "one's own key", kind=PolicyError)
    target = world.book().head('candidate').target
    given = dict(base=None, decision='approved', policy=world.book().pinned()['digest'])
    refused(lambda: world.book().append('approve', 'champion', target, **given), 'recovery key', kind=RegistryError)
    assert len(world.book().entries(all=True)) == before


def test_what_a_recovery_key_signed_by_hand_is_void(world):
    from mlops_kit.evidence import canonical, read_key
    from mlops_kit.entry import Entry, key_of_seq
    from mlops_kit.ledger import signed_entry
    from mlops_kit.store import log_param_once
    world.team(ASKS)
    world.register()
    proof = world.judge('tiny/1')
    book, key = world.book(), read_key(world.folder/'spare.pem')
    chain = book.read()[0]
    e = Entry(0, 'approve', 'tiny', 'champion', None, book.head('candidate').target, 'approved', proof.ref, chain.pin['digest'])
    signed_entry(e, chain, chain.pin['keys'], key)
    assert log_param_once(world.store, chain.runs[-1], key_of_seq(e.seq), canonical(e.body).decode())
    last = world.book().entries(all=True)[-1]
    assert last.void.code == 'only_recovers'
    refused(lambda: world.book().pin(POLICY, chain.pin['keys'], key), 'recovery key', 'under the same policy', kind=RegistryError)
    d = world.promote('tiny/1')
    assert d.exit_code == 5 and 'recovery' not in d.approvals['could'] and d.approvals['approved'] == [], d


def test_the_first_policy_is_not_pinned_with_a_recovery_key(world, monkeypatch):
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.folder/'spare.pem'))
    refused(world.register, 'is a recovery key', kind=PolicyError)
    assert world.book().run_id is None or not world.book().entries(all=True)


def test_a_recovery_key_counts_for_nobody_where_people_are_counted(world):
    world.policy.write_text(POLICY.replace('gates: [performance]', 'gates: [performance], approvals: {required: 1}'))
    refused(world.register, 'asks 1 person', 'keys beside it are of 1', kind=PolicyError)


def test_keys_of_many_models_are_changed_in_one_command(world, monkeypatch, tmp_path):
    names = 'ant', 'bee', 'cow'
    for name in names:
        other = World(world.folder, world.address, name)
        text = ASKS if name == 'bee' else POLICY
        if name == 'bee': world.team(text)
        world.policy.write_text(other.rules(text))
        other.register()
    texts = {name: World(world.folder, world.address, name).book().pinned()['text'] for name in names}
    new = make_key(tmp_path/'new.pem', 'Ana Silva')
    public_key_file(new, world.folder/'keys')
    found = change_keys(world.folder/'keys', reason='a new machine', store=world.store)
    assert [(a.model, a.exit_code) for a in found.answers] == [('ant', 0), ('bee', 5), ('cow', 0)] and found.exit_code == 5
    pins = {name: World(world.folder, world.address, name).book().pinned() for name in names}
    assert {name: (new.keyid in pins[name]['keys'], pins[name]['text'] == texts[name]) for name in names} == {
        'ant': (True, True), 'bee': (False, True), 'cow': (True, True)}
    os.environ['MLOPS_KIT_KEY'] = str(world.folder/'benrisk.pem')
    approve('bee', policy=world.folder/'keys', store=world.store)
    os.environ['MLOPS_KIT_KEY'] = str(world.key)
    again = change_keys(world.folder/'keys', store=world.store)
    assert again.exit_code == 0 and [bool(a.entry) for a in again.answers] == [False, True, False]
    assert new.keyid in World(world.folder, world.address, 'bee').book().pinned()['keys']
    some = change_keys(world.folder/'keys', ['ant', 'elk'], store=world.store)
    assert [a.model for a in some.answers] == ['ant'] and [*some.refused] == ['elk'] and some.exit_code == 2
    (tmp_path/'empty').mkdir()
    for folder in (tmp_path/'empty', tmp_path/'missing'): refused(lambda: change_keys(folder, store=world.store), 'holds no public keys')


def test_recovery_and_keys_of_many_through_the_command_line(tmp_path, cli):
    place = dict(cwd=tmp_path, MLOPS_KIT_KEY=tmp_path/'home'/'key.pem', USER='Ana')
    code, out, err = cli('init', 'tiny', '--target', 'late', '--role', 'recovery', **place)
    assert code == 2 and 'the role `recovery` is that of the key' in err and not [*tmp_path.rglob('*.pem')]
    code, out, err = cli('init', 'tiny', '--target', 'late', **place)
    assert code == 0 and 'no recovery key' in out
    code, out, err = cli('init', 'tiny', '--target', 'late', '--recovery', tmp_path/'usb'/'r.pem', **place)
    assert code == 0 and 'keep it offline' in out and [p.name[:8] for p in (tmp_path/'keys').glob('recovery-*')] == ['recovery']
    code, out, err = cli('init', 'tiny', '--target', 'late', '--recovery', tmp_path/'home'/'key.pem', **place)
    assert code == 2 and 'no recovery key' in err
    for given in ((), ('--policy', 'policy.yaml', '--keys', 'keys'), ('a', 'b', '--policy', 'policy.yaml')):
        code, out, err = cli('policy', *given, **place)
        assert code == 2 and err.count('\n') <= 2 and 'Hint' in err, err
