"On a server with its authentication on: people hand in signed words, one account moves the champion."
import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from mlops_kit.core import MlopsKitError, RegistryError, now
from world import KILLED, POLICY, PRELOAD, World, fitted, flights

TEAM = POLICY.replace('{gates: [performance]}', '{gates: [performance], approvals: {required: 1, roles: [risk]}}')
SOON = str(date.fromisoformat(now()[:10]) + timedelta(days=20))
ROLES = dict(ben='risk', pia='promoter')
PEOPLE = dict(ana='Ana Silva', ben='Ben Ode', pia='Pia Roy')


class Office(World):
    "A small model's world where Ana makes candidates, Ben answers for risk, and Pia's account promotes"
    def __init__(self, folder, url=None):
        super().__init__(folder)
        self.url = url

    @property
    def store(self):
        from mlops_kit.store import connect
        return connect(self.url) if self.url else super().store

    def furnish(self):
        super().furnish()
        for user, role in ROLES.items(): self.person(PEOPLE[user], role)
        self.policy.write_text(TEAM)
        self.as_('pia')
        self.rights = self.make_inbox()
        return self

    def key_of(self, user): return self.folder/f'{user}{ROLES.get(user, "")}.pem'

    def as_(self, user):
        "Act with a person's key and account"
        os.environ.update(MLOPS_KIT_KEY=str(self.key_of(user)), MLFLOW_TRACKING_USERNAME=user, MLFLOW_TRACKING_PASSWORD=password(user))
        return self

    def hands_in_version(self, user='ana', **kwargs): return self.as_(user).hand_in_version(**kwargs)

    def hands_in(self, user, kind='approve', ref='tiny/1', **kwargs):
        from mlops_kit.inbox import hand_in
        return hand_in(kind, ref, store=self.as_(user).store, **kwargs)

    def receives(self, user='pia', **kwargs): return self.as_(user).receive(**kwargs)

    def puts(self, user, word, name=None, edit=None, account=None):
        "Put a word into the inbox, past all checks"
        from mlops_kit.evidence import canonical, read_key
        from mlops_kit.inbox import inbox_of, sign_word
        from mlops_kit.store import log_param_once
        envelope = sign_word(word, read_key(self.key_of(user)))
        raw = (edit or (lambda o: o))(canonical(envelope).decode())
        assert log_param_once(self.as_(account or user).store, inbox_of(self.book()), name or f'word-{word.token}', raw)
        return word

    def approval(self, **kwargs):
        "The word that Ben would hand in, to be spoilt"
        from mlops_kit.inbox import Word
        from mlops_kit.ledger import identity
        made = next(e for e in self.book().entries() if e.kind == 'register')
        said = dict(target=identity(made.target), decision='approved', evidence=self.evidence.ref, policy=made.policy)
        return Word(**dict(kind='approve', model='tiny', alias='champion') | said | kwargs)

    def judged(self, ref='tiny/1', user='ana'):
        self.evidence = self.as_(user).judge(ref)
        return self

    def entries(self): return [(e.seq, e.kind, e.actor, str(e.void or '')) for e in self.book().entries(all=True)]


def password(user): return f'a long password of {user}'


@pytest.fixture(autouse=True)
def account(monkeypatch):
    for k in ('MLOPS_KIT_KEY', 'MLFLOW_TRACKING_USERNAME', 'MLFLOW_TRACKING_PASSWORD'): monkeypatch.setenv(k, '')


@pytest.fixture(scope='module')
def furnished(tmp_path_factory):
    "A file as store: version 1 is received and judged"
    with pytest.MonkeyPatch.context() as m:
        for k in ('MLOPS_KIT_KEY', 'MLFLOW_TRACKING_USERNAME', 'MLFLOW_TRACKING_PASSWORD'): m.setenv(k, '')
        office = Office(tmp_path_factory.mktemp('inbox')/'world').furnish()
        office.hands_in_version()
        assert len(office.receives().taken) == 1
        office.judged()
    office.keep(office.folder.with_name('kept'))
    return office


@pytest.fixture
def office(furnished):
    furnished.restore(furnished.folder.with_name('kept'))
    return furnished


def refused(office, why):
    "Receive, and see exactly one word refused and nothing written"
    before = office.entries()
    got = office.receives()
    assert ([], before) == (got.taken, office.entries())
    assert len(got.refused) == 1 and re.search(why, got.refused[0][1]), got.refused


