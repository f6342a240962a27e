"What a contract may say, and what each promise finds in data that breaks it."
import datetime as dt
import decimal
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toy
from conftest import ROOT

from mlops_kit.contract import (OPERATORS, REASONS, contract_checks, infer_contract, load_contract)
from mlops_kit.core import EXIT, DataError, PolicyError, Verdict, file_digest
from mlops_kit.table import open_table

UTC = dt.timezone.utc
HEAD = 'kind: DataContract\napiVersion: v3.1.0\nid: t\nversion: 1.0.0\nstatus: active\n'


def contract_of(tmp_path, properties, quality='[]', sla='[]'):
    "A contract about one table `t`"
    path = tmp_path/'t.odcs.yaml'
    body = ''.join(f'      - {o}\n' for o in properties)
    path.write_text(f'{HEAD}schema:\n  - name: t\n    quality: {quality}\n    properties:\n{body}slaProperties: {sla}\n')
    return path


def found(tmp_path, data, properties, quality='[]', sla='[]', as_of='2013-05-01'):
    "Check id to (status, reason) of what did not pass"
    checks = contract_checks(load_contract(contract_of(tmp_path, properties, quality, sla)), open_table(data), as_of)
    assert len({c.id for c in checks}) == len(checks)
    assert {c.reason for c in checks} - {''} <= set(REASONS)
    assert all(c.message for c in checks)
    return {c.id: (c.status, c.reason) for c in checks if c.status != 'pass'}


# Reading

GOOD = HEAD + '''schema:
  - name: t
    quality:
      - {metric: rowCount, mustBeBetween: [1, 500]}
      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [wind, hour]}}
    properties:
      - {name: wind, logicalType: number, required: true, logicalTypeOptions: {minimum: -50, maximum: 50}}
      - {name: hour, logicalType: integer, quality: [{metric: nullValues, mustBe: 0}]}
      - {name: day, logicalType: date, logicalTypeOptions: {minimum: '2013-01-01'}}
      - {name: carrier, logicalType: string, logicalTypeOptions: {pattern: '^[A-Z]+$', minLength: 2}, quality: [{metric: invalidValues, arguments: {validValues: [UA, 'NO']}, mustBe: 0}]}
slaProperties:
  - {property: freshness, value: 3, unit: d, element: t.day}
'''

REFUSED = {
    'kind': ('kind: DataContract', 'kind: DataContrct', ['kind', 'DataContrct', 'did you mean `DataContract`']),
    'key_at_the_top': ('id: t', 'idd: t', ['`idd`', 'did you mean `id`']),
    'key_of_a_column': ('required: true', 'requird: true', ['schema.t.properties.wind', 'did you mean `required`']),
    'key_of_an_option': ('minimum: -50', 'minimun: -50', ['wind.logicalTypeOptions', 'did you mean `minimum`']),
    'key_of_a_rule': ('mustBe: 0}', 'mustBe: 0, sevrity: info}', ['did you mean `severity`']),
    'key_of_a_service_level': ('value: 3', 'valu: 3', ['slaProperties.freshness', 'did you mean `value`']),
    'type': ('logicalType: number', 'logicalType: float', ['wind', "'float'"]),
    'operator_unknown': ('mustBe: 0}]}\n      - {name: day', 'mustBee: 0}]}\n      - {name: day', ['did you mean `mustBe`']),
    'no_operator': ('{metric: nullValues, mustBe: 0}', '{metric: nullValues}', ['exactly one operator', 'none']),
    'two_operators': ('metric: nullValues, mustBe: 0', 'metric: nullValues, mustBe: 0, mustNotBe: 1', ['exactly one operator', '`mustBe`', '`mustNotBe`']),
    'between_one': ('[1, 500]', '[1]', ['exactly one operator', 'mustBeBetween']),
    'between_reversed': ('[1, 500]', '[500, 1]', ['wrong way round']),
    'metric': ('metric: nullValues', 'metric: nullValue', ['did you mean `nullValues`']),
    'bound_that_is_text': ('metric: nullValues, mustBe: 0', 'metric: nullValues, mustBe: none', ['needs a number']),
    'bound_nan': ('metric: nullValues, mustBe: 0', 'metric: nullValues, mustBe: .nan', ['finite']),
    'minimum_nan': ('minimum: -50', 'minimum: .nan', ['finite']),
    'minimum_above_maximum': ('minimum: -50', 'minimum: 51', ['t.wind', 'above the maximum']),
    'minimum_of_text': ('minimum: -50', 'minimum: low', ['wind.logicalTypeOptions.minimum', 'low']),
    'date_that_is_none': ("'2013-01-01'", "'January'", ['t.day', 'January', 'no date']),
    'pattern': ('^[A-Z]+$', '^[A-Z+$', ['t.carrier', 'pattern']),
    'pattern_with_look_ahead': ('^[A-Z]+$', '(?!X)', ['look-ahead']),
    'lengths': ('minLength: 2', 'minLength: 2, maxLength: 1', ['minLength']),
    'norway': ("'NO'", 'NO', ['boolean to YAML', 'quotes']),
    'nothing_invalid': ('arguments: {validValues: [UA, \'NO\']}, ', '', ['nothing is invalid']),
    'argument': ('validValues:', 'validValue:', ['argument `validValue`', 'validValues']),
    'unit_of_a_rule': ('metric: nullValues', 'metric: nullValues, unit: share', ['unit `share`', 'percent']),
    'rows_in_percent': ('metric: rowCount', 'metric: rowCount, unit: percent', ['rowCount']),
    'column_rule_on_the_table': ('metric: rowCount, mustBeBetween: [1, 500]', 'metric: nullValues, mustBe: 0', ['about a column']),
    'rule_about_no_column': ('[wind, hour]', '[wind, huor]', ['`huor`', 'not declared']),
    'query_about_nothing': ('metric: rowCount, mustBeBetween: [1, 500]', "type: sql, query: 'select ${SECRET}', mustBe: 1", ['${SECRET}']),
    'query_about_a_column': ('metric: rowCount, mustBeBetween: [1, 500]', "type: sql, query: 'select max(${column}) from ${table}', mustBe: 1", ['about the table']),
    'no_query': ('metric: rowCount, mustBeBetween: [1, 500]', 'type: sql, mustBe: 1', ['query']),
    'column_twice': ('name: hour', 'name: wind', ['`wind`', 'twice']),
    'column_without_name': ('{name: hour, ', '{', ['name']),
    'no_columns': (GOOD[GOOD.index('schema:'):GOOD.index('slaProp')], '', ['no columns']),
    'unit_of_freshness': ('unit: d', 'unit: m', ['unit `m`']),
    'no_unit_of_freshness': (', unit: d', '', ['unit']),
    'freshness_of_nothing': ('value: 3', 'value: soon', ['soon']),
    'freshness_negative': ('value: 3', 'value: -3', ['-3']),
    'element': ('t.day', 't.dya', ['`dya`', 'not declared']),
    'element_of_another_table': ('t.day', 'u.day', ['`u`', 'not declared']),
    'version_without_quotes': ('version: 1.0.0', 'version: 1.0', ['version', 'quotes']),
    'odcs_2': ('v3.1.0', 'v2.2.2', ['v2.2.2', 'version 3']),
    'odcs_9': ('v3.1.0', 'v9', ['v9']),
    'key_twice': ('id: t', 'id: t\nid: u', ['`id`', 'twice']),
    'not_yaml': ('id: t', 'id: [t', ['YAML']),
    'nothing': (GOOD, '', ['nothing']),
    'a_list': (GOOD, '[1]', ['no keys'])}


def test_the_good_one_is_good(tmp_path):
    (tmp_path/'c.yaml').write_text(GOOD)
    c = load_contract(tmp_path/'c.yaml')
    assert (c.name, c.version, c.digest, c.path) == ('t', '1.0.0', file_digest(tmp_path/'c.yaml'), tmp_path/'c.yaml')


