"Does everything that was promised still hold? What is changed is found and named, in a store and in a bundle that left it."
import json
import random
import shutil
import subprocess
import sys
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from conftest import ROOT
from mlops_kit.audit import verify, verify_bundle
from mlops_kit.core import EvidenceError, MlopsKitError, RegistryError, to_json

sys.path.insert(0, str(ROOT/'tests/torture'))
from fuzz import Fuzz  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def fuzz(tmp_path_factory):
    with pytest.MonkeyPatch.context() as m:
        m.setenv('MLOPS_KIT_KEY', '')
        yield Fuzz(tmp_path_factory.mktemp('audit'))


@pytest.fixture
def audited(fuzz):
    "Verify the store, with what is brought along"
    return lambda **kwargs: verify('tiny', fuzz.store, progress=False, **kwargs)


@pytest.fixture
def bundled(fuzz, tmp_path):
    "A bundle of one's own, unpacked"
    shutil.copytree(fuzz.bundle, tmp_path/'bundle')
    return tmp_path/'bundle'


def look(path, **kwargs): return verify_bundle(path, progress=False, **kwargs)


# Whole

def test_a_whole_store_holds_and_names_the_stranger(audited, fuzz):
    a = audited()
    assert (a.exit_code, a.counts['entries'], a.counts['void'], a.counts['versions'], a.counts['evidence']) == (0, fuzz.last, 2, 5, 5)
    assert [f.where for f in a.notes] == [f'entry {n}' for n in fuzz.void] and 'void' in a.notes[0].said
    assert f'head {fuzz.last}:{a.head["digest"]}' in repr(a) and 'not anchored' in repr(a)
    assert a.to_dict()['schema'] == 'mlops_kit/audit/1' and json.loads(to_json(a))['exit_code'] == 0 and 'all' in a._repr_html_()


def test_a_bundle_says_the_same_as_its_store(audited, fuzz):
    a, b = audited(), look(fuzz.zip)
    assert [f.to_dict() for f in a.checks] == [f.to_dict() for f in b.checks] == [f.to_dict() for f in look(fuzz.bundle).checks]
    assert (a.head, a.counts) == (b.head, b.counts) and 'who' in repr(b) and str(fuzz.folder) not in repr(b)


def test_the_same_store_gives_the_same_bytes(audited, fuzz, tmp_path):
    audited(export=tmp_path/'again.zip')
    assert (tmp_path/'again.zip').read_bytes() == fuzz.zip.read_bytes()


def test_a_bundle_needs_no_mlflow_no_store_and_no_network(fuzz, tmp_path):
    code = ('import socket, sys\ndef no(*a, **k): raise OSError("no network")\nsocket.socket.connect = no\nfrom mlops_kit.cli import run\n'
            'print(run(["verify", "--bundle", sys.argv[1], "--json"]), sorted({"mlflow", "sqlalchemy", "sklearn", "evidently", "papermill"} & {*sys.modules}))')
    p = subprocess.run([sys.executable, '-c', code, str(fuzz.zip)], capture_output=True, text=True, cwd=tmp_path)
    assert p.stdout.splitlines()[-1] == '0 []' and json.loads(p.stdout.removesuffix('0 []\n'))['exit_code'] == 0, p.stderr
    assert list(tmp_path.iterdir()) == []


def test_looking_changes_nothing(audited, fuzz):
    def state(): return {p: p.stat().st_mtime_ns for p in fuzz.world.folder.rglob('*') if p.is_file() and p.name != 'mlflow.db'}, [*fuzz.db.iterdump()]
    before = state()
    audited()
    assert state() == before


# Held against what is brought along

def test_a_head_that_was_kept_anchors(audited, fuzz):
    assert audited(head=fuzz.head).anchor.startswith(f'anchored by the head {fuzz.last}:')
    old = audited(head=f'12:{"0"*64}')
    assert old.exit_code == 1 and [f.what for f in old.broken] == ['head']
    assert 'cut off' in audited(head=f'{fuzz.last + 1}:{"0"*64}').broken[0].said


def test_an_older_head_fits_a_longer_ledger(audited, fuzz):
    from mlops_kit.audit import read_entries, store_source
    for seq in (1, 9, 10, 11, fuzz.void[0] - 1, *fuzz.void, fuzz.last - 1): assert audited(head=f'{seq}:{read_entries(store_source(fuzz.store, "tiny"), seq)[0].previous[:16]}').exit_code == 0


