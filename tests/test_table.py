"Data of every form reads the same, and bad data is refused in one line."
import gzip
import subprocess

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_kit.core import DataError, MlopsKitError
from mlops_kit.profile import load_profile, merge, profile
from mlops_kit.table import open_table


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(dict(carrier=rng.choice(['UA', 'AA', 'Ünïted', '航空'], 200), month=rng.integers(1, 4, 200), delay=rng.normal(size=200),
        note=[f'flight {i}, "late"\nagain' for i in range(200)], late=rng.random(200) < .3, day=pd.date_range('2013-01-01', periods=200)))


@pytest.fixture
def forms(frame, tmp_path):
    "The same rows in every form that is read"
    import duckdb
    frame.to_parquet(tmp_path/'a.parquet')
    frame.to_csv(tmp_path/'a.csv', index=False)
    frame.to_csv(tmp_path/'b.csv.gz', index=False)
    frame.to_csv(tmp_path/'c.tsv', index=False, sep='\t')
    for i,part in enumerate((frame[:50], frame[50:])):
        (tmp_path/'parts').mkdir(exist_ok=True)
        part.to_parquet(tmp_path/f'parts/{i}.parquet')
    with duckdb.connect(str(tmp_path/'air.db')) as con:
        con.register('f', frame)
        con.execute('create table flights as from f')
    return [frame, pa.Table.from_pandas(frame), tmp_path/'a.parquet', str(tmp_path/'a.csv'), tmp_path/'b.csv.gz', tmp_path/'c.tsv', tmp_path/'parts',
        f'{tmp_path}/parts/*.parquet', [tmp_path/'parts/0.parquet', tmp_path/'parts/1.parquet'], f'duckdb:///{tmp_path}/air.db?table=flights']


def test_every_form_reads_the_same(frame, forms):
    wanted = dict(carrier='category', month='category', delay='number', note='text', late='boolean', day='time')
    for form in forms:
        t = open_table(form)
        assert (t.rows, t.kinds) == (200, wanted), form
        got = t.frame()
        assert got.carrier.tolist() == frame.carrier.tolist() and got.note.tolist() == frame.note.tolist(), form
        assert np.allclose(got.delay, frame.delay, rtol=0, atol=0), form
        assert t.sql('select count(*) as n, sum(month) as months from {t}') == [dict(n=200, months=frame.month.sum())], form
        assert sum(b.num_rows for b in t.batches(['delay'], rows=33)) == 200, form
        assert [(c.kind, c.distinct) for c in profile(t).columns.values()] == [(c.kind, c.distinct) for c in profile(frame).columns.values()], form


def test_kinds_are_evidently_s(frame):
    from test_drift_parity import tables
    import evidently.core.datasets as e
    names = dict(num='number', cat='category', text='text', datetime='time')
    for n in 10, 1000:
        data = tables(n, 1).assign(day=pd.date_range('2013-01-01', periods=n), note=[str(i) for i in range(n)])
        ours = open_table(data).kinds
        for c in data: assert dict(boolean='category').get(ours[c], ours[c]) == names[e.infer_column_type(data[c]).value], c


def test_files_are_named_by_sha256sum(frame, tmp_path):
    frame.to_parquet(tmp_path/'a.parquet')
    said = subprocess.run(['sha256sum', tmp_path/'a.parquet'], capture_output=True, text=True).stdout.split()[0]
    t = open_table(tmp_path/'a.parquet')
    assert (t.digest, t.sources) == (said, [dict(uri=str(tmp_path/'a.parquet'), rows=200, digest=said)])


def test_content_digest_is_of_content(frame):
    one = open_table(frame).digest
    assert open_table(pa.Table.from_pandas(frame).slice(0, 200)).digest == one
    assert open_table(pa.concat_tables([pa.Table.from_pandas(frame[:7], preserve_index=False), pa.Table.from_pandas(frame[7:], preserve_index=False)])).digest == one
    assert open_table(frame.set_index(frame.index + 5)).digest == one
    for other in (frame[::-1], frame.rename(columns=dict(delay='d')), frame.assign(delay=frame.delay.where(frame.index != 3)), frame.assign(late=~frame.late)):
        assert open_table(other).digest != one


