"Promotion and rollback: refused with a reason, safe to repeat, and safe to kill at any write."
import time
from pathlib import Path

import pytest

from mlops_kit.core import DataError, EvidenceError, GateError, MlopsKitError, PolicyError, RegistryError, load_verdict
from world import POLICY, World, flights


@pytest.fixture(scope='module')
def furnished(tmp_path_factory):
    "A world with a champion (1), a bad version (2) and a judged better one (3), kept to be restored"
    world = World(tmp_path_factory.mktemp('promotion')/'world').furnish()
    with pytest.MonkeyPatch.context() as m:
        m.setenv('MLOPS_KIT_KEY', str(world.key))
        for upside_down in (False, True, False): world.register(upside_down=upside_down)
        world.judge('tiny/1')
        world.promote('tiny/1')
        world.judge('tiny/2')
        world.judge('tiny/3')
    world.keep(world.folder.with_name('kept'))
    return world


@pytest.fixture
def world(furnished, monkeypatch):
    furnished.restore(furnished.folder.with_name('kept'))
    monkeypatch.setenv('MLOPS_KIT_KEY', str(furnished.key))
    return furnished


def whole(world):
    "What must hold after anything: the chain, the alias, the evidence, the champion's files, and that it was judged"
    from mlops_kit.evidence import fetch_evidence, has_evidence
    from mlops_kit.promotion import status
    from mlops_kit.registry import load, resolve
    from mlops_kit.store import mlflow_quietly
    import tempfile
    found, store = status('tiny', store=world.store), world.store
    book = world.book()
    assert not [e.void for e in book.entries(all=True) if e.void]
    assert not found.models[0].conflict
    for alias in ('candidate', 'champion'):
        head = book.head(alias)
        assert world.alias(alias) == (head.target['version'] if head else None)
    for e in book.entries():
        if e.kind != 'promote': continue
        assert has_evidence(store, e.evidence)
        with tempfile.TemporaryDirectory() as tmp:
            folder = fetch_evidence(store, e.evidence, Path(tmp)/'run')
            verdict = load_verdict(folder/'performance'/'verdict.json')
            assert verdict.ok and verdict.judged['manifest'] == e.target['manifest']
    if book.head('champion'):
        assert resolve('tiny@champion', store).version == world.alias()
        load('tiny@champion', store)
        mlflow = mlflow_quietly()
        mlflow.set_tracking_uri(store.address)
        mlflow.set_registry_uri(store.address)
        mlflow.sklearn.load_model('models:/tiny@champion')
    return world.alias()


def test_a_better_version_is_promoted_and_rolled_back(world):
    d = world.promote('tiny/3', reason='better on July')
    assert (d.decision, d.exit_code, d.base['version'], whole(world)) == ('promoted', 0, 1, 3)
    d = world.rollback(reason='refunds spiked')
    assert (d.decision, d.exit_code, d.version['version'], whole(world)) == ('rolled back', 0, 1, 1)
    assert [e.kind for e in world.book().entries() if e.alias == 'champion'] == ['promote', 'promote', 'rollback']


def test_a_failing_version_moves_nothing(world):
    before = len(world.book().entries(all=True))
    d = world.promote('tiny/2')
    assert (d.decision, d.exit_code, d.entry) == ('blocked', 1, None)
    assert 'roc_auc' in d.reasons[0]
    assert (len(world.book().entries(all=True)), whole(world)) == (before, 1)


def test_a_refusal_is_shown_by_history(world):
    from mlops_kit.promotion import history
    world.promote('tiny/2')
    assert [d['version']['version'] for d in history('tiny', all=True, store=world.store).refused] == [2]
    assert history('tiny', store=world.store).refused == []


def test_typing_it_again_changes_nothing(world):
    first = world.promote('tiny/3')
    again = world.promote('tiny/3')
    assert (again.decision, again.entry['seq'], whole(world)) == ('promoted', first.entry['seq'], 3)


