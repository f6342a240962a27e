"What a policy file may not say: each mistake is one line that names the place and what is allowed."
import re
import subprocess
import sys
from datetime import timedelta

import pytest
import toy
from conftest import ROOT

from mlops_kit.core import EXIT, PolicyError, file_digest, schema
from mlops_kit.policy import (USUAL_GATES, METHODS, METRICS, USUAL, OwnGate, as_policy, copied_policy, default_policy, load_policy, parse_age, parse_policy, policy_schema,
    policy_text)

GOOD = '''model: flight-delay
task: binary
target: late
owner: ada
stages:
  champion:
    gates: [contract, drift, performance]
    evidence_max_age: 7d
gates:
  data_quality:
    columns:
      wind: {max_new_categories: 0.01}
  drift:
    columns:
      temp: {threshold: 0.5, reason: season}
  performance:
    metrics:
      roc_auc: {min: 0.62, margin: 0.01}
'''

# What is written instead of what, and the words that the refusal must say
REFUSED = {
    'key_at_the_top': ('owner:', 'ower:', ['line 4', 'ower', 'did you mean `owner`']),
    'key_of_a_stage': ('evidence_max_age', 'evidence_maxage', ['stages.champion', 'did you mean `evidence_max_age`']),
    'key_of_a_gate': ('columns:\n      temp', 'colums:\n      temp', ['gates.drift', 'did you mean `columns`']),
    'key_of_a_column': ('threshold', 'treshold', ['gates.drift.columns.temp', 'did you mean `threshold`']),
    'key_of_a_metric': ('margin', 'margn', ['line 18', 'gates.performance.metrics.roc_auc', 'did you mean `margin`']),
    'gate_in_a_stage': ('contract, drift', 'contract, dirft', ['`dirft`', 'did you mean `drift`']),
    'gate_in_gates': ('  drift:', '  drfit:', ['`drfit`', 'did you mean `drift`']),
    'gate_that_is_no_notebook': ('  drift:', '  season: {}\n  drift:', ['`season`', 'promotion_gates/', 'init --gate']),
    'metric': ('roc_auc', 'roc_acu', ['`roc_acu`', 'did you mean `roc_auc`']),
    'metric_of_another_task': ('roc_auc', 'rmse', ['binary metric `rmse`', '`roc_auc`']),
    'min_above_max': ('min: 0.62', 'min: 0.62, max: 0.5', ['`min` 0.62 is above `max` 0.5']),
    'margin_nan': ('margin: 0.01', 'margin: .nan', ['margin', 'finite', 'nan']),
    'min_inf': ('min: 0.62', 'min: -.inf', ['min', 'finite']),
    'margin_beyond_gain': ('margin: 0.01', 'margin: -0.1, max_gain: 0.05', ['asks for more', 'no version could pass']),
    'margin_in_per_cent': ('margin: 0.01', 'margin: 1', ['every version would pass', 'per cent']),
    'min_in_per_cent': ('min: 0.62', 'min: 62', ['no version could pass', 'per cent']),
    'score_with_a_max_only': ('{min: 0.62, margin: 0.01}', '{max: 0.62}', ['every bad version would pass', '`min`']),
    'error_with_a_min_only': ('roc_auc: {min: 0.62, margin: 0.01}', 'log_loss: {min: 0.62}', ['every bad version would pass', '`max`']),
    'number_as_text': ('margin: 0.01', 'margin: "0.01"', ['number', 'without quotes']),
    'number_of_yaml_1_1': ('margin: 0.01', 'margin: 1e-2', ['1e-2', '0.001 rather than 1e-3']),
    'boolean_for_number': ('margin: 0.01', 'margin: true', ['number', 'True']),
    'age': ('7d', 'a week', ['`a week`', 'write it like']),
    'age_without_unit': ('7d', '7', ['evidence_max_age', '`7`']),
    'age_in_months': ('7d', '3m', ['`3m`', 'hours, days or weeks']),
    'age_of_nothing': ('7d', '0h', ['evidence_max_age', '`0h`', 'nothing could be that new']),
    'data_of_no_age': ('owner: ada', 'owner: ada\ndata: {max_age: 0d}', ['data.max_age', 'nothing could be that new']),
    'age_that_is_no_text': ('7d', '[7d]', ['evidence_max_age']),
    'no_digest': ('owner: ada', 'owner: ada\nnotebooks: {drift: abc}', ['notebooks.drift', 'abc']),
    'notebook_of_no_gate': ('owner: ada', 'owner: ada\nnotebooks: {season: "' + 'a'*64 + '"}', ['`season`', 'init --gate']),
    'approvals_below_none': ('7d', '7d\n    approvals: {required: -1}', ['approvals.required', '-1']),
    'slice_metric': ('    metrics:', '    slices:\n      - {by: origin, metrcs: {}}\n    metrics:', ['line 18', 'slices.0`, key `metrcs`', 'did you mean `metrics`']),
    'slice_by_nothing': ('    metrics:', '    slices: [{by: [], metrics: {roc_auc: {min: 0.5}}}]\n    metrics:', ['slices.0.by`', 'at least 1']),
    'slice_by_the_target': ('    metrics:', '    slices: [{by: [origin, late], metrics: {roc_auc: {min: 0.5}}}]\n    metrics:', ['`late`', 'the target itself']),
    'slice_by_one_column_twice': ('    metrics:', '    slices: [{by: [origin, origin], metrics: {roc_auc: {min: 0.5}}}]\n    metrics:', ['twice']),
    'gap_in_vain': ('    metrics:', '    slices: [{by: origin, metrics: {roc_auc: {max_gap: 1}}}]\n    metrics:', ['`max_gap` 1', 'every version would pass']),
    'groups_crossed_alone': ('  performance:', '  fairness: {groups: [[origin]]}\n  performance:', ['gates.fairness.groups.0`', 'at least 2']),
    'min_in_vain': ('{min: 0.62, margin: 0.01}', '{min: 0}', ['`min` 0', 'every version would pass']),
    'margin_beyond_the_best': ('margin: 0.01', 'margin: -1.5', ['margin -1.5', 'no version']),
    'error_below_none': ('roc_auc: {min: 0.62, margin: 0.01}', 'log_loss: {max: -1}', ['`max` -1', 'no version could pass']),
    'share_of_everything': ('  drift:\n', '  drift:\n    max_share: 1.0\n', ['`max_share`', 'every version would pass']),
    'alpha_of_drift': ('  drift:\n', '  drift:\n    alpha: 2\n', ['gates.drift.alpha', 'less than 1', '`2`']),
    'alpha_of_nothing': ('  drift:\n', '  drift:\n    alpha: 1.0e-12\n', ['`alpha`', 'hardly any change']),
    'looser_drift_without_a_reason': ('  drift:\n', '  drift:\n    threshold: 50\n', ['threshold 50', '0.1 is usual', 'reason']),
    'volumes_crossed': ('  data_quality:\n', '  data_quality:\n    min_volume: 5\n    max_volume: 2\n', ['`min_volume` 5 is above `max_volume` 2']),
    'key_of_behaviour': ('  drift:\n', '  behaviour: {max_latency_ration: 2}\n  drift:\n', ['gates.behaviour', 'did you mean `max_latency_ratio`']),
    'latency_below_none': ('  drift:\n', '  behaviour: {latency: {1: {p95: -5}}}\n  drift:\n', ['gates.behaviour.latency.1.p95', '-5']),
    'latency_of_another_batch': ('  drift:\n', '  behaviour: {latency: {7: {p95: 5}}}\n  drift:\n', ['gates.behaviour.latency.7', '1 or 1000']),
    'current_environment_without_reason': ('  drift:\n', '  behaviour: {environment: current}\n  drift:\n', ['gates.behaviour', 'reason']),
    'waivers_for_ever': ('owner: ada', 'owner: ada\nwaivers: {max_days: 400000000000000000000}', ['waivers.max_days', '3650']),
    'alpha_of_performance': ('    metrics:', '    alpha: 2\n    metrics:', ['gates.performance`, key `alpha`', 'confidence']),
    'metrics_as_a_list': ('    metrics:\n      roc_auc: {min: 0.62, margin: 0.01}', '    metrics: [roc_auc]', ['gates.performance.metrics`', 'mapping']),
    'roles_as_text': ('7d', '7d\n    approvals: {required: 1, roles: risk}', ['approvals.roles`', 'list']),
    'loose_drift_without_reason': (', reason: season', '', ['`temp`', '0.5', '0.1 is usual', 'reason']),
    'loose_drift_with_a_blank_reason': ('reason: season', 'reason: " "', ['`temp`', 'reason']),
    'loose_p_value_without_reason': ('threshold: 0.5, reason: season', 'method: ks, threshold: 0.001', ['`temp`', '0.05 is usual', 'reason']),
    'loose_g_test_without_reason': ('threshold: 0.5, reason: season', 'method: g_test, threshold: 0.08', ['`temp`', '0.1 is usual', 'reason']),
    'warning_column_without_reason': ('threshold: 0.5, reason: season', 'mode: warn', ['`temp`', 'only warns', 'reason']),
    'loose_quality_without_reason': ('max_new_categories: 0.01', 'max_new_categories: 0.5', ['`wind`', 'max_new_categories', 'reason']),
    'alpha_of_two': ('columns:\n      temp', 'alpha: 2.0\n    columns:\n      temp', ['gates.drift.alpha', '2']),
    'alpha_of_nothing': ('columns:\n      temp', 'alpha: 0.0\n    columns:\n      temp', ['gates.drift.alpha', '0']),
    'loose_gate_without_reason': ('columns:\n      temp', 'threshold: 0.3\n    columns:\n      temp', ['0.3', '0.1 is usual', 'reason']),
    'prediction_without_reason': ('columns:\n      temp', 'prediction: {mode: warn}\n    columns:\n      temp', ['`prediction`', 'only warns', 'reason']),
    'method': ('threshold: 0.5', 'method: wasserstien', ['wasserstien', 'did you mean `wasserstein`']),
    'task': ('task: binary', 'task: binry', ['binry', 'did you mean `binary`']),
    'mode': ('threshold: 0.5', 'mode: wran', ['wran', 'did you mean `warn`']),
    'no_owner': ('owner: ada\n', '', ['`owner` is missing']),
    'owner_null': ('owner: ada', 'owner:', ['owner', 'received nothing']),
    'model_empty': ('model: flight-delay', 'model: ""', ['model']),
    'no_gates': ('[contract, drift, performance]', '[]', ['stages.champion.gates', 'at least 1']),
    'gate_twice': ('[contract, drift, performance]', '[drift, drift]', ['`drift`', 'twice']),
    'no_stages': ('stages:\n  champion:\n    gates: [contract, drift, performance]\n    evidence_max_age: 7d\n', 'stages: {}\n', ['stages']),
    'reserved_alias': ('champion:', 'latest:', ['`latest`', 'alias']),
    'version_alias': ('champion:', 'v7:', ['`v7`', 'alias']),
    'key_twice': ('owner: ada', 'owner: ada\nowner: bob', ['line 5', '`owner`', 'twice']),
    'column_twice': ('      temp:', '      temp: {threshold: 9, reason: none}\n      temp:', ['`temp`', 'twice']),
    'unknown_format': ('model:', 'version: 2\nmodel:', ['version', '`2`']),
    'negative_rows': ('owner: ada', 'owner: ada\ndata: {min_rows: -5}', ['data.min_rows', '-5']),
    'share_above_one': ('max_new_categories: 0.01', 'max_new_categories: 5', ['max_new_categories', 'less than or equal to 1']),
    'confidence': ('    metrics:', '    confidence: 95\n    metrics:', ['confidence', '95']),
    'section_left_empty': ('\n    metrics:\n      roc_auc: {min: 0.62, margin: 0.01}', '', ['gates.performance', 'received nothing']),
    'python_object': ('owner: ada', 'owner: !!python/object:os.system {}', ['YAML', 'line 4']),
    'alias_of_nothing': ('owner: ada', 'owner: *ada', ['YAML', 'line 4'])}


