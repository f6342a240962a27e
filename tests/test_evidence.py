"Evidence: whatever is changed, missing, swapped or replayed is found; and half-stored evidence is never found."
import base64
import json
import os
import random
import shutil
import subprocess
import sys
import textwrap

import pytest

from mlops_kit import evidence as ev
from mlops_kit import store as st
from mlops_kit.core import Check, EvidenceError, Verdict, digest, file_digest, to_json, write_file

pytestmark = pytest.mark.filterwarnings('ignore:The ``noload`` loader:DeprecationWarning') # MLflow 3.17 on SQLAlchemy 2.1


@pytest.fixture
def ana(tmp_path): return ev.make_key(tmp_path/'ana.pem', 'Ana', 'owner')


@pytest.fixture
def keys(ana, tmp_path):
    ev.public_key_file(ana, tmp_path/'keys')
    return ev.load_keys(tmp_path/'keys')


def model(folder):
    for name, text in {'MLmodel': 'flavors: {}\n', 'model.skops': 'weights', 'mlops_kit/contract.yaml': 'kind: DataContract\n', 'mlops_kit/lineage.json': '{}'}.items():
        write_file(folder/name, text)
    return ev.write_manifest(folder)


def make_run(out, run_id='r1', status='pass', gates=('contract', 'drift')):
    "A run's folder, as the runner leaves it"
    version = dict(name='tiny', version=7, model_id='m-1', created=1385164800000, manifest=digest('the model'))
    run = dict(run_id=run_id, alias='champion', version=version, policy=digest('a policy'), gates={g: digest(g) for g in gates})
    write_file(out/run_id/'run.json', to_json(run))
    write_file(out/run_id/'policy.yaml', 'model: tiny\n')
    for g in gates:
        Verdict(g, [Check('rows', status, '12 rows', '' if status == 'pass' else 'too_few_rows')], run_id=run_id).save(out)
        write_file(out/run_id/g/'executed.ipynb', '{}')
    return out/run_id


@pytest.fixture
def run(tmp_path): return make_run(tmp_path/'runs')


def refused(fn, *said):
    with pytest.raises(EvidenceError) as e: fn()
    assert '\n' not in str(e.value)
    for o in said: assert o in str(e.value)


def mutations(folder, rng, n):
    "Change one thing at a time in `folder`; the caller looks at it, then it is put back"
    files = sorted(p for p in folder.rglob('*') if p.is_file())
    for i in range(n):
        path, other = rng.sample(files, 2)
        before = {p: p.read_bytes() for p in (path, other)}
        how = ('flip', 'delete', 'swap', 'cut', 'add', 'replace')[i % 6]
        if how == 'swap' and before[path] == before[other]: how = 'flip'
        if how == 'cut' and not before[path]: how = 'add'
        at = rng.randrange(max(len(before[path]), 1))
        if how == 'flip': path.write_bytes(before[path][:at] + bytes([before[path][at] ^ 1 << rng.randrange(8)]) + before[path][at+1:])
        if how == 'delete': path.unlink()
        if how == 'swap': _ = path.write_bytes(before[other]), other.write_bytes(before[path])
        if how == 'cut': path.write_bytes(before[path][:-1])
        if how == 'add': path.write_bytes(before[path] + b' ')
        if how == 'replace': path.write_bytes(b'{}' if before[path] != b'{}' else b'[]')
        yield f'{how} {path.relative_to(folder)} at {at}'
        for p, raw in before.items(): p.write_bytes(raw)


# Manifests

def test_a_manifest_is_what_sha256sum_says(tmp_path):
    manifest = model(tmp_path/'model')
    assert manifest.files['model.skops'] == file_digest(tmp_path/'model'/'model.skops') and 'mlops_kit/manifest.json' not in manifest.files
    assert ev.check_manifest(tmp_path/'model', manifest.digest).files == manifest.files
    shutil.copytree(tmp_path/'model', tmp_path/'copy')
    assert ev.make_manifest(tmp_path/'copy').digest == manifest.digest


def test_each_change_of_a_model_is_found(tmp_path):
    manifest, rng = model(tmp_path/'model'), random.Random(7)
    for what in mutations(tmp_path/'model', rng, 200):
        with pytest.raises(EvidenceError):
            ev.check_manifest(tmp_path/'model', manifest.digest)
            pytest.fail(what)
    ev.check_manifest(tmp_path/'model', manifest.digest)


def test_what_is_missing_added_or_changed_is_named(tmp_path):
    top = tmp_path/'model'
    model(top)
    (top/'extra.py').write_text('import os')
    refused(lambda: ev.check_manifest(top), '`extra.py` is added')
    (top/'extra.py').unlink()
    (top/'mlops_kit'/'contract.yaml').unlink()
    refused(lambda: ev.check_manifest(top), '`mlops_kit/contract.yaml` is missing')
    (top/'mlops_kit'/'manifest.json').unlink()
    refused(lambda: ev.check_manifest(top), 'manifest.json` is missing')
    refused(lambda: ev.make_manifest(tmp_path/'nothing'), 'holds no files')