@pytest.mark.parametrize('case', REFUSED)
def test_refused_in_one_line(case, tmp_path):
    old, new, says = REFUSED[case]
    text = GOOD.replace(old, new)
    assert text != GOOD
    (tmp_path/'c.yaml').write_text(text)
    with pytest.raises(PolicyError) as e: load_contract(tmp_path/'c.yaml')
    assert e.value.exit_code == EXIT['usage'] and '\n' not in str(e.value) and 'c.yaml' in str(e.value) and len(str(e.value)) < 600
    for word in says: assert word in str(e.value), str(e.value)


def test_absent_and_unreadable(tmp_path):
    with pytest.raises(PolicyError, match='does not exist'): load_contract(tmp_path/'c.yaml')
    (tmp_path/'c.yaml').write_bytes(b'\xff\xfe')
    with pytest.raises(PolicyError, match='UTF-8'): load_contract(tmp_path/'c.yaml')


def test_dates_in_a_contract_may_be_written_plainly(tmp_path):
    (tmp_path/'c.yaml').write_text(GOOD.replace("'2013-01-01'", '2013-01-01') + 'contractCreatedTs: 2013-01-01T00:00:00Z\n')
    load_contract(tmp_path/'c.yaml')


def test_contracts_that_ship_load(tmp_path):
    load_contract(ROOT/'mlops_kit/data/flights.odcs.yaml')
    (tmp_path/'toy.yaml').write_text(toy.CONTRACT)
    contract = load_contract(tmp_path/'toy.yaml')
    assert Verdict('contract', contract_checks(contract, open_table(toy.rows(300, 1)))).status == 'pass'


# Types

NOON = dt.datetime(2013, 4, 30, 12)
TYPES = dict(
    int8=pa.array([1, None], pa.int8()), uint64=pa.array([1, 2], pa.uint64()), float32=pa.array([1.5, 2], pa.float32()), whole=pa.array([1., None]),
    decimal=pa.array([decimal.Decimal('1.5'), None]), bool=pa.array([True, None]), string=pa.array(['a', None]), large=pa.array(['a', None], pa.large_string()),
    category=pa.array(['a', None]).dictionary_encode(), date=pa.array([NOON.date(), None]), midnight=pa.array([dt.datetime(2013, 4, 30), None], pa.timestamp('ns')),
    stamp=pa.array([NOON, None], pa.timestamp('ns')), zoned=pa.array([NOON.replace(tzinfo=UTC), None], pa.timestamp('ns', 'America/New_York')),
    time=pa.array([dt.time(8), None], pa.time64('us')), list=pa.array([[1], None]), struct=pa.array([{'a': 1}, None]), map=pa.array([[('a', 1)], None], pa.map_(pa.string(), pa.int64())))
FIT = {
    'integer': {'int8', 'uint64', 'whole'}, 'number': {'int8', 'uint64', 'float32', 'whole', 'decimal'}, 'boolean': {'bool'},
    'string': {'string', 'large', 'category'}, 'date': {'date', 'midnight'}, 'timestamp': {'midnight', 'stamp', 'zoned'}, 'time': {'time'},
    'array': {'list'}, 'object': {'struct'}}


@pytest.mark.parametrize('logical', FIT)
def test_types_are_compared_by_meaning(logical, tmp_path):
    bad = found(tmp_path, pa.table(TYPES), [f'{{name: {c}, logicalType: {logical}}}' for c in TYPES])
    assert {k.split(':')[1] for k, v in bad.items() if v == ('fail', 'wrong_type')} == set(TYPES) - FIT[logical]
    assert all(v == ('fail', 'wrong_type') for v in bad.values())


@pytest.mark.parametrize('physical, column, ok', [
    ('VARCHAR(2)', 'string', True), ('varchar(2)', 'int8', False), ('BIGINT', 'int8', True), ('int64', 'int8', True), ('DOUBLE PRECISION', 'float32', True),
    ('DECIMAL(10,2)', 'string', False), ('boolean', 'bool', True), ('DATE', 'stamp', False), ('TIMESTAMPTZ', 'zoned', True), ('TEXT', 'category', True)])
def test_words_of_databases(physical, column, ok, tmp_path):
    bad = found(tmp_path, pa.table({column: TYPES[column]}), [f"{{name: {column}, physicalType: '{physical}'}}"])
    assert bad == ({} if ok else {f'type:{column}': ('fail', 'wrong_type')})


@pytest.mark.parametrize('spec, rows, bad', [
    ('logicalType: string, physicalType: VARCHAR(2)', ['UA', 'DL'], {}), ('logicalType: string, physicalType: VARCHAR(2)', ['UA', 'ABC'], {'length:a': ('fail', 'out_of_range')}),
    ('physicalType: CHAR(2)', ['UAL'], {'length:a': ('fail', 'out_of_range')}), ('logicalType: number, physicalType: BIGINT', [1.5], {'physical:a': ('fail', 'wrong_type')}),
    ('logicalType: number, physicalType: "DECIMAL(9,2)"', [1.5], {'decimals:a': ('warn', 'not_checked')}), ('physicalType: "NUMERIC(3)"', [999, -1000], {'digits:a': ('fail', 'out_of_range')}),
    ('logicalType: number, physicalType: "decimal(4, 2)"', [99.99, 100.], {'digits:a': ('fail', 'out_of_range'), 'decimals:a': ('warn', 'not_checked')}), ('physicalType: DECIMAL(3)', [-999, 999], {}), ('logicalType: string, physicalType: jsonb', ['{}'], {'physical:a': ('warn', 'not_checked')})])
def test_a_physical_type_beside_the_logical_one(spec, rows, bad, tmp_path):
    assert found(tmp_path, pa.table(dict(a=rows)), [f'{{name: a, {spec}}}']) == bad


def test_no_promise_is_dropped(tmp_path, rich_parquet):
    "Each thing that the rich contract says of a column that is there, of the table and of the service has its check"
    import yaml
    said = yaml.safe_load(RICH)
    here = [p for p in said['schema'][0]['properties'] if p['name'] in RICH_ROWS.column_names]
    words = {f'{w}:{p["name"]}' for p in here for k, w in dict(logicalType='type', physicalType='physical', required='required', unique='unique', enum='enum').items() if p.get(k)}
    words |= {f'{o}:{p["name"]}' for p in here for o in p.get('logicalTypeOptions', {})} | {f'sla:{o["property"]}' for o in said['slaProperties']}
    checks = rich_checks(tmp_path, rich_parquet)
    assert words <= set(checks) and sum(k.startswith('rule:') for k in checks) == sum(len(o.get('quality', ())) for o in [*here, said['schema'][0]])


def test_a_word_that_is_not_understood_is_listed(tmp_path):
    assert found(tmp_path, pa.table(dict(a=[1])), ['{name: a, physicalType: GEOGRAPHY}']) == {'type:a': ('warn', 'not_checked')}


# Columns

def test_columns(tmp_path):
    frame = pd.DataFrame(dict(a=[1, 2], b=[None, None], c=[1., float('nan')], extra=[1, 2]))
    bad = found(tmp_path, frame, ['{name: a}', '{name: b, logicalType: string}', '{name: c}', '{name: d, required: true}'])
    assert bad == {'column:b': ('fail', 'all_missing'), 'type:b': ('warn', 'not_checked'), 'column:extra': ('fail', 'extra_column'), 'column:d': ('fail', 'missing_column')}


def test_a_missing_column_takes_its_promises_with_it(tmp_path):
    c = contract_checks(load_contract(contract_of(tmp_path, ['{name: wind, required: true, unique: true}', '{name: a}'])), open_table(pa.table(dict(a=[1], wnd=[1]))))
    said = {o.id: o.message for o in c}['column:wind']
    assert 'required, unique with it' in said and '`wnd` is there' in said


