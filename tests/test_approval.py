"Approvals, rejections and waivers: whose word counts, on what, until when, and in which order."
import json
import multiprocessing
import os
import re
from datetime import date, timedelta

import pytest

from mlops_kit.core import EvidenceError, MlopsKitError, PolicyError, RegistryError, now
from mlops_kit.evidence import make_key, public_key_file, read_key
from mlops_kit.store import get_version
from world import POLICY, PRELOAD, World

STAGE = 'gates: [performance], approvals: {required: 2, roles: [risk]}'
TEAM = POLICY.replace('{champion: {gates: [performance]}}', f'{{champion: {{{STAGE}}}, challenger: {{gates: [performance]}}}}')
SOON = str(date.fromisoformat(now()[:10]) + timedelta(days=20))


def policy_of(**kw):
    "The team's policy, with other approvals"
    said = ', '.join(f'{k}: {v}' for k, v in (dict(required=2, roles='[risk]') | kw).items())
    return TEAM.replace('{required: 2, roles: [risk]}', f'{{{said}}}')


@pytest.fixture(scope='module')
def furnished(tmp_path_factory):
    "Ana registers; Ben and Dee answer for risk, Cy for the business; 1 is champion, 2 is upside down, 3 is judged and waits"
    world = World(tmp_path_factory.mktemp('approval')/'world').furnish()
    for name, role in [('Ben Ode', 'risk'), ('Cy Moe', 'owner'), ('Dee Fox', 'risk'), ('Ben Ode', 'owner')]: world.person(name, role)
    world.person('Eve Lie', 'risk', pinned=False)
    world.policy.write_text(TEAM)
    with pytest.MonkeyPatch.context() as m:
        m.setenv('MLOPS_KIT_KEY', str(world.key))
        for upside_down in (False, True, False): world.register(upside_down=upside_down)
        world.judge('tiny/1')
        for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny/1')
        assert world.promote('tiny/1').exit_code == 0
        for n in (2, 3): world.judge(f'tiny/{n}')
    world.keep(world.folder.with_name('kept'))
    return world


@pytest.fixture
def world(furnished, monkeypatch):
    furnished.restore(furnished.folder.with_name('kept'))
    monkeypatch.setenv('MLOPS_KIT_KEY', str(furnished.key))
    return furnished


def waits(world, ref='tiny/3', **kwargs):
    "Promote, and be sent away with exit code 5 and sentences"
    before = len(world.book().entries(all=True))
    d = world.promote(ref, **kwargs)
    assert (d.decision, d.exit_code, d.entry) == ('waiting for approval', 5, None)
    assert (world.alias(), len(world.book().entries(all=True))) == (1, before)
    return d


def goes(world, ref='tiny/3'):
    d = world.promote(ref)
    assert (d.decision, d.exit_code) == ('promoted', 0), d
    assert world.alias() == int(ref.split('/')[1])
    assert not [e for e in world.book().entries(all=True) if e.void]
    return d


def void(world): return [e.void for e in world.book().entries(all=True) if e.void]


# How many, and who

def test_without_approvals_it_says_how_many_are_missing_and_who_could(world):
    d = waits(world)
    assert d.reasons[0] == '0 of 2 approvals; missing is the role `risk`; Ben Ode (owner), Ben Ode (risk), Cy Moe (owner), Dee Fox (risk) could'
    assert d.reasons[1] == 'approve with `mlops-kit approve tiny/3 --to champion`'


def test_with_one_of_two_it_names_the_one_and_who_could(world):
    world.says('approve', 'cyowner')
    assert waits(world).reasons[0] == '1 of 2 approvals: Cy Moe; missing is the role `risk`; Ben Ode (risk), Dee Fox (risk) could'


def test_a_dry_run_says_the_same(world):
    world.says('approve', 'cyowner')
    assert waits(world, dry_run=True).reasons == waits(world).reasons
    world.says('approve', 'deerisk')
    d = world.promote('tiny/3', dry_run=True)
    assert (d.decision, d.dry_run, d.reasons, world.alias()) == ('promoted', True, ['2 of 2 approvals: Cy Moe, Dee Fox'], 1)


def test_with_enough_it_goes_on_and_says_from_whom(world):
    for by in ('cyowner', 'deerisk'): world.says('approve', by, reason='read it')
    assert '2 of 2 approvals: Cy Moe, Dee Fox' in goes(world).reasons


def test_two_of_the_wrong_role_are_not_enough(world):
    for by in ('cyowner', 'benowner'): world.says('approve', by)
    assert waits(world).reasons[0] == '2 of 2 approvals: Cy Moe, Ben Ode; missing is the role `risk`; Dee Fox (risk) could'
    world.says('approve', 'deerisk')
    goes(world)


def test_the_same_person_never_counts_twice_even_with_two_keys(world):
    for by in ('benrisk', 'benowner'): world.says('approve', by)
    assert waits(world).reasons[0].startswith('1 of 2 approvals: Ben Ode; Cy Moe (owner), Dee Fox (risk) could')


def test_a_name_that_looks_the_same_is_the_same_person(world):
    for i, name in enumerate(['Ben \u200b ODE', 'Ben Ｏde']): world.person(name, f'x{i}')
    for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny', policy=world.policy)
    assert world.change().exit_code == 0
    for by in ('benrisk', 'benx0', 'benx1'): world.says('approve', by)
    assert waits(world).reasons[0].startswith('1 of 2 approvals')


def test_said_twice_is_said_once(world):
    first, again = (world.says('approve', 'benrisk') for _ in range(2))
    assert first.entry['seq'] == again.entry['seq'] and 'nothing was written' in again.lines[-1]


def test_the_author_cannot_approve(world):
    with pytest.raises(PolicyError, match='Ana Silva registered the version') as e: world.says('approve', 'ana')
    assert e.value.exit_code == 2 and 'Ben Ode' in e.value.hint


