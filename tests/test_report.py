"Evidently's page says what the verdict says, a report of Evidently's has its numbers, and no network is asked for anything."
import asyncio
import html
import json
import math
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from browser import screenshot_and_requests
from mlops_kit.core import LETS_THROUGH, MARKS, STATUSES, Check, DataError, Verdict, counted
from mlops_kit.drift import Side
from mlops_kit.profile import CAP, ColumnProfile, load_profile, profile
from mlops_kit.report import CUTS, EXACT, OURS, SHOWN_AS, bars, data_report, plain, report, save_report, shares
from mlops_kit.table import open_table

EVIDENTLYS_OWN = pytest.mark.filterwarnings('ignore::RuntimeWarning', 'ignore::FutureWarning', 'ignore::DeprecationWarning') # Warnings that stock metrics on rows raise
HOSTILE = '</script><script>document.title="gone"</script><!-- ![x](http://example.invalid/x.png) <img src="http://example.invalid/y.png">'

BACKTICKS = ['```![x](http://example.invalid/a.png)`', '`a`` `![x](http://example.invalid/b.png)`', '`a\n\n![x](http://example.invalid/c.png)`',
             '\\`a`![x](http://example.invalid/d.png)`']


@pytest.fixture(scope='module')
def tables():
    rng = np.random.default_rng(0)
    train = pd.DataFrame(dict(wind=rng.gamma(4, 3, 4000), hour=rng.integers(5, 23, 4000), carrier=rng.choice(['UA', 'B6', 'AA'], 4000),
                              late=rng.random(4000) < .3, seen=pd.date_range('2013-01-01', periods=4000, freq='h')))
    april = train.assign(wind=train.wind*.447, carrier=train.carrier.where(train.index % 2 == 0), extra='x').drop(columns='hour')
    return profile(train), profile(april)


def every_check():
    "Every status, blocking and not, twice the same, of a column, of the table and of a column that nobody has"
    some = [Check(f'{s}:{b}:{c}', s, f'`{c}` is *{s}* at 3 < 4 of [these](http://example.invalid)', '' if s == 'pass' else 'above_bound',
                  blocking=b, column=c, value=2., bound=1.) for s in STATUSES for b in (True, False) for c in ('wind', None, 'nowhere')]
    return some + some[:1]


def inside(path):
    "Evidently's own page, which stands in a frame without origin"
    found = re.search(r'<iframe title="[^"]*" sandbox="allow-scripts" srcdoc="([^"]*)"></iframe>', path.read_text())
    return html.unescape(found[1])


def page_data(path):
    "What the page will draw, read from the page itself"
    found = re.findall(r'(?m)^\s*var metric_\w+ = (.*);$', inside(path))
    assert len(found) == 1
    return json.loads(found[0].replace(r'<\!--', '<!--'))


def every_widget(o):
    for w in o['widgets']: yield from (w, *every_widget(w))


def test_page_and_verdict_agree_one_for_one(tables, tmp_path):
    verdict = Verdict('drift', every_check())
    snapshot = data_report('Drift', *tables, verdict.checks, tmp_path/'report.html')
    expected = sorted((c.id, counted(c), plain(c.message)) for c in verdict.checks)
    assert sorted((t.id, t.test_config['counted'], t.description) for t in snapshot.tests_results) == expected
    assert [t.status.value for t in snapshot.tests_results] == [SHOWN_AS[counted(c)] for c in verdict.worst_first()]
    suite = [w for w in every_widget(page_data(tmp_path/'report.html')) if w['type'] == 'test_suite']
    assert len(suite) == 1
    shown = suite[0]['params']['tests']
    words = {f'{MARKS[s]} {s}': s for s in STATUSES}
    assert sorted((t['title'].split(' · ')[1], words[t['title'].split(' · ')[0]], t['description']) for t in shown) == expected
    green, amber = (sum(counted(c) == s for c in verdict.checks) for s in LETS_THROUGH)
    states = [t['state'] for t in shown]
    assert (states.count('success'), states.count('warning'), states.count('fail')) == (green, amber, len(expected) - green - amber)


def test_only_our_tests_are_there(tables):
    assert data_report('Drift', *tables, []).tests_results == []
    only = data_report('Drift', *tables, every_check()[:1])
    assert [t.id for t in only.tests_results] == ['pass:True:wind'] and not only.report.include_tests


