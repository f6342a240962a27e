"The ledger: what counts, who wins, and what a process that was killed leaves to the next command."
import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_kit import ledger as lg
from mlops_kit import store as st
from mlops_kit.core import EXIT, EvidenceError, PolicyError, RegistryError, digest
from mlops_kit.evidence import canonical, make_key, sign

pytestmark = pytest.mark.filterwarnings('ignore:The ``noload`` loader:DeprecationWarning') # MLflow 3.17 on SQLAlchemy 2.1

SIGNED = 'model: tiny\ntask: binary\ntarget: late\nowner: Ana\nsigning: {required: true}\nstages: {champion: {gates: [drift]}}\n'
UNSIGNED = SIGNED.replace('true', 'false')


class Tiny:
    "A model `tiny` with versions, their evidence, a ledger and Ana's key"
    def __init__(self, uri, folder, policy=SIGNED):
        self.store, self.folder = st.connect(uri), folder
        (folder/'model').mkdir(exist_ok=True)
        (folder/'model'/'MLmodel').write_text('flavors: {}\n')
        self.ana, self.ben, self.eve = (make_key(folder/f'{name}.pem', name) for name in ('Ana', 'Ben', 'Eve'))
        self.keys = {k.keyid: dict(person=k.person, role='', public=k.public) for k in (self.ana, self.ben)}
        st.create_model(self.store, 'tiny')
        self.versions = {n: self.version(n) for n in (1, 2, 3)}
        self.led = lg.ledger(self.store, 'tiny')
        self.led.pin(policy, self.keys, self.ana if policy == SIGNED else None)
        self.policy = digest(policy)

    def version(self, n):
        v = st.create_version(self.store, 'tiny', st.log_files(self.store, self.folder/'model', 'tiny'))
        run = st.start_run(self.store, 'mlops_kit/evidence/tiny', f'r{n}')
        st.log_batch(self.store, run, dict(evidence=digest(f's{n}'), manifest=digest(f'm{n}')))
        return dict(version=v.version, model_id=v.model_id, created=v.created, manifest=digest(f'm{n}')), dict(run_id=run, digest=digest(f's{n}'))

    def promote(self, n, base=None, key=None, **kw):
        target, proof = self.versions[n]
        given = dict(base=self.versions[base][0] if base else None, decision='promoted', evidence=proof, policy=self.policy, key=key or self.ana)
        return self.led.append('promote', 'champion', target, **given | kw)

    def write(self, seq, value): assert st.log_param_once(self.store, self.led.run_id, f'seq-{seq:06d}', value if isinstance(value, str) else canonical(value).decode())
    def seen(self): return [(e.seq, e.kind, bool(e.void)) for e in self.led.entries(all=True)]


@pytest.fixture
def tiny(store_uri, tmp_path): return Tiny(store_uri, tmp_path)


# What counts

def test_a_chain(tiny):
    first = tiny.promote(1)
    assert lg.project(tiny.led, 'champion').code == 'moved' and tiny.led.is_done(first)
    second = tiny.promote(2, base=1, key=tiny.ben)
    assert [second.seq, second.previous, second.actor, second.base] == [3, first.digest, 'Ben', first.target]
    assert lg.project(tiny.led, 'champion').code == 'moved' and lg.project(tiny.led, 'champion').code == 'ok'
    assert st.aliases(tiny.store, 'tiny') == dict(champion=2)
    again = lg.ledger(tiny.store, 'tiny')
    assert [e.to_dict() for e in again.entries()] == [e.to_dict() for e in tiny.led.entries()]
    assert all(e.verified and len(canonical(e.body)) <= lg.MOST_BYTES for e in again.entries())


def test_an_empty_ledger(store_uri):
    led = lg.ledger(st.connect(store_uri), 'nobody')
    assert [led.run_id, led.entries(), led.head('champion'), led.pinned(), led.last_decision('champion'), lg.project(led, 'champion').code] == [None, [], None, None, None, 'ok']


def forge(tiny, **kw):
    "An entry with Ana's signature over something else"
    e = tiny.first
    return e.body | dict(seq=3, base=e.target, target=tiny.versions[2][0], previous=e.digest, evidence=tiny.versions[2][1], token='t') | kw