def forge(world, kind, by, n=3, **kw):
    "Write an entry with a pinned key, past all that the commands check"
    from mlops_kit.evidence import find_evidence
    from mlops_kit.registry import resolve
    v = resolve(f'tiny/{n}', world.store)
    proof = find_evidence(world.store, v.manifest, name='tiny')
    given = dict(base=None, decision='approved', evidence=proof.ref, policy=world.book().pinned()['digest'], key=read_key(world.folder/f'{by}.pem'))
    with pytest.MonkeyPatch.context() as m:
        if not kw.pop('check', True): m.setattr('mlops_kit.ledger.require_fit', lambda *args: None)
        return world.book().append(kind, kw.pop('alias', 'champion'), v, **given | kw)


def test_an_author_s_approval_that_was_written_all_the_same_does_not_count(world):
    forge(world, 'approve', 'ana')
    world.says('approve', 'benrisk')
    d = waits(world)
    assert d.reasons[0].startswith('1 of 2') and 'the approval of Ana Silva (entry 8) does not count: Ana Silva registered the version' in d.reasons


def test_the_policy_may_let_the_author_approve(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, policy_of(required=1, roles='[]', author_may_approve='true'))
    assert world.promote('tiny/1').exit_code == 5
    world.says('approve', 'ana', 'tiny/1')
    assert world.promote('tiny/1').exit_code == 0


def small(tmp_path, monkeypatch, policy, sign=True, pin=True):
    "One judged version, registered by Ana; Ben's key is beside the policy"
    world = World(tmp_path/'world').furnish()
    world.person('Ben Ode', 'risk')
    world.policy.write_text(policy)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key) if sign else '')
    monkeypatch.setenv('HOME', str(tmp_path))
    world.register(policy=world.policy if pin else None)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    world.judge('tiny/1')
    return world


UNSIGNED = policy_of(required=1).replace('signing: {required: true}', 'signing: {required: false}')


def test_a_version_whose_author_nobody_knows_is_approved_by_nobody(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, UNSIGNED, sign=False)
    with pytest.raises(PolicyError, match='nobody can tell who its author is'): world.says('approve', 'benrisk', 'tiny/1')
    assert world.promote('tiny/1').exit_code == 5
    assert repr(world.history()).count('(unsigned)') == 2 # The policy and the registration


def test_a_key_that_is_pinned_after_the_registration_still_says_who_the_author_is(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, policy_of(required=1), pin=False)
    d = world.promote('tiny/1')
    assert d.exit_code == 5 and any('the policy was pinned' in o for o in d.reasons)
    with pytest.raises(PolicyError, match='Ana Silva registered'): world.says('approve', 'ana', 'tiny/1')
    world.says('approve', 'benrisk', 'tiny/1')
    assert world.promote('tiny/1').exit_code == 0


def test_without_a_pinned_policy_nobody_can_approve(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, policy_of(required=1), pin=False)
    with pytest.raises(PolicyError, match='no policy is pinned') as e: world.says('approve', 'benrisk', 'tiny/1')
    assert 'mlops-kit promote tiny/1 --policy' in e.value.hint


# Keys

def test_an_unsigned_person_cannot_approve(world, monkeypatch):
    from mlops_kit.approval import approve
    monkeypatch.setenv('MLOPS_KIT_KEY', '')
    monkeypatch.setenv('HOME', str(world.folder))
    with pytest.raises(PolicyError, match='there is no key') as e: approve('tiny/3', store=world.store)
    assert 'mlops-kit init' in e.value.hint and 'folder of keys' in e.value.hint


@pytest.mark.parametrize('what', ['approve', 'reject', 'withdraw', 'waive'])
def test_a_stranger_s_word_is_refused(world, what):
    more = dict(reject=dict(reason='no'), waive=dict(gate='performance', reason='x', until=SOON)).get(what, {})
    with pytest.raises(PolicyError, match='key of `Eve Lie` is not among the keys'): world.says(what, 'everisk', **more)


def test_a_stranger_s_approval_written_into_an_unsigned_ledger_does_not_count(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, UNSIGNED)
    world.person('Ben Ode', 'risky', pinned=False)
    forge(world, 'approve', 'benrisky', 1)
    d = world.promote('tiny/1')
    assert d.exit_code == 5 and any('signed by no key that was pinned then' in o for o in d.reasons)
    world.says('approve', 'benrisk', 'tiny/1')
    assert world.promote('tiny/1').exit_code == 0


def test_an_approval_that_was_tampered_with_does_not_count(world):
    from mlops_kit.evidence import canonical, digest, find_evidence
    from mlops_kit.registry import resolve
    from mlops_kit.store import log_param_once
    world.says('approve', 'benrisk')
    real = next(e for e in world.book().entries() if e.kind == 'approve' and e.target['version'] == 1)
    v, book = resolve('tiny/3', world.store), world.book()
    proof = find_evidence(world.store, v.manifest, name='tiny')
    chain = book.read()[0]
    body = real.body | dict(seq=chain.seq, previous=chain.previous, target={k: getattr(v, k) for k in real.target}, evidence=proof.ref, actor='Cy Moe', at=chain.at)
    assert log_param_once(world.store, book.run_id, f'seq-{chain.seq:06d}', canonical(body).decode()) and digest('x')
    d = waits(world)
    assert d.reasons[0].startswith('1 of 2') and any('is void: its signature does not fit' in o for o in d.reasons)


def test_a_key_that_was_revoked_since_does_not_count(world):
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    next((world.folder/'keys').glob('cy-moe-*.json')).unlink()
    assert world.change().exit_code == 5
    for by in ('benrisk', 'deerisk'): world.says('approve', by, 'tiny', policy=world.policy)
    a = world.change()
    assert (a.exit_code, a.lines[0][:25]) == (0, 'keys revoked: Cy Moe (own')
    d = waits(world)
    assert d.reasons[0].startswith('1 of 2 approvals: Ben Ode') and any('its key is not among the keys that count now' in o for o in d.reasons)


def test_a_key_that_was_not_pinned_when_it_signed_never_counts(tmp_path, monkeypatch):
    from mlops_kit.evidence import public_key_file
    world = small(tmp_path, monkeypatch, UNSIGNED)
    dee = world.person('Dee Fox', 'risk', pinned=False)
    forge(world, 'approve', 'deerisk', 1)
    public_key_file(dee, world.folder/'keys')
    assert world.change().exit_code == 5
    world.says('approve', 'benrisk', 'tiny', policy=world.policy)
    assert world.change().lines[0].startswith('keys added: Dee Fox (risk)')
    assert world.promote('tiny/1').exit_code == 5
    world.says('approve', 'deerisk', 'tiny/1')
    assert world.promote('tiny/1').exit_code == 0