def test_the_reviewers_keys_anchor(fuzz, tmp_path):
    keys = fuzz.world.folder/'keys'
    assert look(fuzz.zip, keys=keys).anchor == f'anchored by the signature of Ben Ode on entry {fuzz.last}'
    only = tmp_path/'only'
    only.mkdir()
    shutil.copy(next(keys.glob('ana-silva-*')), only)
    assert look(fuzz.zip, keys=only).anchor == f'anchored by the signature of Ana Silva on entry {fuzz.last - 1}'


def test_a_bundle_that_somebody_made_up_is_whole_and_not_anchored(fuzz, tmp_path_factory, monkeypatch):
    from world import World
    monkeypatch.setenv('MLOPS_KIT_KEY', '')
    other = World(tmp_path_factory.mktemp('liar')/'world').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(other.key))
    other.register()
    verify('tiny', other.store, export=other.folder/'lie.zip', progress=False)
    a = look(other.folder/'lie.zip')
    assert a.exit_code == 0 and 'could have made it all up' in repr(a)
    a = look(other.folder/'lie.zip', keys=fuzz.world.folder/'keys')
    assert a.exit_code == 1 and 'none of its entries is signed by one of the 4 keys' in repr(a)


# Whoever changes more than one thing

def test_another_model_with_a_manifest_that_fits_it_is_found(bundled, fuzz):
    from mlops_kit.evidence import write_manifest
    (bundled/'models/4/model.skops').write_bytes(b'another model')
    write_manifest(bundled/'models/4')
    broken = [f for f in look(bundled).broken if f.what == 'files']
    assert [f.where for f in broken] == ['version 4'] and 'its manifest is' in broken[0].said


def test_evidence_that_a_stranger_signed_anew_is_found(bundled, fuzz, tmp_path):
    from mlops_kit.evidence import make_key, open_envelope, read_envelope, signed_statement, statement_digest
    run = next(e.evidence['run_id'] for e in fuzz.world.book().entries() if e.kind == 'promote')
    folder, params = bundled/'evidence'/run, bundled/'runs'/f'{run}.json'
    verdict = folder/'performance/verdict.json'
    verdict.write_text(verdict.read_text().replace('"fail"', '"pass"').replace('0.6', '0.1'))
    (folder/'statement.json').unlink()
    signed_statement(folder, make_key(tmp_path/'eve.pem', 'Ana Silva'))
    mark = statement_digest(open_envelope(read_envelope(folder))[1])
    params.write_text(to_json(json.loads(params.read_text()) | dict(evidence=mark)) + '\n')
    a = look(bundled)
    assert a.exit_code == 1 and f'evidence {run[:8]}' in {f.where for f in a.broken} and {f.where for f in a.broken if f.what == 'verdict'}


@pytest.fixture
def by_hand(fuzz):
    "Write an entry past every command, with a pinned key, and take it out again"
    from mlops_kit.evidence import canonical, read_key, sign
    from mlops_kit.ledger import ENTRY, Entry, key_of_seq, signed_entry
    from mlops_kit.store import log_param_once
    def write(kind, alias, target, base, **kwargs):
        book = fuzz.world.book()
        chain = book.read()[0]
        e = signed_entry(Entry(0, kind, 'tiny', alias, base, target, kind, policy=chain.pin['digest']), chain, chain.pin['keys'], key := read_key(fuzz.world.key))
        for k, v in kwargs.items(): setattr(e, k, v)
        e.signature = sign(e.signed, key, ENTRY)['signatures'][0]['sig']
        assert log_param_once(fuzz.store, chain.runs[-1], key_of_seq(e.seq), canonical(e.body).decode())
    yield write
    fuzz.db.execute(f"DELETE FROM params WHERE key = 'seq-{fuzz.last + 1:06d}'")


def test_a_pinned_key_alone_crowns_nobody(by_hand, audited, fuzz):
    heads = {n: fuzz.world.book().read()[0].heads[n].target for n in ('candidate', 'champion')}
    entries = {e.target['version']: e for e in fuzz.world.book().entries() if e.kind == 'promote'}
    for kind, alias, target, kwargs in [
            ('reconcile', 'champion', heads['candidate'], {}), ('register', 'champion', heads['candidate'], {}), ('adopt', 'champion', heads['candidate'], {}),
            ('rollback', 'champion', heads['candidate'], {}), ('promote', 'champion', heads['candidate'], dict(evidence=entries[4].evidence)),
            ('promote', 'champion', entries[3].target, dict(evidence=entries[3].evidence)), ('note', None, None, dict(at='2020-01-01T00:00:00Z'))]:
        by_hand(kind, alias, target, heads.get(alias), **kwargs)
        a = audited()
        fuzz.db.execute(f"DELETE FROM params WHERE key = 'seq-{fuzz.last + 1:06d}'")
        assert a.exit_code == 1 and f'entry {fuzz.last + 1}' in {f.where for f in a.broken if f.what != 'alias'}, (kind, a)
    assert audited(head=fuzz.head).exit_code == 0