# Words that nobody may believe

def test_an_approval_is_received_once_under_the_name_of_its_person(office):
    office.hands_in('ben', reason='read it')
    got = office.receives()
    assert [(e.kind, e.actor, e.reason) for e in got.taken] == [('approve', 'Ben Ode', 'read it')]
    again = office.receives()
    assert (again.taken, again.refused, again.known) == ([], [], 2)
    assert not [o for o in office.entries() if o[3]]


@pytest.mark.parametrize('why, user, change', [
    ('another model, `other`', 'ben', dict(model='other')),
    ('Ana Silva registered the version', 'ana', {}),
    ('unknown; known: `1`', 'ben', dict(target=dict(version=7, model_id='m', created=1, manifest='0'*64))),
    ('another version, policy or evidence', 'ben', dict(target=dict(version=1, model_id='m', created=1, manifest='0'*64))),
    ('another version, policy or evidence', 'ben', dict(policy='0'*64)),
    ('another version, policy or evidence', 'ben', dict(evidence='digest')),
    ('evidence .* is unknown', 'ben', dict(evidence=dict(run_id='0'*32, digest='0'*64))),
    ('stage `shadow` is unknown', 'ben', dict(alias='shadow')),
    ('names no alias, version or evidence', 'ben', dict(target=None)),
    ('another kind, schema or name', 'ben', dict(kind='promote')),
    ('never held `champion`', 'ben', dict(evidence=None)),
    ('needs a reason', 'ben', dict(kind='reject', decision='rejected')),
    ('has said nothing', 'ben', dict(kind='withdraw', decision='withdrawn')),
    ('makes a candidate and nothing else', 'ben', dict(kind='register', evidence=None, target=dict(version=0, model_id='', created=0, manifest='0'*64)))])
def test_a_word_that_does_not_hold_is_refused_with_the_reason(office, why, user, change):
    if change.get('evidence') == 'digest': change = dict(evidence=office.evidence.ref | dict(digest='0'*64))
    office.puts(user, office.approval(**change))
    refused(office, why)


@pytest.mark.parametrize('why, edit', [
    ('does not fit', lambda raw: changed(raw, reason='not what Ben said')),
    ('not as this kit writes it|no DSSE', lambda raw: raw.replace('"payload"', '"Payload"')),
    ('is not JSON', lambda raw: 'nothing'),
    ('is no DSSE', lambda raw: '{}'),
    ('its key is not among the keys', lambda raw: raw.replace(json.loads(raw)['signatures'][0]['keyid'], '0'*64))])
def test_an_edited_word_is_nobodys(office, why, edit):
    office.puts('ben', office.approval(), edit=edit)
    refused(office, why)


def changed(raw, **kwargs):
    "The same signature over another payload"
    from base64 import b64decode, b64encode
    from mlops_kit.evidence import canonical
    d = json.loads(raw)
    return canonical(d | dict(payload=b64encode(canonical(json.loads(b64decode(d['payload'])) | kwargs)).decode())).decode()


def test_a_stranger_a_replay_and_a_word_of_tomorrow_are_refused(office, monkeypatch):
    from mlops_kit import inbox
    office.person('Eve Lie', pinned=False)
    office.puts('eve', office.approval())
    refused(office, 'its key is not among the keys')
    word = office.hands_in('ben').word
    office.receives()
    held = inbox.read_inbox(office.book())[f'word-{word.token}']
    office.puts('ben', office.approval(), name='word-' + '0'*32, edit=lambda raw: held)
    monkeypatch.setattr(inbox, 'now', lambda: '2999-01-01T00:00:00Z')
    office.puts('ben', office.approval(kind='reject', decision='rejected', reason='not yet'))
    monkeypatch.undo()
    got = office.receives()
    assert got.taken == [] and len(got.refused) == 3
    for why in ('it is of another kind, schema or name', 'this clock says', 'not among the keys'): assert why in str(got), got


def test_making_the_place_again_changes_nothing_and_a_strangers_ledger_is_not_taken_over(office):
    from mlops_kit.inbox import inbox_of, make_inbox
    before, place = office.entries(), inbox_of(office.book())
    assert make_inbox('tiny', office.as_('pia').policy, office.store) == office.rights
    assert (before, place) == (office.entries(), inbox_of(office.book()))
    office.person('Eve Lie')
    with pytest.raises(MlopsKitError, match='another policy or other keys pinned'): make_inbox('tiny', office.policy, office.store)
    with pytest.raises(MlopsKitError, match='is for model `tiny`'): make_inbox('other', office.policy, office.store)