def test_nothing_checked_does_not_look_like_a_pass(tables, tmp_path):
    data_report('Drift', *tables, [], tmp_path/'report.html')
    heading = next(w for w in every_widget(page_data(tmp_path/'report.html')) if w['type'] == 'text')
    assert 'error' in heading['params']['text'] and 'nothing was checked' in heading['params']['text']


def test_every_column_of_either_table_is_listed_worst_first(tables, tmp_path):
    checks = [Check('a', 'warn', 'a', 'r', column='late'), Check('b', 'fail', 'b', 'r', column='extra'),
              Check('c', 'fail', 'c', 'r', column='wind', value=8., bound=1.), Check('d', 'error', 'd', 'r', column='hour')]
    data_report('Drift', *tables, checks, tmp_path/'report.html')
    table = next(w for w in every_widget(page_data(tmp_path/'report.html')) if w['type'] == 'big_table')
    names = [r['column'] for r in table['params']['data']]
    assert names[:4] == ['hour', 'wind', 'extra', 'late'] and set(names) == {*tables[0].columns, *tables[1].columns}
    assert [r['missing'] for r in table['params']['data']][0] == '0.0% → absent'


def test_a_snapshot_opens_where_nobody_knows_us(tables, tmp_path):
    snapshot = data_report('Drift', *tables, every_check())
    (tmp_path/'snapshot.json').write_text(snapshot.dumps())
    code = f'''
import sys
from evidently.core.report import Snapshot
s = Snapshot.load({str(tmp_path/"snapshot.json")!r})
assert not [o for o in sys.modules if o.startswith('mlops_kit')]
print(len(s.tests_results), s.dict()["metrics"][0]["value"], len(s.get_html_str(False)) > 1_000_000)'''
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path)
    assert out.stdout.split() == [str(len(every_check())), str(float(tables[1].rows)), 'True'], out.stderr


def test_reports_of_others_are_saved_too(tmp_path):
    from evidently import Report
    from evidently.metrics import RowCount
    path = save_report(Report([RowCount()]).run(pd.DataFrame(dict(a=[1, 2]))), tmp_path/'rows.html')
    assert len(page_data(path)['widgets']) == 1


STRANGE = dict(
    missing=[None]*40, constant=[7.5]*40, flags=[True, False]*20, some_flags=[True, None]*20, lists=[[1]]*40, empty=['']*40,
    spaces=['  ', 'x']*20, infinite=[1., float('inf')]*20, big=[-1e150, 1e150]*20, tiny=[5e-324, 0.]*20, cities=['Zürich', '東京']*20,
    long=['a'*99 + str(i) for i in range(40)], hostile=[HOSTILE, 'x']*20, whole=list(range(40)), huge=[2**60 + i for i in range(40)],
    days=list(pd.date_range('2013-01-01', periods=40)))


@pytest.mark.parametrize('name', STRANGE)
def test_strange_columns_are_drawn_or_left_out(name):
    strange = profile(pd.DataFrame({name: pd.Series(STRANGE[name])})).columns[name]
    numbers, words = (profile(pd.DataFrame(dict(v=v))).columns['v'] for v in (np.linspace(0, 1, 50), ['a', 'b']*20))
    for pair in [(strange, o) for o in (strange, None, numbers, words)] + [(o, strange) for o in (None, numbers, words)]:
        drawn = bars(*pair)
        if drawn is None: continue
        assert len(drawn[0]) == len(drawn[1]) == len(drawn[2]) == len(set(drawn[0]))
        assert all(abs(sum(y) - 1) < 1e-9 or sum(y) == 0 for y in drawn[1:])
        assert all(np.isfinite(y).all() and min(y) >= -1e-9 for y in drawn[1:])


def test_a_page_of_strange_columns_holds_together(tmp_path):
    strange = profile(pd.DataFrame({k: pd.Series(v) for k,v in STRANGE.items()}))
    checks = [Check(HOSTILE, 'fail', HOSTILE, HOSTILE, column=n) for n in STRANGE]
    data_report(HOSTILE, strange, strange, checks, tmp_path/'report.html')
    assert page_data(tmp_path/'report.html')
    assert '</script><script>document' not in inside(tmp_path/'report.html')