@pytest.mark.parametrize('case', REFUSED)
def test_refused_in_one_line(case):
    old, new, says = REFUSED[case]
    text = GOOD.replace(old, new)
    assert text != GOOD
    with pytest.raises(PolicyError) as e: parse_policy(text, 'p.yaml')
    assert e.value.exit_code == EXIT['usage'] and '\n' not in str(e.value) and '`p.yaml`' in str(e.value)
    for word in says: assert word in str(e.value), str(e.value)


@pytest.mark.parametrize('change', [
    ('threshold: 0.5, reason: season', 'threshold: 0.08'), ('threshold: 0.5, reason: season', 'method: ks, threshold: 0.2'),
    ('threshold: 0.5, reason: season', 'mode: warn, reason: season'), ('min: 0.62', 'min: 0.62, max: 0.99'),
    ('roc_auc: {min: 0.62, margin: 0.01}', 'log_loss: {max: 0.6}')])
def test_allowed(change): parse_policy(GOOD.replace(*change))


def test_a_gate_with_a_looser_bound_makes_it_usual():
    text = GOOD.replace('  drift:\n', '  drift:\n    threshold: 0.6\n    reason: a rough sensor\n').replace(', reason: season', '')
    assert parse_policy(text).gate('drift').columns['temp'].threshold == .5