def test_other_names_and_computed_columns(tmp_path):
    bad = found(tmp_path, pa.table(dict(WIND_SPD=[1., None])), ['{name: wind, physicalName: WIND_SPD, required: true}', '{name: total, semanticType: measure}'])
    assert bad == {'required:WIND_SPD': ('fail', 'null_values'), 'column:total': ('warn', 'not_checked')}


@pytest.mark.parametrize('name', ['a b', 'a"b', "a'b", 'a.b', 'select', 'Größe', 'a;drop table t', '${column}'])
def test_names_that_need_quotes(name, tmp_path):
    import json
    spec = f'{{name: {json.dumps(name)}, logicalType: integer, required: true, unique: true, logicalTypeOptions: {{minimum: 2}}}}'
    bad = found(tmp_path, pa.table({name: [1, 1, None]}), [spec])
    assert {k.split(':')[0] for k in bad} == {'required', 'unique', 'minimum'}


def test_nan_is_missing_and_inf_is_a_value(tmp_path):
    pq.write_table(pa.table(dict(a=pa.array([1., float('nan'), float('inf'), None]))), tmp_path/'a.parquet')
    spec = ['{name: a, logicalType: number, required: true, logicalTypeOptions: {minimum: 0, maximum: 5}, quality: [{metric: nullValues, mustBe: 2}]}']
    assert found(tmp_path, tmp_path/'a.parquet', spec) == {'required:a': ('fail', 'null_values'), 'maximum:a': ('fail', 'out_of_range')}


def test_keys(tmp_path):
    key = ['{name: a, primaryKey: true, primaryKeyPosition: 2}', '{name: b, primaryKey: true, primaryKeyPosition: 1}']
    assert found(tmp_path, pa.table(dict(a=[1, 1, 2], b=['x', 'y', 'x'])), key) == {}
    assert found(tmp_path, pa.table(dict(a=[1, 1, 2], b=['x', 'x', 'x'])), key) == {'key:b,a': ('fail', 'not_unique')}
    assert found(tmp_path, pa.table(dict(a=[1, 1, None], b=['x', 'y', 'x'])), key) == {'required:a': ('fail', 'null_values')}


# Options: option, values that keep it, values that break it

OPTION = {
    'minimum: 1': ([1, 2], [0, 2]), 'maximum: 2': ([1, 2], [1, 3]), 'exclusiveMinimum: 0': ([1, 2], [0, 2]), 'exclusiveMaximum: 3': ([1, 2], [1, 3]),
    'multipleOf: 0.1': ([.3, 1.7], [.35, 1.]), 'minLength: 2': (['ab', 'abc'], ['a', 'ab']), 'maxLength: 2': (['ab', ''], ['abc', 'a']),
    'pattern: "^[A-Z]{2}$"': (['UA', 'DL'], ['UA', 'dl']), 'format: uuid': (['6f4b5c1e-9d0a-4f0e-8a55-2f5c2f1d2013'], ['6f4b']),
    'format: email': (['a@b.org'], ['a.b.org']), 'format: i8': ([-128, 127], [128, 0]), 'format: u8': ([0, 255], [-1, 0])}


@pytest.mark.parametrize('option', OPTION)
def test_options(option, tmp_path):
    good, bad = OPTION[option]
    spec = [f'{{name: a, logicalTypeOptions: {{{option}}}}}']
    assert found(tmp_path, pa.table(dict(a=pa.array([*good, None]))), spec) == {}
    assert found(tmp_path, pa.table(dict(a=pa.array([*bad, None]))), spec) == {f'{option.split(":")[0]}:a': ('fail', 'out_of_range')}


@pytest.mark.parametrize('column', ['date', 'midnight', 'stamp', 'zoned'])
@pytest.mark.parametrize('option, ok', [('minimum: "2013-04-30"', True), ('minimum: "2013-05-01"', False), ('maximum: "2013-04-30T12:00:00Z"', True),
                                        ('exclusiveMaximum: "2013-04-30"', False), ('maximum: "2013-04-29T20:00:00-04:00"', None)])
def test_bounds_of_times(column, option, ok, tmp_path):
    kind = 'date' if column == 'date' else 'timestamp'
    ok = column in ('date', 'midnight') if ok is None else ok
    bad = found(tmp_path, pa.table({column: TYPES[column]}), [f'{{name: {column}, logicalType: {kind}, logicalTypeOptions: {{{option}}}}}'])
    assert bad == ({} if ok else {f'{option.split(":")[0]}:{column}': ('fail', 'out_of_range')})


def test_bounds_of_times_of_day(tmp_path):
    spec = ['{name: time, logicalType: time, logicalTypeOptions: {minimum: "08:00", maximum: "07:59:59"}}']
    with pytest.raises(PolicyError, match='above the maximum'): load_contract(contract_of(tmp_path, spec))
    assert found(tmp_path, pa.table(dict(time=TYPES['time'])), [spec[0].replace('08:00', '07:00')]) == {'maximum:time': ('fail', 'out_of_range')}


def test_an_option_on_the_wrong_type(tmp_path):
    data = pa.table(dict(a=['1', '2']))
    assert found(tmp_path, data, ['{name: a, logicalType: number, logicalTypeOptions: {minimum: 0}}']) == {'type:a': ('fail', 'wrong_type'), 'minimum:a': ('warn', 'not_checked')}
    assert found(tmp_path, data, ['{name: a, logicalTypeOptions: {minimum: 0}}']) == {'minimum:a': ('fail', 'wrong_type')}


def test_a_column_without_values_breaks_no_bound_and_passes_none(tmp_path):
    bad = found(tmp_path, pa.table(dict(a=pa.array([None, None], pa.float64()), b=[1, 2])), ['{name: a, logicalType: number, logicalTypeOptions: {minimum: 0, multipleOf: 2}}', '{name: b}'])
    assert bad == {'column:a': ('fail', 'all_missing'), 'minimum:a': ('warn', 'not_checked'), 'multipleOf:a': ('warn', 'not_checked')}


@pytest.mark.parametrize('values, enum, ok', [
    (['a', 'b', None], '[{value: a}, {value: b}]', True), (['a', "o'b"], '[{value: a}]', False), ([1, 2], '[{value: 1}, {value: 2}]', True),
    ([1, 2], '[{value: 1}, {value: "2"}]', False), ([True, None], '[{value: true}]', True), ([True, False], '[{value: true}]', False),
    ([.5, 1.5], '[{value: 0.5}, {value: 1.5}]', True), (['1'], '[{value: 1}]', True), ([1], '[{value: true}]', False)])
def test_enumerations(values, enum, ok, tmp_path):
    path = contract_of(tmp_path, [f'{{name: a, enum: {enum}}}'])
    path.write_text(path.read_text().replace('v3.1.0', 'v3.2.0'))
    bad = [c for c in contract_checks(load_contract(path), open_table(pa.table(dict(a=pa.array(values))))) if c.status != 'pass']
    assert [(c.id, c.status, c.reason) for c in bad] == ([] if ok else [('enum:a', 'fail', 'out_of_range')])


# Rules: the four rows hold 'x', 'x', '' and a missing value

ROWS = pa.table(dict(a=['x', 'x', '', None], n=[1, 2, 3, 4]))
COUNTED = {
    'metric: nullValues': 1, 'metric: missingValues': 2, 'metric: missingValues, arguments: {missingValues: [x]}': 2,
    'metric: missingValues, arguments: {missingValues: [null, x]}': 3, 'metric: missingValues, arguments: {missingValues: [null]}': 1,
    'metric: invalidValues, arguments: {validValues: [x]}': 1, 'metric: invalidValues, arguments: {pattern: ^x$}': 1,
    'metric: invalidValues, arguments: {validValues: [x, ""], pattern: ^x}': 1, 'metric: duplicateValues': 1, 'metric: rowCount': 4}