def test_bytecode_that_was_planted_is_removed_before_it_can_run(tmp_path):
    manifest = model(tmp_path/'model')
    write_file(tmp_path/'model'/'code'/'__pycache__'/'a.pyc', b'planted')
    write_file(tmp_path/'model'/'registered_model_meta', 'model_name: x\n')
    ev.check_manifest(tmp_path/'model', manifest.digest)
    assert not (tmp_path/'model'/'code'/'__pycache__').exists() and not (tmp_path/'model'/'registered_model_meta').exists()


# Keys

def test_a_key_is_private(ana, tmp_path, monkeypatch):
    path = tmp_path/'ana.pem'
    assert path.stat().st_mode & 0o777 == 0o600 and path.read_text().splitlines()[3] not in repr(vars(ana))
    refused(lambda: ev.make_key(path, 'Ana'), 'exists already')
    refused(lambda: ev.make_key(tmp_path/'x.pem', ' '), 'needs the name of a person')
    refused(lambda: ev.make_key(tmp_path/'x.pem', 'Ana\nrole: boss'), 'on one line')
    (tmp_path/'repo'/'.git').mkdir(parents=True)
    (tmp_path/'way').symlink_to(tmp_path/'repo')
    (tmp_path/'repo'/'out').symlink_to(tmp_path)
    for o in ('repo', 'way', 'repo/out'): refused(lambda: ev.make_key(tmp_path/o/'x.pem', 'Ana'), 'lies in the repository', 'must not')
    assert not [*tmp_path.rglob('x.pem')]
    monkeypatch.setenv('MLOPS_KIT_KEY', str(path))
    assert (ev.find_key().keyid, ev.find_key().role) == (ana.keyid, 'owner')
    path.chmod(0o640)
    refused(ev.find_key, 'others can read', 'chmod 600')


def test_a_key_that_was_named_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('MLOPS_KIT_KEY', raising=False)
    assert ev.find_key() is None
    monkeypatch.setenv('MLOPS_KIT_KEY', str(tmp_path/'typo.pem'))
    refused(ev.find_key, 'cannot be read', 'unset MLOPS_KIT_KEY')
    write_file(tmp_path/'typo.pem', 'no key').chmod(0o600)
    refused(ev.find_key, 'no ed25519 key')


def test_the_private_half_is_read_to_sign_and_at_no_other_moment(ana, tmp_path, monkeypatch):
    path, read = tmp_path/'ana.pem', []
    monkeypatch.setenv('MLOPS_KIT_KEY', str(path))
    whole = ev.private_half
    monkeypatch.setattr(ev, 'private_half', lambda p: read.append(p) or whole(p))
    key = ev.find_key()
    assert key == ana and read == [] and ev.actor(key) == 'Ana'
    ev.sign(dict(a=1), key)
    assert read == [path]


def test_a_private_half_that_came_alone_gets_its_public_half_from_a_process_that_ends(ana, tmp_path, monkeypatch):
    path, beside = tmp_path/'ana.pem', tmp_path/'ana.pem.pub'
    monkeypatch.setattr(ev, 'private_half', lambda p: pytest.fail('this process read the key'))
    kept = beside.read_bytes()
    beside.unlink()
    assert ev.read_key(path) == ana and beside.read_bytes() == kept
    beside.unlink()
    beside.mkdir()
    refused(lambda: ev.read_key(path), 'ana.pem.pub', 'cannot be read', 'delete it')


def test_a_public_half_of_somebody_else_signs_nothing(ana, tmp_path):
    path, beside = tmp_path/'ana.pem', tmp_path/'ana.pem.pub'
    eve = ev.make_key(tmp_path/'eve.pem', 'Ana', 'owner')
    for text in (ev.public_text(eve), ev.public_text(ana).replace('owner', 'risk')):
        beside.write_text(text)
        key = ev.read_key(path)
        refused(lambda: ev.sign(dict(a=1), key), 'is not the key', 'delete the file of the public half')
    beside.write_text('{')
    refused(lambda: ev.read_key(path), 'cannot be read', 'delete it')


def test_public_keys_cannot_be_put_under_another_name(ana, tmp_path):
    path = ev.public_key_file(ana, tmp_path/'keys')
    d = json.loads(path.read_text())
    for bad in (d | dict(public='00'*32), d | dict(keyid=digest('x')), d | dict(person=''), [], 'x', d | dict(public=7)):
        path.write_text(json.dumps(bad))
        refused(lambda: ev.load_keys(tmp_path/'keys'), 'is no public key')
    path.write_text('{')
    refused(lambda: ev.load_keys(tmp_path/'keys'), 'cannot be read')
    assert ev.load_keys(tmp_path/'missing') == {}