def test_a_dry_run_writes_nothing_to_the_ledger(world):
    before = len(world.book().entries(all=True))
    d = world.promote('tiny/3', dry_run=True)
    assert (d.decision, d.dry_run, d.entry) == ('promoted', True, None)
    assert (len(world.book().entries(all=True)), whole(world)) == (before, 1)


@pytest.mark.parametrize('expect, exit_code', [(1, 0), (2, 6), (0, 6), (None, 0)])
def test_what_the_caller_expects(world, expect, exit_code):
    assert world.promote('tiny/3', expect=expect).exit_code == exit_code
    assert whole(world) == (1 if exit_code else 3)


def test_evidence_made_against_another_champion_does_not_count(world):
    world.register()
    world.judge('tiny/4')
    world.promote('tiny/3')
    with pytest.raises(EvidenceError, match='judged against another champion'): world.promote('tiny/4')
    assert whole(world) == 3


def test_evidence_from_before_the_rollback_does_not_count(world):
    world.promote('tiny/3')
    world.rollback()
    with pytest.raises(EvidenceError, match='from before this version was rolled back'): world.promote('tiny/3')
    world.judge('tiny/3')
    assert world.promote('tiny/3').exit_code == 0
    assert whole(world) == 3


def never(*args, **kwargs): raise GateError('asked again')


def test_evidence_of_other_data_does_not_count(world, monkeypatch):
    import pandas as pd
    import mlops_kit.promotion as promotion
    monkeypatch.setattr(promotion, 'run_gates', never)
    other = world.folder/'other.parquet'
    pd.read_parquet(world.data).iloc[:11].to_parquet(other)
    with pytest.raises(GateError, match='asked again'): world.promote('tiny/3', data=other)
    with pytest.raises(GateError, match='asked again'): world.promote('tiny/3', data=world.data, as_of='2013-05-01')
    assert world.promote('tiny/3', data=world.data).exit_code == 0


def test_training_data_is_refused(world):
    with pytest.raises(DataError, match='training data') as e: world.promote('tiny/3', data=flights())
    assert e.value.exit_code == 2 and whole(world) == 1


@pytest.mark.slow
@pytest.mark.parametrize('frame', [False, True], ids=['file', 'frame'])
def test_data_without_evidence_asks_the_gates(world, frame):
    import pandas as pd
    world.register()
    data = pd.read_parquet(world.data).iloc[1:] if frame else world.data
    d = world.promote('tiny/4', data=data)
    assert (d.decision, d.exit_code, [v.gate for v in d.verdicts]) == ('promoted', 0, ['performance'])
    assert whole(world) == 4
    assert world.promote('tiny/2', data=data).exit_code == 1


@pytest.mark.slow
def test_a_gate_that_broke_is_asked_again_where_data_is_given(world, monkeypatch):
    import mlops_kit.runner as runner
    world.register()
    monkeypatch.setattr(runner, 'start_gate', lambda *args: runner.Ended('timeout', seconds=1))
    d = world.promote('tiny/4', data=world.data)
    assert (d.decision, d.exit_code, d.entry, d.verdicts[0].status) == ('blocked', 3, None, 'error')
    monkeypatch.undo()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    assert world.promote('tiny/4').exit_code == 3
    assert world.promote('tiny/4', data=world.data).exit_code == 0


@pytest.mark.parametrize('ref', ['tiny/3', 'tiny/2'])
def test_a_decision_leaves_its_page(world, ref):
    from mlops_kit.promotion import PAGE
    from mlops_kit.store import run_files
    d = world.promote(ref, page=PAGE)
    assert [o for o in d.reasons if 'not written' in o or 'not kept' in o] == []
    assert d.decision in Path(d.dossier).read_text().lower()
    assert {'decision.json', 'history.json', 'dossier.html'} <= run_files(world.store, d.evidence['run_id']).keys()


def test_what_fails_after_the_decision_takes_nothing_back(world):
    d = world.promote('tiny/3', page='mlops_kit.core:no_such_function')
    assert d.exit_code == 0 and 'the page was not written' in d.reasons[-1]
    assert whole(world) == 3