@pytest.mark.parametrize('data, says', [
    (b'', 'holds nothing'), (b'[1, 2]', 'no keys'), (b'\xff\xfe', 'not UTF-8'), (b'version: [1', 'YAML'), (b'a: &a [*a]', '`a` is unknown')])
def test_unreadable_files(tmp_path, data, says):
    path = tmp_path/'policy.yaml'
    path.write_bytes(data)
    with pytest.raises(PolicyError, match=says): load_policy(path)


def test_absent_files(tmp_path):
    with pytest.raises(PolicyError, match='mlops-kit init'): load_policy(tmp_path/'policy.yaml')
    (tmp_path/'policy.yml').write_text(GOOD)
    with pytest.raises(PolicyError, match='did you mean `.*policy.yml`'): load_policy(tmp_path/'policy.yaml')
    with pytest.raises(PolicyError, match='cannot be read'): load_policy(tmp_path)


@pytest.mark.parametrize('change', [lambda o: o, lambda o: o.replace('\n', '\r\n'), lambda o: '\ufeff' + o])
def test_the_digest_is_that_of_the_file(tmp_path, change):
    path = tmp_path/'policy.yaml'
    path.write_bytes(change(GOOD).encode())
    policy = load_policy(path)
    assert policy.path == path and policy.digest == file_digest(path) and policy.text.encode() == path.read_bytes()