# Envelopes

def test_a_signature_covers_bytes_type_and_person(ana, keys, tmp_path):
    envelope = ev.sign(dict(x=1), ana)
    assert ev.verify_envelope(envelope, keys) == (dict(x=1), 'Ana')
    assert ev.verify_envelope(envelope, {}) == (dict(x=1), None)
    assert ev.verify_envelope(ev.sign(dict(x=1)), keys) == (dict(x=1), None)
    refused(lambda: ev.verify_envelope(ev.sign(dict(x=1), ana, 'text/other'), keys), 'holds `text/other`')
    refused(lambda: ev.verify_envelope(envelope | dict(payload=ev.sign(dict(x=2))['payload']), keys), 'does not fit')
    eve = ev.make_key(tmp_path/'eve.pem', 'Ana')
    stolen = ev.sign(dict(x=1), eve)
    stolen['signatures'][0]['keyid'] = ana.keyid
    refused(lambda: ev.verify_envelope(stolen, keys), 'does not fit')
    assert ev.verify_envelope(ev.sign(dict(x=1), eve), keys)[1] is None


@pytest.mark.parametrize('change', [
    lambda e: [], lambda e: {}, lambda e: e | dict(payload='%'), lambda e: e | dict(extra=1), lambda e: e | dict(signatures=None), lambda e: e | dict(signatures=e['signatures']*2),
    lambda e: e | dict(payload=base64.b64encode(b'{"x": 1}').decode()), lambda e: e | dict(payload=base64.b64encode(b'[1]').decode()),
    lambda e: e | dict(signatures=[e['signatures'][0] | dict(sig=e['signatures'][0]['sig'][:-3] + chr(ord(e['signatures'][0]['sig'][-3]) + 1) + '==')]),
    lambda e: e | dict(signatures=[e['signatures'][0] | dict(sig='')])])
def test_what_is_no_envelope_is_refused(ana, keys, change): refused(lambda: ev.verify_envelope(change(ev.sign(dict(x=1), ana)), keys))


def test_an_envelope_is_standard_dsse_and_in_toto(ana, run):
    "Checked without this kit: the pre-authentication encoding by hand, the signature by cryptography"
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    envelope = ev.sign(ev.run_statement(run, ana), ana)
    raw, kind = base64.b64decode(envelope['payload']), envelope['payloadType']
    pae = b'DSSEv1 %d %s %d %s' % (len(kind), kind.encode(), len(raw), raw)
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(ana.public)).verify(base64.b64decode(envelope['signatures'][0]['sig']), pae)
    said = json.loads(raw)
    assert (said['_type'], said['subject'][0]['name'], kind) == ('https://in-toto.io/Statement/v1', 'tiny/7', 'application/vnd.in-toto+json')


# A run's evidence

def test_each_change_of_evidence_is_found(ana, keys, run):
    envelope = ev.signed_statement(run, ana)
    mark, rng = ev.statement_digest(ev.open_envelope(envelope)[1]), random.Random(7)
    for what in mutations(run, rng, 400):
        with pytest.raises(EvidenceError):
            ev.check_evidence(run, keys, mark)
            pytest.fail(what)
    assert ev.check_evidence(run, keys, mark)['person'] == 'Ana'


def test_evidence_of_another_run_is_not_this_one(ana, keys, run, tmp_path):
    other = make_run(tmp_path/'runs', 'r2')
    for folder in (run, other): ev.signed_statement(folder, ana)
    mark = ev.check_evidence(run, keys)['digest']
    shutil.rmtree(run)
    shutil.copytree(other, run)
    refused(lambda: ev.check_evidence(run, keys, mark), 'it was replaced')
    shutil.copytree(make_run(tmp_path/'more', 'r3')/'drift', run/'drift', dirs_exist_ok=True)
    refused(lambda: ev.run_statement(run, ana), 'is not of run `r2`')


def test_who_signs_a_lie_is_found_out_by_the_files(ana, keys, tmp_path):
    run = make_run(tmp_path/'runs', status='fail')
    said = ev.run_statement(run, ana)
    said['predicate']['verdicts']['drift']['status'] = 'pass'
    write_file(run/'statement.json', to_json(ev.sign(said, ana)) + '\n')
    refused(lambda: ev.check_evidence(run, keys), 'contradicts the files', 'verdicts')