def test_a_store_that_fails_between_entry_and_alias_is_repaired_by_the_next_command(world, monkeypatch):
    import mlops_kit.ledger as ledger
    def broken(*args): raise RegistryError('the store is gone.', exit_code=3)
    monkeypatch.setattr(ledger, 'set_alias', broken)
    with pytest.raises(RegistryError, match='store is gone') as e: world.promote('tiny/3')
    monkeypatch.undo()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    assert e.value.exit_code == 3 and world.alias() == 1
    assert whole(world) == 3


def test_old_evidence_does_not_count(world, monkeypatch):
    import mlops_kit.promotion as promotion
    monkeypatch.setattr(promotion, 'now', lambda: '2999-01-01T00:00:00Z')
    with pytest.raises(EvidenceError, match='old, at most 7d allowed'): world.promote('tiny/3')


def test_a_clock_that_cannot_be_right_decides_nothing(world, monkeypatch):
    import mlops_kit.promotion as promotion
    monkeypatch.setattr(promotion, 'now', lambda: '2001-01-01T00:00:00Z')
    with pytest.raises(EvidenceError, match='set the clock') as e: world.promote('tiny/3')
    assert e.value.exit_code == 3


@pytest.mark.parametrize('path', ['performance/verdict.json', 'performance/executed.ipynb', 'run.json', 'policy.yaml', 'candidate.json'])
def test_evidence_that_was_changed_in_the_store_does_not_count(world, path):
    kept = next(p for p in (world.folder/'mlartifacts').rglob(path) if 'tiny/3' in (p.parents[len(path.split('/'))-1]/'run.json').read_text() or
                '"version": 3' in (p.parents[len(path.split('/'))-1]/'run.json').read_text())
    kept.write_text(kept.read_text().replace('\n', ' \n', 1))
    with pytest.raises(EvidenceError, match='as it was signed|cannot be read|of another'): world.promote('tiny/3')
    assert whole(world) == 1


def copied_evidence(world, of, **labels):
    "What a stranger can do: put a copy of evidence on top, or something that only bears its labels"
    from mlops_kit.evidence import evidence_experiment
    from mlops_kit.store import download_artifacts, log_batch, log_param_once, start_run, upload
    whole, said = not labels, dict(evidence=of.digest, policy=of.policy, alias='champion', run=of.run, signed_by='Ana Silva') | labels
    run = start_run(world.store, evidence_experiment('tiny'), 'on top')
    log_batch(world.store, run, said)
    if whole: upload(world.store, run, download_artifacts(world.store, of.run_id, '', world.folder/'copy'))
    log_param_once(world.store, run, 'manifest', of.manifest)
    return run


def test_what_a_stranger_puts_on_top_of_the_evidence_blocks_nobody(world):
    from mlops_kit.evidence import find_evidence
    from mlops_kit.promotion import history, status
    from mlops_kit.registry import resolve
    from mlops_kit.store import upload
    v, policy = resolve('tiny/3', world.store), world.book().pinned()
    true = find_evidence(world.store, v.manifest, policy['digest'], 'champion', 'tiny')
    for labels in (dict(evidence='0'*64), dict(signed_by='Eve')): run = copied_evidence(world, true, **labels)
    for junk in ('not json', '[]', '{"exit_code": 1}', '{"decision": "blocked", "exit_code": 1, "reasons": [1], "version": {}, "verdicts": {}, "alias": "champion", "at": ""}'):
        (world.folder/'decision.json').write_text(junk)
        upload(world.store, run, world.folder/'decision.json')
        assert status('tiny', store=world.store).exit_code == 0 and history('tiny', all=True, store=world.store).refused == []
    d = world.promote('tiny/3')
    assert (d.decision, d.evidence['run_id']) == ('promoted', true.run_id) and whole(world) == 3