def signed(tiny, body, key):
    body = body | dict(keyid=key.keyid, actor=key.person)
    body.pop('signature')
    return body | dict(signature=sign(body, key, lg.ENTRY)['signatures'][0]['sig'])


@pytest.mark.parametrize('how, code', [
    (lambda t: 'not JSON', 'not_canonical'), (lambda t: '{}', 'not_canonical'), (lambda t: '[' * 3000, 'not_canonical'), (lambda t: 'NaN', 'not_canonical'),
    (lambda t: json.dumps(forge(t)), 'not_canonical'),
    (lambda t: forge(t), 'bad_signature'),
    (lambda t: forge(t, signature=None), 'bad_signature'),
    (lambda t: forge(t, signature=None, keyid=None), 'unsigned'),
    (lambda t: forge(t, signature=None, keyid=None, actor='unverified:ana'), 'unsigned'),
    (lambda t: forge(t, keyid=['x']), 'wrong_type'), (lambda t: forge(t, alias={'x': 1}), 'wrong_type'), (lambda t: forge(t, seq=True), 'wrong_type'),
    (lambda t: forge(t, at='9999'), 'bad_time'), (lambda t: forge(t, at='2020-01-01T00:00:00Z'), 'dated_before'),
    (lambda t: forge(t, handed=dict(at='x')), 'bad_word'),
    (lambda t: t.first.body, 'wrong_place'),
    (lambda t: forge(t, model='other'), 'wrong_place'),
    (lambda t: forge(t, reason='ä'*300), 'long_reason'),
    (lambda t: forge(t, previous=digest('')), 'not_continued'),
    (lambda t: forge(t, kind='crown'), 'unknown_kind'),
    (lambda t: signed(t, forge(t), t.eve), 'unsigned'),
    (lambda t: signed(t, forge(t), t.ana) | dict(actor='Ben'), 'bad_signature'),
    (lambda t: signed(t, forge(t, base=None), t.ana), 'other_base'),
    (lambda t: signed(t, forge(t, target=dict(version=2)), t.ana), 'no_version'),
    (lambda t: signed(t, forge(t, evidence=None), t.ana), 'no_evidence'),
    (lambda t: signed(t, forge(t, policy=digest('allow all')), t.ana), 'other_policy'),
    (lambda t: signed(t, forge(t, kind='policy', alias=None, base=None, target=None), t.ana), 'pin_lost')])
def test_what_somebody_else_wrote_is_void_and_no_obstacle(tiny, how, code):
    tiny.first = tiny.promote(1)
    tiny.write(3, how(tiny))
    forged = tiny.led.entries(all=True)[2]
    assert forged.void.code == code and str(forged.void) and not forged.verified
    assert tiny.led.head('champion').seq == 2
    mine = tiny.promote(3, base=1)
    assert [mine.seq, mine.previous] == [4, digest(f'{tiny.first.digest} {forged.digest}')]
    assert tiny.seen() == [(1, 'policy', False), (2, 'promote', False), (3, forged.kind, True), (4, 'promote', False)]
    assert lg.project(tiny.led, 'champion').code == 'moved' and st.get_alias(tiny.store, 'tiny', 'champion') == 3


def test_an_entry_by_a_pinned_key_counts(tiny):
    tiny.first = tiny.promote(1)
    tiny.write(3, signed(tiny, forge(tiny), tiny.ben))
    assert tiny.seen()[-1] == (3, 'promote', False)


def test_a_gap_ends_the_ledger(tiny):
    tiny.promote(1)
    tiny.write(5, tiny.led.entries()[-1].body)
    assert tiny.seen() == [(1, 'policy', False), (2, 'promote', False), (5, '?', True)]
    second, third = tiny.promote(2, base=1), tiny.promote(3, base=2)
    assert [second.seq, third.seq, tiny.promote(1, base=3).seq] == [3, 4, 6]
    assert tiny.led.head('champion').target == tiny.versions[1][0]


def test_an_entry_of_another_ledger_does_not_fit(tiny):
    other = lg.ledger(tiny.store, 'other', create=True)
    st.log_param_once(tiny.store, other.run_id, 'seq-000001', st.get_params(tiny.store, tiny.led.run_id)['seq-000001'])
    assert [bool(e.void) for e in other.entries(all=True)] == [True]