def test_files_that_were_changed_after_they_were_signed_do_not_come_in(office, tmp_path):
    made = office.hands_in_version(upside_down=True)
    (tmp_path/'requirements.txt').write_text('evil')
    office.store.client.log_model_artifacts(made.version.model_id, str(tmp_path))
    refused(office, 'has the files that were signed')


@pytest.mark.parametrize('lineage', ['{}', '[1', '{"task": 1}'])
def test_files_that_this_kit_did_not_make_are_refused_and_block_nothing(office, tmp_path, lineage):
    import shutil
    from mlops_kit.evidence import find_key, write_manifest
    from mlops_kit.inbox import hand_in_version
    folder, said = office.files(upside_down=True)
    shutil.copytree(folder, tmp_path/'model')
    (tmp_path/'model/mlops_kit/lineage.json').write_text(lineage)
    write_manifest(tmp_path/'model')
    hand_in_version(office.as_('ana').store, 'tiny', tmp_path/'model', said, key=find_key())
    office.hands_in('ben')
    got = office.receives()
    assert [e.kind for e in got.taken] == ['approve'] and 'the lineage of its files is none' in str(got.refused)


def test_a_version_handed_in_twice_is_two_versions_of_the_same_files(office):
    for _ in range(2): office.hands_in_version(upside_down=True)
    assert [e.target['version'] for e in office.receives().taken] == numbers(office)[1:] == [2, 3]


# Order

def test_what_was_signed_last_counts_in_whichever_order_it_comes(office, monkeypatch):
    from mlops_kit import inbox
    monkeypatch.setattr(inbox, 'now', lambda: '2020-01-01T00:00:00Z')
    old, held = office.approval(), []
    office.puts('ben', old, name='word-kept', edit=lambda raw: held.append(raw) or raw)
    monkeypatch.undo()
    office.hands_in('ben', 'reject', reason='no')
    assert [e.kind for e in office.receives().taken] == ['reject']
    office.puts('ben', office.approval(), name=f'word-{old.token}', edit=lambda raw: held[0])
    assert [e.kind for e in office.receives().taken] == ['approve']
    assert office.as_('pia').promote('tiny/1').decision == 'blocked'
    office.hands_in('ben')
    office.puts('ben', office.approval(kind='withdraw', decision='withdrawn'))
    assert [e.kind for e in office.receives().taken] == ['approve', 'withdraw']
    assert office.as_('pia').promote('tiny/1').decision == 'waiting for approval'


def test_a_waiver_is_taken_back_from_outside(office):
    office.hands_in_version(upside_down=True)
    assert len(office.receives().taken) == 1
    office.judged('tiny/2')
    for kind, kw, counts in [('waive', dict(gate='performance', until=SOON, reason='a pilot'), True), ('withdraw', {}, False)]:
        office.hands_in('ben', kind, 'tiny/2', **kw)
        assert [(e.kind, e.actor) for e in office.receives().taken] == [(kind, 'Ben Ode')]
        d = office.as_('pia').promote('tiny/2')
        assert d.exit_code == (5 if counts else 1) and any('took it back' in o for o in d.reasons) != counts
    office.hands_in('ben', 'withdraw', 'tiny/2')
    refused(office, 'has said so already')


def test_a_changed_policy_is_agreed_to_from_outside(office):
    from mlops_kit.approval import change_policy
    office.policy.write_text(TEAM.replace('min: 0.6', 'min: 0.7'))
    change = lambda: change_policy('tiny', office.policy, store=office.as_('pia').store)
    assert change().exit_code == 5
    office.hands_in('ben', ref='tiny', policy=office.policy)
    assert [(e.kind, e.actor, e.target) for e in office.receives().taken] == [('approve', 'Ben Ode', None)]
    assert change().exit_code == 0 and office.book().pinned()['text'] == office.policy.read_text()
    office.puts('ben', office.approval(alias=None, target=None, evidence=dict(run_id='0'*32, digest='0'*64)))
    refused(office, 'another ledger')