@pytest.mark.parametrize('rule', COUNTED)
def test_what_is_counted(rule, tmp_path):
    n, key = COUNTED[rule], f'rule:a:{rule.split(": ")[1].split(",")[0]}'
    spec = lambda more: [f'{{name: a, quality: [{{{rule}, {more}}}]}}', '{name: n}']
    assert found(tmp_path, ROWS, spec(f'mustBe: {n}')) == {}
    assert found(tmp_path, ROWS, spec(f'mustBe: {n+1}'))[key][0] == 'fail'
    if 'rowCount' not in rule: assert found(tmp_path, ROWS, spec(f'unit: percent, mustBe: {25*n}')) == {}


# Operator to bounds that hold for 4 rows and bounds that do not

HOLDS = dict(mustBe=([4], [3, 5]), mustNotBe=([3], [4]), mustBeGreaterThan=([3], [4, 5]), mustBeGreaterOrEqualTo=([3, 4], [5]), mustBeLessThan=([5], [4, 3]),
             mustBeLessOrEqualTo=([4, 5], [3]), mustBeBetween=([[3, 5]], [[4, 5], [3, 4], [5, 6]]), mustNotBeBetween=([[4, 5], [3, 4], [5, 6]], [[3, 5]]))


def test_there_are_eight_operators(): assert set(HOLDS) == set(OPERATORS) and len(HOLDS) == 8


@pytest.mark.parametrize('operator', HOLDS)
def test_operators(operator, tmp_path):
    for bound in HOLDS[operator][0]: assert found(tmp_path, ROWS, ['{name: a}', '{name: n}'], f'[{{metric: rowCount, {operator}: {bound}}}]') == {}
    for bound in HOLDS[operator][1]:
        bad = found(tmp_path, ROWS, ['{name: a}', '{name: n}'], f'[{{metric: rowCount, {operator}: {bound}}}]')
        assert bad['rule:rowCount'][0] == 'fail' and bad['rule:rowCount'][1] in ('too_few_rows', 'too_many_rows')


@pytest.mark.parametrize('severity, status', [('', 'fail'), ('error', 'fail'), ('severe', 'fail'), ('warning', 'warn'), ('INFO', 'warn'), ('low', 'warn')])
def test_severity_maps_to_blocking(severity, status, tmp_path):
    rule = f'[{{metric: rowCount, mustBe: 9{f", severity: {severity}" if severity else ""}}}]'
    checks = contract_checks(load_contract(contract_of(tmp_path, ['{name: a}', '{name: n}'], rule)), open_table(ROWS))
    assert Verdict('contract', checks).status == status


def test_rules_about_several_columns(tmp_path):
    rule = '[{metric: duplicateValues, mustBe: 0, arguments: {properties: [a, b]}}]'
    assert found(tmp_path, pa.table(dict(a=[1, 1], b=[1, 2])), ['{name: a}', '{name: b}'], rule) == {}
    assert found(tmp_path, pa.table(dict(a=[1, 1], b=[1, 1])), ['{name: a}', '{name: b}'], rule) == {'rule:duplicateValues': ('fail', 'not_unique')}
    assert found(tmp_path, pa.table(dict(a=[1, 1])), ['{name: a}', '{name: b}'], rule)['rule:duplicateValues'] == ('warn', 'not_checked')


SQL = {
    'select count(*) from ${table}': ('mustBe: 4', 'pass', ''), 'select count(*) from {object};': ('mustBe: 3', 'fail', 'rule_broken'),
    'select max(n) < 5 from ${table}': ('mustBe: true', 'pass', ''), 'select min(a) from ${table} where a <> \'\'': ('mustBe: x', 'pass', ''),
    'select max(n) from ${table} where n > 9': ('mustBe: 1', 'error', 'no_value'), 'select n from ${table}': ('mustBe: 1', 'error', 'query_failed'),
    'select 1, 2': ('mustBe: 1', 'error', 'query_failed'), 'select max(nn) from ${table}': ('mustBe: 1', 'error', 'query_failed'),
    'copy ${table} to "out.csv"': ('mustBe: 1', 'error', 'query_failed'), 'select 1; select 1': ('mustBe: 1', 'error', 'query_failed'),
    'select \'nan\'::double': ('mustNotBe: 1', 'error', 'no_value'), 'select \'x\'': ('mustBeLessThan: 1', 'error', 'no_value'),
    'select sum(n)::decimal(9,2) from ${table}': ('mustBe: 10', 'pass', '')}


@pytest.mark.parametrize('query', SQL)
def test_queries(query, tmp_path):
    import json
    operator, status, reason = SQL[query]
    bad = found(tmp_path, ROWS, ['{name: a}', '{name: n}'], f'[{{type: sql, name: q, query: {json.dumps(query)}, {operator}}}]')
    assert bad == ({} if status == 'pass' else {'rule:q': (status, reason)})
    assert not (ROOT/'out.csv').exists()


def test_queries_about_a_column(tmp_path):
    spec = ['{name: a}', '{name: n, quality: [{type: sql, query: "select max(${column}) from ${table}", mustBe: 4}, {type: sql, query: "select max({property}) from {object}", mustBe: 5}]}']
    assert found(tmp_path, ROWS, spec) == {'rule:n:sql#2': ('fail', 'rule_broken')}


def test_what_is_not_checked_is_listed_and_does_not_block(tmp_path):
    spec = ['{name: a, quality: [{type: text, description: true story}, {type: custom, engine: soda, implementation: x}]}', '{name: n, relationships: [{to: u.n}]}']
    sla = '[{property: retention, value: 3, unit: y}, {property: latency, value: 3, unit: d, element: "t.a,t.n"}, {property: availability, value: 99.9}, {property: frequency, value: daily}]'
    bad = found(tmp_path, ROWS, spec, sla=sla)
    assert set(bad) == {'rule:a:text', 'rule:a:custom', 'relationships:n', 'sla:retention', 'sla:latency', 'sla:availability', 'sla:frequency'}
    assert set(bad.values()) == {('warn', 'not_checked')}


SERVICE = {
    'kept': ('retention, value: 1, unit: y', '2014-04-20', ''), 'kept_too_long': ('retention, value: 1, unit: y', '2015-05-02', 'kept_too_long'),
    'short': ('re, value: 1, unit: d', '2013-05-01', 'kept_too_long'), 'daily': ('frequency, value: 1, unit: d', '2013-05-01', 'left_out'),
    'two_days': ('fy, value: 2, unit: d', '2013-05-01', ''), 'weekly': ('frequency, value: 1, unit: w', '2013-05-01', ''),
    'begun': ('generalAvailability, value: "2013-04-01"', '2013-05-01', ''), 'not_begun': ('ga, value: "2013-06-01T00:00:00+02:00"', '2013-05-01', 'not_yet'),
    'alive': ('endOfLife, value: "2014-01-01"', '2013-05-01', ''), 'dead': ('endOfLife, value: "2013-01-01"', '2013-05-01', 'ended')}


@pytest.mark.parametrize('case', SERVICE)
def test_service_levels(case, tmp_path):
    sla, as_of, reason = SERVICE[case]
    rows = pa.table(dict(a=[dt.datetime(2013, 4, 26, 23, 50), dt.datetime(2013, 4, 28, 0, 10), dt.datetime(2013, 4, 30, 0, 5), None]))
    bad = found(tmp_path, rows, ['{name: a}'], sla=f'[{{property: {sla}}}]', as_of=as_of)
    assert bad == ({f'sla:{sla.split(",")[0]}': ('fail', reason)} if reason else {})


def test_a_delivery_that_comes_a_little_late_leaves_nothing_out(tmp_path):
    late = [dt.datetime(2013, 4, d, h, m) for d, h, m in [(1, 0, 3), (1, 23, 58), (3, 0, 2), (3, 23, 59), (5, 0, 1)]]
    for times, ok in [(late, True), (late[:2] + late[4:], False), ([dt.datetime(2013, 1, 1), dt.datetime(2013, 1, 3)], False), ([dt.datetime(1969, 12, 31), dt.datetime(1970, 1, 1)], True), ([dt.datetime(2049, 12, 31), dt.datetime(2050, 1, 1)], True)]:
        assert (found(tmp_path, pa.table(dict(a=times)), ['{name: a}'], sla='[{property: frequency, value: 1, unit: d}]') == {}) == ok, times