def test_a_gate_of_ones_own(tmp_path):
    (tmp_path/'promotion_gates').mkdir()
    (tmp_path/'promotion_gates/season.ipynb').write_text('{}')
    path = tmp_path/'policy.yaml'
    path.write_text(GOOD.replace('contract, drift', 'season, drift').replace('  drift:\n', '  season: {mode: warn, months: [4, 5], share: 1}\n  drift:\n'))
    policy = load_policy(path)
    assert isinstance(policy.gate('season'), OwnGate) and policy.gate('season').settings(months=[], share=.5).months == [4, 5]
    assert parse_policy(path.read_text(), gates=['season']).gates == copied_policy(path.read_text(), 'copy').gates == policy.gates
    with pytest.raises(PolicyError, match='did you mean `season`'): policy.gate('seasn')
    for old, new, says in [('mode: warn', 'mode: wran', 'gates.season.mode'), ('season,', 'seasn,', 'did you mean `season`')]:
        with pytest.raises(PolicyError, match=says): parse_policy(path.read_text().replace(old, new), gates=['season'])


@pytest.mark.parametrize('given, says', [
    (dict(monhts=[4]), 'did you mean `months`'), (dict(months=4), 'setting `months`'), (dict(share=float('nan')), 'setting `share`'),
    (dict(share='0.5'), 'setting `share`'), (dict(share=True), 'setting `share`')])
def test_settings_of_a_gate_of_ones_own_are_read_strictly(given, says):
    with pytest.raises(PolicyError, match=says): OwnGate(**given).settings(months=[], share=.5)


def test_a_name_that_no_folder_could_bear():
    with pytest.raises(PolicyError, match='letters, digits'): parse_policy(GOOD.replace('[contract,', '["run.json",'), gates=['run.json'])


def test_as_policy(tmp_path):
    path = tmp_path/'policy.yaml'
    path.write_text(GOOD)
    policy = as_policy(path)
    assert as_policy(None) is as_policy('') is None and as_policy(policy) is policy and as_policy(str(path)).digest == policy.digest
    more = as_policy(policy, ['season'])
    assert 'season' in more.known and 'season' not in policy.known and (more.digest, more.path) == (policy.digest, path)