# On what

@pytest.mark.parametrize('what, says', [(dict(alias='challenger'), 'another alias'), (dict(n=2), None), (dict(policy='0'*64), 'another policy'),
                                        (dict(evidence=dict(run_id='r', digest='0'*64)), 'other evidence'), ({}, '')])
def test_an_approval_of_something_else_does_not_count(world, what, says):
    world.says('approve', 'benrisk')
    forge(world, 'approve', 'cyowner', **what)
    if says == '':
        goes(world)
        return
    d = waits(world)
    assert d.reasons[0].startswith('1 of 2 approvals: Ben Ode')
    told = [o for o in d.reasons if 'does not count' in o]
    assert told == ([f'the approval of Cy Moe (entry 9) does not count: it is about {says}'] if says else [])


def test_an_approval_of_this_evidence_for_another_version_does_not_count(world):
    from mlops_kit.evidence import find_evidence
    from mlops_kit.registry import resolve
    proof = find_evidence(world.store, resolve('tiny/3', world.store).manifest, name='tiny')
    world.says('approve', 'benrisk')
    forge(world, 'approve', 'cyowner', n=2, evidence=proof.ref)
    assert 'the approval of Cy Moe (entry 9) does not count: it is about another version' in waits(world).reasons


def test_new_evidence_undoes_what_was_approved(world):
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    world.judge('tiny/3')
    d = waits(world)
    assert d.reasons[0].startswith('0 of 2') and sum('other evidence' in o for o in d.reasons) == 2
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    goes(world)


def test_older_evidence_can_be_named_and_does_not_count(world):
    from mlops_kit.evidence import list_evidence
    from mlops_kit.registry import resolve
    world.judge('tiny/3')
    new, old = list_evidence(world.store, resolve('tiny/3', world.store).manifest, 'tiny')
    world.says('approve', 'benrisk', evidence=old.run)
    world.says('approve', 'cyowner', evidence=new.digest[:12])
    assert waits(world).reasons[0].startswith('1 of 2 approvals: Cy Moe')
    with pytest.raises(EvidenceError, match='evidence about `tiny/3` `20990101` is unknown') as e: world.says('approve', 'deerisk', evidence='20990101')
    assert e.value.exit_code == 2


def test_evidence_from_before_the_last_decision_cannot_be_approved(world):
    world.register()
    world.judge('tiny/4')
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    goes(world)
    with pytest.raises(EvidenceError, match='older than the last decision') as e: world.says('approve', 'benrisk', 'tiny/4')
    assert e.value.exit_code == 3


def test_what_was_tampered_with_is_not_approved(world):
    for p in (world.folder/'mlartifacts').rglob('performance/verdict.json'): p.write_text(p.read_text().replace('"pass"', '"pass" '))
    with pytest.raises(EvidenceError, match='as it was signed'): world.says('approve', 'benrisk')


def test_who_holds_the_alias_is_beyond_approval(world):
    for what, more in [('approve', {}), ('withdraw', {}), ('reject', dict(reason='late'))]:
        with pytest.raises(RegistryError, match='`tiny/1` holds `champion` already') as e: world.says(what, 'benrisk', 'tiny/1', **more)
        assert e.value.exit_code == 6


# Rejecting and withdrawing

def test_a_rejection_blocks_until_it_is_withdrawn(world):
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    world.says('reject', 'deerisk', reason='the wind is wrong')
    d = world.promote('tiny/3')
    assert (d.decision, d.exit_code, d.reasons[0]) == ('blocked', 1, 'rejected by Dee Fox: the wind is wrong (entry 10)')
    assert world.alias() == 1
    world.says('withdraw', 'deerisk')
    goes(world)


def test_a_rejection_blocks_until_there_is_new_evidence(world):
    world.says('reject', 'deerisk', reason='the wind is wrong')
    assert world.promote('tiny/3').exit_code == 1
    world.judge('tiny/3')
    waits(world)


def test_a_rejection_blocks_where_nobody_has_to_approve(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, policy_of(required=0, roles='[]'))
    world.says('reject', 'benrisk', 'tiny/1', reason='no')
    assert world.promote('tiny/1').exit_code == 1
    world.says('withdraw', 'benrisk', 'tiny/1')
    assert world.promote('tiny/1').exit_code == 0


def test_an_approval_that_was_withdrawn_does_not_count(world):
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    world.says('withdraw', 'benowner')
    assert waits(world).reasons[0].startswith('1 of 2 approvals: Cy Moe')


def test_the_last_word_of_a_person_counts(world):
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    world.says('reject', 'benrisk', reason='read it again')
    assert world.promote('tiny/3').exit_code == 1
    world.says('approve', 'benrisk')
    goes(world)


def test_nobody_takes_back_another_s_word(world):
    world.says('approve', 'benrisk')
    with pytest.raises(RegistryError, match='Dee Fox has said nothing') as e: world.says('withdraw', 'deerisk')
    assert e.value.exit_code == 2


# Waivers

def test_a_waiver_lifts_a_gate_that_failed(world):
    assert world.promote('tiny/2').exit_code == 1
    a = world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=SOON)
    assert a.exit_code == 0 and 'a pilot' in a.lines[0]
    waits(world, 'tiny/2')
    for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny/2')
    d = goes(world, 'tiny/2')
    assert f'performance is waived by Cy Moe until {SOON}: a pilot' in d.reasons
    assert 'fail, waived' in repr(d) and 'color:color-mix(in srgb, #cf222e 60%, currentColor)">performance is waived' in d._repr_html_()
    shown = [re.split(',| ·', o)[0] for o in get_version(world.store, 'tiny', 2).description.splitlines() if o.startswith('- ')]
    assert shown == ['- **promoted to champion', '- approved for champion by Cy Moe', '- approved for champion by Ben Ode', '- **judged for champion',
                     f'- gate waived for champion by Cy Moe (performance until {SOON}): a pilot', '- **refused as champion']