def test_a_word_about_a_way_back_dies_with_the_next_move(office):
    office.hands_in('ben')
    office.receives()
    assert office.as_('pia').promote('tiny/1').exit_code == 0
    office.hands_in_version(upside_down=False)
    office.receives()
    office.judged('tiny/2')
    office.hands_in('ben', ref='tiny/2')
    office.receives()
    assert office.as_('pia').promote('tiny/2').exit_code == 0
    back = office.hands_in('ben', ref='tiny/1', rollback=True).word
    time.sleep(1.1)
    assert office.as_('pia').rollback(to=1, reason='slow').exit_code == 0
    got = office.receives()
    assert got.taken == [] and back.token in str(got.refused)


# Killed

def act(folder, url, user, what, crash_at, says):
    "One command in a process of its own, which may be killed at one of its writes"
    office = Office(folder, url).as_(user)
    os.environ['MLOPS_KIT_CRASH_AT'] = crash_at
    getattr(office, what)()
    from mlops_kit.store import WRITES
    Path(says).write_text('\n'.join(WRITES))


def in_process(office, what, crash_at='', user='pia'):
    "Run a command in a forked process; return its exit code and the labels of its writes"
    ctx = multiprocessing.get_context('forkserver')
    ctx.set_forkserver_preload(PRELOAD)
    says = office.folder.with_name('writes.txt')
    says.unlink(missing_ok=True)
    p = ctx.Process(target=act, args=(str(office.folder), office.url, user, what, crash_at, str(says)))
    p.start()
    p.join(120)
    return p.exitcode, says.read_text().split('\n') if says.exists() else []


def numbers(office):
    from mlops_kit.store import list_versions
    return sorted(v.version for v in list_versions(office.store, 'tiny'))


@pytest.mark.slow
def test_receive_killed_anywhere_and_repeated_doubles_nothing(office):
    "After the copy, after an entry, before the last; `make torture` goes through all of its writes"
    office.hands_in_version(upside_down=True)
    office.hands_in('ben')
    office.keep(full := office.folder.with_name('full'))
    code, writes = in_process(office, 'receives')
    assert code == 0 and [writes.index(o) for o in ('upload the model', 'make a version of `tiny`', 'write the param `seq-000003`')] == [5, 7, 8]
    want, end = office.entries(), numbers(office)
    for at in ('8:after', '9:after', '12'):
        office.restore(full)
        assert in_process(office, 'receives', at)[0] == KILLED, at
        assert office.receives().refused == []
        assert (office.entries(), numbers(office), office.alias('candidate')) == (want, end, 2), at


@pytest.mark.slow
def test_two_who_receive_at_once_double_nothing(office):
    office.hands_in('ben')
    office.hands_in_version(upside_down=True)
    ctx = multiprocessing.get_context('forkserver')
    both = [ctx.Process(target=act, args=(str(office.folder), None, 'pia', 'receives', '', str(office.folder.with_name(f'{o}.txt')))) for o in 'ab']
    for p in both: p.start()
    for p in both: p.join(120)
    got = office.receives()
    assert [p.exitcode for p in both] == [0, 0] and (got.taken, got.refused) == ([], [])
    assert sorted(o[1:] for o in office.entries()) == [('approve', 'Ben Ode', ''), ('policy', 'Pia Roy', ''), ('register', 'Ana Silva', ''), ('register', 'Ana Silva', '')]


# The server

@contextmanager
def server(folder):
    "Start MLflow's tracking server with its authentication on; yields its address"
    import shutil
    from mlops_kit.store import template
    shutil.copyfile(template(), folder/'mlflow.db')
    (folder/'auth.ini').write_text(f'[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\nadmin_username = root\n'
        f'admin_password = {password("root")}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\nauth_cache_ttl_seconds = 600\n')
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{s.getsockname()[1]}'
    env = os.environ | dict(MLFLOW_AUTH_CONFIG_PATH=str(folder/'auth.ini'), MLFLOW_FLASK_SERVER_SECRET_KEY='a key of this test', MLFLOW_SERVER_ENABLE_JOB_EXECUTION='false')
    command = [Path(sys.executable).parent/'mlflow', 'server', '--app-name', 'basic-auth', '--host', '127.0.0.1', '--port', url.split(':')[-1], '--workers', '1',
        '--backend-store-uri', f'sqlite:///{folder}/mlflow.db', '--artifacts-destination', str(folder/'artifacts')]
    with open(folder/'log', 'w') as log: p = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=folder)
    try:
        wait_for(url, p, folder/'log')
        yield url
    finally:
        os.killpg(p.pid, 9)
        p.wait()