def test_partitioned_folder(frame, tmp_path):
    pq.write_to_dataset(pa.Table.from_pandas(frame), tmp_path/'by', partition_cols=['month'])
    t = open_table(tmp_path/'by')
    assert sorted(t.names) == sorted(frame) and t.frame(['month']).month.tolist().count(2) == (frame.month == 2).sum()
    one = open_table(next((tmp_path/'by').rglob('*.parquet')))
    assert 'month' not in one.names


def test_the_kinds_can_be_declared(frame):
    assert open_table(frame, kinds=dict(month='number')).kinds['month'] == 'number'
    assert profile(open_table(frame, kinds=dict(month='number')))['month'].kind == 'number'
    with pytest.raises(DataError, match='did you mean `number`'): open_table(frame, kinds=dict(month='numbr'))


def _write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


BAD = dict(
    nothing=lambda p, f: (p/'no.parquet', 'matches no file'),
    empty_string=lambda p, f: ('', 'empty'),
    glob=lambda p, f: (str(p/'2014-*.parquet'), 'matches no file'),
    empty_list=lambda p, f: ([], 'empty'),
    empty_folder=lambda p, f: (p, 'holds no parquet or csv'),
    truncated=lambda p, f: (f.to_parquet(p/'a.parquet') or _write(p/'a.parquet', (p/'a.parquet').read_bytes()[:-100]), 'cannot be read as parquet'),
    not_parquet=lambda p, f: (_write(p/'a.parquet', 'hello'), 'cannot be read as parquet'),
    no_bytes=lambda p, f: (_write(p/'a.csv', ''), 'cannot be read as csv'),
    head_only=lambda p, f: (_write(p/'a.csv', 'a,b\n'), 'has no rows'),
    ragged=lambda p, f: (_write(p/'a.csv', 'a,b\n1,2\n3\n'), 'Expected 2 columns, got 1'),
    latin1=lambda p, f: (_write(p/'a.csv', 'a,b\n1,\xe9\n'.encode('latin1')), 'UTF'),
    open_quote=lambda p, f: (_write(p/'a.csv', 'a,b\n1,"x\n2,y\n'), 'never closed'),
    broken_gzip=lambda p, f: (_write(p/'a.csv.gz', gzip.compress(b'a,b\n1,2\n'*1000)[:30]), 'cannot be read as csv'),
    twice_csv=lambda p, f: (_write(p/'a.csv', 'a,a\n1,2\n'), 'two columns named `a`'),
    twice_frame=lambda p, f: (pd.concat([f, f], axis=1), 'two columns named'),
    twice_arrow=lambda p, f: (pa.table([[1], [2]], names=['a', 'a']), 'two columns named `a`'),
    mixed_frame=lambda p, f: (pd.DataFrame(dict(x=['a', 1])), 'cannot be read'),
    no_rows=lambda p, f: (f.head(0), 'no rows'),
    no_columns=lambda p, f: (pd.DataFrame(index=[1]), 'no columns'),
    other_format=lambda p, f: (_write(p/'a.txt', 'hello'), 'neither parquet nor csv'),
    two_formats=lambda p, f: ([f.to_parquet(p/'a.parquet') or p/'a.parquet', _write(p/'b.csv', 'a\n1\n')], 'one table has one format'),
    parts_differ=lambda p, f: ([f.to_parquet(p/'a.parquet') or p/'a.parquet', f.drop(columns='late').to_parquet(p/'b.parquet') or p/'b.parquet'], 'column `late` is in only one'),
    types_differ=lambda p, f: ([f.to_parquet(p/'a.parquet') or p/'a.parquet', f.assign(late='no').to_parquet(p/'b.parquet') or p/'b.parquet'], 'differ in their types'),
    password=lambda p, f: ('postgres://ada:s3cret@db/air?table=t', 'PGPASSFILE'),
    password_in_query=lambda p, f: ('postgres://ada@db/air?table=t&password=s3cret', 'PGPASSFILE'),
    connection_string=lambda p, f: ('host=db dbname=air password=s3cret', 'PGPASSFILE'),
    mysql=lambda p, f: ('mysql://db/air?table=t', 'addresses are not read'),
    bucket=lambda p, f: ('s3://bucket/a.parquet', 'addresses are not read'),
    duck_absent=lambda p, f: (f'duckdb:///{p}/no.db?table=t', 'does not exist'),
    duck_no_table=lambda p, f: (f'duckdb:///{p}/no.db', 'names no table'),
    duck_broken=lambda p, f: (f'duckdb:///{_write(p/"x.db", "hello, this is no database at all")}?table=t', 'cannot be opened'),
    number=lambda p, f: (7, 'data of type `int`'))