def test_a_waiver_lifts_only_the_gate_and_the_version_that_it_names(world):
    forge(world, 'waive', 'cyowner', n=2, decision=f'drift until {SOON}', evidence=None, reason='x')
    forge(world, 'waive', 'cyowner', n=3, decision=f'performance until {SOON}', evidence=None, reason='x')
    assert world.promote('tiny/2').exit_code == 1


@pytest.mark.parametrize('kw, says', [
    (dict(decision='performance until 2020-01-01'), '2020-01-01 is past'), (dict(decision='performance until 2999-01-01'), 'is too far'),
    (dict(decision='performance'), 'it names no gate and no day'), (dict(policy='0'*64), 'it is about another policy'),
    (dict(alias='challenger'), 'it is about another alias'), (dict(by='ana'), 'Ana Silva registered the version'), (dict(reason=' '), 'it gives no reason'), ({}, '')])
def test_a_waiver_that_was_written_past_the_command_is_held_to_the_rules(world, kw, says):
    given = dict(by='cyowner', n=2, decision=f'performance until {SOON}', evidence=None, reason='x') | kw
    forge(world, 'waive', **given)
    d = world.promote('tiny/2')
    assert d.exit_code == (1 if says else 5)
    if says: assert 'does not count' in d.reasons[-1] and says in d.reasons[-1]


def test_a_waiver_ends(world, monkeypatch):
    import mlops_kit.promotion as promotion
    world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=SOON)
    world.policy.touch()
    last, after = f'{SOON}T23:59:59Z', f'{date.fromisoformat(SOON) + timedelta(days=1)}T00:00:00Z'
    a = promotion.open_attempt('tiny/2', 'champion', world.policy, world.store)
    for at, active in [(last, ['performance']), (after, [])]:
        monkeypatch.setattr(promotion, 'now', lambda: at)
        assert [*promotion.lifted(promotion.waivers_of(a))] == active
    assert promotion.waivers_of(a)[0].why == f'it ended on {SOON}'


def test_a_gate_that_broke_is_never_waived(world, monkeypatch):
    import mlops_kit.promotion as promotion
    from mlops_kit.core import Check, Verdict, Verdicts
    from types import SimpleNamespace
    stage = SimpleNamespace(gates=['drift'])
    said = lambda status: Verdicts([Verdict('drift', [Check('drift', status, 'x', 'y')])])
    assert promotion.hurdles(stage, said('error'), ['drift']) and promotion.code_for(stage, said('error'), ['drift']) == 3
    assert not promotion.hurdles(stage, said('fail'), ['drift']) and not promotion.hurdles(stage, said('inconclusive'), ['drift'])


BAD_WAIVERS = [
    (dict(ref='tiny/3'), PolicyError, 'there is nothing to waive', 2), (dict(gate='performence'), PolicyError, 'did you mean `performance`', 2),
    (dict(gate='drift'), PolicyError, 'known: `performance`', 2), (dict(reason=' '), MlopsKitError, '`waive` needs a reason', 2),
    (dict(until='2020-01-01'), PolicyError, '2020-01-01 is past', 2), (dict(until='2999-01-01'), PolicyError, 'is too far: the policy allows 30 days', 2),
    (dict(until='tomorrow'), MlopsKitError, '`tomorrow` is no day', 2), (dict(until='2026-02-30'), MlopsKitError, 'is no day', 2),
    (dict(by='ana'), PolicyError, 'Ana Silva registered the version', 2), (dict(ref='tiny/9'), RegistryError, 'known: `1`, `2`, `3`', 2),
    (dict(to='champio'), PolicyError, 'did you mean `champion`', 2), (dict(reason='x'*501), RegistryError, 'at most 500', 2)]


@pytest.mark.parametrize('kw, error, says, code', BAD_WAIVERS)
def test_a_waiver_that_cannot_be_given_is_refused_in_one_line(world, kw, error, says, code):
    before = len(world.book().entries(all=True))
    given = dict(by='cyowner', ref='tiny/2', gate='performance', reason='a pilot', until=SOON) | kw
    with pytest.raises(error) as e: world.says('waive', **given)
    assert says in str(e.value) and '\n' not in str(e.value) and e.value.exit_code == code
    assert len(world.book().entries(all=True)) == before


def test_a_waiver_given_twice_is_there_once(world):
    first, again = (world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=SOON) for _ in range(2))
    assert first.entry['seq'] == again.entry['seq']


def test_a_waiver_is_taken_back_with_the_rest_of_a_person_s_word(world):
    from mlops_kit.promotion import status
    for by in ('cyowner', 'deerisk'): world.says('waive', by, 'tiny/2', gate='performance', reason='a pilot', until=SOON)
    world.says('approve', 'benrisk', 'tiny/2')
    a = world.says('withdraw', 'deerisk', 'tiny/2') # Dee said nothing else
    assert any(f'Dee Fox (entry {a.entry["seq"] - 2}) does not count: Dee Fox took it back' in o for o in a.lines)
    waits(world, 'tiny/2') # Cy still answers for it
    a = world.says('withdraw', 'cyowner', 'tiny/2')
    assert world.says('withdraw', 'cyowner', 'tiny/2').entry['seq'] == a.entry['seq']
    d = world.promote('tiny/2')
    assert d.exit_code == 1 and any('took it back' in o for o in d.reasons) and 'fail, waived' not in repr(d)
    assert 'is waived' not in status('tiny', store=world.store).models[0].waits
    world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=SOON) # The same again
    world.says('approve', 'cyowner', 'tiny/2')
    goes(world, 'tiny/2')


def test_withdrawing_about_a_way_back_leaves_waivers_alone(world):
    world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=SOON)
    forge(world, 'withdraw', 'cyowner', n=2, decision='withdrawn', evidence=None)
    assert world.promote('tiny/2').exit_code == 5