def wait_for(url, p, log):
    for _ in range(240):
        assert p.poll() is None, log.read_text()
        try: return urlopen(f'{url}/health', timeout=2).close()
        except OSError: time.sleep(.25)
    raise AssertionError(log.read_text())


def ask(url, path, user, **body):
    "One request to the server as some user"
    from base64 import b64encode
    head = {'Authorization': 'Basic ' + b64encode(f'{user}:{password(user)}'.encode()).decode(), 'Content-Type': 'application/json'}
    with urlopen(Request(f'{url}/api/{path}', json.dumps(body).encode(), head)) as r: return json.load(r)


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    "The same office on a server, where each has exactly the rights that the page says"
    folder = tmp_path_factory.mktemp('server')
    with server(folder) as url, pytest.MonkeyPatch.context() as m:
        for k in ('MLOPS_KIT_KEY', 'MLFLOW_TRACKING_USERNAME', 'MLFLOW_TRACKING_PASSWORD'): m.setenv(k, '')
        for user in PEOPLE: ask(url, '2.0/mlflow/users/create', 'root', username=user, password=password(user))
        office = Office(folder/'world', url).furnish()
        groups = dict(promoter=['pia'], scientist=['ana'], judge=['ana'], everybody=['ana', 'ben'])
        for r in office.rights:
            for user in groups[r.who]:
                if user != 'pia': ask(url, '3.0/mlflow/users/permissions/grant', 'pia', username=user, resource_type=r.resource_type, resource_id=r.resource_id, permission=r.permission)
        yield office


@pytest.fixture(scope='module')
def reigning(served):
    "Version 1 came in by Ana's word, was approved by Ben's, and is champion"
    served.first = served.as_('ana').register(hand_in=True)
    served.receives()
    served.judged().hands_in('ben', reason='read it')
    served.receives()
    served.crowned = served.as_('pia').promote('tiny/1')
    return served


def denied(fn):
    "See that the server refuses"
    with pytest.raises(Exception, match='Permission denied'): fn()


@pytest.mark.slow
def test_history_says_who_said_what_and_anybody_can_verify_it(reigning, tmp_path):
    from mlops_kit.audit import verify, verify_bundle
    from mlops_kit.promotion import history, status
    from mlops_kit.registry import load
    assert reigning.crowned.exit_code == 0 and 'Ben Ode' in str(reigning.crowned.reasons)
    assert reigning.first.version.ref == 'tiny-candidates/1'
    store = reigning.as_('ben').store
    said = [(e.kind, e.actor) for e in reigning.book().entries(all=True)]
    assert said == [('policy', 'Pia Roy'), ('register', 'Ana Silva'), ('approve', 'Ben Ode'), ('promote', 'Pia Roy')]
    assert 'Ben Ode' in str(history('tiny', store=store)) and 'tiny' in str(status('tiny', store=store)) and load('tiny@champion', store)
    for a in (verify('tiny', store, export=tmp_path/'tiny.zip', progress=False), verify_bundle(tmp_path/'tiny.zip', progress=False)): assert a.exit_code == 0, a


@pytest.mark.slow
@pytest.mark.parametrize('user', ['ana', 'ben'])
def test_nobody_else_moves_makes_or_writes_anything_of_the_champion(reigning, user):
    from mlflow import MlflowClient
    c, book, before = MlflowClient(reigning.url, reigning.url), reigning.as_(user).book(), reigning.entries()
    kept, champion = c.get_model_version('tiny', '1'), reigning.book().head('champion').target
    files, model = c.get_logged_model(champion['model_id']), reigning.files()[0]
    for fn in (lambda: c.set_registered_model_alias('tiny', 'champion', '1'), lambda: c.delete_registered_model_alias('tiny', 'champion'),
               lambda: c.create_model_version('tiny', kept.source, kept.run_id), lambda: c.delete_model_version('tiny', '1'),
               lambda: c.set_model_version_tag('tiny', '1', 'manifest', 'x'), lambda: c.copy_model_version('models:/tiny-candidates/1', 'tiny'),
               lambda: c.log_param(book.run_id, 'seq-000005', 'x'), lambda: c.log_param(book.run_id, 'inbox', 'x'), lambda: c.log_dict(book.run_id, {}, 'pins/x.json'),
               lambda: c.log_model_artifacts(files.model_id, str(model)), lambda: c.delete_logged_model(files.model_id), lambda: c.delete_registered_model('tiny'),
               lambda: c.set_tag(book.run_id, 'x', 'y'), lambda: c.delete_run(book.run_id)): denied(fn)
    for what in (lambda: reigning.register(), lambda: reigning.receives(user)):
        with pytest.raises(MlopsKitError) as e: what()
        assert e.value.exit_code in (2, 3) and len(str(e.value).splitlines()) == 1
    assert (reigning.alias(), reigning.entries(), numbers(reigning)) == (1, before, [1])


