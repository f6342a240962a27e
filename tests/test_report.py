"Evidently's page says what the verdict says, draws what the profiles know, and asks nothing of any network."
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from browser import screenshot_and_requests
from mlops_kit.core import LETS_THROUGH, MARKS, STATUSES, Check, Verdict, counted
from mlops_kit.profile import CAP, profile
from mlops_kit.report import CUTS, SHOWN_AS, bars, data_report, plain, save_report, shares

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


def page_data(path):
    "What the page will draw, read from the page itself"
    found = re.findall(r'(?m)^\s*var metric_\w+ = (.*);$', path.read_text())
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
    assert '</script><script>document' not in (tmp_path/'report.html').read_text()


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