def test_a_person_s_last_waiver_of_a_gate_counts(world, monkeypatch):
    import mlops_kit.promotion as promotion
    today = now()[:10]
    for until in (SOON, today): world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=until)
    d = world.promote('tiny/2')
    assert (d.exit_code, [w['why'][:24] for w in d.waivers]) == (5, ['Cy Moe gave another one ', '']) and f'by Cy Moe until {today}' in repr(d)
    a = promotion.open_attempt('tiny/2', 'champion', world.policy, world.store)
    monkeypatch.setattr(promotion, 'now', lambda: f'{date.fromisoformat(today) + timedelta(days=1)}T00:00:00Z')
    assert promotion.lifted(promotion.waivers_of(a)) == {} # The longer one does not come back


def test_a_waiver_does_not_bring_back_what_was_rolled_back(world):
    import mlops_kit
    waive = lambda: world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=SOON)
    agree = lambda: [world.says('approve', by, 'tiny/2') for by in ('benrisk', 'cyowner')]
    waive(), agree(), goes(world, 'tiny/2')
    assert world.rollback(reason='late again').exit_code == 0
    world.judge('tiny/2')
    agree()
    d = world.promote('tiny/2')
    assert d.exit_code == 1 and any('before the alias last moved' in o for o in d.reasons)
    forge(world, 'promote', 'ana', n=2, base=world.book().head('champion').target, decision='promoted')
    assert [f.where for f in mlops_kit.verify('tiny', store=world.store, progress=False).broken if f.what == 'verdict'] == [f'entry {world.book().head("champion").seq}']
    assert world.rollback(reason='and again').exit_code == 0
    world.judge('tiny/2')
    assert waive().lines[-1] != 'it was said before: nothing was written'
    agree(), goes(world, 'tiny/2')


BAD_WORDS = [
    ('approve', dict(ref='tiny/9'), 'known: `1`, `2`, `3`'), ('approve', dict(ref='tony/1'), 'did you mean `tiny`'), ('approve', dict(ref='tiny'), 'names no version'),
    ('approve', dict(to='champio'), 'did you mean `champion`'), ('reject', dict(reason=' '), '`reject` needs a reason'), ('reject', {}, '`reject` needs a reason'),
    ('approve', dict(reason='x'*501), 'at most 500')]


@pytest.mark.parametrize('what, kw, says', BAD_WORDS)
def test_what_cannot_be_said_is_refused_in_one_line(world, what, kw, says):
    with pytest.raises(MlopsKitError) as e: world.says(what, 'benrisk', **kw)
    assert says in str(e.value) and '\n' not in str(e.value) and e.value.exit_code == 2


# A changed policy, and a way back that is too long

def test_a_changed_policy_is_approved_under_the_old_one(world):
    world.policy.write_text(TEAM.replace('min: 0.6', 'min: 0.55').replace('required: 2, roles: [risk]', 'required: 0'))
    world.judge('tiny/3')
    d = waits(world)
    assert d.reasons[0].startswith('the policy differs') and d.reasons[1].startswith('0 of 2 approvals; missing is the role `risk`')
    assert d.reasons[-1] == 'approve with `mlops-kit approve tiny --policy policy.yaml`'
    for by in ('benrisk', 'cyowner'):
        assert 'the changed policy of `tiny`' in world.says('approve', by, 'tiny', policy=world.policy).said
    d = goes(world)
    assert any('the policy was changed' in o for o in d.reasons) and 'min: 0.55' in world.book().pinned()['text']


def test_whoever_makes_a_change_does_not_count_beside_it(world):
    world.policy.write_text(TEAM.replace('min: 0.6', 'min: 0.55'))
    for by in ('ana', 'benrisk'): world.says('approve', by, 'tiny', policy=world.policy)
    a = world.change()
    assert a.exit_code == 5 and any('Ana Silva makes the change' in o for o in a.lines)
    world.says('reject', 'deerisk', 'tiny', policy=world.policy, reason='too low')
    assert (world.change().exit_code, world.change().lines[0]) == (1, 'rejected by Dee Fox: too low (entry 10)')


def test_approval_of_a_policy_is_of_its_keys_too(world):
    world.policy.write_text(TEAM.replace('min: 0.6', 'min: 0.55'))
    for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny', policy=world.policy)
    world.person('Eva Sock', 'risk')
    assert world.change().exit_code == 5
    with pytest.raises(RegistryError, match='0 of 2 approvals'): world.book().pin(*both(world), read_key(world.key))


def both(world):
    from mlops_kit.policy import load_policy
    from mlops_kit.registry import policy_keys
    return (policy := load_policy(world.policy)), policy_keys(policy)


def test_nobody_can_lock_everybody_out(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, POLICY)
    for text, said in [(POLICY.replace('gates: [performance]', 'gates: [performance], approvals: {required: 3}'), 'asks 3 people to agree to `champion`, and the keys beside it are of 2'),
                       (POLICY.replace('gates: [performance]', 'gates: [performance], approvals: {required: 1, roles: [legal]}'), 'the role `legal`, and no key')]:
        world.policy.write_text(text)
        with pytest.raises(PolicyError, match=said): world.change()
    world.policy.write_text(POLICY)
    for o in (world.folder/'keys').iterdir(): o.unlink()
    with pytest.raises(PolicyError, match='no key lies beside it'): world.change()
    assert [e.kind for e in world.book().entries()] == ['policy', 'register']


@pytest.mark.parametrize('how', ['register', 'adopt', 'make_inbox', 'promote'])
def test_rules_that_nobody_could_meet_are_not_the_first_ones(tmp_path, monkeypatch, how):
    "A change of them would need as many people as they ask for: whoever began alone would stay locked out"
    world = World(tmp_path/'world').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    if how == 'adopt': world.log()
    if how == 'promote': world.register(policy=None)
    world.policy.write_text(policy_of(required=1))
    act = (lambda: world.promote('tiny/1')) if how == 'promote' else getattr(world, how)
    with pytest.raises(PolicyError, match='asks 1 person to agree to `champion`, and the keys beside it are of 1, of whom the author does not count'): act()
    assert not world.book().pinned() and (how != 'register' or world.alias('candidate') is None)
    world.person('Cy Moe', 'owner')
    with pytest.raises(PolicyError, match='the role `risk`, and no key'): act()
    world.person('Ben Ode', 'risk')
    world.policy.write_text(policy_of(required=2, roles='[risk, risk]'))
    (world.folder/'twice').mkdir()
    public_key_file(make_key(world.folder/'twice'/'ben.pem', 'Ben Ode', 'risk'), world.folder/'keys')
    with pytest.raises(PolicyError, match='asks for 2 people in the role `risk`, and the keys beside it are of 1'): act()
    world.policy.write_text(policy_of(required=1))
    if how != 'promote':
        act()
        assert len(world.book().pinned()['keys']) == 4