@pytest.mark.parametrize('seq, kept', [(1, []), (2, ['policy']), (3, ['policy', 'promote'])])
def test_one_changed_byte_in_the_database(tiny, store_uri, seq, kept):
    "What was changed and what rests on it is void; the alias is not moved back by it"
    for n, base in [(1, None), (2, 1)]:
        tiny.promote(n, base=base)
        lg.project(tiny.led, 'champion')
    with sqlite3.connect(store_uri.removeprefix('sqlite:///')) as db:
        db.execute("update params set value = replace(value, '\"at\":\"20', '\"at\":\"21') where key = ?", [f'seq-{seq:06d}'])
    db.close()
    assert [e.kind for e in tiny.led.entries()] == kept
    assert lg.project(tiny.led, 'champion').conflict and st.get_alias(tiny.store, 'tiny', 'champion') == 2


# Policy and keys

def test_somebody_elses_policy_cannot_crown_anything(tiny):
    with pytest.raises(RegistryError, match='not signed by a pinned key'): tiny.led.pin(UNSIGNED, {}, tiny.eve)
    assert tiny.led.pinned()['text'] == SIGNED


def test_what_nobody_could_read_again_is_not_pinned(tiny):
    ben = dict(person='Ben', role='', public=tiny.ben.public)
    for text, keys, said in [('signing: {required: true}', tiny.keys, 'is missing'), (SIGNED + '# new\n', {tiny.ana.keyid: ben}, 'digest of its public half')]:
        with pytest.raises(PolicyError, match=said): tiny.led.pin(text, keys, tiny.ana)
    assert tiny.led.pinned()['text'] == SIGNED


def test_a_changed_policy_is_an_entry_under_the_old_keys(tiny):
    change = tiny.led.pin(SIGNED + '# changed\n', {tiny.eve.keyid: dict(person='Eve', role='', public=tiny.eve.public)}, tiny.ana)
    assert [change.decision, tiny.led.pinned()['digest']] == ['changed', digest(SIGNED + '# changed\n')]
    with pytest.raises(RegistryError, match='pinned'): tiny.promote(1, policy=change.policy)
    assert tiny.promote(1, policy=change.policy, key=tiny.eve).actor == 'Eve'


def test_where_the_pinned_policy_is_gone_nothing_is_believed(tiny, tmp_path, monkeypatch):
    "Else whoever can remove a file could bring back the policy and the keys before it"
    path, kept = next(tmp_path.rglob('pin.json')), next(tmp_path.rglob('pin.json')).read_text()
    monkeypatch.setattr(lg, 'PINS', {})
    monkeypatch.setattr(lg, 'KNOWN', {})
    for spoil in (lambda: path.write_text(kept.replace('true', 'false')), path.unlink):
        spoil()
        with pytest.raises(EvidenceError, match='the policy that entry 1 of the ledger of `tiny` pins is missing or changed') as e: tiny.led.pinned()
        assert e.value.exit_code == EXIT['error']
    path.write_text(kept)
    assert tiny.led.pinned()['text'] == SIGNED


def test_a_stranger_who_names_a_policy_that_is_nowhere_blocks_nobody(tiny):
    tiny.first = tiny.promote(1)
    for seq, key in [(3, tiny.eve), (4, None)]:
        body = forge(tiny, seq=seq, kind='policy', alias=None, base=None, target=None, previous=tiny.led.read().chain.previous, evidence=dict(run_id=tiny.led.run_id, digest='0'*64))
        tiny.write(seq, signed(tiny, body, key) if key else body)
    assert [bool(e.void) for e in tiny.led.entries(all=True)] == [False, False, True, True]
    assert tiny.promote(2, base=1).seq == 5


def test_an_entry_vouches_for_void_ones_and_what_stood_before_them(tiny, store_uri):
    tiny.promote(1)
    tiny.write(3, 'rubbish')
    tiny.promote(2, base=1)
    assert tiny.led.head('champion').seq == 4
    with sqlite3.connect(store_uri.removeprefix('sqlite:///')) as db: db.execute("update params set value = replace(value, 'promoted', 'Promoted') where key = 'seq-000002'")
    db.close()
    assert [bool(e.void) for e in tiny.led.entries(all=True)] == [False, True, True, True]


