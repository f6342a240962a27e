"Our drift numbers and verdicts are Evidently's own, computed by it on the same rows."
import math
import warnings
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

with warnings.catch_warnings(): # Evidently's own imports use names that numpy and others have deprecated
    warnings.simplefilter('ignore')
    import evidently.core.datasets, evidently.legacy.calculations.stattests, evidently.metrics # noqa: E401

from mlops_kit.drift import METHODS, bounds, compare, drift_checks, ks, measure, wasserstein
from mlops_kit.profile import count_column, profile
from mlops_kit.table import open_table

SIZES = 2, 10, 999, 1000, 1001, 20000
LARGE = 100_000, 1_000_000


def evidently(reference, current, column, method=None):
    "Evidently's own (method, value, drifted, threshold) for one column; None where it crashes"
    from evidently.core.datasets import infer_column_type
    from evidently.legacy.calculations.stattests import get_stattest
    r, c = (o[column].replace([-np.inf, np.inf], np.nan).dropna() for o in (reference, current))
    kind = infer_column_type(current[column])
    with warnings.catch_warnings(), np.errstate(all='ignore'):
        warnings.simplefilter('ignore')
        test = get_stattest(r, c, kind, method)
        try: found = test(r.copy(), c.copy(), kind, None)
        except (ValueError, ZeroDivisionError, IndexError): return None
    return test.name, float(found.drift_score), bool(found.drifted), found.actual_threshold


def near(ours, theirs, method):
    if method in ('jensenshannon', 'hellinger'): return abs(ours - theirs) <= 1e-9*abs(theirs) or abs(ours**2 - theirs**2) <= 1e-9
    return abs(ours - theirs) <= 1e-9*max(abs(theirs), 1e-300) or abs(ours - theirs) < 1e-15


def is_text(values):
    from evidently.core.datasets import infer_column_type
    return infer_column_type(values).value == 'text'


def same(reference, current, column, method=None):
    "Compare one column by rows and by profiles; return what Evidently said"
    if is_text(current[column]): return None # Evidently trains a classifier on text; ours is tested below
    wanted = evidently(reference, current, column, method)
    for sides in ((reference, current), (profile(reference), profile(current))):
        d = compare(*sides, [column], method=method)[0]
        if d.reason in ('rows_needed', 'undecided'): continue # Only cells were kept
        if wanted is None or not np.isfinite(wanted[1]):
            assert d.drifted is None and d.reason, (column, d)
            continue
        assert (d.method, d.drifted, d.threshold) == (wanted[0], wanted[2], wanted[3]), (d, wanted)
        assert near(d.value, wanted[1], d.method) if d.low == d.high else d.low <= wanted[1]*(1 + 1e-11) and wanted[1] <= d.high*(1 + 1e-11), (column, d, wanted)
    return wanted


def tables(n, seed, shift=0.):
    "Columns of every shape that matters, `n` rows"
    rng = np.random.default_rng(seed)
    few = lambda k: rng.integers(0, k, n)
    with_gaps = rng.normal(shift, 2, n)
    with_gaps[rng.random(n) < .05] = np.nan
    with_gaps[rng.random(n) < .01] = np.inf
    letters = np.array(['UA', 'AA', 'Čedok', '航空', '', 'DL'])
    return pd.DataFrame(dict(
        normal=rng.normal(shift, 1, n), heavy=rng.standard_cauchy(n), tiny=rng.lognormal(-20, 1, n), far=1e9 + rng.normal(shift, 1, n),
        rounded=rng.normal(shift, 3, n).round(1), gaps=with_gaps, whole=rng.integers(0, 1000, n), spread=rng.integers(-10**12, 10**12, n),
        constant=np.full(n, 3.5), constant_int=np.full(n, 7),
        two=few(2).astype(float), three=few(3).astype(float), five=few(5).astype(float), six=few(6).astype(float),
        twenty=few(20).astype(float), twenty_one=few(21).astype(float),
        int_two=few(2), int_ten=few(10), int_eleven=few(11), flag=rng.random(n) < .3 + shift/10,
        letters=letters[few(6)], month=pd.Categorical(letters[few(3)], categories=letters),
        some=pd.Series(letters[few(5)]).where(rng.random(n) > .1), single=rng.normal(shift, 1, n).astype('float32')))


