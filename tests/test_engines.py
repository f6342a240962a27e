"The same table in files, DuckDB, PostgreSQL and Spark: one interface, one answer; and what a server does wrong."
import os
import subprocess
import sys
import threading
from datetime import datetime, timezone
from decimal import Decimal
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from mlops_kit.core import EXIT, DataError
from mlops_kit.engine import is_infinite
from mlops_kit.table import open_table

N = 400


@pytest.fixture(scope='module')
def air():
    "A frame with every kind of column, and every kind of missing value"
    rng = np.random.default_rng(7)
    late = rng.normal(10, 30, N).round(1)
    late[:3] = np.nan, np.inf, -np.inf
    frame = pa.table(dict(
        carrier=pa.array([None if i % 40 == 7 else ['UA', 'AA', 'B6', '', 'Ünï"cødé\''][i % 5] for i in range(N)]),
        late=pa.array(late, from_pandas=False), distance=pa.array([None if i % 50 == 1 else int(i*7919 % 2500) for i in range(N)], pa.int64()),
        month=pa.array([1 + i % 3 for i in range(N)], pa.int32()), tail=pa.array([f'N{i}' for i in range(N)]),
        fare=pa.array([Decimal(i*13 % 997)/100 for i in range(N)], pa.decimal128(10, 2)), cancelled=pa.array([None if i % 90 == 3 else i % 8 == 0 for i in range(N)]),
        day=pa.array([datetime(2013, 1, 1 + i % 28, i % 24) for i in range(N)], pa.timestamp('us'))))
    return frame


def connect(url, **kw):
    import psycopg
    return psycopg.connect(url.replace('postgres://', 'postgresql://'), autocommit=True, **kw)


@pytest.fixture(scope='module')
def flights(postgres, air):
    "The address of those flights in PostgreSQL"
    with connect(postgres) as con:
        con.execute('drop table if exists flights')
        con.execute('''create table flights (carrier text, late float8, distance int8, month int4, tail varchar(9), fare numeric(10, 2), cancelled bool, day timestamp)''')
        with con.cursor() as cur, cur.copy('copy flights from stdin') as copy:
            for row in air.to_pylist(): copy.write_row(list(row.values()))
    return postgres + '?table=flights'


def test_a_table_of_postgresql_looks_like_the_file(flights, air):
    there, here = open_table(flights), open_table(air)
    assert not there.streams and here.streams
    assert [there.rows, there.names, there.kinds] == [here.rows, here.names, here.kinds]
    ask = lambda t: t.ask(n=t.expr.count(), late=is_infinite(t.expr.late).sum(), nan=t.expr.late.isnan().sum(), carriers=t.expr.carrier.nunique(), far=t.expr.distance.max(), fare=t.expr.fare.sum())
    assert ask(there) == ask(here)
    assert there.frame(['carrier', 'late']).sort_values(['carrier', 'late']).late.tolist()[:5] == here.frame(['carrier', 'late']).sort_values(['carrier', 'late']).late.tolist()[:5]
    assert sum(b.num_rows for b in there.batches(['late', 'tail'], rows=64)) == N


def test_an_address_shows_no_user(flights):
    t = open_table(flights)
    assert 'toy@' in flights and 'toy@' not in t.uri and t.sources[0]['uri'] == t.uri


def test_a_query_is_a_table(flights, air):
    base = flights.partition('?')[0]
    t = open_table(f'{base}?query={quote("select carrier, late * 2 as twice, day::date from flights where month = 1;")}')
    assert t.names == ['carrier', 'twice', 'day'] and t.rows == sum(o == 1 for o in air['month'].to_pylist())
    assert t.sql('select count(*) as n from {t} where twice > 0')[0]['n'] == t.ask(n=(t.expr.twice > 0).sum())['n'] > 0


def test_the_digest_names_the_rows_and_not_their_order(flights, postgres):
    t = open_table(flights)
    with connect(postgres) as con:
        con.execute('create table shuffled as select * from flights order by random()')
        con.execute('create table touched as select * from flights')
        con.execute("update touched set late = late + 1e-9 where tail = 'N77'")
    digest = lambda name: open_table(flights.replace('=flights', f'={name}')).digest
    assert digest('flights') == t.digest == digest('shuffled') != digest('touched')


def test_all_questions_are_about_one_snapshot(flights, postgres):
    t = open_table(flights.replace('=flights', '=moving').replace('moving', 'shuffled'))
    before = t.digest
    with connect(postgres) as con: con.execute("delete from shuffled where month = 1")
    again = open_table(t)
    assert again.source.sources()[0]['digest'] == before and again.ask(n=again.expr.count())['n'] == N
    assert open_table(flights.replace('=flights', '=shuffled')).rows < N