def test_cells_draw_what_the_rows_would():
    values = np.random.default_rng(1).normal(100, 15, 3*CAP)
    c = profile(pd.DataFrame(dict(v=values))).columns['v']
    assert c.counts is None
    cuts = np.linspace(60, 140, CUTS + 1)
    inside = np.histogram(np.clip(values, 60, 140), cuts)[0]/len(values)
    assert np.abs(np.array(shares(c, cuts)) - inside).max() < .003


def test_whole_numbers_draw_no_comb():
    c = profile(pd.DataFrame(dict(v=np.arange(4500) % 45))).columns['v']
    y = np.array(bars(c, c)[1])
    assert len(y) == CUTS and y.max() < 1.2*y.min()


def test_many_categories_leave_a_rest_and_new_ones_are_marked():
    before = profile(pd.DataFrame(dict(v=[f'c{i % 9000}' for i in range(20_000)]))).columns['v']
    after = profile(pd.DataFrame(dict(v=['new']*10 + ['c1']*10))).columns['v']
    x, old, new = bars(before, after)
    assert x[-1] == 'all others' and 'new (new)' in x and new[x.index('new (new)')] == .5 and old[-1] > .99


def test_a_wide_table_makes_a_page_of_few_megabytes(tmp_path):
    wide = profile(pd.DataFrame(np.random.default_rng(2).normal(size=(500, 300)), columns=[f'c{i}' for i in range(300)]))
    checks = [Check(f'drift:{n}', 'pass', 'ok', column=n, value=.01, bound=.1) for n in wide.columns]
    data_report('Drift', wide, wide, checks, tmp_path/'report.html')
    assert (tmp_path/'report.html').stat().st_size < 7e6


@pytest.mark.slow
@pytest.mark.parametrize('tab', ['Metrics', 'Tests'])
def test_the_page_in_a_browser(tables, tmp_path, tab):
    hostile = [Check(f'hostile:{i}', 'fail', m, 'new_category', column=c) for i,m in enumerate([HOSTILE, *BACKTICKS]) for c in ('carrier', None)]
    checks = every_check() + hostile
    data_report('Drift: flight-delay/3', *tables, checks, tmp_path/'report.html')
    requests, text = screenshot_and_requests(tmp_path/'report.html', f'report-{tab.lower()}.png', click=tab)
    assert len(requests) == 1
    if tab == 'Metrics': assert all(n in text for n in ('Drift: flight-delay/3', 'reference rows', *tables[0].columns, 'extra'))
    else:
        assert text.count('· above_bound') == sum(c.status != 'pass' for c in every_check())
        assert 'is *fail* at 3 < 4 of [these](http://example.invalid)' in text and '![x](http://example.invalid/x.png)' in text


def flights(rows=1200, seed=0):
    "Two tables of every kind that Evidently judges, with copies, gaps and a shift"
    rng = np.random.default_rng(seed)
    a = pd.DataFrame(dict(wind=rng.gamma(4, 3, rows).round(2), distance=rng.normal(1e3, 50, rows), hour=rng.integers(5, 23, rows),
                          month=rng.integers(1, 4, rows), carrier=rng.choice(['UA', 'B6', 'AA', 'DL', 'Ü'], rows), late=rng.random(rows) < .3,
                          seen=pd.date_range('2013-01-01', periods=rows, freq='h'), gate=rng.choice(['a', 'b'], rows), country='US', fee=1.5,
                          seats=rng.integers(0, 30, rows), empty=np.nan))
    a['copy'], a['near'] = a.seats, a.seats.where(a.index % 50 != 0, 7).astype('int64')
    a.loc[::7, 'wind'], a.loc[::9, 'carrier'] = np.nan, None
    b = a.assign(wind=a.wind*.447, carrier=a.carrier.replace({'AA': 'ZZ'}), hour=a.hour.clip(8)).iloc[::-1][:int(rows*.9)].reset_index(drop=True)
    return a, pd.concat([b, b[:5]], ignore_index=True)


def agree(ours, theirs, where=''):
    "The same numbers to 1e-9, the same words"
    if isinstance(ours, dict):
        ours, theirs = ({'missing' if k is None or k != k else k: v for k, v in o.items()} for o in (ours, theirs))
        assert ours.keys() == theirs.keys(), where
        for k in ours: agree(ours[k], theirs[k], f'{where} {k}')
    elif isinstance(ours, str) or isinstance(theirs, str): assert str(ours) == str(theirs), where
    else: assert math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12) or ours != ours and theirs != theirs, (where, ours, theirs)