def test_what_comes_after_the_evidence_does_not_change_it(ana, keys, run):
    ev.signed_statement(run, ana)
    for name in ('decision.json', 'history.json', 'dossier.html', 'data-0123abc.parquet', '.models/x/MLmodel'): write_file(run/name, 'x')
    assert ev.check_evidence(run, keys)['extra'] == []
    write_file(run/'note.txt', 'x')
    assert ev.check_evidence(run, keys)['extra'] == ['note.txt']


def test_unsigned_evidence_says_so(run, monkeypatch, tmp_path, store_uri):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('MLOPS_KIT_KEY', raising=False)
    evidence = ev.store_evidence(st.connect(store_uri), run)
    assert evidence.signed_by is None
    checked = ev.check_evidence(run, {})
    assert checked['person'] is None and checked['statement']['predicate']['actor'].startswith('unverified:')


def test_evidence_is_found_by_what_it_judged(ana, run, store_uri, tmp_path):
    store = st.connect(store_uri)
    first = ev.store_evidence(store, run, ana)
    second = ev.store_evidence(store, make_run(tmp_path/'runs', 'r2'), ana)
    assert ev.store_evidence(store, run, ana).ref == first.ref
    found = ev.find_evidence(store, digest('the model'), digest('a policy'), 'champion')
    assert found.ref == second.ref and found.run == 'r2' and found.to_dict()['folder'] is None
    for args in [(digest('other'),), (digest('the model'), digest('other')), (digest('the model'), None, 'challenger'), (digest('the model'), None, None, 'other')]:
        assert ev.find_evidence(store, *args) is None
    assert ev.find_evidence(store, digest('the model'), name='tiny').ref == second.ref
    assert sorted(p.name for p in ev.fetch_evidence(store, first, tmp_path/'back').iterdir()) == ['contract', 'drift', 'policy.yaml', 'run.json', 'statement.json']


def test_evidence_that_was_replaced_in_the_store_is_found(ana, keys, run, store_uri, tmp_path):
    store = st.connect(store_uri)
    evidence = ev.store_evidence(store, run, ana)
    other = make_run(tmp_path/'runs', 'r2')
    ev.signed_statement(other, ana)
    kept = next((tmp_path/'mlartifacts').rglob('statement.json')).parent
    shutil.copyfile(other/'statement.json', kept/'statement.json')
    refused(lambda: ev.fetch_evidence(store, evidence, tmp_path/'back'), 'it was replaced')


# Killed

KILL = textwrap.dedent('''
    import json, os, shutil, sys
    from pathlib import Path
    from mlops_kit import evidence as ev, store as st
    import mlflow.store.tracking.sqlalchemy_store, mlflow.artifacts, securesystemslib.dsse, securesystemslib.signer
    top = Path(sys.argv[1])
    ana, keys = ev.read_key(top/'ana.pem'), ev.load_keys(top/'keys')
    manifest = json.loads((top/'runs'/'r1'/'run.json').read_text())['version']['manifest']

    def child(fn):
        if pid := os.fork(): return os.waitpid(pid, 0)[1]
        try:
            fn()
            os._exit(0)
        except BaseException as e:
            print(repr(e), file=sys.stderr)
            os._exit(1)

    def keep(db): return ev.store_evidence(st.connect(db), db.parent/'r1', ana)

    def look(db, n):
        store = st.connect(db)
        found = ev.find_evidence(store, manifest)
        if found: ev.check_evidence(ev.fetch_evidence(store, found, db.parent/'one'), keys, found.digest)
        after = keep(db)
        assert found is None or found.ref == after.ref, (found, after)
        ev.check_evidence(ev.fetch_evidence(store, after, db.parent/'two'), keys, after.digest)
        assert len(st.find_runs(store, 'mlops_kit/evidence/tiny', 'manifest', manifest)) == 1

    def killed(db, at):
        os.environ['MLOPS_KIT_CRASH_AT'] = at
        keep(db)

    n, status = 1, 9
    while status:
        for when in ('', ':after'):
            db = top/'kills'/f'{n}{when[1:]}'/'mlflow.db'
            shutil.copytree(top/'runs'/'r1', db.parent/'r1')
            status = child(lambda: killed(db, f'{n}{when}'))
            assert status in (0, 9), status
            if child(lambda: look(db, n)): sys.exit(f'after {n}{when}')
            if not status: break
        n += 1
    print(n)
''')


@pytest.mark.slow
def test_killed_at_any_write_evidence_is_whole_or_not_there(ana, keys, run, tmp_path):
    st.template()
    env = {k: v for k, v in os.environ.items() if k != 'MLOPS_KIT_CRASH_AT'} | dict(OMP_NUM_THREADS='1')
    p = subprocess.run([sys.executable, '-c', KILL, tmp_path], capture_output=True, text=True, timeout=300, env=env)
    assert p.returncode == 0, p.stderr
    assert int(p.stdout) > 6
