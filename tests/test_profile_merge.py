"Parts merge into the whole, a file holds what it says in the room it has, and a server's profile is the file's; whatever the values are."
import json
import math
import subprocess
import sys
import tempfile
import textwrap
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from mlops_kit import profile as room
from mlops_kit.core import DataError
from mlops_kit.engine import Engine
from mlops_kit.profile import ColumnProfile, Profile, edges, estimate, load_profile, make_cells, make_sketch, merge, profile, profile_json, save_profile
from mlops_kit.table import open_table

SETTINGS = dict(deadline=None, database=None, print_blob=False, suppress_health_check=list(HealthCheck))


@contextmanager
def small(cap, cells):
    "Keep so few counts and cells that small data has cells already"
    smaller = tuple(cells if o == room.CELLS else o for o in make_cells.__defaults__)
    with patch.object(room, 'CAP', cap), patch.object(room, 'CELLS', cells), patch.object(room, 'TOP', max(cap//2, 1)), \
        patch.object(make_cells, '__defaults__', smaller), patch.object(room.merge_cells, '__defaults__', (cells,)): yield


def saved(p, folder=None):
    "The profile as it is read back from its file"
    with tempfile.TemporaryDirectory() as folder: return load_profile(save_profile(p, folder))


EDGES = [0., -0., 5e-324, -5e-324, 2.**-1022, -1e-310, 1., 1 + 2.**-52, 1 - 2.**-53, -1., 2.**53, 1e16, 1e153, 1e289, -1e289, 1e290, 1.7e308, -1.7e308]
FLOAT = st.one_of(st.floats(), st.floats(-1, 1), st.integers(-4, 4).map(float), st.integers(-10**6, 10**6).map(lambda o: 1e9 + o/2**20), st.sampled_from(EDGES))
TAME = st.one_of(st.floats(-1e140, 1e140), st.floats(-1, 1), st.integers(-4, 4).map(float), st.sampled_from(EDGES[:12]))
INT = st.one_of(st.integers(-2**63, 2**63 - 1), st.integers(-20, 20), st.integers(2**53 - 3, 2**53 + 9))
TEXT = st.one_of(st.sampled_from(['', 'a', 'b', 'UA', 'Ünï', '日本', "it's", '\x00', 'a\nb', '"']), st.text(max_size=12))
TIME = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda o: o.replace(microsecond=o.microsecond//1000*1000))
TYPES = {'float': (FLOAT, pa.float64()), 'tame': (TAME, pa.float64()), 'float32': (st.floats(width=32), pa.float32()), 'int': (INT, pa.int64()), 'int8': (st.integers(-128, 127), pa.int8()), 'uint64': (st.integers(0, 2**64 - 1), pa.uint64()),
         'decimal': (st.integers(-10**9, 10**9).map(lambda o: Decimal(o)/100), pa.decimal128(12, 2)), 'text': (TEXT, pa.string()), 'boolean': (st.booleans(), pa.bool_()), 'time': (TIME, pa.timestamp('us')),
         'date': (TIME.map(datetime.date), pa.date32()), 'coded': (TEXT, pa.dictionary(pa.int32(), pa.string())), 'list': (st.lists(st.integers(0, 3), max_size=2), pa.list_(pa.int64()))}


@st.composite
def columns(draw, types=tuple(TYPES), size=80):
    "The values of a column, its type, and where to cut it into parts"
    name = draw(st.sampled_from(types))
    values, dtype = TYPES[name]
    there = draw(st.lists(st.one_of(st.none(), values, values, values, values), min_size=1, max_size=size))
    cuts = sorted({o for o in draw(st.lists(st.integers(1, max(1, len(there) - 1)), max_size=4)) if o < len(there)})
    return there, dtype, cuts


def table(values, dtype): return pa.table(dict(x=pa.array(values, dtype, from_pandas=False)))


def parts_of(values, dtype, cuts):
    ends = [0, *cuts, len(values)]
    return [profile(table(values[a:b], dtype)) for a, b in zip(ends, ends[1:])]


def close(a, b, scale):
    if a is None or b is None or not math.isfinite(a*b): return a == b or scale > 1e150 # The squares overflow, here or there
    return abs(a - b) <= 1e-9*abs(a) + 1e-12*scale


def scale_of(p): return max(abs(float(p.min)), abs(float(p.max))) if p.mean is not None or p.std is not None else 0.


def same_cells(a, b):
    if a is None or b is None: return a is b
    return (a.bits, a.keys.tolist(), a.counts.tolist()) == (b.bits, b.keys.tolist(), b.counts.tolist()) and np.allclose(a.sums, b.sums, rtol=1e-9, atol=1e-300)


def same(a, b, sketched=True):
    "Assert that two profiles of a column say the same; distinct values beyond the cap may be an estimate"
    for k in ('dtype', 'rows', 'missing', 'nonfinite', 'empty', 'min', 'max', 'counts'): assert getattr(a, k) == getattr(b, k), (k, getattr(a, k), getattr(b, k))
    if a.counts is not None:
        assert list(a.counts) == list(b.counts) and list(map(repr, a.counts)) == list(map(repr, b.counts))
        assert (a.kind, a.distinct, a.distinct_exact) == (b.kind, b.distinct, b.distinct_exact)
    assert close(a.mean, b.mean, scale_of(a)) and close(a.std, b.std, scale_of(a)), (a.mean, b.mean, a.std, b.std)
    assert same_cells(a.cells, b.cells)
    if b.distinct_exact: assert a.distinct == b.distinct
    elif a.kind != 'other': assert abs(a.distinct - b.distinct) <= max(4, .1*a.distinct), (a.distinct, b.distinct)
    if sketched: assert np.array_equal(a.sketch, b.sketch) if a.sketch is not None and b.sketch is not None else a.sketch is b.sketch


def sound(p, values):
    "Assert that what is kept of names is true of the whole column"
    known = p.counts if p.counts is not None else p.top
    if known is None: return
    if p.min is None and all(isinstance(o, str) for o in known): assert all(n == values.count(k) for k, n in known.items())
    assert sum(known.values()) + (p.others[1] if p.counts is None else 0) == p.present


@settings(max_examples=400, **SETTINGS)
@given(columns(), st.integers(2, 12), st.integers(1, 12))
def test_parts_merge_into_the_whole(column, cap, cells):
    values, dtype, cuts = column
    with small(cap, cells):
        whole, merged = profile(table(values, dtype)), merge(parts_of(values, dtype, cuts))
        same(whole['x'], merged['x'])
        for o in (whole, merged): sound(o['x'], values)


@settings(max_examples=60, **SETTINGS)
@given(columns())
def test_parts_merge_into_the_whole_below_the_cap(column):
    values, dtype, cuts = column
    whole, merged = profile(table(values, dtype)), merge(parts_of(values, dtype, cuts))
    assert profile_json(whole) == profile_json(merged) and whole.digest == merged.digest


@settings(max_examples=60, **SETTINGS)
@given(columns(), st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(column, seed):
    values, dtype, _ = column
    other = [values[i] for i in np.random.default_rng(seed).permutation(len(values))]
    for cap in (3, room.CAP):
        with small(cap, 4): assert profile(table(values, dtype)).digest == profile(table(other, dtype)).digest


def mean_is_held(p, values):
    "Assert that each cell's mean is off by no more than its blur"
    if p.cells is None: return
    truth = make_cells(np.sort(np.array([float(o) for o in values if o is not None and math.isfinite(o)])), None, 10**6)
    keys = truth.keys >> np.uint64(truth.bits - p.cells.bits) if truth.bits >= p.cells.bits else None
    if keys is None: return
    means = np.array([truth.sums[keys == k].sum()/truth.counts[keys == k].sum() for k in p.cells.keys])
    low, high = (np.nan_to_num(o, nan=end, neginf=-math.inf, posinf=math.inf) for o, end in zip(edges(p.cells), (-math.inf, math.inf)))
    with np.errstate(all='ignore'): room_for = p.cells.blur*(high - low) + 2.**-52*(p.cells.counts + 8)*np.maximum(abs(means), 1e-300)
    found = np.clip(p.cells.sums/p.cells.counts, np.fmax(low, float(p.min)), np.fmin(high, float(p.max)))
    assert (abs(found - means) <= np.where(np.isnan(room_for), math.inf, room_for)*(1 + 1e-9)).all()


@settings(max_examples=400, **SETTINGS)
@given(columns(), st.integers(2, 12), st.integers(1, 12))
def test_what_is_read_back_is_saved_the_same(column, cap, cells):
    values, dtype, cuts = column
    with small(cap, cells):
        for fresh in (profile(table(values, dtype)), merge(parts_of(values, dtype, cuts)), merge(map(saved, parts_of(values, dtype, cuts)))):
            once = saved(fresh)
            assert profile_json(once) == profile_json(saved(once)) and once.digest == fresh.digest == saved(once).digest
            a, b = fresh['x'], once['x']
            for k in ('kind', 'dtype', 'rows', 'missing', 'nonfinite', 'empty', 'distinct', 'distinct_exact', 'min', 'max', 'mean', 'std', 'counts', 'top', 'others'): assert getattr(a, k) == getattr(b, k)
            if a.cells: assert (a.cells.bits, a.cells.keys.tolist(), a.cells.counts.tolist()) == (b.cells.bits, b.cells.keys.tolist(), b.cells.counts.tolist())
            if a.kind == 'number' and dtype != pa.decimal128(12, 2): mean_is_held(b, values)


def test_saved_parts_merge_as_fresh_ones_do():
    "Days and partitions are profiled once, saved, and put together later"
    g = np.random.default_rng(3)
    frame = pd.DataFrame(dict(far=1e6 + g.normal(0, 3, 45_000), name=[f'id-{i:06}' for i in range(45_000)], code=[f'c{i}' for i in (g.random(45_000)**2*16_000).astype(int)], whole=g.integers(0, 10**7, 45_000), day=pd.date_range('2020', periods=45_000, freq='s')))
    frame['far2'] = frame.far.where(frame.far > 1e6)
    whole, merged = profile(frame), merge([saved(profile(frame[i:i + 15_000])) for i in range(0, 45_000, 15_000)])
    for n in frame:
        a, b = whole[n], merged[n]
        assert (a.rows, a.missing, a.min, a.max, a.kind) == (b.rows, b.missing, b.min, b.max, b.kind)
        assert not b.distinct_exact and abs(b.distinct/a.distinct - 1) < .08, (n, a.distinct, b.distinct)
        if a.cells: assert (a.cells.keys.tolist(), a.cells.counts.tolist()) == (b.cells.keys.tolist(), b.cells.counts.tolist()) and b.std == pytest.approx(a.std, rel=1e-9)
        sound(b, frame[n].tolist())
    assert '≈' in repr(merged) and '≈' not in repr(whole)


def test_an_estimate_stays_one():
    "A part without values adds nothing, and makes nothing exact"
    a, b = (pd.DataFrame(dict(x=np.random.default_rng(i).normal(size=12_000))) for i in (0, 1))
    none = profile(pd.DataFrame(dict(x=[np.nan]*5)))
    both = merge([profile(a), profile(b)])
    for whole in (merge([both, none]), merge([none, both])):
        assert (whole['x'].distinct, whole['x'].distinct_exact, whole['x'].missing) == (both['x'].distinct, False, 5)
        assert np.array_equal(whole['x'].sketch, both['x'].sketch)
    assert merge([none, profile(a)])['x'].distinct_exact


@pytest.mark.parametrize('n', [1, 100, 9_999, 30_000, 300_000])
@pytest.mark.parametrize('kind', ['float', 'int', 'text'])
def test_a_sketch_estimates_to_a_few_percent(n, kind):
    values = {'float': np.random.default_rng(n).normal(size=n), 'int': np.arange(n)*1000, 'text': np.array([f'customer {i}' for i in range(n)], dtype=object)}[kind]
    assert abs(estimate(make_sketch(values))/n - 1) < .08


def floats(n, columns=100): return pd.DataFrame({f'f{j}': np.random.default_rng(j).normal(size=n) for j in range(columns)})


HEAVY = dict(
    floats=lambda: floats(10_000),
    strings=lambda: pd.DataFrame({f's{j}': [f'{(i*(2*j + 7919)) % 10_007:x}-{j}-{i:05}' for i in range(10_000) for _ in (0, 1)] for j in range(100)}),
    cells=lambda: floats(10_001),
    long_strings=lambda: pd.DataFrame(dict(a=[np.random.default_rng(i).bytes(600).hex() for i in range(3_000)]*3, b=np.arange(9_000)/7)),
    one_huge_string=lambda: pd.DataFrame(dict(a=[np.random.default_rng(i).bytes(900_000).hex() for i in range(3)]*2)),
    wild=lambda: pd.DataFrame({f'w{j}': np.random.default_rng(j).integers(0, 2**63, 30_000).view('float64')[:30_000] for j in range(100)}).map(lambda o: o if abs(o) < 1e289 else o*1e-30 if math.isfinite(o*1e-30) else 0.))


@pytest.mark.slow
@pytest.mark.parametrize('name', HEAVY)
def test_a_file_has_room_for_any_hundred_columns(name, tmp_path):
    frame = HEAVY[name]()
    fresh = profile(frame)
    size, once = save_profile(fresh, tmp_path).stat().st_size, load_profile(tmp_path)
    assert size <= 1_000_000 and once.digest == fresh.digest and save_profile(once, tmp_path).stat().st_size == size
    for n in frame:
        a, b = fresh[n], once[n]
        assert (a.distinct, a.min, a.max, a.mean, a.std) == (b.distinct, b.min, b.max, b.mean, b.std)
        if b.counts is None: assert b.cells is not None and b.cells.counts.sum() == b.present or sum(b.top.values()) + b.others[1] == b.present
    assert name == 'one_huge_string' or all(o.cells is not None and len(o.cells.keys) >= 100 or o.counts or o.top for o in once.columns.values())


def test_one_heavy_column_costs_the_others_nothing(tmp_path):
    frame = HEAVY['long_strings']()
    save_profile(profile(frame), tmp_path)
    assert len(load_profile(tmp_path)['b'].counts) == 9_000


def test_the_file_reads_as_text(tmp_path):
    path = save_profile(profile(pd.DataFrame(dict(x=np.arange(20_000)/3, c=['Ünï', 'b']*10_000))), tmp_path)
    said = json.loads(subprocess.run(['zcat', path], capture_output=True, check=True).stdout)
    assert said['schema'] == 'mlops_kit/profile/2' and [c['name'] for c in said['columns']] == ['x', 'c'] and said['columns'][1]['values'] == ['b', 'Ünï']


@pytest.mark.parametrize('change', [lambda d: d['columns'][0]['cells']['counts'].pop(), lambda d: d['columns'][0].pop('name'), lambda d: d['columns'][0]['cells']['steps'].pop(), lambda d: d['columns'][0].update(surprise=1),
    lambda d: d['columns'][1]['counts'].pop(), lambda d: d['columns'].append(3), lambda d: d.pop('rows'), lambda d: d.update(columns=None), lambda d: d.update(schema='mlops_kit/profile/1'), lambda d: d['columns'][0].update(sketch='xyz')])
def test_a_damaged_file_is_refused(change, tmp_path):
    import gzip
    path = save_profile(profile(pd.DataFrame(dict(x=np.arange(20_000)/3, c=['a', 'b']*10_000))), tmp_path)
    d = json.loads(gzip.decompress(path.read_bytes()))
    change(d)
    path.write_bytes(gzip.compress(json.dumps(d).encode()))
    with pytest.raises(DataError): load_profile(path)


def test_declared_kinds_are_kept(tmp_path):
    frame = pd.DataFrame(dict(month=[1, 2, 3]*4, code=range(12)))
    p = profile(open_table(frame, kinds=dict(month='number', code='category')))
    assert p.kinds == dict(month='number', code='category') == saved(p).kinds
    assert merge([p, p]).kinds == p.kinds


def test_a_table_that_changes_is_refused(tmp_path):
    path = tmp_path/'t.parquet'
    for rows in (50, 150):
        pq.write_table(pa.table(dict(x=np.arange(100.), c=['a']*100, b=[True]*100, o=[[1]]*100)), path)
        t = open_table(path)
        pq.write_table(pa.table(dict(x=np.arange(float(rows)), c=['a']*rows, b=[True]*rows, o=[[1]]*rows)), path)
        for n in t.names:
            with pytest.raises(DataError): profile(t, [n])


def test_a_server_that_counts_other_rows_is_refused():
    t = asked(table([1., 2., 3.], pa.float64()))
    t.source.__dict__['rows'] = 4
    with pytest.raises(DataError, match='had 4 rows when it was opened'): profile(t)


def asked(data):
    "The table as a server would hold it: DuckDB stands for one"
    t = open_table(data)
    t.source = Engine(t.source.expr, 'there')
    return t


@settings(max_examples=150, **SETTINGS)
@given(columns(('float', 'tame', 'int', 'int8', 'decimal', 'text', 'boolean', 'time', 'date', 'float32')), st.integers(2, 12), st.integers(1, 12))
def test_what_is_asked_is_what_is_read(column, cap, cells):
    values, dtype, _ = column
    data = table(values, dtype)
    with small(cap, cells):
        here, there = profile(data)['x'], profile(asked(data))['x']
        same(here, there, sketched=False)
        assert here.kind == there.kind and there.distinct_exact
        sound(there, values)


SHAPES = dict(normal=lambda g, n: g.normal(0, 1, n), cauchy=lambda g, n: g.standard_cauchy(n), heavy=lambda g, n: g.lognormal(0, 8, n), far=lambda g, n: 1e9 + g.normal(0, 1, n), very_far=lambda g, n: 1e15 + g.normal(0, 1, n), tiny=lambda g, n: g.normal(0, 1e-12, n),
              two_hills=lambda g, n: np.where(g.random(n) < .5, -1e6, 1) + g.normal(0, 1, n), powers=lambda g, n: 2.**g.integers(-1074, 960, n)*np.where(g.random(n) < .5, 1, -1), next_to_powers=lambda g, n: np.nextafter(2.**g.integers(-1000, 960, n), np.where(g.random(n) < .5, 0, np.inf)),
              subnormal=lambda g, n: g.integers(-10**6, 10**6, n)*5e-324, across=lambda g, n: g.choice([-1., 1.], n)*10.**g.uniform(-300, 289, n), ids=lambda g, n: g.integers(2**60, 2**62, n), odd=lambda g, n: np.where(g.random(n) < .01, np.nan, np.where(g.random(n) < .01, np.inf, g.normal(0, 1, n))),
              whole=lambda g, n: g.integers(-50_000, 50_000, n))


@pytest.fixture(scope='module')
def shapes():
    g = np.random.default_rng(5)
    frame = pd.DataFrame({k: f(g, 20_000) for k, f in SHAPES.items()})
    return pa.Table.from_pandas(frame, preserve_index=False).append_column('code', pa.array([None if i % 97 == 0 else f'Ünï {i % 11_000}' for i in range(20_000)])).append_column('seen', pa.array([datetime(2020, 1, 1) + timedelta(seconds=i*7) for i in range(20_000)], pa.timestamp('us')))


def agree(shapes, there):
    here, there = profile(shapes), profile(there)
    for n in shapes.column_names:
        same(here[n], there[n], sketched=False)
        assert here[n].kind == there[n].kind and (here[n].cells is None) == (there[n].cells is None), n
    assert there['code'].top.items() <= profile_of_all(shapes['code']).items()


def profile_of_all(column): return pd.Series(column.to_pylist()).value_counts().to_dict()


def test_cells_asked_of_duckdb_are_those_of_the_file(shapes): agree(shapes, asked(shapes))


@pytest.mark.slow
def test_cells_asked_of_postgresql_are_those_of_the_file(shapes, postgres):
    from test_engines import connect
    kinds = {n: 'bigint' if pa.types.is_integer(t) else 'text' if pa.types.is_string(t) else 'timestamp' if pa.types.is_timestamp(t) else 'float8' for n, t in zip(shapes.column_names, shapes.schema.types)}
    with connect(postgres) as con:
        con.execute('drop table if exists shapes')
        con.execute('create table shapes (' + ', '.join(f'{n} {t}' for n, t in kinds.items()) + ')')
        with con.cursor() as cur, cur.copy('copy shapes from stdin') as copy:
            for row in shapes.to_pylist(): copy.write_row(list(row.values()))
    agree(shapes, open_table(f'{postgres}?table=shapes'))


@pytest.mark.slow
def test_memory_follows_one_column(tmp_path):
    "Six columns of four million rows cost little more than one"
    n, g = 4_000_000, np.random.default_rng(0)
    path = tmp_path/'t.parquet'
    with pq.ParquetWriter(path, pa.schema([(f'x{i}', pa.float64()) for i in range(6)] + [('t', pa.timestamp('us'))])) as out:
        for i in range(0, n, 2**18):
            m = min(2**18, n - i)
            out.write_table(pa.table({f'x{j}': g.normal(size=m) for j in range(6)} | dict(t=pa.array(np.arange(i, i + m).astype('datetime64[us]')))))
    def grown(columns):
        code = f"""
            import numpy, pyarrow.dataset, pyarrow.compute
            from mlops_kit.profile import profile
            from mlops_kit.table import open_table
            peak = lambda: int(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])
            profile(open_table({str(path)!r}).batches and __import__('pandas').DataFrame(dict(x=[1., 2.])))
            before = peak()
            profile({str(path)!r}, {columns!r})
            print(peak() - before)"""
        return int(subprocess.run([sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True, check=True).stdout)
    one, all_of_them = grown(['x0']), grown(None)
    assert one < 4*8*n/1024 and all_of_them < one + 4*8*n/1024
