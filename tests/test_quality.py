"Each flaw of the data is found by the check that is meant for it, and clean data passes."
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mlops_kit.core import PolicyError, Verdict
from mlops_kit.policy import DataQuality
from mlops_kit.profile import profile
from mlops_kit.quality import REASONS, quality_checks
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