@pytest.mark.slow
def test_a_candidates_owner_cannot_reach_the_champions_files(reigning, tmp_path):
    "With a copy that only points there, she could: MLflow lets her overwrite files of a model that is ready"
    from mlflow import MlflowClient
    from mlops_kit.registry import load
    c = MlflowClient(reigning.url, reigning.url)
    mine = reigning.as_('ana').first.version.model_id
    (tmp_path/'requirements.txt').write_text('evil')
    c.log_model_artifacts(mine, str(tmp_path))
    c.rename_experiment(c.get_experiment_by_name('mlops_kit/inbox/tiny').experiment_id, 'gone')
    assert load('tiny@champion', reigning.store) and reigning.book().head('champion').target['model_id'] != mine
    assert reigning.receives(dry_run=True).known == 2


def typed(office, user, *words):
    "Type a command as some user"
    from mlops_kit.cli import main
    office.as_(user)
    with pytest.raises(SystemExit) as e: main([*words, '--store', office.url])
    return e.value.code


@pytest.mark.slow
def test_the_next_version_comes_in_over_a_kill_and_goes_back(reigning):
    from mlops_kit.ledger import identity
    made = reigning.hands_in_version(upside_down=True)
    reigning.puts('ben', reigning.approval(target=dict(version=0, model_id='', created=0, manifest='0'*64), kind='register', alias='candidate', decision='registered', evidence=None))
    for at in ('6', '8:after', '2:after'): assert in_process(reigning, 'receives', at)[0] == KILLED
    got = reigning.receives()
    assert (got.taken, numbers(reigning), reigning.alias('candidate')) == ([], [1, 2], 2) and 'has the files that were signed' in str(got.refused)
    last = reigning.book().entries()[-1]
    assert (last.kind, last.actor, last.target['manifest']) == ('register', 'Ana Silva', made.version.manifest)
    reigning.judged('tiny/2')
    assert typed(reigning, 'ben', 'waive', 'tiny/2', '--gate', 'performance', '--until', SOON, '--reason', 'a pilot', '--hand-in') == 0
    assert typed(reigning, 'ben', 'approve', 'tiny/2', '--hand-in') == 0
    assert [typed(reigning, 'ana', *o) for o in (('receive', 'tiny', '--dry-run'), ('receive', 'tiny'), ('approve', 'tiny/2', '--hand-in'))] == [0, 2, 2]
    about = dict(target=identity(last.target))
    reigning.puts('ana', reigning.approval(**about))
    reigning.puts('ben', reigning.approval(**about), edit=lambda raw: changed(raw, reason='not what Ben said'))
    reigning.puts('ben', reigning.approval(**about, model='other'))
    reigning.person('Eve Lie', pinned=False)
    reigning.puts('eve', reigning.approval(**about), account='ben')
    got = reigning.receives()
    assert [e.kind for e in got.taken] == ['waive', 'approve']
    for why in ('Ana Silva cannot approve', 'signature of Ben Ode does not fit', 'another model, `other`', 'not among the keys'): assert why in str(got), got
    for user in ('ana', 'ben'):
        with pytest.raises(RegistryError) as e: reigning.as_(user).promote('tiny/2')
        assert e.value.exit_code in (2, 3) and len(str(e.value).splitlines()) == 1 and 'status 403' in str(e.value), e.value
    assert reigning.as_('pia').promote('tiny/2').exit_code == 0 and reigning.alias() == 2
    with pytest.raises(RegistryError, match='status 403'): reigning.as_('ana').rollback(reason='mine')
    assert reigning.as_('pia').rollback(reason='worse').exit_code == 0 and reigning.alias() == 1
    assert [o for o in reigning.entries() if o[3]] == []