def test_odd_types_are_read_or_named(postgres):
    with connect(postgres) as con:
        con.execute("create type mood as enum ('calm', 'angry')")
        con.execute('''create table odd as select 'calm'::mood as mood, gen_random_uuid() as id, '{"a": 1}'::json as doc, 1.25::numeric as price,
            array[1, 2] as list, '10.0.0.1'::inet as ip, '2013-01-01 00:00+02'::timestamptz as at, date '2013-01-01' as day, 1::int2 as small, 'x'::char(3) as fixed,
            interval '1 day' as span, point(1, 2) as place from generate_series(1, 5)''')
    t = open_table(postgres + '?table=odd')
    assert t.kinds == dict(mood='category', id='text', doc='category', price='number', list='other', ip='category', at='time', day='time', small='category', fixed='category', span='other', place='other')
    assert t.ask(a=t.expr.mood.length().max(), b=t.expr.price.max())  == dict(a=4, b=1.25)
    assert len(t.digest) == 64 and t.frame(['mood', 'id', 'doc', 'price', 'at']).price.tolist() == [1.25]*5


BAD = dict(
    no_table=('?table=fligths', 'did you mean `flights`'),
    no_schema=('?table=air.flights', 'table `air.flights` is unknown'),
    neither=('', 'neither a table nor a query'), both=('?table=a&query=select', 'both a table and a query'),
    drop=('?query=drop table flights', 'only a single `select`'), two=('?query=select 1; drop table flights', 'only a single `select`'),
    into=('?query=select * into x from flights', 'only a single `select`'), broken=('?query=select from where', 'cannot be read'),
    unknown_column=('?query=select no from flights', 'could not be read'), odd_option=('?table=flights&sslmoed=off', 'cannot be opened'))


@pytest.mark.parametrize('case', BAD)
def test_a_wrong_address_is_refused_in_one_line(case, flights):
    query, said = BAD[case]
    with pytest.raises(DataError) as e: open_table(flights.partition('?')[0] + query)
    assert said in str(e.value) and '\n' not in str(e.value) and e.value.exit_code == EXIT['usage']


def test_a_wrong_password_is_never_printed(flights, postgres, monkeypatch, tmp_path):
    with connect(postgres) as con: con.execute("create role ada login password 'right'")
    (tmp_path/'pgpass').write_text('*:*:*:*:s3cret')
    (tmp_path/'pgpass').chmod(0o600)
    monkeypatch.setenv('PGPASSFILE', str(tmp_path/'pgpass'))
    with pytest.raises(DataError) as e: open_table(flights.replace('toy@', 'ada@'))
    assert 'password authentication failed' in str(e.value) and 's3cret' not in str(e.value) and e.value.exit_code == EXIT['usage']


def test_a_server_that_is_down_is_nobodys_answer():
    with pytest.raises(DataError, match='cannot be reached') as e: open_table('postgres://127.0.0.1:1/air?table=t')
    assert e.value.exit_code == EXIT['error']


def test_a_connection_that_drops_is_nobodys_answer(flights, postgres):
    t = open_table(flights)
    with connect(postgres) as con: con.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mlops_kit'")
    with pytest.raises(DataError, match='was lost') as e: t.ask(n=t.expr.count())
    assert e.value.exit_code == EXIT['error'] and '\n' not in str(e.value)


def test_a_question_that_fails_leaves_the_next_one_alone(flights):
    t = open_table(flights)
    with pytest.raises(DataError): t.ask(odd=t.expr.carrier.cast('int').sum())
    assert t.ask(n=t.expr.count())['n'] == N


def test_nothing_can_be_written(flights):
    t = open_table(flights)
    for query in ('drop table flights', 'select 1; commit', 'insert into flights select * from {t}', 'with x as (delete from flights returning 1) select * from x'):
        with pytest.raises(DataError): t.sql(query)
    with pytest.raises(Exception, match='read-only'): t.source.expr.get_backend().con.execute('create table x (a int)')


def test_an_ibis_expression_is_a_table(air):
    import ibis
    con = ibis.duckdb.connect()
    t = open_table(con.create_table('air', air).filter(ibis._.month == 2))
    assert t.uri.startswith('duckdb:') and t.rows == sum(o == 2 for o in air['month'].to_pylist()) and t.kinds['tail'] == 'text'
    assert open_table(ibis.memtable(air)).rows == N


def test_times_in_nanoseconds_are_times(air, tmp_path):
    import ibis
    data = pa.table(dict(at=pa.array([0, 10**18], pa.timestamp('ns', 'UTC')), plain=pa.array([0, 10**18], pa.timestamp('ns'))))
    con = ibis.duckdb.connect(tmp_path/'air.db')
    con.con.register('frame', data)
    con.con.execute('create table t as from frame')
    con.disconnect()
    for t in (open_table(data), open_table(f'duckdb:///{tmp_path}/air.db?table=t')):
        assert t.kinds == dict(at='time', plain='time')
        assert t.ask(year=t.expr.at.max().year())['year'] == 2001


@pytest.mark.spark
def test_a_spark_frame_is_a_table(spark, air):
    t, here = open_table(spark.createDataFrame(air.to_pylist())), open_table(air)
    assert not t.streams and t.rows == N and t.kinds['carrier'] == 'category' and len(t.digest) == 64
    assert t.ask(n=is_infinite(t.expr.late).sum(), far=t.expr.distance.max()) == here.ask(n=is_infinite(here.expr.late).sum(), far=here.expr.distance.max())
    assert t.sql('select count(*) as n from {t} where month = 2')[0]['n'] == here.ask(n=(here.expr.month == 2).sum())['n']