@pytest.mark.parametrize('said', ['by its label', 'by itself too'])
def test_evidence_is_laid_nowhere_but_into_the_folder_of_runs(world, said):
    "Its label names a folder: whoever may write labels must not choose where files land on the machine of who promotes"
    from mlops_kit.evidence import find_evidence, open_envelope, signed_statement, statement_digest
    from mlops_kit.registry import resolve
    from mlops_kit.store import download_artifacts, upload
    true = find_evidence(world.store, resolve('tiny/3', world.store).manifest, alias='champion', name='tiny')
    folder = Path(download_artifacts(world.store, true.run_id, '', world.folder/'made'))
    mark = true.digest
    if said != 'by its label':
        for p in (folder/'run.json', folder/'performance'/'verdict.json'): p.write_text(p.read_text().replace(true.run, '../escaped'))
        (folder/'statement.json').unlink()
        mark = statement_digest(open_envelope(signed_statement(folder))[1])
    run = copied_evidence(world, true, evidence=mark, run='../escaped')
    upload(world.store, run, folder)
    world.store.client.delete_run(true.run_id)
    with pytest.raises(EvidenceError, match='is labelled as run'): world.promote('tiny/3')
    assert not (world.folder/'escaped').exists()


def test_a_ledger_that_cannot_be_read_hides_no_other_model(world):
    from mlops_kit.promotion import status
    from mlops_kit.store import create_model
    for name, place in [('no-ledger', None), ('nowhere', 'mlflow-artifacts:/mlops_kit/ledger/' + '0'*32)]: world.store.client.create_experiment(f'mlops_kit/ledger/{name}', artifact_location=place)
    found = status(store=world.store)
    assert [o.model for o in found.models] == ['no-ledger', 'nowhere', 'tiny'] and found.exit_code == 0 and found.models[2].champion['version'] == 1
    assert all('its ledger cannot be read' in o.waits for o in found.models[:2])
    create_model(world.store, 'nowhere')
    assert status(store=world.store).exit_code == 3 # Its ledger was deleted and purged


def test_a_history_is_shown_in_lines_of_its_own(world):
    world.book().append('note', None, None, base=None, decision='x', reason='a\n2026-11-30 9 promote champion\x1b[2K')
    assert '�2026-11-30 9 promote champion�[2K' in repr(world.history()) and '\x1b' not in repr(world.history(all=True))


def test_a_copy_of_older_evidence_does_not_hide_newer(world, monkeypatch):
    "Who wants a version promoted lays the verdict of the morning on top of that of noon"
    from mlops_kit.evidence import find_evidence
    from mlops_kit.registry import resolve
    v = resolve('tiny/3', world.store)
    morning = find_evidence(world.store, v.manifest, alias='champion', name='tiny')
    flights().assign(hour=lambda d: d.hour + [0, 1, 0, 1]*3, late=lambda d: 1 - d.late).to_parquet(world.data)
    time.sleep(1.1)
    noon = world.judge('tiny/3')
    copy = copied_evidence(world, morning)
    assert find_evidence(world.store, v.manifest, alias='champion', name='tiny').run_id == copy # By what the labels say
    d = world.promote('tiny/3')
    assert (d.decision, d.exit_code, d.evidence['run_id']) == ('blocked', 1, noon.run_id)


def test_a_promotion_written_by_hand_on_no_evidence_is_never_carried_out(world):
    import mlops_kit
    from mlops_kit.ledger import identity
    from mlops_kit.registry import resolve
    book, two, one = world.book(), resolve('tiny/2', world.store), resolve('tiny/1', world.store)
    nowhere = lambda v, base: book.append('promote', 'champion', v, base=identity(base), decision='promoted', evidence=dict(run_id='0'*32, digest='0'*64), policy=book.pinned()['digest'])
    e = nowhere(two, one)
    assert world.promote('tiny/2').exit_code == 6
    with pytest.raises(EvidenceError, match='is never carried out') as refused: world.reconcile()
    assert (refused.value.exit_code, world.alias(), world.status().exit_code, world.status().models[0].next) == (6, 1, 6, 'mlops-kit rollback tiny')
    d = world.rollback(reason='nobody judged that')
    assert (d.decision, d.version['version'], d.base['version']) == ('rolled back', 1, 2) and world.status().exit_code == 0 and world.alias() == 1
    nowhere(two, one)
    world.judge('tiny/3')
    assert world.promote('tiny/3').decision == 'promoted' and world.alias() == 3
    broken = mlops_kit.verify('tiny', store=world.store, progress=False).broken
    assert {(f.where, f.what) for f in broken} >= {(f'entry {e.seq}', 'verdict')} and not [f for f in broken if f.what in ('alias', 'chain', 'files')]