def test_support_that_has_ended_only_warns(tmp_path):
    sla = '[{property: endOfSupport, value: "2013-01-01"}]'
    contract = load_contract(contract_of(tmp_path, ['{name: a}'], sla=sla))
    assert Verdict('contract', contract_checks(contract, open_table(pa.table(dict(a=[1]))), '2013-05-01')).status == 'warn'


# Freshness: the newest row is of 30 April 2013, 12:00 UTC (date and midnight: 00:00)

@pytest.mark.parametrize('column', ['stamp', 'zoned', 'midnight', 'date'])
@pytest.mark.parametrize('as_of, reason', [('2013-05-01', ''), ('2013-05-03T00:00:00Z', ''), ('2013-05-03T13:00:00Z', 'stale'), ('2013-04-30', ''), ('2013-04-28', 'in_the_future')])
def test_freshness(column, as_of, reason, tmp_path):
    name = dict(stamp='freshness', zoned='latency').get(column, 'ly')
    bad = found(tmp_path, pa.table({column: TYPES[column], 'n': [1, 2]}), [f'{{name: {column}}}', '{name: n}'], sla=f'[{{property: {name}, value: 3, unit: days, element: {column}}}]', as_of=as_of)
    assert bad == ({} if not reason else {f'sla:{name}': ('fail', reason)})


def test_freshness_without_an_element(tmp_path):
    sla = '[{property: freshness, value: 36, unit: h}]'
    assert found(tmp_path, pa.table(dict(a=TYPES['stamp'])), ['{name: a}'], sla=sla) == {}
    two = pa.table(dict(a=TYPES['stamp'], b=TYPES['stamp']))
    assert found(tmp_path, two, ['{name: a}', '{name: b}'], sla=sla) == {'sla:freshness': ('error', 'no_time_column')}
    assert found(tmp_path, pa.table(dict(a=[1])), ['{name: a}'], sla=sla) == {'sla:freshness': ('error', 'no_time_column')}


def test_freshness_of_what_is_no_time(tmp_path):
    sla = '[{property: freshness, value: 36, unit: h, element: t.a}]'
    assert found(tmp_path, pa.table(dict(a=['2013-04-30'])), ['{name: a}'], sla=sla) == {'sla:freshness': ('fail', 'wrong_type')}
    nothing = pa.table(dict(a=pa.array([None], pa.timestamp('us'))))
    assert found(tmp_path, nothing, ['{name: a}'], sla=sla) == {'column:a': ('fail', 'all_missing'), 'sla:freshness': ('fail', 'stale')}
    assert found(tmp_path, pa.table(dict(b=[1])), ['{name: a}', '{name: b}'], sla=sla) == {'column:a': ('fail', 'missing_column'), 'sla:freshness': ('warn', 'not_checked')}


def test_a_time_to_judge_at_that_is_none(tmp_path):
    with pytest.raises(PolicyError, match='is no time'): found(tmp_path, ROWS, ['{name: a}', '{name: n}'], as_of='yesterday')


# Tables

def test_the_same_checks_wherever_the_data_lives(tmp_path):
    import duckdb
    frame = toy.rows(200, 1).assign(wind=lambda o: o.wind.abs() * -9)
    (tmp_path/'toy.yaml').write_text(toy.CONTRACT)
    frame.to_parquet(tmp_path/'t.parquet', index=False)
    frame.to_csv(tmp_path/'t.csv', index=False)
    with duckdb.connect(str(tmp_path/'t.db')) as con:
        con.register('f', frame)
        con.execute('create table toy as from f')
    where = [frame, pa.Table.from_pandas(frame), tmp_path/'t.parquet', tmp_path/'t.csv', f'duckdb:///{tmp_path}/t.db?table=toy']
    checks = [[c.to_dict() for c in contract_checks(load_contract(tmp_path/'toy.yaml'), open_table(o))] for o in where]
    assert all(o == checks[0] for o in checks[1:]) and [c['id'] for c in checks[0] if c['status'] == 'fail'] == ['minimum:wind']


def test_a_contract_about_several_tables(tmp_path):
    (tmp_path/'c.yaml').write_text(HEAD + 'schema:\n  - {name: flights, properties: [{name: a}]}\n  - {name: planes, properties: [{name: b}]}\n')
    contract = load_contract(tmp_path/'c.yaml')
    for name, column in [('flights', 'a'), ('planes', 'b'), ('other', 'b')]: pq.write_table(pa.table({column: [1]}), tmp_path/f'{name}.parquet')
    for name in ('flights', 'planes'): assert Verdict('contract', contract_checks(contract, open_table(tmp_path/f'{name}.parquet'))).status == 'pass'
    with pytest.raises(PolicyError, match='flights, planes'): contract_checks(contract, open_table(tmp_path/'other.parquet'))


def test_one_promise_that_cannot_be_asked_spares_the_others(tmp_path, monkeypatch):
    from mlops_kit import contract
    monkeypatch.setattr(contract, 'required_promise', lambda f: contract.Promise(f'required:{f.name}', None, [f.values.cast('string').cast('date').max()]))
    assert found(tmp_path, pa.table(dict(a=[-1], b=[1])), ['{name: a, required: true, logicalTypeOptions: {minimum: 0}}', '{name: b}']) == {
        'required:a': ('error', 'query_failed'), 'minimum:a': ('fail', 'out_of_range')}


def test_promises_that_cannot_be_written_spare_the_others(tmp_path, monkeypatch):
    from mlops_kit import contract
    monkeypatch.setattr(contract, 'required_promise', lambda f: f.values < 'x')
    bad = found(tmp_path, pa.table(dict(a=[-1], b=[-1])), ['{name: a, required: true}', '{name: b, logicalTypeOptions: {minimum: 0}}'])
    assert bad == {'required:a': ('error', 'query_failed'), 'minimum:b': ('fail', 'out_of_range')}


@pytest.mark.parametrize('limit', [9223372036854775807, 9007199254740993, 0.0001, 1e30, 123456789012.125])
def test_bounds_of_decimals_far_from_the_column(limit, tmp_path):
    rows = pa.table(dict(a=[D('1.50'), None]))
    assert found(tmp_path, rows, [f'{{name: a, logicalTypeOptions: {{maximum: {max(limit, 2)!r}}}}}'.replace('e+', '.0e+')]) == {}
    assert found(tmp_path, rows, [f'{{name: a, logicalTypeOptions: {{maximum: {-limit!r}}}}}'.replace('e+', '.0e+')]) == {'maximum:a': ('fail', 'out_of_range')}


def test_a_table_that_changes_is_not_judged(tmp_path):
    contract = load_contract(contract_of(tmp_path, ['{name: a}']))
    pq.write_table(pa.table(dict(a=[1, 2])), tmp_path/'t.parquet')
    table = open_table(tmp_path/'t.parquet')
    pq.write_table(pa.table(dict(a=[1, 2, 3])), tmp_path/'t.parquet')
    with pytest.raises(DataError): contract_checks(contract, table)


# Inference

def test_an_inferred_contract_is_kept_by_its_table(tmp_path):
    data = pa.table(TYPES | {'a b: "c"': [1, 2], 'tiny': [1e-7, 1e9], 'inf': [1., float('inf')], 'NO': ['x', 'y']})
    (tmp_path/'c.yaml').write_text(text := infer_contract(open_table(data), 'the "table": t'))
    contract = load_contract(tmp_path/'c.yaml')
    assert Verdict('contract', contract_checks(contract, open_table(data))).status == 'pass'
    assert contract.name == 'the "table": t' and [p['name'] for p in contract.objects[0]['properties']] == data.column_names
    (tmp_path/'c.yaml').write_text(text.replace('        # logicalTypeOptions', '        logicalTypeOptions').replace('        # unique', '        unique'))
    assert Verdict('contract', contract_checks(load_contract(tmp_path/'c.yaml'), open_table(data))).status == 'pass'


