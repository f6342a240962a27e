"Each flaw of the data is found by the check that is meant for it, and clean data passes."
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_contract import in_postgres

from mlops_kit.core import PolicyError, Verdict
from mlops_kit.policy import DataQuality
from mlops_kit.profile import profile
from mlops_kit.quality import REASONS, Categories, categories, duplicates_check, quality_checks, unseen
from mlops_kit.table import open_table


def flights(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    wind = rng.gamma(3, 3, n)
    wind[rng.random(n) < .03] = np.nan
    return pd.DataFrame(dict(carrier=rng.choice(['UA', 'AA', 'B6', 'DL'], n, p=[.4, .3, .2, .1]), wind=wind, hour=rng.integers(5, 24, n),
        origin=rng.choice(['EWR', 'JFK', 'LGA'], n), rain=rng.random(n) < .002, note=pd.Series([f'n{i}' for i in range(n)])))


TRAIN = profile(flights())


def judged(frame, config=None, reference=TRAIN, **kwargs):
    return Verdict('data_quality', quality_checks(reference, profile(frame), config or DataQuality(), **kwargs))


def test_clean_data_passes():
    v = judged(flights(1500, 1), data=SimpleNamespace(min_rows=1000))
    assert v.status == 'pass', v
    assert {c.column for c in v.checks} == {None, *TRAIN.names}


def _set(column, value, share=.3):
    def f(d):
        d = d.astype({column: 'object'}) if isinstance(value, str) else d.copy()
        d.loc[d.index < len(d)*share, column] = value
        return d.infer_objects()
    return f


FLAWS = dict(
    missing=(_set('wind', np.nan), 'quality:missing:wind', 'fail', 'missing_values'),
    gone=(_set('wind', np.nan, 2), 'quality:missing:wind', 'fail', 'all_missing'),
    infinite=(_set('wind', np.inf, .001), 'quality:nonfinite:wind', 'fail', 'infinite_values'),
    minus_infinite=(_set('wind', -np.inf, .001), 'quality:nonfinite:wind', 'fail', 'infinite_values'),
    empty=(_set('carrier', ''), 'quality:empty:carrier', 'fail', 'empty_strings'),
    new=(_set('carrier', 'VX'), 'quality:new:carrier', 'fail', 'new_categories'),
    constant=(_set('origin', 'JFK', 2), 'quality:constant:origin', 'fail', 'constant'),
    constant_number=(_set('wind', 7., 2), 'quality:constant:wind', 'fail', 'constant'),
    vanished=(lambda d: d[d.carrier != 'AA'], 'quality:vanished:carrier', 'warn', 'vanished_categories'),
    dropped=(lambda d: d.drop(columns='hour'), 'quality:missing:hour', 'error', 'missing_column'),
    retyped=(lambda d: d.assign(hour=d.hour.astype(str) + 'h'), 'quality:type:hour', 'fail', 'wrong_type'),
    cleaner=(_set('hour', np.nan, .01), 'quality:cleaner:hour', 'warn', 'training_was_cleaner'))


@pytest.mark.parametrize('flaw', FLAWS)
def test_a_flaw_is_found_and_named(flaw):
    change, id, status, reason = FLAWS[flaw]
    v = judged(change(flights(1500, 1)))
    assert v.status == status, v
    found = next(c for c in v.checks if c.id == id)
    assert found.reason == reason and reason in REASONS and found.message and '\n' not in found.message
    others = [c.column for c in v.checks if c.status != 'pass']
    assert set(others) == {found.column}, v


def test_few_rows_are_inconclusive():
    v = judged(flights(400, 1), data=SimpleNamespace(min_rows=1000))
    assert (v.status, v.exit_code, v.reason) == ('inconclusive', 4, 'too_few_rows') and '600 more' in v.checks[0].message


def test_a_rare_flag_may_be_constant():
    assert judged(flights(100, 1).assign(rain=False)).status == 'pass'
    assert judged(flights(40_000, 1).assign(rain=False)).reason == 'constant'


def test_a_column_may_differ_with_a_reason():
    own = DataQuality(columns=dict(wind=dict(max_missing_increase=.5, reason='the station is being replaced'), carrier=dict(mode='warn', reason='VX joined')))
    d = _set('carrier', 'VX')(_set('wind', np.nan)(flights(1500, 1)))
    v = judged(d, own)
    assert v.status == 'warn' and 'VX joined' in next(c for c in v.checks if c.id == 'quality:new:carrier').message
    with pytest.raises(PolicyError, match='did you mean `wind`'): judged(d, DataQuality(columns=dict(wnd=dict(max_missing=.1))))


def test_the_cap_holds_whatever_training_had():
    dirty = profile(flights().assign(wind=np.where(np.arange(2000) % 2, 1., np.nan)))
    v = judged(flights(1500, 1).assign(wind=np.where(np.arange(1500) % 2, 2., np.nan)), DataQuality(max_missing=.3), dirty)
    assert next(c for c in v.checks if c.id == 'quality:missing:wind').bound == .3


def test_a_gate_that_only_warns():
    assert judged(_set('wind', np.nan)(flights(1500, 1)), DataQuality(mode='warn')).status == 'warn'


def test_duplicates_need_the_rows():
    d = pd.concat([flights(1000, 1), flights(1000, 1)[:100]])
    config = DataQuality(max_duplicates=.01)
    assert judged(d, config).reason == 'rows_needed'
    v = Verdict('q', quality_checks(TRAIN, profile(d), config, table=open_table(d)))
    assert v.reason == 'duplicate_rows' and abs(v.checks[-1].value - 100/1100) < 1e-12


def test_columns_of_every_kind_are_looked_at():
    d = pd.DataFrame(dict(day=pd.date_range('2013-01-01', periods=20), cabin=[[1]]*20, note=[f'{i}' for i in range(20)], none=[None]*20))
    p = profile(d)
    assert {c.column for c in quality_checks(p, p, DataQuality())} == {None, *d}
    v = judged(d.assign(day=pd.NaT), reference=p)
    assert v.reason == 'all_missing'


def test_an_empty_profile_is_never_a_pass():
    p = profile(flights(10))
    p.rows = 0
    for c in p.columns.values(): c.rows = c.missing = 0
    assert Verdict('q', quality_checks(TRAIN, p, DataQuality())).status == 'error'


# Categories above the cap: the most frequent are listed, the others counted

def cut(p, name, most):
    "Keep the most frequent categories of a column, as a profile does above its cap"
    c = p[name]
    listed = sorted(c.counts.items(), key=lambda o: (-o[1], o[0]))
    c.counts, c.top, c.others = None, dict(listed[:most]), (len(listed[most:]), sum(n for _, n in listed[most:]))
    return p


def many(share=0., n=4000, seed=0):
    "A frame with 60 categories, some rows of them new"
    rng = np.random.default_rng(seed)
    codes = np.minimum(rng.geometric(.08, n), 60)
    return pd.DataFrame(dict(code=np.where(rng.random(n) < share, 'new', [f'c{i}' for i in codes])))


def of_new(reference, current, **config):
    return next(c for c in quality_checks(reference, current, DataQuality(**config)) if c.id == 'quality:new:code')


def test_new_categories_where_only_the_data_is_cut():
    reference = profile(many())
    seen = of_new(reference, cut(profile(many(.2, seed=1)), 'code', 30))
    assert (seen.status, seen.reason) == ('fail', 'new_categories') and '`new`' in seen.message
    whole = of_new(reference, profile(many(.2, seed=1)))
    assert abs(seen.value - whole.value) < .05
    rare = cut(profile(many(.03, seed=1)), 'code', 30)
    assert of_new(reference, rare, max_new_categories=.2).status == 'pass'


def test_new_categories_where_training_is_cut():
    reference = cut(profile(many()), 'code', 30)
    assert of_new(reference, profile(many(seed=1)), max_new_categories=.2).status == 'pass'
    undecided = of_new(reference, profile(many(.06, seed=1)))
    assert (undecided.status, undecided.reason, undecided.blocking) == ('warn', 'not_judged', False)
    assert ' to ' in undecided.message and '5.0% are allowed' in undecided.message
    others = pd.DataFrame(dict(code=[f'x{i%100}' for i in range(1000)]))
    found = of_new(reference, profile(others))
    assert found.status == 'fail' and .5 < found.value < 1
    reference['code'].distinct_exact = False
    assert of_new(reference, profile(others)).reason == 'not_judged'


def test_vanished_categories_where_training_is_cut():
    reference = cut(profile(many()), 'code', 30)
    kept = many(seed=1)
    gone = next(c for c in quality_checks(reference, profile(kept[kept.code != 'c1']), DataQuality()) if c.id == 'quality:vanished:code')
    assert gone.reason == 'vanished_categories' and '`c1`' in gone.message and ' to ' in gone.message


def test_a_profile_that_lists_nothing_is_not_judged():
    p = profile(many())
    p['code'].counts = p['code'].top = None
    assert of_new(p, profile(many(seed=1))).reason == 'not_judged'


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from('abcdefgh'), st.integers(1, 9), min_size=1), st.dictionaries(st.sampled_from('abcdefgh'), st.integers(1, 9)), st.integers(0, 8), st.integers(0, 8), st.booleans(), st.booleans())
def test_the_true_share_lies_between_the_ends(here, there, most_here, most_there, exact_here, exact_there):
    def known(counts, most, is_exact):
        order = sorted(counts, key=lambda k: (-counts[k], k))
        rest = order[most:]
        return Categories({k: counts[k] for k in order[:most]}, len(rest), sum(counts[k] for k in rest), is_exact)
    true = sum(n for k, n in here.items() if k not in there)
    found = unseen(known(here, most_here, exact_here), known(there, most_there, exact_there))
    assert found.low <= true <= found.high
    if most_here >= len(here) and most_there >= len(there): assert found.low == true == found.high