def test_a_model_file_that_was_changed_is_not_promoted(world):
    from mlops_kit.registry import resolve
    model_id = resolve('tiny/3', world.store).model_id
    file = next(p for p in (world.folder/'mlartifacts').rglob('model.skops') if model_id in str(p))
    file.write_bytes(file.read_bytes()[:-1] + b'x')
    with pytest.raises(EvidenceError, match='`model.skops` is changed'): world.promote('tiny/3')
    assert whole(world) == 1


def test_a_changed_policy_is_recorded_and_needs_evidence_of_its_own(world):
    lax = world.folder/'policy.yaml'
    lax.write_text(POLICY.replace('min: 0.6', 'min: 0.55'))
    with pytest.raises(EvidenceError, match='there is none for this version, policy and alias'): world.promote('tiny/3')
    world.judge('tiny/3')
    d = world.promote('tiny/3')
    assert d.exit_code == 0 and 'policy was changed' in d.reasons[0]
    assert [e.decision for e in world.book().entries() if e.kind == 'policy'] == ['pinned', 'changed']
    assert whole(world) == 3


def test_a_policy_that_asks_for_approval_guards_itself(world):
    strict = world.folder/'policy.yaml'
    strict.write_text(POLICY.replace('gates: [performance]', 'gates: [performance], approvals: {required: 1}'))
    world.judge('tiny/3')
    with pytest.raises(PolicyError, match='asks 1 person to agree to `champion`, and the keys beside it are of 1, of whom the author'): world.promote('tiny/3')
    world.person('Ben Ode')
    d = world.promote('tiny/3')
    assert (d.decision, d.exit_code) == ('waiting for approval', 5)
    assert d.reasons[0].startswith('0 of 1 approvals; Ben Ode could') and 'the policy was changed' in d.reasons[-1]
    assert world.book().pinned()['text'] == strict.read_text()
    strict.write_text(POLICY)
    d = world.promote('tiny/3')
    assert (d.decision, d.exit_code) == ('waiting for approval', 5)
    assert whole(world) == 1


def test_without_a_key_nothing_is_signed(world, monkeypatch):
    monkeypatch.setenv('MLOPS_KIT_KEY', '')
    monkeypatch.setenv('HOME', str(world.folder))
    with pytest.raises(PolicyError, match='asks for a signature'): world.promote('tiny/3')
    with pytest.raises(PolicyError, match='asks for a signature'): world.rollback()


def test_a_stranger_s_key_does_not_count(world, monkeypatch):
    from mlops_kit.evidence import make_key
    make_key(world.folder/'eve.pem', 'Ana Silva')
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.folder/'eve.pem'))
    with pytest.raises(PolicyError, match='is not among the keys'): world.promote('tiny/3')


@pytest.mark.parametrize('ref, error, says', [
    ('tiny/9', RegistryError, 'known: `1`, `2`, `3`'), ('tony/1', RegistryError, 'did you mean `tiny`'),
    ('tiny@candidte', RegistryError, 'did you mean `candidate`'), ('tiny', RegistryError, 'names no version')])
def test_what_does_not_exist_is_named(world, ref, error, says):
    with pytest.raises(error, match='.') as e: world.promote(ref)
    assert says in str(e.value) and e.value.exit_code == 2


def test_an_alias_that_the_policy_does_not_know_is_refused(world):
    with pytest.raises(PolicyError, match='did you mean `champion`'): world.promote('tiny/3', to='champio')