def test_an_inferred_freshness_can_be_uncommented(tmp_path):
    text = infer_contract(open_table(pa.table(dict(at=TYPES['stamp'], n=[1, 2]))), 't')
    (tmp_path/'c.yaml').write_text(text.replace('# slaProperties:', 'slaProperties:').replace('#   - {', '  - {'))
    assert load_contract(tmp_path/'c.yaml').data['slaProperties'][0]['element'] == 'at'


# Engines: one contract with every kind of promise, over the same rows wherever they live

RICH = """kind: DataContract
apiVersion: v3.2.0
id: rich
version: 1.0.0
status: active
schema:
  - name: rich
    quality:
      - {metric: rowCount, mustBeGreaterThan: 3}
      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [n, code]}}
      - {type: sql, name: query, query: 'select max(n) from ${table}', mustBeLessThan: 100}
      - {type: text, description: believed}
    properties:
      - {name: id, logicalType: integer, required: true, unique: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: n, logicalType: integer, logicalTypeOptions: {minimum: 0.5, exclusiveMaximum: 10, multipleOf: 2, format: i8}, quality: [{metric: nullValues, unit: percent, mustBeLessThan: 30}]}
      - {name: BIG, logicalType: integer, logicalTypeOptions: {maximum: 9007199254740993, exclusiveMinimum: 3, format: u64}, unique: true}
      - {name: whole, logicalType: integer, logicalTypeOptions: {maximum: 100}}
      - {name: wind, logicalType: number, required: true, logicalTypeOptions: {minimum: 0, maximum: 120}, quality: [{metric: nullValues, mustBe: 1}, {metric: missingValues, mustBe: 2, arguments: {missingValues: [null, -999]}}]}
      - {name: half, logicalType: number, logicalTypeOptions: {minimum: 0.1, maximum: 0.7, multipleOf: 0.1}, quality: [{metric: invalidValues, mustBe: 0, arguments: {validValues: [0.1, 0.7]}}]}
      - {name: fare, logicalType: number, unique: true, logicalTypeOptions: {minimum: 0.1, maximum: 1.5, multipleOf: 0.25}, enum: [{value: 0.1}, {value: 1.5}]}
      - {name: code, logicalType: string, required: true, logicalTypeOptions: {pattern: '^[A-Z\\d]{2}$', minLength: 2, maxLength: 2}, enum: [{value: UA}, {value: "o'b"}], quality: [{metric: invalidValues, unit: percent, mustBeLessThan: 40, arguments: {pattern: '^\\w.$', validValues: [UA, DL, ""]}}, {metric: missingValues, mustBe: 1}, {metric: duplicateValues, mustBeLessThan: 2}]}
      - {name: note, logicalType: string, logicalTypeOptions: {pattern: '(?i)^.\\b.*[^x]$', maxLength: 3}, quality: [{metric: invalidValues, mustBe: 0, arguments: {pattern: '[[:alpha:]]'}, severity: warning}]}
      - {name: mail, logicalType: string, logicalTypeOptions: {format: email}}
      - {name: ok, logicalType: boolean, enum: [{value: true}]}
      - {name: day, logicalType: date, logicalTypeOptions: {minimum: '2013-04-02', exclusiveMaximum: '2013-04-30'}}
      - {name: night, logicalType: date, logicalTypeOptions: {minimum: '2013-04-02'}}
      - {name: hour, logicalType: timestamp, required: true, logicalTypeOptions: {maximum: '2013-04-30T11:59:59.5Z'}}
      - {name: zoned, logicalType: timestamp, logicalTypeOptions: {exclusiveMinimum: '2013-04-01T02:00:00+02:00', maximum: '2013-04-29T20:00:00-04:00'}}
      - {name: clock, logicalType: time, logicalTypeOptions: {minimum: '08:00', maximum: '09:30:00.5'}}
      - {name: 'a "b" c', logicalType: string, unique: true, quality: [{type: sql, name: about, query: 'select count(distinct ${column}) from ${table}', mustBe: 4}]}
      - {name: Größe, logicalType: number, physicalType: DOUBLE, quality: [{metric: duplicateValues, unit: percent, mustBe: 0}]}
      - {name: promised, logicalType: string, required: true}
      - {name: empty, logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: mistaken, logicalType: timestamp, logicalTypeOptions: {minimum: '2013-04-02'}}
      - {name: computed, semanticType: measure}
slaProperties:
  - {property: freshness, value: 36, unit: h, element: rich.hour}
  - {property: latency, value: 3, unit: d, element: rich.zoned}
  - {property: ly, value: 3, unit: d, element: rich.day}
  - {property: retention, value: 20, unit: d, element: rich.day}
  - {property: re, value: 3, unit: y, element: rich.hour}
  - {property: frequency, value: 1, unit: d, element: rich.zoned}
  - {property: fy, value: 1, unit: y, element: rich.night}
  - {property: endOfSupport, value: '2013-01-01'}
  - {property: endOfLife, value: '2014-01-01'}
  - {property: availability, value: 99.9}
"""
INF, NAN, D = float('inf'), float('nan'), decimal.Decimal
HOUR = [dt.datetime(2013, 4, o, 12, 0, 0, 250000) for o in (1, 29, 30)] + [None, dt.datetime(2013, 4, 30, 11, 59, 59, 500000)]
RICH_ROWS = pa.table(dict(
    id=[1, 2, 3, 4, 4], n=pa.array([2, 2, 0, 11, None], pa.int32()), BIG=[9007199254740993, 9007199254740994, 3, None, 5], whole=[1., 2.5, 1e300, INF, NAN],
    wind=[0., -999., 130., INF, NAN], half=pa.array([.1, .7, .5, NAN, None], pa.float32()), fare=[D('0.10'), D('1.50'), D('1.50'), D('1.51'), None],
    code=['UA', 'UA', 'ß€', '', "o'b"], note=['A\n', 'a\nb', 'ﬀ😀x', None, '1'], mail=['a@b.org', 'a.b.org', 'a@b', None, '@'], ok=[True, False, None, True, True],
    day=[dt.date(2013, 4, o) for o in (1, 2, 29, 30)] + [None], night=pa.array([dt.datetime(2013, 4, o) for o in (1, 2, 3)] + [dt.datetime(2013, 4, 30, 1), None], pa.timestamp('us')),
    hour=pa.array(HOUR, pa.timestamp('us')), zoned=pa.array([o and o.replace(tzinfo=UTC) for o in [dt.datetime(2013, 4, 1), *HOUR[1:]]], pa.timestamp('us', 'UTC')),
    clock=pa.array([dt.time(7, 59), dt.time(8), dt.time(9, 30, 0, 500000), dt.time(9, 30, 1), None], pa.time64('us')),
    **{'a "b" c': ['x', 'X', 'x', 'x ', None], 'Größe': [0., -0., .1 + .2, .3, NAN], 'empty': pa.array([None]*5, pa.float64()), 'mistaken': [1, 2, 3, 4, 5], 'extra': ['a']*5}))


def in_postgres(address, rows, name):
    "Write an Arrow table to PostgreSQL"
    import psycopg
    from psycopg import sql
    words = {'int32': 'integer', 'int64': 'bigint', 'double': 'double precision', 'float': 'real', 'string': 'text', 'bool': 'boolean', 'date32[day]': 'date',
             'timestamp[us]': 'timestamp', 'timestamp[us, tz=UTC]': 'timestamptz', 'time64[us]': 'time'}
    columns = [sql.SQL('{} {}').format(sql.Identifier(f.name), sql.SQL(words.get(str(f.type), 'numeric(9, 2)'))) for f in rows.schema]
    with psycopg.connect(address) as con:
        con.execute(sql.SQL('drop table if exists {}').format(sql.Identifier(name)))
        con.execute(sql.SQL('create table {} ({})').format(sql.Identifier(name), sql.SQL(', ').join(columns)))
        with con.cursor() as cursor, cursor.copy(sql.SQL('copy {} from stdin').format(sql.Identifier(name))) as copy:
            for row in rows.to_pylist(): copy.write_row(list(row.values()))
    return f'{address}?table={name}'