def test_the_empty_string_is_no_category_even_where_it_is_not_listed():
    p = cut(profile(pd.DataFrame(dict(code=['a']*5 + ['b']*3 + ['']*2 + ['c']))), 'code', 2)
    assert categories(p['code']) == Categories({'a': 5, 'b': 3}, 1, 1, True)


def test_a_constant_is_judged_by_the_fullest_cell():
    rng = np.random.default_rng(0)
    train = profile(pd.DataFrame(dict(x=np.where(rng.random(60_000) < .5, 0., rng.normal(size=60_000)))))
    assert train['x'].counts is None
    status = lambda n: next(c for c in quality_checks(train, profile(pd.DataFrame(dict(x=[0.]*n))), DataQuality()) if c.id == 'quality:constant:x').status
    assert [status(3), status(100)] == ['pass', 'fail']


# Duplicates, on any engine

TWICE = pa.table(dict(a=[1, 1, None, None, 2], x=[1., 1., float('nan'), float('nan'), 1.], s=['u', 'u', None, None, 'u']))


def test_duplicates_are_counted_where_the_rows_live(postgres):
    import ibis
    import psycopg
    here, there = open_table(TWICE), open_table(in_postgres(postgres, TWICE, 'twice'))
    found = [duplicates_check(t, t.names, .1) for t in (here, open_table(ibis.memtable(TWICE)), there)]
    assert [(c.status, c.reason, round(c.value, 9)) for c in found] == [('fail', 'duplicate_rows', .4)]*3
    with psycopg.connect(postgres) as con: con.execute("create table places (p point); insert into places values ('(1,2)')")
    odd = duplicates_check(open_table(f'{postgres}?table=places'), ['p'], .1)
    assert (odd.status, odd.reason) == ('error', 'query_failed')
    assert duplicates_check(there, there.names, .1).status == 'fail'


def test_duplicates_by_no_column_are_an_error():
    assert duplicates_check(open_table(TWICE), [], .1).status == 'error'