def test_without_approvals_keys_change_by_command_alone(tmp_path, monkeypatch):
    "A promotion from an old checkout must not bring a revoked key back"
    world = small(tmp_path, monkeypatch, POLICY)
    ben = next((world.folder/'keys').glob('ben-*.json'))
    kept = ben.read_text()
    ben.unlink()
    assert world.change().exit_code == 0 and len(world.book().pinned()['keys']) == 1
    ben.write_text(kept)
    d = world.promote('tiny/1')
    assert d.exit_code == 0 and any('the keys beside the policy are not the pinned ones' in o for o in d.reasons)
    assert len(world.book().pinned()['keys']) == 1


def test_a_policy_that_was_replaced_does_not_come_back_by_itself(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, POLICY)
    world.policy.write_text(POLICY.replace('min: 0.6', 'min: 0.55'))
    assert world.change().exit_code == 0
    world.policy.write_text(POLICY)
    with pytest.raises(PolicyError, match='was pinned by entry 1 and replaced since'): world.promote('tiny/1')
    assert world.change().exit_code == 0 and world.promote('tiny/1').exit_code == 0


def test_evidence_under_another_policy_is_not_taken_by_itself(world):
    world.policy.write_text(TEAM.replace('min: 0.6', 'min: 0.55'))
    world.register()
    world.judge('tiny/4')
    with pytest.raises(EvidenceError, match='the pinned policy'): world.says('approve', 'benrisk', 'tiny/4')


def test_a_new_policy_s_people_are_asked_as_soon_as_it_is_pinned(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, POLICY)
    world.person('Dee Fox', 'risk')
    world.policy.write_text(policy_of())
    world.person('Cy Moe', 'owner')
    world.judge('tiny/1')
    d = world.promote('tiny/1')
    assert d.exit_code == 5 and any('the policy was changed' in o for o in d.reasons) and 'Cy Moe (owner)' in d.reasons[0]
    for by in ('deerisk', 'cyowner'): world.says('approve', by, 'tiny/1')
    assert world.promote('tiny/1').exit_code == 0


def later(monkeypatch):
    import mlops_kit.promotion as promotion
    monkeypatch.setattr(promotion, 'now', lambda: '2999-01-01T00:00:00Z')


def second(world):
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    goes(world)


def test_outside_the_window_a_rollback_needs_approval(world, monkeypatch):
    second(world)
    later(monkeypatch)
    d = world.rollback()
    assert (d.decision, d.exit_code, d.reasons[-1]) == ('waiting for approval', 5, 'approve with `mlops-kit approve tiny/1 --to champion --rollback`')
    assert d.reasons[1].startswith('0 of 2 approvals')
    for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny/1', rollback=True)
    d = world.rollback()
    assert (d.decision, d.exit_code, world.alias()) == ('rolled back', 0, 1)


def test_inside_the_window_a_rollback_needs_nobody(world):
    second(world)
    assert world.rollback().exit_code == 0


def test_a_rollback_that_somebody_rejects_outside_the_window_is_blocked(world, monkeypatch):
    second(world)
    for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny/1', rollback=True)
    world.says('reject', 'deerisk', 'tiny/1', rollback=True, reason='it was wrong then')
    later(monkeypatch)
    assert (world.rollback().exit_code, world.alias()) == (1, 3)
    world.says('withdraw', 'deerisk', 'tiny/1', rollback=True)
    assert world.rollback().exit_code == 0


def test_an_approved_way_back_is_good_for_one_way(world, monkeypatch):
    second(world)
    for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny/1', rollback=True)
    assert world.rollback().exit_code == 0
    world.judge('tiny/3')
    second(world)
    later(monkeypatch)
    d = world.rollback()
    assert d.exit_code == 5 and any('before the alias last moved' in o for o in d.reasons)


def test_a_way_back_that_never_was_is_not_approved(world):
    with pytest.raises(RegistryError, match='`tiny/2` never held `champion`; known: `1`') as e: world.says('approve', 'benrisk', 'tiny/2', rollback=True)
    assert e.value.exit_code == 2


def test_dropping_somebody_s_key_does_not_drop_the_objection(world):
    next((world.folder/'keys').glob('dee-fox-*.json')).unlink()
    for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny', policy=world.policy)
    world.says('reject', 'deerisk', 'tiny', policy=world.policy, reason='do not drop me')
    a = world.change()
    assert (a.exit_code, a.lines[0]) == (1, 'rejected by Dee Fox: do not drop me (entry 10)')
    world.says('withdraw', 'deerisk', 'tiny', policy=world.policy)
    assert world.change().exit_code == 0


def test_an_approval_of_evidence_is_none_of_a_rollback(world, monkeypatch):
    second(world)
    later(monkeypatch)
    forge(world, 'approve', 'deerisk', n=1)
    assert any('other evidence' in o for o in world.rollback().reasons)


# In which order

def between(monkeypatch, world, do):
    "Do something after a promotion has looked and before it writes, once"
    import mlops_kit.ledger as ledger
    real, did = ledger.Ledger.append, []
    def append(self, kind, *args, **kwargs):
        if kind == 'promote' and not did:
            did.append(1)
            do()
        return real(self, kind, *args, **kwargs)
    monkeypatch.setattr(ledger.Ledger, 'append', append)


@pytest.mark.parametrize('what, code', [('withdraw', 5), ('reject', 1)])
def test_a_word_that_comes_before_the_entry_stops_it(world, monkeypatch, what, code):
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    between(monkeypatch, world, lambda: world.says(what, 'benrisk', reason='wait'))
    assert (world.promote('tiny/3').exit_code, world.alias()) == (code, 1)