# Through a server, whose files are fetched to be looked at

def test_the_same_checks_run_through_a_server(tmp_path, monkeypatch):
    from servers import place
    from world import World
    monkeypatch.setenv('MLOPS_KIT_KEY', '')
    with place('server', tmp_path/'world') as server:
        world = World(tmp_path/'world', place=server).furnish()
        monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
        world.register()
        world.judge('tiny/1')
        assert world.promote('tiny/1').exit_code == 0
        a = verify('tiny', world.store, export=tmp_path/'tiny.zip', progress=False)
        assert a.exit_code == 0 and a.counts['files'] > 9, a
        assert [f.to_dict() for f in look(tmp_path/'tiny.zip').checks] == [f.to_dict() for f in a.checks]
        model = next(p for p in tmp_path.rglob('model.skops') if 'models' in p.parts)
        model.write_bytes(model.read_bytes()[:-1])
        assert [(f.where, f.said) for f in verify('tiny', world.store, progress=False).broken] == [('version 1', '`model.skops` is changed')]


# Gone is not tampered with

def test_a_version_that_was_deleted_is_gone_and_not_tampered_with(audited, fuzz):
    undo = fuzz.mutate(next(s for s in fuzz.spots() if s.kind == 'row of a version' and s.name == '3 creation_time' and s.medium == 'store'), 'delete', [], random)
    try: a = audited()
    finally: undo()
    assert a.exit_code == 3 and not a.broken
    assert [(f.where, f.ok) for f in a.unchecked] == [('version 3', None)] and 'gone' in a.unchecked[0].said


def test_a_signed_objection_behind_a_gap_is_found_whatever_the_message_says(fuzz, audited, monkeypatch):
    from mlops_kit import entry
    from mlops_kit.entry import ENTRY, Entry, identity, key_of_seq
    from mlops_kit.evidence import canonical, read_key, sign
    from mlops_kit.ledger import signed_entry
    from mlops_kit.store import log_param_once
    chain, key = fuzz.world.book().read()[0], read_key(fuzz.world.key)
    e = signed_entry(Entry(0, 'reject', 'tiny', 'champion', target=identity(chain.heads['candidate'].target), decision='rejected', reason='no'), chain, chain.pin['keys'], key)
    e.seq += 1
    e.signature = sign(e.signed, key, ENTRY)['signatures'][0]['sig']
    assert log_param_once(fuzz.store, chain.runs[-1], key_of_seq(e.seq), canonical(e.body).decode())
    try:
        for words in (entry.VOIDS, {k: 'gone with the wind' for k in entry.VOIDS}):
            monkeypatch.setattr(entry, 'VOIDS', words)
            a = audited()
            assert a.exit_code == 1 and [f.where for f in a.broken] == [f'entry {fuzz.last + 1}'], a
    finally: fuzz.db.execute(f"DELETE FROM params WHERE key = '{key_of_seq(e.seq)}'")


def test_a_version_that_was_made_in_mlflow_alone_is_named(audited, fuzz):
    fuzz.db.execute("INSERT INTO model_versions SELECT name, 9, 1, 1, description, user_id, current_stage, source, run_id, status, status_message, run_link, storage_location, workspace FROM model_versions WHERE version = 1")
    try: a = audited()
    finally: fuzz.db.execute('DELETE FROM model_versions WHERE version = 9')
    assert a.exit_code == 0 and ('version 9', 'the ledger does not know it') in [(f.where, f.said) for f in a.notes]


def test_a_mark_under_another_name_is_found(fuzz):
    "As a param of the ledger's run that this kit never writes"
    done = max(k for k in fuzz.params if k.startswith('done'))
    run = fuzz.home[done]
    fuzz.db.execute('UPDATE params SET key = ? WHERE run_uuid = ? AND key = ?', (f'dnne{done[4:]}', run, done))
    try: a = verify('tiny', fuzz.store, progress=False)
    finally: fuzz.db.execute('UPDATE params SET key = ? WHERE run_uuid = ? AND key = ?', (done, run, f'dnne{done[4:]}'))
    assert a.exit_code == 1 and [f.said for f in a.broken] == [f'`dnne{done[4:]}` in its run {run[:8]} is nothing that this kit writes']


