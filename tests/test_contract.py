"What a contract may say, and what each promise finds in data that breaks it."
import datetime as dt
import decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toy
from conftest import ROOT

from mlops_kit.contract import (OPERATORS, REASONS, contract_checks, infer_contract, load_contract)
from mlops_kit.core import EXIT, PolicyError, Verdict, file_digest
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
    sla = '[{property: retention, value: 3, unit: y}, {property: latency, value: 3, unit: d, element: "t.a,t.n"}, {property: endOfLife, value: "2030-01-01"}]'
    bad = found(tmp_path, ROWS, spec, sla=sla)
    assert set(bad) == {'rule:a:text', 'rule:a:custom', 'relationships:n', 'sla:retention', 'sla:latency', 'sla:endOfLife'}
    assert set(bad.values()) == {('warn', 'not_checked')}


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
    monkeypatch.setattr(contract, 'required_promise', lambda f: contract.Promise(f'required:{f.name}', None, ['no_such_function(1)']))
    assert found(tmp_path, pa.table(dict(a=[-1], b=[1])), ['{name: a, required: true, logicalTypeOptions: {minimum: 0}}', '{name: b}']) == {
        'required:a': ('error', 'query_failed'), 'minimum:a': ('fail', 'out_of_range')}


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