def test_there_and_back_again_is_not_overlooked(world, monkeypatch):
    "Somebody promotes another version and goes back while a promotion works: the base is the same, the evidence is not"
    import mlops_kit.promotion as promotion
    world.register()
    world.judge('tiny/4')
    for ref in ('tiny/3', 'tiny/4'):
        for by in ('benrisk', 'cyowner'): world.says('approve', by, ref)
    real, did = promotion.evidence_for, []
    def evidence_for(a, *args):
        found = real(a, *args)
        if not did:
            did.append(1)
            world.promote('tiny/4')
            world.rollback()
        return found
    monkeypatch.setattr(promotion, 'evidence_for', evidence_for)
    d = world.promote('tiny/3')
    assert (d.decision, d.exit_code, world.alias()) == ('conflict', 6, 1)
    assert 'was decided meanwhile: Ana Silva rolled back version 1' in d.reasons[0]


def test_what_has_nothing_to_do_with_it_does_not_stop_it(world, monkeypatch):
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    between(monkeypatch, world, lambda: world.register())
    assert goes(world).exit_code == 0
    assert [e.kind for e in world.book().entries()][-2:] == ['register', 'promote']


def promoted_meanwhile(world, monkeypatch):
    "Promote version 3 just before the next word is written"
    import mlops_kit.approval as approval
    real, did = approval.own_word, []
    def own_word(m):
        if not did:
            did.append(1)
            world.promote('tiny/3')
        return real(m)
    monkeypatch.setattr(approval, 'own_word', own_word)


def test_a_withdrawal_after_the_entry_is_a_conflict(world, monkeypatch):
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    promoted_meanwhile(world, monkeypatch)
    with pytest.raises(RegistryError, match='holds `champion` already') as e: world.says('withdraw', 'benrisk')
    assert e.value.exit_code == 6 and world.alias() == 3 and not void(world)


def test_an_approval_that_comes_after_another_decision_is_a_conflict(world, monkeypatch):
    world.register()
    world.judge('tiny/4')
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    promoted_meanwhile(world, monkeypatch)
    with pytest.raises(RegistryError, match='decided meanwhile') as e: world.says('approve', 'deerisk', 'tiny/4')
    assert e.value.exit_code == 6


def speak(folder, what, by, barrier, kwargs):
    world = World(folder)
    os.environ['MLOPS_KIT_KEY'] = str(world.key)
    barrier.wait(60)
    world.says(what, by, **kwargs)


@pytest.mark.slow
def test_who_speaks_at_the_same_moment_is_heard(world):
    ctx = multiprocessing.get_context('forkserver')
    ctx.set_forkserver_preload(PRELOAD)
    barrier = ctx.Barrier(3)
    said = [('approve', 'benrisk', {}), ('approve', 'cyowner', {}), ('reject', 'deerisk', dict(reason='no'))]
    ps = [ctx.Process(target=speak, args=(str(world.folder), what, by, barrier, kw)) for what, by, kw in said]
    for p in ps: p.start()
    for p in ps: p.join(120)
    assert [p.exitcode for p in ps] == [0, 0, 0]
    assert sorted((e.kind, e.actor) for e in world.book().entries() if e.target and e.target['version'] == 3 and e.kind in ('approve', 'reject')) == [
        ('approve', 'Ben Ode'), ('approve', 'Cy Moe'), ('reject', 'Dee Fox')]
    assert not void(world)


@pytest.mark.slow
def test_a_withdrawal_races_a_promotion_and_the_ledger_s_order_decides(world):
    ctx = multiprocessing.get_context('forkserver')
    ctx.set_forkserver_preload(PRELOAD)
    for by in ('benrisk', 'cyowner'): world.says('approve', by)
    barrier = ctx.Barrier(2)
    ps = [ctx.Process(target=speak, args=(str(world.folder), 'withdraw', 'benrisk', barrier, {})), ctx.Process(target=race, args=(str(world.folder), barrier))]
    for p in ps: p.start()
    for p in ps: p.join(120)
    kinds = [e.kind for e in world.book().entries() if e.kind in ('withdraw', 'promote')][1:]
    assert kinds in (['withdraw'], ['promote']) and world.alias() == (1 if kinds == ['withdraw'] else 3)
    assert [p.exitcode for p in ps] == ([0, 5] if kinds == ['withdraw'] else [1, 0])


def race(folder, barrier):
    world = World(folder)
    os.environ['MLOPS_KIT_KEY'] = str(world.key)
    barrier.wait(60)
    raise SystemExit(world.promote('tiny/3').exit_code)


# What is shown

def test_history_shows_who_said_what(world):
    from mlops_kit.promotion import history
    world.says('approve', 'benrisk', reason='read it')
    world.says('reject', 'deerisk', reason='the wind is wrong')
    world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=SOON)
    rows = [r[2:] for r in history('tiny', store=world.store).rows][-3:]
    assert rows == [['approve champion', '', '3', 'Ben Ode', 'read it'], ['reject champion', '', '3', 'Dee Fox', 'the wind is wrong'],
                    [f'waive champion: performance until {SOON}', '', '2', 'Cy Moe', 'a pilot']]


def test_status_names_the_next_command(world):
    from mlops_kit.promotion import status
    stands = lambda: (o := status('tiny', store=world.store).models[0]).waits and (o.waits, o.next)
    assert stands() == ('version 3 waits for approval: 0 of 2 approvals; missing is the role `risk`; Ben Ode (owner), Ben Ode (risk), Cy Moe (owner), Dee Fox (risk) could',
                        'mlops-kit approve tiny/3')
    for name, line in [(None, '  type mlops-kit approve tiny/3'), ('tiny', '\ntype       mlops-kit approve tiny/3')]: assert repr(status(name, store=world.store)).endswith(line)
    waits(world)
    world.says('approve', 'benrisk')
    assert stands()[0].startswith('version 3 waits for approval: 1 of 2 approvals: Ben Ode; Cy Moe (owner), Dee Fox (risk) could')
    world.says('reject', 'deerisk', reason='the wind is wrong')
    world.promote('tiny/3')
    assert stands() == ('version 3 is rejected by Dee Fox: the wind is wrong (entry 9)', 'mlops-kit withdraw tiny/3')
    for what, by in [('withdraw', 'deerisk'), ('approve', 'cyowner')]: world.says(what, by)
    assert stands() == ('version 3 was judged and not promoted', 'mlops-kit promote tiny/3 --policy policy.yaml')
    goes(world)
    assert status('tiny', store=world.store).models[0].waits == 'nothing'