def test_a_ledger_with_an_inbox_is_whole_only_where_its_inbox_is(fuzz):
    run = fuzz.home[min(k for k in fuzz.params if k.startswith('seq'))]
    for inbox, broken in [(run, []), ('f'*32, ['the inbox'])]:
        fuzz.db.execute('INSERT INTO params (run_uuid, key, value) VALUES (?, ?, ?)', (run, 'inbox', inbox))
        try: a = verify('tiny', fuzz.store, progress=False)
        finally: fuzz.db.execute('DELETE FROM params WHERE run_uuid = ? AND key = ?', (run, 'inbox'))
        assert [f.where for f in a.broken] == broken and a.exit_code == bool(broken), a


def test_any_byte_of_a_bundles_params_is_noticed(bundled, fuzz):
    "Also of the time in a mark of completion, which nothing reads"
    rng, run = random.Random(5), fuzz.home[max(k for k in fuzz.params if k.startswith('done'))]
    path = bundled/'runs'/f'{run}.json'
    raw = path.read_bytes()
    at = raw.index(b'"done-') # The params are sorted: a mark is first
    for i in range(at, at + 180):
        path.write_bytes(raw[:i] + bytes([raw[i] ^ 1 << rng.randrange(8)]) + raw[i + 1:])
        try: a = look(bundled)
        except EvidenceError as e: assert path.name in str(e)
        else: assert a.exit_code == 1 and a.broken, i


def test_any_byte_of_the_table_of_contents_is_noticed_and_the_file_named(bundled):
    path, rng = bundled/'bundle.json', random.Random(11)
    raw = path.read_bytes()
    for i in rng.sample(range(len(raw)), 80):
        path.write_bytes(raw[:i] + bytes([raw[i] ^ 1 << rng.randrange(8)]) + raw[i + 1:])
        try: said, code = repr(found := look(bundled)) + ''.join(f'{f.where} {f.said}' for f in found.broken), found.exit_code
        except MlopsKitError as e: said, code = str(e), e.exit_code
        assert code and 'bundle.json' in said, (i, raw[i-40:i+40], said)


# One thing at a time

@pytest.mark.parametrize('medium', ['store', 'bundle'])
def test_every_kind_of_change_is_found_and_named(fuzz, medium):
    "A sample; `python tests/torture/fuzz.py` does thousands"
    rng, spots, kinds = random.Random(7), [*fuzz.spots()], {}
    for s in rng.sample(spots, len(spots)):
        if s.medium == medium: kinds.setdefault(s.kind, []).append(s)
    found = []
    for some in kinds.values():
        tries = [(s, op) for op in some[0].ops for s in some[:12]]
        found += [o for o in (fuzz.one(s, op, spots, rng) for s, op in rng.sample(tries, len(tries))[:2]) if o]
    assert [o for o in found if o != 'detected'] == [] and len(found) > 20


def test_what_may_be_changed_is_left_in_peace(fuzz): assert fuzz.harmless() == {}


# What is no bundle

def test_what_is_no_bundle_is_one_line(tmp_path, fuzz):
    (tmp_path/'a.zip').write_bytes(b'no zip')
    (tmp_path/'empty').mkdir()
    (tmp_path/'half.zip').write_bytes(fuzz.zip.read_bytes()[:5000])
    for path in (tmp_path/'a.zip', tmp_path/'b.zip', tmp_path/'empty', tmp_path/'half.zip', ROOT/'README.md'):
        with pytest.raises(EvidenceError) as e: look(path)
        assert e.value.exit_code == 2 and 'is no bundle' in str(e.value) and '\n' not in str(e.value)


def rezipped(fuzz, path, *extra, compress=None):
    "The bundle with more in it"
    with ZipFile(fuzz.zip) as old, ZipFile(path, 'w') as new:
        for o in old.infolist(): new.writestr(o.filename, old.read(o.filename), compress)
        for name, raw in extra: new.writestr(ZipInfo(name), raw)
    return path


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize('name, why', [
    ('../../escaped', 'a name that no bundle has'), ('/etc/escaped', 'a name that no bundle has'), ('models/m-1/../../../escaped', 'a name that no bundle has'),
    ('models\\m-1\\x', 'a name that no bundle has'), ('models/m-1/C:x', 'a name that no bundle has'), ('models/m-1/x/', 'a name that no bundle has'), ('setup.py', 'a name that no bundle has'),
    ('evidence/e/' + 'x/'*300 + 'y', 'a name that no bundle has'), ('bundle.json', 'is there twice')])