@pytest.fixture(scope='module', params=SIZES)
def pair(request):
    n = request.param
    return tables(n, 1), tables(max(n*2//3, 5), 2, .2)


COLUMNS = list(tables(10, 0))


@pytest.mark.parametrize('column', COLUMNS)
def test_the_choice_of_method(pair, column): same(*pair, column)


@pytest.mark.parametrize('method', ['wasserstein', 'ks', 'jensenshannon', 'psi', 'kl_div', 'hellinger', 'chisquare', 'z', 'g_test'])
@pytest.mark.parametrize('column', ['normal', 'heavy', 'tiny', 'rounded', 'gaps', 'whole', 'two', 'six', 'twenty', 'twenty_one', 'int_two', 'int_ten', 'flag', 'letters', 'some'])
def test_methods_on_request(pair, column, method):
    from evidently.core.datasets import infer_column_type
    kind = infer_column_type(pair[1][column]).value
    kind = dict(num='number', cat='category', text='text').get(kind)
    if kind == 'text': return
    if kind not in METHODS[method].kinds:
        assert compare(*pair, [column], method=method)[0].drifted is None
        return
    same(*pair, column, method)


@pytest.mark.parametrize('n', SIZES)
def test_identical_tables(n):
    one = tables(n, 3)
    for column in COLUMNS: same(one, one.copy(), column)


def test_unseen_and_vanished_categories():
    for n in 30, 3000:
        r = pd.DataFrame(dict(x=['a', 'b', 'c']*n))
        for other in (['a', 'b', 'd'], ['d', 'e', 'f'], ['a', 'a', 'a'], ['b', 'b', 'c']):
            for method in (None, 'psi', 'kl_div', 'jensenshannon', 'hellinger', 'chisquare', 'z'): same(r, pd.DataFrame(dict(x=other*n)), 'x', method)


@pytest.mark.parametrize('k', [2, 3, 5, 6, 20, 21])
@pytest.mark.parametrize('n', [1000, 1001])
def test_few_distinct_values(k, n):
    rng = np.random.default_rng(k)
    r, c = (pd.DataFrame(dict(x=rng.integers(0, k, n)*1.5)) for _ in range(2))
    for method in (None, 'psi', 'jensenshannon', 'kl_div', 'hellinger', 'wasserstein', 'ks'): same(r, c, 'x', method)


def test_ten_thousand_categories():
    rng = np.random.default_rng(0)
    r, c = (pd.DataFrame(dict(x=[f'k{i}' for i in rng.integers(0, 10_000, 40_000)])) for _ in range(2))
    for method in (None, 'psi'): same(r, c, 'x', method)


def test_two_rows(): same(pd.DataFrame(dict(x=[1., 2.])), pd.DataFrame(dict(x=[1., 3.])), 'x')


def one_column(name, n, seed, shift=0.):
    "One column of `tables`, or of many categories, without the others"
    rng = np.random.default_rng([seed, n])
    letters = np.array([f'{o}·航' for o in range(10_000)])
    return pd.DataFrame({name: dict(normal=lambda: rng.normal(shift, 1, n), heavy=lambda: rng.standard_cauchy(n), whole=lambda: rng.integers(0, 10**6, n) + int(9*shift),
        gaps=lambda: np.where(rng.random(n) < .05, np.where(rng.random(n) < .2, np.inf, np.nan), rng.normal(shift, 2, n)), rounded=lambda: rng.normal(shift, 3, n).round(1),
        single=lambda: rng.normal(shift, 1, n).astype('float32'), twenty=lambda: rng.integers(0, 20, n)*1.5, twenty_one=lambda: rng.integers(0, 21, n)*1.5,
        five=lambda: rng.integers(0, 5, n)*1., int_ten=lambda: rng.integers(0, 10, n), flag=lambda: rng.random(n) < .3 + shift/10, constant=lambda: np.full(n, 2.5),
        letters=lambda: letters[rng.integers(0, 6, n)], categories=lambda: letters[(rng.lognormal(5, 1.2, n)*(1 + shift)).astype(int) % 10_000])[name]()})


@pytest.mark.slow
@pytest.mark.parametrize('n', LARGE)
@pytest.mark.parametrize('column', 'normal heavy whole gaps rounded single twenty twenty_one five int_ten flag constant letters categories'.split())
def test_large_tables(column, n):
    "The choice of method and every other that does not walk over rows in Python"
    r, c = one_column(column, n, 1), one_column(column, n*2//3, 2, .1)
    assert same(r, c, column)[0] in ('wasserstein', 'jensenshannon')
    numbers = r[column].dtype.kind == 'f' or column == 'whole'
    for method in ('psi', 'kl_div', 'jensenshannon', 'ks', 'wasserstein') if numbers else ('psi', 'kl_div', 'hellinger', 'chisquare'): same(r, c, column, method)
    if numbers and n == LARGE[0]: same(r, c, column, 'hellinger')


@pytest.mark.slow
@pytest.mark.parametrize('column', ['normal', 'gaps', 'whole', 'categories', 'flag'])
def test_identical_large_tables(column):
    one = one_column(column, LARGE[1], 3)
    same(one, one.copy(), column)


def test_a_vanished_kind_is_judged_as_the_current_table_says():
    r, c = pd.DataFrame(dict(x=range(100))), pd.DataFrame(dict(x=[3, 4, 4, 5]*25))
    assert same(r, c, 'x')[0] == 'chisquare'
    assert same(c, r, 'x')[0] == 'ks'


@pytest.mark.parametrize('dtype', ['uint8', 'Int64', 'boolean', 'date', 'decimal'])
def test_what_evidently_drops_is_judged_or_named(dtype):
    from datetime import date
    from decimal import Decimal
    values = dict(uint8=np.arange(200, dtype='uint8'), Int64=pd.array([*range(199), None], dtype='Int64'),
        boolean=pd.array([True, False, None, True]*50, dtype='boolean'), date=[date(2013, 1, 1 + i % 20) for i in range(200)],
        decimal=[Decimal(i)/7 for i in range(200)])[dtype]
    frame = pd.DataFrame(dict(x=values))
    d = compare(frame, frame)[0]
    assert d.drifted is False or dtype == 'date' and d.reason == 'not_judged'
    assert [c.id for c in drift_checks(frame, frame)] == ['drift:x', 'drift:share']


def test_evidently_itself_through_its_report():
    "The private functions above are what a report shows"
    from evidently import Report
    from evidently.metrics import ValueDrift
    r, c = tables(1500, 5), tables(1200, 6, .3)
    columns = ['normal', 'rounded', 'int_ten', 'flag', 'letters']
    found = Report([ValueDrift(column=n) for n in columns]).run(c[columns], r[columns]).dict()['metrics']
    for n,m in zip(columns, found): assert near(compare(r, c, [n])[0].value, float(m['value']), compare(r, c, [n])[0].method)


def test_text_is_named_unless_one_side_is_a_category():
    text, code = pd.DataFrame(dict(x=[f'remark {i}' for i in range(20)])), pd.DataFrame(dict(x=['UA', 'AA']*10))
    assert compare(text, text)[0].reason == 'not_judged'
    assert [compare(code, text)[0].method, compare(text, code)[0].method] == ['chisquare', 'chisquare']
    assert compare(code, text)[0].drifted and same(text, code, 'x')[2]


def test_rows_and_profiles_agree_on_the_flights_columns():
    r, c = tables(20000, 7), tables(9000, 8, .1)
    a, b = compare(r, c), compare(profile(r), profile(c))
    assert all(x == y for x,y in zip(a, b) if y.low == y.high) and sum(y.low == y.high for y in b) > 15


def test_measure_takes_counts_from_anywhere():
    t = open_table(tables(500, 1))
    assert measure('normal', count_column(t, 'normal'), count_column(t, 'normal')).value == 1


SHAPES = dict(normal=lambda g, n: g.normal(0, 1, n), cauchy=lambda g, n: g.standard_cauchy(n), lognormal=lambda g, n: g.lognormal(0, 2, n),
    far=lambda g, n: 1e9 + g.normal(0, 1, n), tiny=lambda g, n: g.normal(0, 1e-12, n), whole=lambda g, n: g.integers(-10**9, 10**9, n).astype(float),
    gaps=lambda g, n: np.where(g.random(n) < .3, 0, g.normal(5, 1, n)), two_hills=lambda g, n: np.where(g.random(n) < .5, -1e6, 1) + g.normal(0, 1, n),
    huge=lambda g, n: g.normal(0, 1, n)*1e140, uniform=lambda g, n: g.random(n))


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('move', [0, .01, .1, 1, 30])
def test_the_interval_holds_the_exact_value(shape, move):
    "What is bounded from stored cells contains what the rows say, whichever sides are stored"
    rng = np.random.default_rng([list(SHAPES).index(shape), int(100*move)])
    a, b = (SHAPES[shape](rng, n) for n in (25_000, 18_000))
    b = b + move*np.std(a)
    r, c = (open_table(pd.DataFrame(dict(x=o))) for o in (a, b))
    counts, stored = [count_column(o, 'x') for o in (r, c)], [profile(o)['x'] for o in (r, c)]
    assert all(o.cells for o in stored)
    for method,exactly in dict(wasserstein=wasserstein(*counts), ks=ks(*counts)).items():
        for sides in ((stored[0], counts[1]), (counts[0], stored[1]), stored):
            low, high = bounds(method, *sides)
            assert low <= exactly <= high, (method, low, exactly, high)
        wide = high - low
        if method == 'wasserstein': assert wide <= max(.04, .02*exactly), (low, exactly, high)


def test_a_stored_profile_decides_without_the_rows():
    rng = np.random.default_rng(0)
    r, c = (pd.DataFrame(dict(same=rng.normal(size=30_000), moved=rng.normal(m, 1, 30_000))) for m in (0, .5))
    found = compare(profile(r), c)
    assert [d.drifted for d in found] == [False, True]
    for d,e in zip(found, compare(r, c)): assert d.low <= e.value <= d.high and d.drifted == e.drifted and d.low < d.high
    near = compare(profile(r), c, ['moved'], threshold=compare(r, c, ['moved'])[0].value)[0]
    assert (near.drifted, near.reason) == (None, 'undecided')
    assert drift_checks(profile(r), c, columns=['moved'], config=type('C', (), dict(threshold=near.threshold)))[0].status == 'inconclusive'
    again = drift_checks(profile(r), c, columns=['moved'], config=type('C', (), dict(threshold=near.threshold)), reference_table=open_table(r))[0]
    assert again.status == 'fail' and again.low == again.high


def test_numbers_too_large_to_square_are_an_error():
    frame = pd.DataFrame(dict(x=np.linspace(-1e300, 1e300, 12_000)))
    assert profile(frame)['x'].std is None and profile(frame).digest
    assert compare(frame, frame)[0].reason == 'not_finite'
    assert compare(profile(frame), profile(frame))[0].reason == 'rows_needed'


ROW = dict(numbers=lambda: np.linspace(0, 1, 40), large=lambda: np.linspace(0, 1, 2000), strings=lambda: ['a', 'b']*20, one_string=lambda: ['a']*20,
    one_int=lambda: [7]*20, one_flag=lambda: [True]*20, nothing=lambda: [math.nan]*20, infinite=lambda: [math.inf]*20, uneven=lambda: ['a', 'b']*21,
    neighbours=lambda: [1., math.nextafter(1, 2)]*20, giant=lambda: np.linspace(-1e300, 1e300, 2000), faint=lambda: np.arange(40)*1e-309, widest=lambda: 1.7e308*np.linspace(-1, 1, 40),
    times=lambda: pd.date_range('2013-01-01', periods=40), lists=lambda: [[1]]*20, decimals=lambda: [Decimal(i) for i in range(40)])
CASES = [ # Reference, current, method; what Evidently does; our reason
    ('one_string', 'one_string', 'chisquare', 'nan', 'not_finite'), ('one_int', 'one_int', 'chisquare', 'nan', 'not_finite'), ('one_flag', 'one_flag', 'chisquare', 'nan', 'not_finite'),
    ('one_string', 'one_string', 'g_test', 'nan', 'not_finite'), ('strings', 'uneven', 'g_test', 'raises', 'not_finite'),
    ('nothing', 'numbers', 'ks', 'nan', 'no_reference'), ('nothing', 'numbers', 'wasserstein', 'raises', 'no_reference'), ('nothing', 'numbers', 'psi', 'raises', 'no_reference'),
    ('nothing', 'numbers', 'hellinger', 'nan', 'no_reference'), ('numbers', 'nothing', None, 'nan', 'all_missing'), ('large', 'nothing', None, 'raises', 'all_missing'),
    ('numbers', 'infinite', None, 'nan', 'all_missing'), ('numbers', 'nothing', 'jensenshannon', 'nan', 'all_missing'), ('numbers', 'nothing', 'psi', 'nan', 'all_missing'),
    ('numbers', 'nothing', 'kl_div', 'nan', 'all_missing'), ('numbers', 'nothing', 'hellinger', 'nan', 'all_missing'),
    ('neighbours', 'neighbours', 'hellinger', 'raises', 'not_finite'), ('widest', 'widest', 'hellinger', 'raises', 'not_finite'), ('giant', 'giant', None, '0', 'not_finite'), ('faint', 'faint', 'hellinger', '0', 'not_finite'),
    ('strings', 'numbers', None, 'raises', 'wrong_type'), ('strings', 'numbers', 'jensenshannon', 'moved', 'wrong_type'), ('numbers', 'strings', None, 'moved', 'wrong_type'),
    ('numbers', 'strings', 'z', 'raises', 'wrong_type'), ('numbers', 'numbers', 'chisquare', 'raises', 'not_applicable'), ('strings', 'strings', 'wasserstein', 'raises', 'not_applicable'),
    ('times', 'times', None, 'raises', 'not_judged'), ('lists', 'lists', None, 'raises', 'not_judged'), ('decimals', 'decimals', None, 'raises', '')]


def told(reference, current, method):
    "What Evidently does: 'raises', 'nan', 'moved' or a number"
    try: found = evidently(reference, current, 'x', method)
    except (TypeError, ValueError, AttributeError): return 'raises'
    if found is None: return 'raises'
    return 'moved' if found[2] else f'{found[1]:.0f}'


@pytest.mark.parametrize('reference,current,method,theirs,ours', CASES)
def test_where_evidently_has_no_number(reference, current, method, theirs, ours):
    "The table on the page"
    r, c = (pd.DataFrame(dict(x=pd.Series(ROW[o]()))) for o in (reference, current))
    assert told(r, c, method) == theirs
    d = compare(r, c, ['x'], method=method)[0]
    assert d.reason == ours and (d.drifted is None) == bool(ours), d
    check = drift_checks(r, c, SimpleNamespace(method=method), columns=['x'])[0]
    assert check.status == {'': 'pass', 'all_missing': 'fail', 'wrong_type': 'fail', 'not_judged': 'warn'}.get(ours, 'error'), check


def test_decimals_are_judged_as_floats():
    "Evidently leaves them out; what it says of the same numbers as floats holds"
    rng = np.random.default_rng(0)
    for n in 500, 3000:
        r, c = (pd.DataFrame(dict(x=rng.normal(m, 2, n).round(2))) for m in (0, .3))
        exact = [o.assign(x=[Decimal(str(v)) for v in o.x]) for o in (r, c)]
        for method in (None, 'psi', 'hellinger'): assert near(compare(*exact, ['x'], method=method)[0].value, evidently(r, c, 'x', method)[1], 'psi')


def test_text_names_with_unicode():
    r = pd.DataFrame(dict(x=['Ñandú', '航空', 'e\u0301', '\u00e9', '', ' ', '\U0001f6eb']*300))
    for c in (r, r.iloc[:900], r.assign(x=r.x.replace('航空', '航空 '))):
        for method in (None, 'psi', 'kl_div', 'hellinger', 'chisquare'): same(r, c, 'x', method)