@pytest.mark.parametrize('kind, kw, code', [
    ('register', dict(), 'not_candidate'), ('adopt', dict(), 'known_alias'),
    ('reconcile', dict(), 'moved_settling'), ('rollback', dict(), 'never_held')])
def test_a_pinned_key_moves_an_alias_by_promotion_alone(tiny, kind, kw, code):
    tiny.first = tiny.promote(1)
    tiny.write(3, signed(tiny, forge(tiny, kind=kind, evidence=None, **kw), tiny.ana))
    assert tiny.led.entries(all=True)[2].void.code == code


# A run that is full

def test_a_full_run_goes_on_in_another(tiny, monkeypatch):
    monkeypatch.setattr(lg, 'MOST_ENTRIES', 4)
    for n in range(9):
        target, base = [1, 2, 3][n % 3], [3, 1, 2][n % 3] if n else None
        tiny.promote(target, base=base)
        assert lg.project(tiny.led, 'champion').code == 'moved'
    chain, entries = lg.Ledger(tiny.store, 'tiny', tiny.led.run_id).read()
    assert [e.seq for e in entries] == [*range(1, 13)] and len(chain.runs) == 3 and not any(e.void for e in entries)
    assert [e.seq for e in entries if e.kind == 'note'] == [5, 10] and {e.digest for e in entries if e.kind == 'promote'} == chain.done
    assert sorted(st.get_params(tiny.store, chain.runs[1])) == [f'done-{i:06d}' for i in (6, 7, 8, 9)] + [f'seq-{i:06d}' for i in (6, 7, 8, 9, 10)]
    st.log_param_once(tiny.store, chain.runs[0], 'seq-000006', 'late')
    assert lg.ledger(tiny.store, 'tiny').entries(all=True)[-1].void.code == 'unreached'
    pin = tiny.led.pin(SIGNED + '# more\n', tiny.keys, tiny.ana)
    assert pin.evidence['run_id'] in chain.runs and tiny.led.pinned()['text'].endswith('# more\n')


def test_of_several_who_turn_the_page_one_wins(tiny, monkeypatch):
    monkeypatch.setattr(lg, 'MOST_ENTRIES', 1)
    real = lg.start_run
    def slow(store, *args):
        monkeypatch.setattr(lg, 'start_run', real)
        tiny.promote(1, key=tiny.ben)
        return real(store, *args)
    monkeypatch.setattr(lg, 'start_run', slow)
    with pytest.raises(RegistryError, match='Ben was faster with `note`') as e: tiny.promote(2)
    assert e.value.exit_code == EXIT['conflict']
    monkeypatch.setattr(lg, 'MOST_ENTRIES', 1000)
    assert tiny.promote(2, base=1).seq == 4 and len(tiny.led.read()[0].runs) == 2


def test_a_stranger_cannot_turn_the_page(tiny):
    tiny.first = tiny.promote(1)
    body = forge(tiny, kind='note', decision=lg.CONTINUED, alias=None, base=None, target=None, evidence=dict(run_id='f'*32, digest='0'*64))
    tiny.write(3, signed(tiny, body, tiny.eve))
    assert tiny.promote(2, base=1).seq == 4 and len(tiny.led.read()[0].runs) == 1


# A word that was said elsewhere

def handed(tiny, by, **kw):
    from mlops_kit import entry
    word = entry.Entry(0, 'approve', 'tiny', 'champion', target=tiny.versions[2][0], evidence=tiny.versions[2][1], policy=tiny.policy, decision='approved',
                       handed=dict(at='2026-11-23T00:00:00Z', keyid=by.keyid, token='w1', signature=''))
    word.handed['signature'] = sign(entry.word_of(word), by, entry.WORD)['signatures'][0]['sig']
    given = dict(base=None, decision='approved', evidence=word.evidence, policy=tiny.policy, key=tiny.ana, handed=word.handed)
    return tiny.led.append('approve', 'champion', tiny.versions[2][0], **given | kw)