def agree_all(ours, theirs):
    "Values, parameters and tests of two snapshots"
    a, b = ours.dict(), theirs.dict()
    assert len(a['metrics']) == len(b['metrics']) and len(a['tests']) == len(b['tests'])
    for x, y in zip(a['metrics'], b['metrics']):
        agree({k: x[k] for k in ('id', 'metric_name', 'value')}, {k: y[k] for k in ('id', 'metric_name', 'value')}, x['metric_name'])
    for x, y in zip(a['tests'], b['tests']):
        agree(*({k: getattr(o[k], 'value', o[k]) for k in ('id', 'name', 'description', 'status')} for o in (x, y)), x['name'])


def without(tables, *columns): return [o.drop(columns=list(columns)) for o in tables]


@pytest.mark.parametrize('rows', [900, 3000])
@EVIDENTLYS_OWN
def test_presets_give_evidentlys_numbers_and_tests_without_rows(rows):
    "On both sides of the size where Evidently changes its methods, with its own tests and none of its own calculations"
    from evidently import Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset
    a, b = without(flights(rows), 'empty')
    asked = Report([DataDriftPreset(), DataSummaryPreset()], include_tests=True)
    agree_all(report(b, a, of=asked, limit=0), asked.run(b, a))


@EVIDENTLYS_OWN
def test_single_metrics_give_evidentlys_numbers_without_rows():
    from evidently import Report, metrics as m
    from evidently.presets import DatasetStats, ValueStats
    from evidently.tests import Reference, eq, gt, lt
    a, b = flights()
    numeric = [cls(column=c) for cls in (m.MinValue, m.MaxValue, m.MeanValue, m.StdValue, m.SumValue, m.MedianValue)
               for c in ('wind', 'distance', 'hour', 'month', 'seats', 'fee', 'empty')]
    asked = Report([
        *numeric, *[m.QuantileValue(column=c, quantile=q) for c in ('wind', 'hour', 'distance', 'empty') for q in (0., .1, .25, .999, 1.)],
        m.MeanValue(column='late'), m.RowCount(tests=[gt(10)]), m.ColumnCount(), m.DatasetMissingValueCount(share_tests=[lt(.5)]),
        *[m.MissingValueCount(column=c, share_tests=[eq(Reference(relative=.1))]) for c in a.columns if c != 'empty'],
        m.UniqueValueCount(column='carrier', tests=dict(UA=[gt(1)])), m.UniqueValueCount(column='carrier', replace_nan='none'),
        m.UniqueValueCount(column='month'), m.UniqueValueCount(column='late'), m.CategoryCount(column='carrier', categories=['UA', 'ZZ', 'nobody']),
        m.CategoryCount(column='month', category=2), m.CategoryCount(column='late', category=True), m.CategoryCount(column='late', categories=[False, True]),
        m.InListValueCount(column='carrier', values=['B6', 'DL', 'B6']), m.OutListValueCount(column='hour', values=[7, 8]),
        m.InRangeValueCount(column='wind', left=3, right=9.5), m.OutRangeValueCount(column='hour', left=8, right=10, tests=[gt(5)]),
        *[cls() for cls in (m.EmptyRowsCount, m.DuplicatedRowCount, m.DuplicatedColumnsCount, m.AlmostConstantColumnsCount, m.EmptyColumnsCount,
                            m.ConstantColumnsCount, m.AlmostDuplicatedColumnsCount)],
        m.DriftedColumnsCount(columns=['wind', 'carrier', 'late'], share_tests=[lt(.4)]), DatasetStats(), ValueStats(column='wind'), ValueStats(column='late')])
    agree_all(report(b, a, of=asked, limit=0), asked.run(b, a))
    alone = Report([o for o in asked.items() if type(o).__name__ not in ('DriftedColumnsCount', 'MissingValueCount')])
    agree_all(report(b, of=alone, limit=0), alone.run(b))