def test_the_key_is_read_when_all_gates_have_ended(world, monkeypatch):
    import json
    from mlops_kit import evidence
    from mlops_kit.gates import candidate
    whole, seen = evidence.private_half, []
    def look(path):
        run = max((o.parent for o in world.runs.glob('*/run.json')), key=lambda o: o.stat().st_mtime)
        gates = json.loads((run/'run.json').read_text())['gates']
        seen.append((run.name, all((run/g/'verdict.json').exists() for g in gates), len(candidate.kept_workers())))
        return whole(path)
    world.register()
    before = {o.name for o in world.runs.iterdir()}
    monkeypatch.setattr(evidence, 'private_half', look)
    assert world.promote('tiny/4', data=world.data).decision == 'promoted'
    assert seen and {(run in before, *said) for run, *said in seen} == {(False, True, 0)}


def test_a_promotion_needs_a_policy(tmp_path, monkeypatch):
    other = World(tmp_path/'world').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(other.key))
    other.register(policy=None)
    with pytest.raises(PolicyError, match='mlops-kit init'): other.promote('tiny/1', policy=None)


# Rollback

def champions(world, *numbers):
    for n in numbers:
        world.judge(f'tiny/{n}')
        assert world.promote(f'tiny/{n}').exit_code == 0


def test_rolling_back_twice_goes_further_back(world):
    world.register()
    champions(world, 3, 4)
    assert [world.rollback().version['version'], world.rollback().version['version']] == [3, 1]
    with pytest.raises(RegistryError, match='no champion before version 1'): world.rollback()
    assert world.rollback(to=4).version['version'] == 4
    assert whole(world) == 4


def test_going_back_to_who_never_was_champion_is_refused(world):
    with pytest.raises(RegistryError, match='known: `1`'): world.rollback(to=2)


def test_going_back_to_who_is_champion_writes_nothing(world):
    before = len(world.book().entries())
    assert world.rollback(to=1).exit_code == 0
    assert len(world.book().entries()) == before


@pytest.mark.parametrize('harm', ['model', 'gone', 'example', 'deleted'])
def test_a_version_that_is_not_what_it_was_does_not_come_back(world, harm):
    import shutil
    from mlops_kit.registry import resolve
    world.register()
    champions(world, 3, 4)
    version = resolve('tiny/3', world.store)
    folder = next(p for p in (world.folder/'mlartifacts').rglob('MLmodel') if version.model_id in str(p)).parent
    if harm == 'model': (folder/'model.skops').write_bytes(b'x')
    if harm == 'gone': shutil.rmtree(folder)
    if harm == 'example': (folder/'mlops_kit'/'example.parquet').unlink()
    if harm == 'deleted': world.store.client.delete_model_version('tiny', '3')
    with pytest.raises(EvidenceError, match='`tiny/3` cannot come back') as e: world.rollback()
    assert 'rollback tiny --to 1' in e.value.hint and e.value.exit_code == 3
    assert world.alias() == 4
    assert world.rollback(to=1).exit_code == 0
    assert whole(world) == 1


def test_a_model_that_answers_otherwise_does_not_come_back(world, monkeypatch):
    from mlops_kit.gates.worker import Worker
    world.promote('tiny/3')
    predict = Worker.predict
    monkeypatch.setattr(Worker, 'predict', lambda self, rows: predict(self, rows)*.9)
    with pytest.raises(EvidenceError, match='otherwise than recorded'): world.rollback()
    monkeypatch.undo()
    assert whole(world) == 3


def test_outside_the_window_people_are_asked(world, monkeypatch):
    import mlops_kit.promotion as promotion
    world.promote('tiny/3')
    monkeypatch.setattr(promotion, 'now', lambda: '2999-01-01T00:00:00Z')
    d = world.rollback()
    assert (d.decision, d.exit_code, world.alias()) == ('waiting for approval', 5, 3)


# What people do by hand