def rich_checks(tmp_path, data, without=()):
    "Check id to status, reason and value; the message is for people"
    path = tmp_path/'rich.yaml'
    path.write_text(''.join(line for line in RICH.splitlines(True) if not any(f'name: {o},' in line for o in without)))
    table = open_table(data)
    table.uri = 'rich'
    return {c.id: (c.status, c.reason, c.value) for c in contract_checks(load_contract(path), table, as_of='2013-05-01T12:00:00Z')}


def agree(a, b):
    "Are two dicts of checks the same, values to 1e-9?"
    near = lambda x, y: x is y or None not in (x, y) and (x == y or abs(x - y) <= 1e-9*max(abs(x), abs(y)))
    assert list(a) == list(b)
    assert {k: (a[k], b[k]) for k in a if a[k][:2] != b[k][:2] or not near(a[k][2], b[k][2])} == {}


@pytest.fixture
def rich_parquet(tmp_path):
    pq.write_table(RICH_ROWS, tmp_path/'rich.parquet')
    return tmp_path/'rich.parquet'


def test_the_rich_contract_finds_what_is_wrong(tmp_path, rich_parquet):
    checks = rich_checks(tmp_path, rich_parquet)
    assert 'error' not in {o[0] for o in checks.values()}
    passes = {k.split(':', 1)[1] for k, v in checks.items() if v[0] == 'pass' and k.split(':')[0] not in ('column', 'type', 'required')}
    assert passes == {'n', 'n:nullValues', 'BIG', 'wind:nullValues', 'wind:missingValues', 'half', 'fare', 'code:missingValues', 'code:duplicateValues', 'note', 'rowCount', 'query', 'freshness', 'latency', 'ly', 're', 'fy', 'endOfLife', 'Größe'}
    unasked = {k for k, v in checks.items() if v[0] == 'warn'}
    assert unasked == {'column:computed', 'minimum:empty', 'minimum:mistaken', 'rule:text', 'sla:availability'}
    assert [checks[k][2] for k in ('maximum:BIG', 'type:whole', 'maximum:fare', 'pattern:code', 'type:night', 'maximum:zoned', 'rule:about', 'sla:retention', 'sla:frequency')] == [9007199254740994, 2, 1.51, 3, 1, 2, 3, 30.5, 27]


def test_the_same_verdicts_in_duckdb(tmp_path, rich_parquet):
    import duckdb
    import ibis
    with duckdb.connect(str(tmp_path/'rich.db')) as con: con.execute(f"create table rich as from '{rich_parquet}'")
    file = rich_checks(tmp_path, rich_parquet)
    agree(file, rich_checks(tmp_path, RICH_ROWS))
    agree(file, rich_checks(tmp_path, RICH_ROWS.to_pandas(types_mapper=pd.ArrowDtype)))
    agree(file, rich_checks(tmp_path, f'duckdb:///{tmp_path}/rich.db?table=rich'))
    agree(file, rich_checks(tmp_path, ibis.memtable(RICH_ROWS)))
    agree(file, rich_checks(tmp_path, ibis.duckdb.connect(tmp_path/'rich.db').table('rich').filter(ibis._.extra == 'a')))


def test_the_same_verdicts_in_postgres(tmp_path, rich_parquet, postgres):
    agree(rich_checks(tmp_path, rich_parquet), rich_checks(tmp_path, in_postgres(postgres, RICH_ROWS, 'rich')))


def test_the_same_verdicts_over_a_query_of_postgres(tmp_path, rich_parquet, postgres):
    in_postgres(postgres, RICH_ROWS, 'RICH 100%')
    query = quote("select * from \"RICH 100%\" where extra like '%a' or true")
    agree(rich_checks(tmp_path, rich_parquet), rich_checks(tmp_path, f'{postgres}?query={query}'))


def test_a_server_is_asked_once_and_keeps_its_rows(tmp_path, postgres, monkeypatch):
    from mlops_kit.table import Table
    asked, ask = [], Table.ask
    monkeypatch.setattr(Table, 'ask', lambda t, **scalars: asked.append(len(scalars)) or ask(t, **scalars))
    for name in ('arrow', 'batches', 'frame'): monkeypatch.setattr(Table, name, lambda *args, **kwargs: pytest.fail('rows were read'))
    assert len(rich_checks(tmp_path, in_postgres(postgres, RICH_ROWS, 'rich'))) > 90
    assert len(asked) == 1 and asked[0] > 90


def test_a_connection_that_drops_is_no_verdict(tmp_path, postgres):
    import psycopg
    table = open_table(in_postgres(postgres, ROWS, 'dropped'))
    with psycopg.connect(postgres) as con: con.execute('select pg_terminate_backend(%s)', [table.expr.get_backend().con.info.backend_pid])
    with pytest.raises(DataError, match='was lost') as e: contract_checks(load_contract(contract_of(tmp_path, ['{name: a}', '{name: n}'])), table)
    assert e.value.exit_code == EXIT['error'] and '\n' not in str(e.value)


def test_names_that_need_quotes_in_postgres(tmp_path, postgres):
    import json
    names = ['a b', 'a"b', "a'b", 'a.b', 'select', 'Größe', 'a;drop table t', '${column}', '100%', '%s', 'UP', 'up']
    spec = [f'{{name: {json.dumps(o)}, logicalType: integer, required: true, unique: true, quality: [{{type: sql, query: "select max(${{column}}) from ${{table}}", mustBe: 1}}]}}' for o in names]
    bad = found(tmp_path, in_postgres(postgres, pa.table({o: [1, 1, None] for o in names}), 'names'), spec)
    assert set(bad) == {f'{k}:{o}' for o in names for k in ('required', 'unique')}


def test_patterns_about_what_is_no_text(tmp_path, postgres):
    rows = pa.table(dict(d=[dt.date(2013, 4, 30)], i=[12], b=[True], f=[1.], m=[D('1.50')]))
    spec = [f"{{name: {k}, quality: [{{metric: invalidValues, mustBe: 0, arguments: {{pattern: '{p}'}}}}]}}" for k, p in dict(d=r'^2013-04-30$', i='^12$', b='^true$', f=r'^1\.0$', m=r'^1\.50$').items()]
    assert found(tmp_path, rows, spec) == {}
    assert found(tmp_path, in_postgres(postgres, rows, 'texted'), spec) == {'rule:f:invalidValues': ('warn', 'not_checked')}


def test_one_promise_that_postgres_cannot_be_asked_spares_the_others(tmp_path, postgres, monkeypatch):
    from mlops_kit import contract
    monkeypatch.setattr(contract, 'filled_promise', lambda f: contract.Promise(f'column:{f.name}', None, [f.values.cast('string').cast('int64').max()]) if f.name in ('code', 'note') else None)
    checks = rich_checks(tmp_path, in_postgres(postgres, RICH_ROWS, 'rich'))
    assert {k for k, v in checks.items() if v[0] == 'error'} == {'column:code', 'column:note'}
    assert checks['minimum:n'][:2] == ('fail', 'out_of_range') and checks['rule:query'][0] == 'pass'


@pytest.mark.spark
def test_the_same_verdicts_in_spark(tmp_path, spark):
    rows = RICH_ROWS.drop_columns(['clock'])
    pq.write_table(rows, tmp_path/'rich.parquet')
    agree(rich_checks(tmp_path, tmp_path/'rich.parquet', ['clock']), rich_checks(tmp_path, spark.read.parquet(str(tmp_path/'rich.parquet')), ['clock']))