def test_a_word_is_handed_on_once_and_as_it_was_said(tiny):
    e = handed(tiny, tiny.ben)
    assert (e.actor, e.voice, e.keyid, tiny.led.entries()[-1].verified) == ('Ben', tiny.ben.keyid, tiny.ana.keyid, True)
    for said, kw in [('handed on before', {}), ('does not fit', dict(decision='Approved')), ('does not fit', dict(evidence=tiny.versions[1][1]))]:
        with pytest.raises(RegistryError, match=said): handed(tiny, tiny.ben, **kw)
    with pytest.raises(RegistryError, match='not signed by a pinned key'): handed(tiny, tiny.eve)
    with pytest.raises(RegistryError, match='not signed by a pinned key, and the policy asks'): handed(tiny, tiny.ben, key=tiny.eve)
    assert len(tiny.led.entries(all=True)) == 2


def test_without_signatures_nobody_can_pretend_to_be_somebody(store_uri, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    tiny = Tiny(store_uri, tmp_path, UNSIGNED)
    assert tiny.promote(1, key=tiny.eve).actor == 'unverified:Eve'
    target, proof = tiny.versions[2]
    e = tiny.led.append('promote', 'champion', target, base=tiny.versions[1][0], decision='promoted', evidence=proof, policy=tiny.policy)
    assert e.actor.startswith('unverified:') and not tiny.led.entries()[-1].verified
    assert tiny.promote(3, base=2, key=tiny.ana).verified


# Misuse and time

def test_misuse_is_refused_before_anything_is_written(tiny):
    tiny.promote(1)
    for said, code, kw in [('500', EXIT['usage'], dict(reason='x'*501)), ('moved meanwhile', EXIT['conflict'], dict(base=3)), ('names no evidence', EXIT['error'], dict(evidence=None))]:
        with pytest.raises(RegistryError, match=said) as e: tiny.promote(2, **dict(base=1) | kw)
        assert e.value.exit_code == code
    with pytest.raises(RegistryError, match='did you mean `promote`'): tiny.led.append('promotes', 'champion', tiny.versions[2][0], base=tiny.versions[1][0], decision='x', key=tiny.ana)
    assert len(tiny.led.entries(all=True)) == 2


def test_a_clock_that_is_behind(tiny, monkeypatch):
    tiny.promote(1)
    monkeypatch.setattr(lg, 'now', lambda: '2001-01-01T00:00:00Z')
    with pytest.raises(RegistryError, match='the clock of this machine') as e: tiny.promote(2, base=1)
    assert e.value.exit_code == EXIT['error']


# The alias

def test_what_a_person_did_to_the_alias_is_told(tiny):
    tiny.promote(1)
    lg.project(tiny.led, 'champion')
    tiny.promote(2, base=1)
    lg.project(tiny.led, 'champion')
    for number, said in [(3, 'is at version 3'), (1, 'is at version 1')]:
        st.set_alias(tiny.store, 'tiny', 'champion', number)
        assert said in str(found := lg.project(tiny.led, 'champion')) and found.conflict
        assert st.get_alias(tiny.store, 'tiny', 'champion') == number
    st.set_alias(tiny.store, 'tiny', 'champion', 2)
    assert lg.project(tiny.led, 'champion').code == 'ok'
    tiny.store.client.delete_model_version('tiny', '2')
    assert 'version 2 of `tiny`, which holds `champion` by entry 3 of its ledger, was deleted' in str(lg.project(tiny.led, 'champion'))
    st.set_alias(tiny.store, 'tiny', 'challenger', 3)
    assert 'no entry for it' in str(lg.project(tiny.led, 'challenger'))


def test_a_model_that_was_deleted_and_made_again(tiny):
    tiny.promote(1)
    lg.project(tiny.led, 'champion')
    tiny.store.client.delete_registered_model('tiny')
    st.create_model(tiny.store, 'tiny')
    tiny.version(9)
    st.set_alias(tiny.store, 'tiny', 'champion', 1)
    assert 'was deleted, and another one made under its number' in str(lg.project(tiny.led, 'champion'))


def test_nothing_is_carried_out_without_its_evidence(tiny):
    tiny.promote(1, evidence=dict(run_id='f'*32, digest=digest('x')))
    assert 'its evidence is gone' in str(lg.project(tiny.led, 'champion'))
    assert st.get_alias(tiny.store, 'tiny', 'champion') is None
    st.set_alias(tiny.store, 'tiny', 'champion', 1) # Whoever wrote it helps it along
    assert 'its evidence is gone' in str(lg.project(tiny.led, 'champion')) and not tiny.led.is_done(tiny.led.head('champion'))


def test_looking_writes_nothing(tiny):
    tiny.promote(1)
    before = len(st.WRITES)
    assert lg.project(tiny.led, 'champion', write=False).code == 'behind' and len(st.WRITES) == before


# Who wins

def test_before_a_policy_is_pinned_nothing_is_promoted(store_uri):
    store = st.connect(store_uri)
    led, v = lg.ledger(store, 'free'), dict(version=1, model_id='m', created=1, manifest='a'*64)
    first = led.append('register', 'candidate', v, base=None, decision='registered')
    for policy in ('', None, 'a'*64):
        with pytest.raises(RegistryError, match='no policy is pinned'): led.append('promote', 'candidate', dict(v, version=2), base=first.target, decision='promoted', evidence=dict(run_id='r', digest='d'), policy=policy)
    e = lg.signed_entry(lg.Entry(0, 'promote', 'free', 'champion', None, v, 'promoted', dict(run_id='r', digest='d'), ''), led.read().chain, {})
    assert st.log_param_once(store, led.run_id, 'seq-000002', canonical(e.body).decode())
    assert led.entries(all=True)[1].void.code == 'nothing_pinned' and led.head('champion') is None


def test_of_several_writers_one_wins(tiny):
    others = [lg.Ledger(st.connect(tiny.store.address), 'tiny', tiny.led.run_id) for _ in range(4)]
    chains = [led.read()[0] for led in others]
    target, proof = tiny.versions[1]
    def write(led, chain):
        e = lg.Entry(0, 'promote', 'tiny', 'champion', None, target, 'promoted', proof, tiny.policy)
        raw = canonical(lg.signed_entry(e, chain, tiny.keys, tiny.ana).body).decode()
        return st.log_param_once(led.store, led.run_id, lg.key_of_seq(e.seq), raw)
    with ThreadPoolExecutor() as pool: won = list(pool.map(write, others, chains))
    assert sorted(won) == [False]*3 + [True] and tiny.seen() == [(1, 'policy', False), (2, 'promote', False)]


def test_the_loser_learns_who_won(tiny, monkeypatch):
    real = lg.log_param_once
    def slow(store, run_id, key, value):
        monkeypatch.setattr(lg, 'log_param_once', real)
        tiny.promote(2, key=tiny.ben)
        return real(store, run_id, key, value)
    monkeypatch.setattr(lg, 'log_param_once', slow)
    with pytest.raises(RegistryError, match='Ben was faster with `promote`') as e: tiny.promote(1)
    assert e.value.exit_code == EXIT['conflict'] and tiny.led.head('champion').target == tiny.versions[2][0]


def test_of_several_new_ledgers_one_is_kept(store_uri):
    stores = [st.connect(store_uri) for _ in range(4)]
    with ThreadPoolExecutor() as pool: runs = set(pool.map(lambda s: lg.make_ledger(s, 'tiny'), stores))
    assert len(runs) == 1 and lg.find_ledger(stores[0], 'tiny') in runs


# Killed

KILL = textwrap.dedent('''
    import json, os, shutil, sys
    from pathlib import Path
    from mlops_kit import ledger as lg, store as st
    from mlops_kit.evidence import read_key
    import mlflow.store.tracking.sqlalchemy_store, mlflow.store.model_registry.sqlalchemy_store, mlflow.artifacts, yaml, securesystemslib.dsse, securesystemslib.signer
    top, every = Path(sys.argv[1]), int(sys.argv[2])
    given = json.loads((top/'given.json').read_text())
    ana = read_key(top/'Ana.pem')

    def promote(store, n):
        led = lg.ledger(store, 'tiny')
        assert lg.project(led, 'champion').code in ('ok', 'moved')
        led.pin(given['policy'], given['keys'], ana)
        head, (target, proof) = led.head('champion'), given['versions'][n]
        if any(e.target == target for e in led.entries() if e.kind == 'promote'): return
        led.append('promote', 'champion', target, base=head and head.target, decision='promoted', evidence=proof, policy=led.pinned()['digest'], key=ana)
        assert lg.project(led, 'champion').code == 'moved'

    def story(db):
        store = st.connect(db)
        for n in '12': promote(store, n)

    def look(db):
        store = st.connect(db)
        led, at = lg.ledger(store, 'tiny'), st.get_alias(store, 'tiny', 'champion')
        head = led.head('champion')
        found = dict(at=at, head=head and head.target['version'], base=head and head.base and head.base['version'], void=len(led.entries(True)) - len(led.entries()))
        found['next'] = lg.project(led, 'champion').code
        found['then'] = st.get_alias(store, 'tiny', 'champion')
        story(db)
        found['kinds'] = [e.kind for e in led.entries(True)] if led.run_id else [e.kind for e in lg.ledger(store, 'tiny').entries(True)]
        found['end'] = [st.get_alias(store, 'tiny', 'champion'), lg.project(lg.ledger(store, 'tiny'), 'champion').code]
        return found

    def child(fn):
        "Run `fn` in a process of its own; its exit status and what it returned"
        r, w = os.pipe()
        if pid := os.fork():
            os.close(w)
            with os.fdopen(r) as f: said = f.read()
            return os.waitpid(pid, 0)[1], said
        try:
            os.write(w, json.dumps(fn()).encode())
            os._exit(0)
        except BaseException as e:
            os.write(w, repr(e).encode())
            os._exit(1)

    n, done = 1, False
    while not done:
        for when in ('', ':after'):
            db = top/'kills'/f'{n}{when[1:]}'/'mlflow.db'
            db.parent.mkdir(parents=True)
            shutil.copyfile(top/'start.db', db)
            def killed():
                os.environ['MLOPS_KIT_CRASH_AT'] = f'{n}{when}'
                story(db)
                return st.WRITES
            status, said = child(killed)
            done = status == 0
            if not done and status != 9: sys.exit(f'{n}{when}: {said}')
            status, said = child(lambda: look(db))
            if status: sys.exit(f'after {n}{when}: {said}')
            print(json.dumps(dict(kill=f'{n}{when}', **json.loads(said))), flush=True)
            if done: break
        n += every
''')


def kills(tmp_path, every):
    "Kill a story of two promotions before and after each of its writes, and look at what the next command finds"
    uri = st.fresh_store(tmp_path/'start.db').uri
    tiny = Tiny.__new__(Tiny)
    tiny.store, tiny.folder = st.connect(uri), tmp_path
    (tmp_path/'model').mkdir()
    (tmp_path/'model'/'MLmodel').write_text('flavors: {}\n')
    st.create_model(tiny.store, 'tiny')
    ana = make_key(tmp_path/'Ana.pem', 'Ana')
    given = dict(policy=SIGNED, keys={ana.keyid: dict(person='Ana', role='', public=ana.public)}, versions={n: tiny.version(n) for n in (1, 2)})
    (tmp_path/'given.json').write_text(json.dumps(given))
    env = {k: v for k, v in os.environ.items() if k != 'MLOPS_KIT_CRASH_AT'} | dict(OMP_NUM_THREADS='1')
    p = subprocess.run([sys.executable, '-c', KILL, tmp_path, str(every)], capture_output=True, text=True, timeout=600, env=env)
    assert p.returncode == 0, p.stderr
    return [json.loads(o) for o in p.stdout.splitlines()]


@pytest.mark.slow
def test_killed_at_any_write_the_next_command_finishes_or_begins_again(tmp_path):
    found = kills(tmp_path, 1)
    assert len(found) > 20
    for o in found:
        assert o['void'] == 0 and o['at'] in (o['head'], o['base']), o
        assert o['next'] == ('ok' if o['at'] == o['head'] else 'moved') and o['then'] == o['head'], o
        assert o['kinds'] == ['policy', 'promote', 'promote'] and o['end'] == [2, 'ok'], o
    assert {o['next'] for o in found} == {'ok', 'moved'}
