"The file stays small and says what it is; a server's profile is the file's, on every engine."
import gzip
import json
import math
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlops_kit.core import DataError
from mlops_kit.engine import Engine
from mlops_kit.profile import load_profile, profile
from mlops_kit.table import open_table
from test_engines import connect


def close(a, b): return a == b or (a is None) == (b is None) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-300)


def hundred(make): return pa.table({f'c{j}': make(j) for j in range(100)})


RNG = np.random.default_rng(5)
WIDE = dict(
    floats=lambda j: RNG.normal(size=20_000), few_floats=lambda j: RNG.choice(RNG.normal(size=10_000), 20_000), far=lambda j: 1e9 + RNG.random(20_000),
    heavy=lambda j: np.exp(RNG.normal(0, 30, 20_000)), ints=lambda j: RNG.integers(0, 10**9, 20_000),
    codes=lambda j: pa.array([f'{j}-{i:x}-{i*7919:x}' for i in RNG.integers(0, 10_000, 20_000)]),
    many_codes=lambda j: pa.array([f'{i:07}-{i*7919:x}' for i in np.repeat(RNG.integers(0, 10**7, 10_001), 3)]), words=lambda j: pa.array([f'{i} {j}' for i in RNG.random(3000)]),
    times=lambda j: np.datetime64('2013-01-01', 'us') + RNG.integers(0, 10**13, 20_000).astype('timedelta64[us]'))


@pytest.mark.slow
@pytest.mark.parametrize('name', WIDE)
def test_a_hundred_columns_are_at_most_a_megabyte(name, tmp_path):
    p = profile(hundred(WIDE[name]))
    assert p.save(tmp_path).stat().st_size <= 1_000_000
    again = load_profile(tmp_path)
    assert again.digest == p.digest and again.rows == p.rows
    assert all(c.counts is not None or c.cells or c.top is not None or c.kind in ('text', 'time') for c in again.columns.values())
    assert load_profile(again.save(tmp_path/'again.gz')).digest == p.digest


def test_the_file_describes_itself(tmp_path):
    p = profile(pd.DataFrame(dict(carrier=['UA', 'AA', None], late=[1.5, 2, math.inf])))
    d = json.loads(gzip.decompress(p.save(tmp_path).read_bytes()))
    assert d['schema'] == 'mlops_kit/profile/2' and [c['name'] for c in d['columns']] == ['carrier', 'late']
    assert d['columns'][0] | dict(values=['AA', 'UA'], counts=[1, 1], missing=1) == d['columns'][0]
    (tmp_path/'old.gz').write_bytes(gzip.compress(json.dumps(d | dict(schema='mlops_kit/profile/1')).encode()))
    with pytest.raises(DataError, match='is not a profile of schema'): load_profile(tmp_path/'old.gz')


def test_a_column_that_grows_meanwhile_is_refused(tmp_path):
    t = open_table(pd.DataFrame(dict(x=np.arange(100.), s=['a']*100)))
    t.source.data, rows = pa.concat_tables([t.source.data]*2), t.rows
    with patch.object(type(t.source), 'rows', 100):
        for name in ('x', 's'):
            with pytest.raises(DataError, match='had 100 rows when it was opened and 200'): profile(t, [name])


def everything(n):
    "Columns of every kind, below and above the caps"
    rng = np.random.default_rng(2)
    missing = lambda v: pa.array([None if o else x for o, x in zip(rng.random(n) < .03, v.tolist())])
    late = rng.normal(10, 30, n)
    late[:4] = math.inf, -math.inf, math.nan, -0.
    return pa.table(dict(late=pa.array(late), heavy=missing(np.exp(rng.normal(0, 20, n))), far=1e9 + rng.random(n), zeros=np.where(rng.random(n) < .7, 0, rng.gamma(2, 2, n)),
        few=missing(rng.integers(0, 12, n)), many=rng.integers(-10**15, 10**15, n), price=missing(rng.gamma(2, 30, n).round(2)),
        carrier=missing(rng.choice(['UA', 'AA', '', 'Ünï'], n)), code=missing(rng.choice([f'c{i:05}' for i in range(12_000)], n)), flag=missing(rng.random(n) < .2),
        at=pa.array(np.datetime64('2013-01-01', 'us') + rng.integers(0, 10**12, n).astype('timedelta64[us]')), day=pa.array(np.datetime64('2013-01-01') + rng.integers(0, 30, n)).cast(pa.date32()),
        tiny=rng.random(n)*1e-308, lists=pa.array([[1, 2]]*n)))


def alike(here, there, floats=1e-9):
    "Assert that two profiles say the same"
    assert here.names == there.names and here.rows == there.rows and here.kinds == there.kinds
    for a, b in zip(here.columns.values(), there.columns.values()):
        for k in ('missing', 'nonfinite', 'empty', 'distinct', 'distinct_exact', 'min', 'max', 'counts', 'top', 'others'): assert getattr(a, k) == getattr(b, k), (a.name, k)
        assert close(a.mean, b.mean) and (a.std is None or abs(a.std - b.std) <= 1e-9*a.std + 2**-46*abs(a.mean)), a.name
        assert (a.cells is None) == (b.cells is None), a.name
        if a.cells:
            assert (a.cells.bits, a.cells.keys.tolist(), a.cells.counts.tolist()) == (b.cells.bits, b.cells.keys.tolist(), b.cells.counts.tolist()), a.name
            assert np.allclose(a.cells.sums, b.cells.sums, rtol=1e-9), a.name


def test_duckdb_profiles_by_aggregates_as_from_rows():
    data = everything(40_000)
    there = open_table(data)
    there.source = Engine(there.source.expr, 'memory')
    with patch.object(Engine, 'arrow', side_effect=AssertionError('rows were read')): alike(profile(data), profile(there))


def test_postgresql_profiles_by_aggregates_as_from_rows(postgres):
    data = everything(40_000)
    with connect(postgres) as con:
        con.execute('drop table if exists everything')
        con.execute('create table everything (late float8, heavy float8, far float8, zeros float8, few int8, many int8, price float8, carrier text, code text, flag bool, at timestamp, day date, tiny float8, lists int8[])')
        with con.cursor() as cur, cur.copy('copy everything from stdin') as copy:
            for row in zip(*(data[n].to_pylist() for n in data.column_names)): copy.write_row(row)
    alike(profile(data), profile(f'{postgres}?table=everything'))


def test_squares_too_large_for_a_server_cost_only_the_moments(postgres):
    with connect(postgres) as con:
        con.execute('drop table if exists huge')
        con.execute('create table huge as select g*1e300 as x, g as y from generate_series(1, 20) g')
    p = profile(f'{postgres}?table=huge')
    assert p['x'].mean == pytest.approx(1.05e301) and p['x'].std is None and p['y'].std == pytest.approx(np.arange(1, 21).std())


@pytest.mark.spark
def test_spark_profiles_by_aggregates_as_from_rows(spark, tmp_path):
    import pyarrow.parquet as pq
    data = everything(40_000).drop_columns(['lists'])
    pq.write_table(data, tmp_path/'a.parquet')
    alike(profile(data), profile(spark.read.parquet(str(tmp_path/'a.parquet')).repartition(3)))