# Patterns mean the same everywhere

PATTERNS = [r'^[A-Z]{2}$', r'^a.b$', r'^\w+$', r'^\W$', r'\d', r'^\D+$', r'^[\d\s]+$', r'\bb\b', r'\Bb', r'b\B', r'[^a-z]', r'^[]\[&-]+$', r'\.', r'^\x41', r'\x{df}', r'(?i)^[a-d]+$',
            r'^(?:a|b)(?P<n>b)?$', r'{', r'^a{1,2}$', r'^[[:upper:]_]+$', r'\Aa', r'a\z', r"'", r'\\', r'^$', r'\t', r'[\n]', r'^.{3}$', r'\/', r'[a[]', r'[:A:]', r'[^]]$', r'^[a-]', r'[.$^]', r'[&&_]', r'a{', r'(?:)', r'x|']
TEXTS = ['UA', 'UA\n', 'a\nb', 'a.b', 'axb', 'a_1', 'ß', 'b', 'ab', 'a b', 'b\u00e4', '12 3', '\u0663', '[]&-', 'A', 'k', '\u212a', '{', '{1}', 'aa', 'A_B', "o'b", '\\', '', '\t', '\r', '\u2028', 'a\r', '😀ab', '/', None]


def pattern_counts(data):
    "How many texts each pattern finds"
    from mlops_kit.contract import Field, rewritten
    t = open_table(data)
    f = Field({}, 't', t.dtype('t'), t.rows, t.expr)
    return t.ask(**{f'a{i}': f.count(f.values.re_search(rewritten(o, f.engine))) for i, o in enumerate(PATTERNS)})


def test_patterns_find_the_same_in_postgres(postgres):
    rows = pa.table(dict(t=TEXTS))
    ours, theirs = pattern_counts(rows), pattern_counts(in_postgres(postgres, rows, 'texts'))
    assert {PATTERNS[int(k[1:])]: (v, theirs[k]) for k, v in ours.items() if v != theirs[k]} == {}


@pytest.mark.spark
def test_patterns_find_the_same_in_spark(tmp_path, spark):
    pq.write_table(pa.table(dict(t=TEXTS)), tmp_path/'texts.parquet')
    ours, theirs = pattern_counts(tmp_path/'texts.parquet'), pattern_counts(spark.read.parquet(str(tmp_path/'texts.parquet')))
    assert {PATTERNS[int(k[1:])]: (v, theirs[k]) for k, v in ours.items() if v != theirs[k]} == {}


def test_a_pattern_that_an_engine_cannot_search_for_is_not_checked(tmp_path, postgres):
    rows = pa.table(dict(a=['x', 'é']))
    spec = [r"{name: a, logicalTypeOptions: {pattern: '^\pL$'}, quality: [{metric: invalidValues, mustBe: 0, arguments: {pattern: '^\pL$'}}]}"]
    assert found(tmp_path, rows, spec) == {}
    assert found(tmp_path, in_postgres(postgres, rows, 'letters'), spec) == {'pattern:a': ('warn', 'not_checked'), 'rule:a:invalidValues': ('warn', 'not_checked')}


# What only PostgreSQL has

ODD = """create type temper as enum ('calm', 'wild'); create table oddities (e temper, u uuid, j jsonb, c char(3), v varchar(9), m numeric, x numeric(9, 2), at timestamptz, day date, t timetz, a integer[], p point);
    insert into oddities values ('calm', '6f4b5c1e-9d0a-4f0e-8a55-2f5c2f1d2013', '{"a": 1}', 'ab', 'v', 'NaN', 'NaN', 'infinity', 'infinity', '08:00+00', '{1}', '(1,2)'),
    ('wild', null, null, 'abc', 'w', 1.5, 2, '2013-04-30 12:00+00', '2013-04-30', '09:00+00', null, null)"""


def test_types_that_only_postgres_has(tmp_path, postgres):
    import psycopg
    with psycopg.connect(postgres) as con: con.execute(ODD)
    spec = ['{name: e, logicalType: string, unique: true, enum: [{value: calm}, {value: angry}]}', '{name: u, logicalType: string, logicalTypeOptions: {format: uuid}, unique: true}', '{name: j}',
            '{name: c, logicalType: string, logicalTypeOptions: {maxLength: 2}}', '{name: v, physicalType: varchar(9), unique: true}', '{name: m, logicalType: number, required: true, logicalTypeOptions: {minimum: 1}}',
            '{name: x, logicalType: number, required: true, logicalTypeOptions: {maximum: 1.5}}', '{name: at, logicalType: timestamp, logicalTypeOptions: {maximum: "2014-01-01"}}',
            '{name: day, logicalType: date, logicalTypeOptions: {minimum: "2014-01-01"}}', '{name: t, logicalType: time, logicalTypeOptions: {minimum: "08:30"}}', '{name: a, logicalType: array}', '{name: p, logicalType: object, unique: true}']
    path = contract_of(tmp_path, spec, sla='[{property: freshness, value: 3, unit: d, element: at}, {property: ly, value: 3, unit: d, element: day}]')
    path.write_text(path.read_text().replace('v3.1.0', 'v3.2.0'))
    bad = {c.id: (c.status, c.reason) for c in contract_checks(load_contract(path), open_table(f'{postgres}?table=oddities'), '2013-05-01') if c.status != 'pass'}
    assert bad == {'enum:e': ('fail', 'out_of_range'), 'maxLength:c': ('fail', 'out_of_range'), 'required:m': ('fail', 'null_values'), 'required:x': ('fail', 'null_values'), 'maximum:x': ('fail', 'out_of_range'),
                   'maximum:at': ('fail', 'out_of_range'), 'minimum:day': ('fail', 'out_of_range'), 'minimum:t': ('fail', 'out_of_range'), 'type:p': ('warn', 'not_checked'), 'unique:p': ('error', 'query_failed'),
                   'sla:freshness': ('fail', 'in_the_future'), 'sla:ly': ('fail', 'in_the_future')}


def test_a_contract_is_inferred_on_any_engine(tmp_path, postgres):
    whole = RICH_ROWS.drop_columns(['mistaken', 'empty'])
    here, there = (infer_contract(open_table(o), 'rich') for o in (whole, in_postgres(postgres, whole, 'whole')))
    assert here == there
    (tmp_path/'c.yaml').write_text(there)
    assert Verdict('contract', contract_checks(load_contract(tmp_path/'c.yaml'), open_table(f'{postgres}?table=whole'))).status == 'pass'


@pytest.mark.parametrize('query', ["select count(*) from read_text('SECRET') where content like 'P%'", "select count(*) from read_csv('SECRET')",
                                   "select count(*) from 'SECRET'", "select count(*) from glob('/etc/*')"])
def test_a_rule_in_sql_reaches_no_file(tmp_path, query):
    "The contract comes with the version: its queries see the table and nothing else of the machine"
    import duckdb
    secret = tmp_path/'secret.csv'
    secret.write_text('PRIVATE\n')
    with duckdb.connect(str(tmp_path/'f.db')) as con: con.execute('create table t as select range as v from range(5)')
    (tmp_path/'c.yaml').write_text('apiVersion: v3.1.0\nkind: DataContract\nid: a1\nname: a\nversion: 1.0.0\nstatus: active\nschema:\n- name: t\n  properties:\n  - name: v\n'
                                   f'    logicalType: integer\n    quality:\n    - {{type: sql, query: "{query.replace("SECRET", str(secret))}", mustBe: 1}}\n')
    for data in (f'duckdb:///{tmp_path}/f.db?table=t', pd.DataFrame(dict(v=[1, 2]))):
        found = [c for c in contract_checks(load_contract(tmp_path/'c.yaml'), open_table(data)) if c.id.startswith('rule')]
        assert [c.status for c in found] == ['error'] and 'PRIVATE' not in found[0].message