def test_status_says_who_waits_on_the_way_to_another_alias(tmp_path, monkeypatch):
    world = small(tmp_path, monkeypatch, POLICY.replace('{champion: {gates: [performance]}}', '{champion: {gates: [performance]}, challenger: {gates: [performance], approvals: {required: 1}}}'))
    stands = lambda: (o := world.status().models[0]).waits and (o.waits.rpartition('; for ')[2], o.next)
    assert world.promote('tiny/1').exit_code == 0
    world.register()
    assert stands() == ('version 2 was not judged yet', 'mlops-kit gate tiny/2 --data … --policy policy.yaml')
    world.judge('tiny/2', to='challenger')
    assert stands() == ('`challenger`: version 2 waits for approval: 0 of 1 approvals; Ben Ode (risk) could', 'mlops-kit approve tiny/2 --to challenger')
    world.says('reject', 'benrisk', 'tiny/2', to='challenger', reason='too slow')
    assert stands() == ('`challenger`: version 2 is rejected by Ben Ode: too slow (entry 5)', 'mlops-kit withdraw tiny/2 --to challenger')
    world.says('approve', 'benrisk', 'tiny/2', to='challenger')
    assert world.promote('tiny/2', to='challenger').exit_code == 0 and world.status().models[0].waits == 'version 2 was not judged yet'


def test_status_shows_what_is_waived(world):
    from mlops_kit.promotion import status
    world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=SOON)
    for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny/2')
    goes(world, 'tiny/2')
    assert f'version 2: performance is waived by Cy Moe until {SOON}' in status('tiny', store=world.store).models[0].waits


def test_the_page_shows_who_agreed_and_what_was_waived(world):
    from pathlib import Path
    from mlops_kit.dossier import contradictions, read_record
    from mlops_kit.promotion import PAGE
    world.says('waive', 'cyowner', 'tiny/2', gate='performance', reason='a pilot', until=SOON)
    for by in ('benrisk', 'cyowner'): world.says('approve', by, 'tiny/2', reason='read it')
    d = world.promote('tiny/2', page=PAGE)
    html = Path(d.dossier).read_text()
    assert d.exit_code == 0 and contradictions(read_record(d.run)) == []
    assert f'Waived by Cy Moe until {SOON}: a pilot.' in html
    said, signed = html.split('>Approvals and waivers</caption>')[1].split('>What was signed, and what each signature covers</caption>')
    assert [o.count('(this page’s), version 2 as champion, this policy') for o in (said, signed)] == [2, 2]
    assert 'asks for 2 approvals before a version becomes champion, among them the role risk' in html


def test_a_promotion_that_was_written_past_the_rules_is_void(world):
    head = world.book().head('champion')
    forge(world, 'promote', 'ana', base=head.target, decision='promoted', check=False)
    assert world.book().entries(all=True)[-1].void.facts['said'].startswith('0 of 2 approvals; missing is the role `risk`')
    assert world.book().head('champion').seq == head.seq


def test_a_decision_carries_what_was_counted(world):
    world.says('approve', 'benrisk')
    d = json.loads(json.dumps(waits(world).to_dict()))
    assert (d['approvals']['needed'], [e['actor'] for e in d['approvals']['approved']], d['approvals']['enough']) == (2, ['Ben Ode'], False)


# The installed command

@pytest.mark.slow
def test_a_key_is_made_with_a_person_and_a_role(tmp_path, cli):
    code, out, _ = cli('init', 'tiny', '--target', 'late', '--person', 'Ben Ode', '--role', 'risk', cwd=tmp_path, MLOPS_KIT_KEY=tmp_path/'secret'/'ben.pem')
    public = json.loads(next((tmp_path/'keys').glob('ben-ode-*.json')).read_text())
    assert code == 0 and 'Ben Ode (risk)' in out and (public['person'], public['role']) == ('Ben Ode', 'risk')


@pytest.mark.slow
def test_the_commands_leave_with_the_same_exit_codes(world, cli):
    uri = str(world.store.uri)
    def run(*args, by='benrisk'): return cli(*args, '--store', uri, cwd=world.folder, MLOPS_KIT_KEY=world.folder/f'{by}.pem')
    promote = 'promote', 'tiny/3', '--policy', 'policy.yaml'
    assert run(*promote, by='ana')[0] == 5
    code, out, _ = run('approve', 'tiny/3', '--to', 'champion', '--json')
    assert code == 0 and json.loads(out)['entry']['actor'] == 'Ben Ode'
    assert run('approve', 'tiny/3', by='ana')[0] == 2
    assert run('reject', 'tiny/3', by='deerisk')[0] == 2
    assert run('reject', 'tiny/3', '--reason', 'no', by='deerisk')[0] == 0
    assert run(*promote, by='ana')[0] == 1
    assert run('withdraw', 'tiny/3', by='deerisk')[0] == 0
    assert run('waive', 'tiny/2', '--gate', 'performance', '--until', '2020-01-01', '--reason', 'x', by='cyowner')[0] == 2
    assert run('waive', 'tiny/2', '--gate', 'performance', '--until', SOON, '--reason', 'x', by='cyowner')[0] == 0
    code, out, err = run('approve', 'tiny/3', by='everisk')
    assert (code, out) == (2, '') and re.search('^error: .* Hint: ', err, re.M) and 'Traceback' not in err
    assert run('approve', 'tiny/3', by='cyowner')[0] == 0
    code, out, _ = run(*promote, by='ana')
    assert code == 0 and '2 of 2 approvals: Ben Ode, Cy Moe' in out
    assert run('withdraw', 'tiny/3')[0] == 6