@pytest.mark.parametrize('rows', [900, 1200])
@EVIDENTLYS_OWN
def test_drift_of_one_column_is_evidentlys_whatever_the_method(rows):
    from evidently import Report
    from evidently.metrics import ValueDrift
    from evidently.tests import lt
    a, b = flights(rows)
    numeric = 'ks', 'wasserstein', 'jensenshannon', 'psi', 'kl_div', 'hellinger'
    asked = [ValueDrift(column=c, method=m) for c in ('wind', 'distance', 'seats') for m in numeric]
    asked += [ValueDrift(column=c, method=m) for c in ('month', 'late', 'gate') for m in ('chisquare', 'jensenshannon', 'psi', 'kl_div', 'hellinger')]
    asked += [ValueDrift(column='gate', method='z'), ValueDrift(column='carrier'), ValueDrift(column='wind', threshold=.9, tests=[lt(.2)]), ValueDrift(column='country')]
    assert set(OURS) >= {o.method for o in asked if o.method}
    for include in (False, True):
        every = Report(asked, include_tests=include)
        ours, theirs = report(b, a, of=every, limit=0), every.run(b, a)
        agree_all(ours, theirs)
        for x, y in zip(ours.dict()['metrics'], theirs.dict()['metrics']): assert {k: v for k, v in x['config'].items() if k != 'tests'} == {k: v for k, v in y['config'].items() if k != 'tests'}


@EVIDENTLYS_OWN
def test_the_rest_runs_on_rows_that_fit_and_is_refused_by_name_otherwise():
    from evidently import Report
    from evidently.metrics import GroupBy, MeanValue, QuantileValue, ValueDrift
    from evidently.presets import DataDriftPreset
    a, b = flights()
    odd = ValueDrift(column='carrier', method='TVD')
    for asked in (ValueDrift(column='wind', method='t_test'), GroupBy(metric=MeanValue(column='wind'), column_name='gate')):
        agree_all(report(b, a, of=asked), Report([asked]).run(b, a))
    tables, profiles = (open_table(b), open_table(a)), (profile(b), profile(a))
    def refuses(*words, **kw):
        with pytest.raises(DataError) as e: report(**kw)
        assert all(w in str(e.value) for w in words) and '\n' not in e.value.message and e.value.hint
    refuses("`ValueDrift(column='carrier', method='TVD')` needs rows", 'the current table has 1,085 of them; the limit is 1,000', current=tables[0], reference=tables[1], of=odd, limit=1000)
    refuses('TVD', 'of the reference only a profile is at hand', current=tables[0], reference=profiles[1], of=[odd])
    refuses('TVD', 'of the current table only a profile is at hand', current=profiles[0], reference=profiles[1], of=Report([odd]))
    refuses('ValueDrift', 'needs a reference', current=tables[0], of=odd)
    refuses('`windy`', 'wind', current=tables[0], of=MeanValue(column='windy'))
    refuses("`MeanValue(column='carrier')` broke in Evidently", current=tables[0], of=MeanValue(column='carrier'))
    refuses('no metric of Evidently', current=tables[0], of=['drift'])
    refuses('drift of `empty` has no value in the reference', current=tables[0], reference=tables[1], of=DataDriftPreset())
    text = [o.assign(note=[f'{i} notes' for i in range(len(o))]) for o in (b, a)]
    refuses('DriftedColumnsCount', 'needs rows', current=text[0].drop(columns='empty'), reference=text[1].drop(columns='empty'), of=DataDriftPreset(), limit=1000)
    long = profile(pd.DataFrame(dict(v=np.random.default_rng(0).normal(size=2*CAP))))
    refuses("`QuantileValue(column='v', quantile=0.9)`", 'only a profile', current=long, of=QuantileValue(column='v', quantile=.9))


@EVIDENTLYS_OWN
def test_columns_are_read_where_profiles_kept_only_cells(tmp_path):
    "More values than a profile keeps, more rows than the limit: still Evidently's numbers"
    from evidently import Report, metrics as m
    from evidently.presets import DataDriftPreset, ValueStats
    rng = np.random.default_rng(3)
    a = pd.DataFrame(dict(v=rng.normal(size=3*CAP), w=rng.gamma(2, size=3*CAP), flag=rng.random(3*CAP) < .5))
    b = a.sample(frac=.7, random_state=1).reset_index(drop=True)*1.1
    b['flag'] = a.flag[:len(b)]
    a.to_parquet(tmp_path/'a.parquet'), b.to_parquet(tmp_path/'b.parquet')
    asked = Report([DataDriftPreset(), ValueStats(column='v'), m.MedianValue(column='w'), m.InRangeValueCount(column='v', left=-1, right=.5),
                    m.InRangeValueCount(column='v', left=-100, right=100), m.AlmostConstantColumnsCount(), m.AlmostDuplicatedColumnsCount()])
    ours = report(tmp_path/'b.parquet', tmp_path/'a.parquet', of=asked, limit=1000)
    agree_all(ours, asked.run(b, a))
    assert all(np.isfinite(o['y']).all() and sum(o['y']) for w in every_widget(dict(widgets=[w.dict() for w in ours._widgets])) if w['type'] == 'big_graph'
               for o in w['params']['data'])


