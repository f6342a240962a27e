"Gates of one's own: functions and notebooks beside the policy, judged by the same rules as ours."
import json

import nbformat
import pytest
import yaml

from mlops_kit.core import Check, EvidenceError, GateError, PolicyError, check
from world import World

RULES = '''model: tiny
task: binary
target: late
owner: Ana Silva
stages:
  challenger: {gates: [elsewhere]}
  champion: {gates: [performance, season]}
gates:
  performance: {min_rows: 10, metrics: {roc_auc: {min: 0.6}}}
  season: {mode: warn, min_rows: 100}
'''


def write_own(world, name, *also):
    "Have `init --gate` write a gate, and add cells before its verdict is saved"
    from mlops_kit.cli import new_gate
    new_gate(name, world.folder/'promotion_gates')
    if also:
        nb = nbformat.read(path := world.folder/f'promotion_gates/{name}.ipynb', 4)
        at = next(i for i, c in enumerate(nb.cells) if 'verdict.save' in c.source)
        nb.cells[at:at] = [nbformat.v4.new_code_cell(o) for o in also]
        nbformat.write(nb, path)


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    "A world with one version, a gate of its own, and another that only another stage asks"
    world = World(tmp_path_factory.mktemp('own')/'w').furnish()
    world.policy.write_text(RULES)
    for name in ('season', 'elsewhere'): write_own(world, name)
    world.register()
    return world


@pytest.fixture
def world(kept, tmp_path):
    "The same world, put back afterwards"
    kept.keep(tmp_path/'kept')
    yield kept
    kept.restore(tmp_path/'kept')


def judge(world, gates=None, **kwargs):
    from mlops_kit import judge
    return judge('tiny/1', world.data, world.policy, gates, store=world.store, **kwargs)


def test_judge_asks_the_notebooks_beside_the_policy(world):
    found = judge(world)
    assert [v.gate for v in found] == ['performance', 'season'] and found['season'].checks[0].value == 12
    assert (found['season'].status, found['season'].reason, found.ok) == ('warn', 'too_few_rows', True)


def test_a_function_is_a_gate_and_its_settings_reach_it(world):
    def night(c): return [check('night:rows', c.table.rows > c.settings(least=5).least, 'rows', 'too_few_rows')]
    world.policy.write_text(RULES + '  night: {least: 50}\n')
    assert judge(world, [night, 'season'])['night'].status == 'fail'
    world.policy.write_text(RULES + '  night: {leest: 50}\n')
    with pytest.raises(PolicyError, match='gates.night.*did you mean `least`'): judge(world, [night])
    from mlops_kit import judge as plain
    assert plain('tiny/1', world.data, gates=[night], store=world.store).ok
    with pytest.raises(GateError, match='is no gate'): plain('tiny/1', world.data, gates=[lambda c: []], store=world.store)
    world.policy.write_text(RULES)
    with pytest.raises(PolicyError, match='did you mean `season`'): judge(world, ['seasn'])


@pytest.mark.parametrize('function, reason', [
    (lambda c: None, 'not_checks'), (lambda c: ['fine'], 'not_checks'), (lambda c: [], 'no_checks'), (lambda c: 1/0, 'crashed'),
    (lambda c: [Check('a', 'pass', value=float('nan'))], 'not_finite'), (lambda c: [Check('a', 'fine')], 'error')])
def test_what_is_no_check_is_never_a_pass(world, function, reason):
    from mlops_kit.gates import ask, open_candidate
    c = open_candidate('tiny/1', world.data, world.policy, gates=['mine'], own=['mine'], store=world.store)
    try: v = ask('mine', c, function)
    except Exception as e: assert 'status `fine` is unknown' in str(e)
    else: assert (v.status, v.reason) == ('error', reason)


def test_one_of_ours_can_be_replaced(world):
    write_own(world, 'performance', 'from mlops_kit.core import Check\nverdict.checks.append(Check("performance:mine", "fail", "not on a Monday", "monday"))')
    assert judge(world)['performance'].reason == 'monday'


def test_a_notebook_that_leaves_a_verdict_of_another_gate(world):
    write_own(world, 'noon', 'verdict.gate = "drift"')
    with pytest.raises(GateError, match='left no verdict of gate `noon`'): judge(world, ['noon'])


@pytest.mark.parametrize('code', ['1/0', 'import sys; sys.exit(0)', '%time 1', 'verdict = None'])
def test_a_notebook_that_breaks_could_not_judge(world, code):
    write_own(world, 'noon', code)
    assert judge(world, ['noon'])['noon'].status == 'error'


def test_a_contract_that_only_the_policy_names(world):
    contract = 'apiVersion: v3.1.0\nkind: DataContract\nid: t\nversion: 1.0.0\nstatus: active\nschema: [{name: t, properties: [{name: hour, required: true}, {name: wind}, {name: late}]}]\n'
    (world.folder/'later.odcs.yaml').write_text(contract)
    assert judge(world, ['contract'])['contract'].reason == 'no_contract'
    world.policy.write_text(RULES + '  contract: {file: later.odcs.yaml}\n')
    v = judge(world, ['contract'])['contract']
    assert v.ok and v.judged['contract'] and {'required:hour'} < {c.id for c in v.checks}
    (world.folder/'later.odcs.yaml').unlink()
    with pytest.raises(PolicyError, match='later.odcs.yaml. does not exist'): judge(world, ['contract'])


