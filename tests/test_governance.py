"What a reviewer asks for, and what other tools read of a run."
import json
import warnings

import pytest

from mlops_kit.core import MlopsKitError, PolicyError
from mlops_kit.governance import ASKED, REASONS, governance_checks, says
from mlops_kit.policy import ANSWERS, Governance, parse_policy
from world import World, flights

POLICY = '''model: tiny
task: binary
target: late
owner: Ana Silva
signing: {required: true}
stages: {champion: {gates: [governance]}}
gates: {governance: {require: [owner, intended_use, limits, sources, transformation, environment, importance, test, lineage]}}
'''
TOLD = dict(intended_use='Warn the desk.', limits='Not for night flights.', transformation='hours as they are', fairness='Flights are not people.')


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp('governance')
    with pytest.MonkeyPatch.context() as m:
        w = World(folder)
        m.setenv('MLOPS_KIT_KEY', str(w.key))
        w.furnish()
        w.policy.write_text(POLICY)
        flights().assign(hour=lambda d: d.hour + 2).to_parquet(folder/'test.parquet')
        flights().to_csv(folder/'source.csv')
        yield w


def judged(world, **kwargs):
    from mlops_kit.gates import judge
    v = world.register(test=world.folder/'test.parquet', sources=[world.folder/'source.csv'], **TOLD | kwargs)
    return {c.id.removeprefix('governance:'): c for c in judge(v, str(world.data), world.policy, store=world.store)['governance'].checks}


def test_the_policy_knows_the_same_questions():
    assert (*ASKED,) == ANSWERS and {f'no_{o}' for o in ASKED} == {*REASONS}
    with pytest.raises(PolicyError, match='require'): parse_policy(POLICY.replace('[owner,', '[ownr,'))
    with pytest.raises(PolicyError, match='require'): parse_policy(POLICY.split('gates: {gov')[0] + 'gates: {governance: {require: []}}\n')


def test_what_was_written_down_passes_and_what_was_not_is_named(world):
    found = judged(world)
    assert {k for k, c in found.items() if c.status == 'fail'} <= {'code', 'contract'} and not found['contract'].blocking
    assert 'source.csv' not in found['sources'].message and 'all with their digests' in found['sources'].message
    found = judged(world, limits=' todo ', transformation=str(world.folder/'source.csv'))
    assert found['limits'].reason == 'no_limits' and found['limits'].blocking
    assert found['transformation'].status == 'pass' and 'sha256' in found['transformation'].message


@pytest.mark.parametrize('text, ok', [('x', True), ('', False), ('TBD', False), ('...', False), ('—', False), ('n/a', False), ('Unknown airports are not scored.', True)])
def test_what_says_something(text, ok): assert says(text) == ok


def test_a_version_of_which_nothing_is_known_answers_nothing():
    found = governance_checks({}, dict(requirements=[], loose=[], contract=False, gates=[]), Governance())
    assert {c.status for c in found} == {'fail'} and len(found) == len(ASKED)


@pytest.mark.slow
def test_a_run_leaves_its_lineage_and_a_transport_that_fails_changes_nothing(world, monkeypatch):
    from mlops_kit.runner import run_gates
    v = world.register(test=world.folder/'test.parquet', sources=[world.folder/'source.csv'], **TOLD)
    monkeypatch.setenv('OPENLINEAGE_URL', 'http://127.0.0.1:9')
    monkeypatch.setenv('OPENLINEAGE__TRANSPORT', json.dumps(dict(type='http', url='http://127.0.0.1:9', timeout=1, retry=dict(total=0))))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        verdicts = run_gates(v, str(world.data), world.policy, out=world.runs, store=world.store, progress=False)
    assert verdicts.exit_code == 0 and any('lineage events were not sent' in str(o.message) for o in said)
    events = [json.loads(o) for o in (verdicts.folder/'lineage.jsonl').read_text().splitlines()]
    assert [(e['job']['name'], e['eventType']) for e in events] == [('tiny.register', 'START'), ('tiny.register', 'COMPLETE'), ('tiny.gates', 'START'), ('tiny.gates', 'COMPLETE')]
    asserted = events[-1]['inputs'][1]['inputFacets']['dataQualityAssertions']['assertions']
    assert [o['assertion'] for o in asserted] == [f'governance:{k}' for k in ASKED]
    statement = (verdicts.folder/'statement.json').read_text()
    from mlops_kit.evidence import open_envelope
    assert 'lineage.jsonl' in open_envelope(json.loads(statement))[1]['predicate']['files']


def test_addresses_tell_no_secrets():
    from mlops_kit.lineage import dataset_name
    assert 'secret' not in ''.join(dataset_name('postgres://ana:secret@db/air?table=t&password=secret'))


def test_misuse_is_one_line(world):
    with pytest.raises(MlopsKitError, match='source'): world.register(sources=['nowhere.csv'])