@EVIDENTLYS_OWN
def test_a_dataset_of_evidentlys_brings_its_definition():
    "Kinds that were declared there hold here, and roles reach the metrics that need rows"
    from evidently import DataDefinition, Dataset, Regression, Report
    from evidently.metrics import MAE, ColumnCount, ValueDrift
    a, b = (o.assign(guess=o.distance + 1) for o in without(flights(), 'empty'))
    defined = DataDefinition(regression=[Regression(target='distance', prediction='guess')], categorical_columns=['seats'])
    ours, theirs = ([Dataset.from_pandas(o, data_definition=defined) for o in (b, a)] for _ in range(2))
    asked = Report([MAE(), ColumnCount(), ValueDrift(column='seats')])
    agree_all(report(*ours, of=asked), asked.run(*theirs))


@EVIDENTLYS_OWN
def test_missing_is_missing_whether_null_or_nan():
    import pyarrow as pa
    from evidently import Report, metrics as m
    odd = pa.array([np.nan, None, 1., -0., 0.], from_pandas=False)
    for table in (pa.table(dict(a=odd, b=[1, 1, 2, 3, 3], c=odd)), pa.table(dict(a=odd, b=[None, '', 'x', 'y', None]))):
        asked = Report([m.DuplicatedRowCount(), m.EmptyRowsCount(), m.DuplicatedColumnsCount(), m.AlmostDuplicatedColumnsCount(), m.MissingValueCount(column='a')])
        agree_all(report(table, of=asked, limit=0), asked.run(table.to_pandas()))


@EVIDENTLYS_OWN
def test_a_metric_that_changes_nothing_of_evidentlys():
    "Its own classes calculate as before, on rows, after ours ran"
    from evidently import Report
    from evidently.metrics import MeanValue
    a, b = flights()
    before = MeanValue.__calculation_type__.calculate
    report(b, a, of=MeanValue(column='wind'))
    assert MeanValue.__calculation_type__.calculate is before
    assert Report([MeanValue(column='wind')]).run(b).dict()['metrics'][0]['value'] == pytest.approx(b.wind.mean())


def test_our_own_page_judges_unless_told_otherwise(tmp_path):
    a, b = without(flights(), 'empty')
    snapshot = report(b, a, title='Flights', path=tmp_path/'report.html')
    found = {t.id: t.test_config['counted'] for t in snapshot.tests_results}
    assert found['drift:wind'] == 'fail' and found['quality:rows'] == 'pass' and {f'drift:{c}' for c in a.columns} <= set(found)
    heading = next(w for w in every_widget(page_data(tmp_path/'report.html')) if w['type'] == 'text')
    assert 'Flights' in heading['params']['text']
    same = report(Side(profile(b), open_table(b)), profile(a), title='Flights')
    assert {t.id: t.test_config['counted'] for t in same.tests_results} == found


def test_one_table_alone_is_shown_and_not_judged(tmp_path):
    snapshot = report(flights()[1], title='April', path=tmp_path/'report.html')
    assert snapshot.tests_results == [] and snapshot.dict()['metrics'][0]['value'] == 1085
    shown = list(every_widget(page_data(tmp_path/'report.html')))
    assert 'not checked' in next(w for w in shown if w['type'] == 'text')['params']['text']
    assert all(w['params']['metricsValuesHeaders'] == ['current'] for w in shown if w['type'] == 'rich_data')