@pytest.mark.slow
def test_a_run_believes_them_and_a_promotion_takes_them(world):
    from mlops_kit import run_gates
    from mlops_kit.promotion import promote
    from mlops_kit.runner import check_shape
    write_own(world, 'contract')
    (world.folder/'later.odcs.yaml').write_text('apiVersion: v3.1.0\nkind: DataContract\nid: t\nversion: 1.0.0\nstatus: active\nschema: [{name: t, properties: [{name: hour}, {name: wind}, {name: late}]}]\n')
    world.policy.write_text(RULES.replace('[performance, season]', '[contract, season]') + '  contract: {file: later.odcs.yaml}\n')
    found = run_gates('tiny/1', world.data, world.policy, out=world.runs, store=world.store, progress=False)
    run = json.loads((found.folder/'run.json').read_text())
    assert found.ok and (found['season'].status, found['contract'].status) == ('warn', 'pass'), found
    assert run['own'] == ['season'] and run['gates']['season'] == found['season'].judged['notebook'] == check_shape(world.folder/'promotion_gates/season.ipynb')
    assert found['contract'].judged['contract'] == run['contract'] and (found.folder/'contract.yaml').exists()
    write_own(world, 'noon')
    season = world.folder/'promotion_gates/season.ipynb'
    text = season.read_text()
    season.write_text(text.replace('min_rows=1000', 'min_rows=1'))
    with pytest.raises(EvidenceError, match='other gate notebooks'): promote('tiny/1', policy=world.policy, store=world.store, out=world.runs, page=None, progress=False)
    season.write_text(text)
    assert promote('tiny/1', policy=world.policy, store=world.store, out=world.runs, page=None, progress=False).decision == 'promoted'


def test_where_decisions_are_signed_the_policy_names_own_notebooks(world):
    from mlops_kit.policy import copied_policy, load_policy
    from mlops_kit.runner import check_shape, gate_digests, gates_of
    signed = RULES + 'signing: {required: true}\n'
    digest = check_shape(world.folder/'promotion_gates/season.ipynb')
    world.policy.write_text(signed)
    with pytest.raises(PolicyError, match=f'names it by digest.*season: "{digest}"'): gates_of(load_policy(world.policy), 'champion')
    for text, says in [(f'{RULES}notebooks: {{season: {"a"*64}}}\n', 'not the one that the policy names'), (f'{RULES}notebooks: {{saeson: {digest}}}\n', 'did you mean `season`'), (f'{RULES}notebooks: {{season: abc}}\n', 'notebooks.season')]:
        world.policy.write_text(text)
        with pytest.raises(PolicyError, match=says): gates_of(load_policy(world.policy), 'champion')
    world.policy.write_text(f'{signed}notebooks: {{season: {digest}}}\n')
    assert list(gates_of(load_policy(world.policy), 'champion')) == ['performance', 'season']
    assert gate_digests(copied_policy(world.policy.read_text(), 'copy'), 'champion')['season'] == digest
    with pytest.raises(PolicyError, match='name the file'): gate_digests(copied_policy(RULES, 'copy'), 'champion')


@pytest.mark.slow
def test_a_setting_that_nobody_knows_could_not_be_judged(world):
    from mlops_kit import run_gates
    world.policy.write_text(RULES.replace('performance, season', 'season').replace('min_rows: 100}', 'min_rosw: 100}'))
    v = run_gates('tiny/1', world.data, world.policy, out=world.runs, store=world.store, progress=False)['season']
    assert v.status == 'error' and 'did you mean `min_rows`' in v.checks[0].message


def test_init_refuses_a_name_that_no_gate_can_have(cli, tmp_path):
    for name in ('../season', 'my gate', '7up'):
        code, out, err = cli('init', '--gate', name, cwd=tmp_path)
        assert code == 2 and 'letters, digits' in err and not out and not list(tmp_path.iterdir())


def test_gates_that_only_warn_are_reported_apart(world, tmp_path):
    from xml.etree import ElementTree as ET

    from mlops_kit.ci_output import report_of, write_reports
    found = judge(world)
    assert found.warning == ['season'] and 'warn (only warns)' in repr(found) and found.to_dict()['only_warn'] == ['season']
    assert write_reports(report_of(found), junit=tmp_path/'gates.xml') == []
    suite = ET.parse(tmp_path/'gates.xml').getroot()
    assert (suite.get('skipped'), suite.get('failures')) == ('1', '0')
    assert [(c.get('name'), c.get('classname'), [o.tag for o in c]) for c in suite.iter('testcase')] == [('performance', 'gate', []), ('season', 'gate that only warns', ['skipped'])]


def test_data_that_is_too_old_and_data_that_the_policy_names(world):
    import pandas as pd

    from mlops_kit.runner import prepared
    frame = pd.read_parquet(world.data).assign(at=pd.date_range('2013-04-01', periods=12), noted=pd.Timestamp('2013-01-01'))
    frame.to_parquet(world.folder/'dated.parquet')
    rules = RULES + 'data: {min_rows: 10, max_age: 3d, time: at, source: dated.parquet}\n'
    def age(as_of):
        from mlops_kit import judge
        found = judge('tiny/1', world.folder/'dated.parquet', world.policy, ['data_quality'], as_of=as_of, store=world.store)
        return next((c.status, c.reason) for c in found[0].checks if c.id == 'data:max_age')
    world.policy.write_text(rules)
    assert [age('2013-04-14'), age('2013-04-20')] == [('pass', ''), ('fail', 'stale')]
    folder, _ = prepared('tiny/1', None, world.policy, world.runs, 'champion', None, world.store)
    assert json.loads((folder/'run.json').read_text())['address'] == str(world.folder/'dated.parquet')
    world.policy.write_text(rules.replace('time: at, ', ''))
    assert age('2013-04-14') == ('error', 'no_time_column')
    world.policy.write_text(rules.replace('time: at', 'time: ta'))
    with pytest.raises(PolicyError, match='did you mean `at`'): age('2013-04-14')