def test_names_that_lead_out_are_refused(fuzz, tmp_path, name, why):
    with pytest.raises(EvidenceError, match=why) as e: look(rezipped(fuzz, tmp_path/'bad.zip', (name, b'x')))
    assert e.value.exit_code == 2


def test_a_file_that_is_a_folder_too_is_refused(fuzz, tmp_path):
    with pytest.raises(EvidenceError, match='a file and a folder'): look(rezipped(fuzz, tmp_path/'bad.zip', ('evidence/e/a', b''), ('evidence/e/a/b', b'')))


def test_bombs_are_refused_before_anything_is_unpacked(fuzz, tmp_path):
    with pytest.raises(EvidenceError, match='compressed'): look(rezipped(fuzz, tmp_path/'bad.zip', compress=ZIP_DEFLATED))
    with pytest.raises(EvidenceError, match='100,001'):
        from mlops_kit.audit import refuse_names
        refuse_names('x.zip', [f'pins/a/{i}' for i in range(100_001)])


def test_what_belongs_to_nothing_is_named(fuzz, tmp_path):
    a = look(rezipped(fuzz, tmp_path/'more.zip', ('models/9/model.skops', b'x'), ('runs/other.json', b'{}\n')))
    assert {f.where for f in a.broken} == {'models/9/model.skops', 'runs/other.json'}


@pytest.mark.parametrize('change', [dict(schema='mlops_kit/bundle/2'), dict(aliases=dict(champion='3')), dict(versions=[]), dict(evidence=None), dict(versions={'1': {}})])
def test_another_table_of_contents_is_refused(bundled, change):
    path = bundled/'bundle.json'
    path.write_text(to_json(json.loads(path.read_text()) | change) + '\n')
    with pytest.raises(EvidenceError, match='of another schema') as e: look(bundled)
    assert e.value.exit_code == 2


def test_any_byte_of_the_file_is_noticed_or_does_not_matter(fuzz, tmp_path):
    "Flips in the zip itself: what is inside is found to be changed, or is read as it was"
    raw, rng = fuzz.zip.read_bytes(), random.Random(3)
    for _ in range(25):
        i = rng.randrange(len(raw) - 3000, len(raw)) if rng.random() < .5 else rng.randrange(len(raw))
        (tmp_path/'x.zip').write_bytes(raw[:i] + bytes([raw[i] ^ 1 << rng.randrange(8)]) + raw[i + 1:])
        try: a = look(tmp_path/'x.zip', head=fuzz.head)
        except MlopsKitError as e: assert '\n' not in str(e)
        else: assert a.exit_code or a.head == look(fuzz.bundle).head


# Bad input

def test_bad_input_is_one_line(fuzz, tmp_path):
    with pytest.raises(RegistryError, match='model `tini` is unknown.*did you mean `tiny`') as e: verify('tini', fuzz.store, progress=False)
    assert e.value.exit_code == 2
    for head in ('12', 'ab:12', '12:xyz', '0:' + 'a'*64, '3:abc'):
        with pytest.raises(MlopsKitError, match='is no head') as e: verify('tiny', fuzz.store, head=head, progress=False)
        assert e.value.exit_code == 2
    with pytest.raises(MlopsKitError, match='no place for a file') as e: verify('tiny', fuzz.store, export=tmp_path, progress=False)
    assert e.value.exit_code == 2
    with pytest.raises(EvidenceError, match='no public keys') as e: look(fuzz.zip, keys=tmp_path)
    assert e.value.exit_code == 2


def test_a_mark_that_was_changed_is_not_taken_for_evidence_that_was_never_complete():
    from types import SimpleNamespace
    from mlops_kit.audit import evidence_findings
    look = lambda **params: evidence_findings(SimpleNamespace(source=SimpleNamespace(params=lambda run: params, trash={})), 'a'*32)
    assert [(f.ok, f.said) for f in look(evidence='e', manifesu='m')] == [(False, 'its label `manifesu` is none that this kit writes')]
    assert [f.ok for f in look(evidence='e', run='r')] == [True]