def test_checks_and_a_report_share_a_page():
    from evidently.metrics import RowCount
    from evidently.tests import gt
    a, b = flights()
    both = report(b, a, of=[RowCount(tests=[gt(10**6)])], checks=[Check('mine', 'fail', 'no', 'above_bound')])
    assert [t.id for t in both.tests_results] == ['mine', 'gt'] and both._tests_widgets[1].params['tests'][1]['state'] == 'fail'


def test_data_in_names_means_nothing_to_the_page(tmp_path):
    "Neither in a stock test's words nor in a label"
    from evidently.metrics import MeanValue, UniqueValueCount
    from evidently.tests import gt
    data = pd.DataFrame({HOSTILE: np.arange(50.), 'label': [HOSTILE, 'b']*25})
    snapshot = report(data, of=[MeanValue(column=HOSTILE, tests=[gt(3)]), UniqueValueCount(column='label')], path=tmp_path/'report.html')
    assert '</script><script>document' not in inside(tmp_path/'report.html')
    assert r'!\[x]' in snapshot._tests_widgets[1].params['tests'][0]['description']


@EVIDENTLYS_OWN
def test_a_workspace_takes_our_snapshots_beside_evidentlys(tmp_path):
    from evidently import Report
    from evidently.core.report import Snapshot
    from evidently.metrics import MissingValueCount, ValueDrift
    from evidently.presets import DataDriftPreset
    from evidently.tests import lt
    from evidently.ui.service.base import SeriesFilter
    from evidently.ui.service.storage.local.base import InMemoryDataStorage
    from evidently.ui.workspace import Workspace
    a, b = without(flights(), 'empty')
    asked = Report([DataDriftPreset(), ValueDrift(column='wind', tests=[lt(.1)]), MissingValueCount(column='wind')], tags=['april'])
    made = [report(b, a, of=asked, title='ours'), asked.run(b, a, name='theirs'), report(b, a, title='page')]
    project = (ws := Workspace.create(str(tmp_path))).create_project('flights')
    for o in made: ws.add_run(project.id, o)
    again = Workspace(str(tmp_path))
    read = {o.name: Snapshot.load_model(o) for o in (again.get_run(project.id, i) for i in again.list_runs(project.id))}
    for o in made:
        agree_all(read[o.get_name()], o)
        assert len(read[o.get_name()].get_html_str(False)) > 1_000_000 and json.loads(o.dumps())
    asks = [SeriesFilter(tags=['april'], metadata={}, metric='evidently:metric_v2:ValueDrift', metric_labels={'column': 'wind'})]
    series = asyncio.run(InMemoryDataStorage(str(tmp_path)).get_data_series(project.id, asks, None, None))
    assert len(series.sources) == 2 and len({round(v, 9) for s in series.series for v in s.values if v is not None}) == 1


def test_categories_that_a_profile_did_not_keep_are_one_bar(tmp_path):
    c = ColumnProfile('v', 'category', 'string', rows=100, missing=10, distinct=50_000, distinct_exact=False, top={'a': 40, 'b': 20}, others=(49_998, 30))
    full = ColumnProfile('v', 'category', 'string', rows=10, distinct=2, counts={'a': 5, 'z': 5})
    assert bars(c, c) == (['a', 'b', 'all others'], *[pytest.approx([4/9, 2/9, 3/9])]*2)
    x, before, after = bars(c, full)
    assert x == ['a', 'b', 'z', 'all others'] and after == [.5, 0, .5, 0] and before == pytest.approx([4/9, 2/9, 0, 3/9]) # Whether z is new nobody knows
    assert bars(full, c)[0] == ['a', 'z', 'b (new)', 'all others']


def test_a_saved_profile_draws_and_answers_as_before(tmp_path):
    from evidently.metrics import MeanValue, MissingValueCount
    rng = np.random.default_rng(4)
    p = profile(pd.DataFrame(dict(v=rng.normal(size=3*CAP), c=[f'c{o}' for o in rng.geometric(3e-4, 3*CAP)])))
    q = load_profile(p.save(tmp_path/'p.json.gz'))
    for n in ('v', 'c'):
        x, before, after = bars(p[n], q[n])
        assert np.abs(np.subtract(before, after)).max() < 1e-3 and abs(sum(after) - 1) < 1e-9
    asked = [MeanValue(column='v'), MissingValueCount(column='c')]
    agree_all(report(q, of=asked), report(p, of=asked))