@pytest.mark.parametrize('case', BAD)
def test_bad_data_is_refused_in_one_line(case, frame, tmp_path):
    data, wanted = BAD[case](tmp_path, frame)
    with pytest.raises(DataError) as e: open_table(data)
    assert wanted in str(e.value) and '\n' not in str(e.value) and e.value.exit_code == 2
    assert 's3cret' not in str(e.value)


def test_a_corrupt_page_fails_when_read(frame, tmp_path):
    frame = pd.concat([frame]*50)
    frame.to_parquet(tmp_path/'a.parquet', compression='snappy')
    data = bytearray((tmp_path/'a.parquet').read_bytes())
    data[2000:6000] = bytes(4000)
    (tmp_path/'a.parquet').write_bytes(data)
    t = open_table(tmp_path/'a.parquet')
    with pytest.raises(DataError, match='could not be read to its end'): profile(t)


def test_a_table_that_changes_meanwhile_is_refused(frame, tmp_path):
    frame.to_parquet(tmp_path/'a.parquet')
    t = open_table(tmp_path/'a.parquet')
    assert t.arrow(['month']).num_rows == 200
    frame[:199].to_parquet(tmp_path/'a.parquet')
    with pytest.raises(DataError, match='changed while it was read|could not be read|had 200 rows'): t.arrow(['delay'])


def test_a_table_that_vanishes_is_refused(frame, tmp_path):
    frame.to_parquet(tmp_path/'a.parquet')
    t = open_table(tmp_path/'a.parquet')
    (tmp_path/'a.parquet').unlink()
    with pytest.raises(DataError): t.arrow(['delay'])


def test_lists_structs_and_bytes_are_named_not_judged(tmp_path):
    data = pa.table(dict(lists=[[1], [2]], structs=[dict(a=1), dict(a=2)], raw=[b'a', b'b'], none=pa.nulls(2), clock=pa.array([1, 2], pa.time32('s'))))
    pq.write_table(data, tmp_path/'a.parquet')
    for t in (open_table(data), open_table(tmp_path/'a.parquet')):
        assert set(t.kinds.values()) == {'other'}
        p = profile(t)
        assert [c.missing for c in p.columns.values()] == [0, 0, 0, 2, 0]
        assert load_profile(p.save(tmp_path)).digest == p.digest
        assert len(t.digest) == 64


def test_zones_and_times_keep_their_range():
    data = pa.table(dict(plain=pa.array([0, 86_400_000_000], pa.timestamp('us')), zoned=pa.array([0, 1_500_000], pa.timestamp('us', 'America/New_York')), day=pa.array([0, 1], pa.date32())))
    p = profile(data)
    assert [(c.min, c.max) for c in p.columns.values()] == [('1970-01-01T00:00:00', '1970-01-02T00:00:00'), ('1970-01-01T00:00:00', '1970-01-01T00:00:01.5'), ('1970-01-01', '1970-01-02')]