def test_stages_and_gates_are_asked_by_name():
    policy = parse_policy(GOOD)
    assert policy.stage('champion').rollback.window == '30d' and policy.gate('contract').mode == 'block'
    with pytest.raises(PolicyError, match='did you mean `champion`'): policy.stage('champoin')
    with pytest.raises(PolicyError, match='did you mean `contract`'): policy.gate('contrct')


def test_nothing_changes_after_reading():
    policy = parse_policy(GOOD)
    with pytest.raises(ValueError, match='frozen'): policy.gate('drift').max_share = 1.


@pytest.mark.parametrize('task', METRICS)
def test_what_init_writes_loads_and_equals_the_defaults(task):
    text = policy_text('flight: delay', task, 'late # "x"', "O'Neil: ü", ['no', 'a: b', 'late # "x"'])
    policy = parse_policy(text)
    assert (policy.model, policy.target, policy.owner) == ('flight: delay', 'late # "x"', "O'Neil: ü")
    assert policy.gates == default_policy(task).gates
    before, last = list(policy.stages.values()), policy.stage('champion')
    assert list(policy.stages) == ['candidate', 'challenger', 'champion'] and all(set(a.gates) < set(b.gates) for a, b in zip(before, before[1:]))
    assert last.model_copy(update=dict(gates=list(USUAL_GATES))) == default_policy(task).stage('champion')
    with_columns = re.sub(r'^    #   (?=.*reason)', '      ', text.replace('    # columns:', '    columns:'), flags=re.M)
    assert list(parse_policy(with_columns).gate('drift').columns) == ['no', 'a: b']
    more = parse_policy(re.sub(r'^    # (slices:|  - by|    min_rows|    metrics|latency:)', r'    \1', text, flags=re.M))
    assert more.gate('performance').slices[0].columns == ['a: b'] and more.gate('behaviour').latency[1000].p95 == 500
    with_groups = re.sub(r'^  # (fairness:|  )', r'  \1', text, flags=re.M).replace('governance]', 'governance, fairness]')
    fair = parse_policy(with_groups)
    assert fair.gate('fairness').groups == ['a: b'] and len(fair.gate('fairness').metrics) == 1 and 'fairness' in fair.stage('champion').gates


def test_defaults():
    assert default_policy().gate('performance').metrics == {}
    assert default_policy('binary').digest == default_policy('binary').digest != default_policy('regression').digest
    assert default_policy().path is None and tuple(default_policy().stage('champion').gates) == USUAL_GATES
    with pytest.raises(PolicyError, match='did you mean `binary`'): default_policy('binry')


@pytest.mark.parametrize('text, age', [('36h', timedelta(hours=36)), ('7d', timedelta(7)), ('6w', timedelta(42)), ('0d', timedelta(0))])
def test_ages(text, age): assert parse_age(text) == age


@pytest.mark.parametrize('text', ['', '7', 'd', '-7d', '7 d', '7D', '1.5d', '7m', '7d12h', '999999d', '٣d', None])
def test_no_ages(text):
    with pytest.raises(PolicyError): parse_age(text)


def test_methods_are_those_of_the_drift_room():
    from mlops_kit import drift
    assert {k: ('p_value' if o.is_p else 'distance', o.threshold) for k, o in drift.METHODS.items()} == {k: (METHODS[k], USUAL[k]) for k in METHODS}


def test_policies_that_ship_load():
    load_policy(ROOT/'mlops_kit/data/flights.policy.yaml')
    parse_policy(toy.POLICY)


def test_the_json_schema_agrees():
    import jsonschema
    import yaml
    assert schema('policy') == policy_schema()
    valid = jsonschema.Draft202012Validator(schema('policy')).is_valid
    assert valid(yaml.safe_load(GOOD))
    for case in ('key_at_the_top', 'key_of_a_metric', 'age', 'task', 'no_owner', 'share_above_one'):
        old, new, _ = REFUSED[case]
        assert not valid(yaml.safe_load(GOOD.replace(old, new))), case


def test_reading_a_policy_is_light():
    out = subprocess.run([sys.executable, '-c', 'import mlops_kit.policy, sys; print(*sys.modules)'], capture_output=True, text=True, check=True).stdout
    assert not {'pandas', 'numpy', 'mlflow', 'pyarrow'} & set(out.split())