@EVIDENTLYS_OWN
def test_a_table_on_a_server_answers_with_aggregates(postgres):
    "Whatever needs no row is the same where no row leaves the server"
    import psycopg
    from evidently import Report, metrics as m
    tables = a, b = without(flights(), 'empty', 'seen')
    kinds = dict(float64='float8', int64='int8', bool='bool')
    with psycopg.connect(postgres.replace('postgres://', 'postgresql://'), autocommit=True) as con, con.cursor() as cur:
        for name, o in zip(('report_then', 'report_now'), tables):
            columns = ', '.join(f'"{c}" {kinds.get(str(t), "text")}' for c, t in o.dtypes.items())
            cur.execute(f'drop table if exists {name}; create table {name} ({columns})')
            with cur.copy(f'copy {name} from stdin') as copy:
                for row in o.astype(object).where(o.notna(), None).itertuples(index=False): copy.write_row(row)
    there = [open_table(f'{postgres}?table={n}') for n in ('report_now', 'report_then')]
    assert not any(o.streams for o in there)
    asked = Report([m.MeanValue(column='wind'), m.QuantileValue(column='wind', quantile=.3), m.UniqueValueCount(column='carrier'), m.DuplicatedRowCount(),
                    m.EmptyRowsCount(), m.DuplicatedColumnsCount(), m.AlmostDuplicatedColumnsCount(), m.ValueDrift(column='wind'), m.ValueDrift(column='carrier')])
    agree_all(report(*there, of=asked), asked.run(b, a))
    with pytest.raises(DataError, match='only aggregates are at hand'): report(*there, of=m.ValueDrift(column='wind', method='t_test'))


@pytest.mark.slow
@EVIDENTLYS_OWN
@pytest.mark.parametrize('tab', ['Metrics', 'Tests'])
def test_evidentlys_presets_in_a_browser(tmp_path, tab):
    from evidently import Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset
    a, b = without(flights(), 'empty')
    asked = Report([DataDriftPreset(), DataSummaryPreset()], include_tests=True)
    report(b, a, of=asked, checks=[Check('mine', 'fail', 'wind moved', 'above_bound', column='wind')], title='Flights of April', path=tmp_path/'report.html')
    requests, text = screenshot_and_requests(tmp_path/'report.html', f'presets-{tab.lower()}.png', click=tab)
    assert len(requests) == 1
    shown = ['Flights of April', 'Dataset Drift', 'Wasserstein distance (normed)', 'almost duplicated features'] if tab == 'Metrics' else ['mine', 'Value Drift for column wind']
    assert all(o in text for o in shown)


JUDGE = """
import json, sys
import pyarrow as pa
from pathlib import Path
from mlops_kit.evidence import make_manifest, write_manifest
from mlops_kit.gates import Candidate, ask, candidate_of_run, verified_model
from mlops_kit.policy import default_policy
from mlops_kit.profile import profile
from mlops_kit.table import open_table
table = open_table(pa.table(dict(wind=[float(i % 19) for i in range(2000)], carrier=['UA', 'B6']*1000)))
folder = Path(sys.argv[1])/'.models'/'new'
(folder/'mlops_kit').mkdir(parents=True)
profile(table).save(folder/'mlops_kit')
train = dict(uri=table.uri, rows=table.rows, digest=table.digest, sources=table.sources)
(folder/'mlops_kit'/'lineage.json').write_text(json.dumps(dict(task='binary', target='late', features=table.names, train=train)))
write_manifest(folder)
manifest = make_manifest(folder).digest
folder.rename(folder.with_name(manifest))
model = verified_model(sys.argv[1], dict(name='m', version=1, manifest=manifest))
c = Candidate(model, table, default_policy('binary', 'late'), as_of='2013-05-01T00:00:00Z')
for gate in ('drift', 'data_quality', 'contract'): print(gate, ask(gate, c).status)
print(*sorted({m.partition('.')[0] for m in sys.modules} & {'evidently', 'mlflow', 'sklearn', 'papermill', 'plotly', 'IPython'}))
"""


def test_judging_loads_nothing_heavy(tmp_path):
    "What the data gates need, without their reports; a version that kept no answers is not asked for any, which warns"
    out = subprocess.run([sys.executable, '-c', JUDGE, str(tmp_path)], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert out.stdout.splitlines() == ['drift warn', 'data_quality pass', 'contract fail', '']