def test_csv_missing_and_quoted(tmp_path):
    t = open_table(_write(tmp_path/'a.csv', 'code,n\nNA,1\n"NA",\n"",3\n,NaN\n'))
    assert t.arrow().to_pydict() == dict(code=[None, 'NA', '', None], n=[1, None, 3, None])
    p = profile(t)
    assert [p['code'].missing, p['code'].empty, p['n'].missing] == [2, 1, 2]


def test_csv_types_fit_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr('mlops_kit.table.BLOCK', 2**12)
    import pyarrow.csv as pcsv
    from mlops_kit.table import MISSING
    late = dict(a=('1', '1.5'), b=('', 'true'), c=('2013-01-01', '2013-01-01 10:00:00'), d=('1', 'x'), e=('0', 'true'), f=('', ''), g=('10:00', 'soon'), h=('1', '2013-01-01'), i=('2013-01-01 10:00:00', '2013-01-01 10:00:00.5'))
    rows = [','.join(late)] + [','.join(o[0] for o in late.values())]*600 + [','.join(o[1] for o in late.values())]
    path = _write(tmp_path/'a.csv', '\n'.join(rows) + '\n')
    wants = pcsv.read_csv(path, convert_options=pcsv.ConvertOptions(null_values=list(MISSING), strings_can_be_null=True)).schema
    assert path.stat().st_size > 2**13 and {f.name: str(f.type).replace('[ms]', '[s]') for f in open_table(path).source.schema} == {f.name: str(f.type) for f in wants} # Parquet has no seconds


def test_user_data_is_only_read(frame, tmp_path):
    import duckdb
    with duckdb.connect(str(tmp_path/'air.db')) as con: con.execute('create table t as select 1 as a')
    before = (tmp_path/'air.db').read_bytes()
    t = open_table(f'duckdb:///{tmp_path}/air.db?table=t')
    for query in ('drop table {t}', "copy (select 1) to 'x.csv'", 'create table source.x as select 1', 'select 1; drop table source.t', 'attach \'y.db\''):
        with pytest.raises(DataError, match='only a single `select`'): t.sql(query)
    profile(t), t.digest
    assert (tmp_path/'air.db').read_bytes() == before and sorted(o.name for o in tmp_path.iterdir()) == ['air.db']


def test_profile_of_parts_is_profile_of_the_whole(frame):
    from test_drift_parity import tables
    whole = tables(3000, 4)
    p, q = profile(whole), merge([profile(whole[a:b]) for a,b in ((0, 10), (10, 1400), (1400, 3000))])
    for n in p.names:
        a, b = p[n], q[n]
        assert (a.kind, a.rows, a.missing, a.nonfinite, a.empty, a.distinct, a.min, a.max, a.counts) == (b.kind, b.rows, b.missing, b.nonfinite, b.empty, b.distinct, b.min, b.max, b.counts), n
        assert a.mean == b.mean and a.std == b.std, n


def test_a_profile_is_small(tmp_path):
    from test_drift_parity import tables
    wide = pd.concat([tables(20_000, i).add_suffix(f'_{i}') for i in range(4)], axis=1)
    assert len(wide.columns) >= 90
    assert profile(wide).save(tmp_path).stat().st_size < 1_000_000


def test_errors_pickle():
    import pickle
    e = MlopsKitError('a', 'b')
    assert str(pickle.loads(pickle.dumps(e))) == str(e)


def test_a_duckdb_file_can_be_opened_again_while_it_is_open(tmp_path):
    import duckdb
    with duckdb.connect(str(tmp_path/'air.db')) as db: db.execute('create table a as select 1 x; create table b as select 2 x')
    first, second = (open_table(f'duckdb:///{tmp_path}/air.db?table={o}') for o in 'ab')
    assert (first.rows, second.rows) == (1, 1)
    for t in (first, second):
        with pytest.raises(DataError): t.sql(f"select * from read_text('{tmp_path}/secret.txt')")