def test_a_moved_alias_is_reported_and_never_overwritten(world):
    from mlops_kit.promotion import status
    from mlops_kit.store import set_alias
    set_alias(world.store, 'tiny', 'champion', 2)
    for d in (world.promote('tiny/3'), world.promote('tiny/1')):
        assert (d.decision, d.exit_code, world.alias()) == ('conflict', 6, 2)
    assert status(store=world.store).exit_code == 6
    with pytest.raises(MlopsKitError, match='needs a reason'): __import__('mlops_kit.promotion', fromlist=['x']).reconcile('tiny', ' ', store=world.store)
    assert world.reconcile().exit_code == 0
    assert whole(world) == 1
    assert world.reconcile().reasons == ['nothing differed']


def test_a_deleted_candidate_is_a_conflict_that_registering_settles(world):
    from mlops_kit.promotion import status
    world.store.client.delete_model_version('tiny', '3')
    assert status(store=world.store).exit_code == 6
    with pytest.raises(RegistryError, match='is gone'): world.reconcile()
    assert world.register().version == 4
    assert (whole(world), world.alias('candidate')) == (1, 4)


def test_a_deleted_champion_is_a_conflict_that_rollback_settles(world):
    world.promote('tiny/3')
    world.register()
    world.store.client.delete_model_version('tiny', '3')
    assert world.alias() is None
    with pytest.raises(RegistryError, match='is gone') as e: world.reconcile()
    assert e.value.exit_code == 6
    assert world.rollback(reason='3 was deleted').exit_code == 0
    assert whole(world) == 1


def test_a_model_made_again_under_its_name_is_another_model(world):
    from mlops_kit.registry import resolve
    world.store.client.delete_registered_model('tiny')
    world.store.client.create_registered_model('tiny')
    world.store.client.create_model_version('tiny', str(world.folder))
    with pytest.raises(RegistryError, match='deleted') as e: resolve('tiny@champion', world.store)
    assert e.value.exit_code == 6


# Outrun

def meanwhile(world, monkeypatch, do):
    "While the gates are asked for the first time, somebody else decides"
    from types import SimpleNamespace
    from mlops_kit import promotion
    asked = []
    def gates(version, *args, **kwargs):
        asked.append(version.ref)
        kept = world.judge(version.ref)
        if len(asked) == 1: do()
        return SimpleNamespace(folder=world.runs/kept.run)
    monkeypatch.setattr(promotion, 'run_gates', gates)
    return asked


def other(world):
    world.register()
    world.judge('tiny/4')
    assert world.promote('tiny/4').exit_code == 0


def test_who_was_outrun_is_judged_again_against_the_new_champion(world, monkeypatch):
    world.register()
    asked = meanwhile(world, monkeypatch, lambda: world.promote('tiny/3'))
    d = world.promote('tiny/4', data=world.data)
    assert (d.decision, d.base['version'], asked, whole(world)) == ('promoted', 3, ['tiny/4', 'tiny/4'], 4)


def test_without_data_to_judge_on_a_lost_race_is_a_conflict(world, monkeypatch):
    from mlops_kit import promotion
    real = promotion.carry
    def late(a, j):
        monkeypatch.setattr(promotion, 'carry', real)
        other(world)
        return real(a, j)
    monkeypatch.setattr(promotion, 'carry', late)
    d = world.promote('tiny/3')
    assert (d.decision, d.exit_code) == ('conflict', 6) and 'was decided meanwhile: Ana Silva promoted version 4' in d.reasons[0]
    assert whole(world) == 4


def test_who_expected_another_champion_is_not_judged_again(world, monkeypatch):
    world.register()
    asked = meanwhile(world, monkeypatch, lambda: world.promote('tiny/3'))
    d = world.promote('tiny/4', data=world.data, expect=1)
    assert (d.exit_code, asked, whole(world)) == (6, ['tiny/4'], 3)


def test_of_two_who_go_back_at_once_one_does(world):
    world.promote('tiny/3')
    assert world.rollback(expect=3).exit_code == 0
    d = world.rollback(expect=3)
    assert (d.exit_code, d.reasons[0]) == (6, '`champion` is version 1, and the caller expected version 3: nothing was written')
    assert whole(world) == 1
