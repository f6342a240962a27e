"What a CI job shows: every format says what the command said, and what data says stays text."
import json
import re
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from mlops_kit import ci_output, cli
from mlops_kit.core import Check, MlopsKitError, Verdict, Verdicts
from mlops_kit.promotion import Decision

WHO = dict(name='tiny', version=3)
FINDINGS = dict(
    passing=[('pass', '', True)], warning=[('fail', 'too_few_rows', False)], failing=[('fail', 'above_bound', True), ('pass', '', True)],
    inconclusive=[('inconclusive', 'too_few_rows', True)], error=[('error', 'not_finite', True), ('fail', 'above_bound', True)])
CASES = {('passing',): ('pass', 0), ('passing', 'warning'): ('warn', 0), ('passing', 'failing'): ('fail', 1), ('failing', 'inconclusive'): ('fail', 1),
         ('inconclusive', 'passing'): ('inconclusive', 4), ('failing', 'error', 'passing'): ('error', 3)}
HOSTILE = ['a\n::error::x', '<img src=x onerror=alert(1)>', '`|` | @ops ![p](https://evil.example/x.png) [l](javascript:x) #1 **b**', 'a\x00\x1b[31m\ud800b'.encode('utf-8', 'replace').decode(), '%0A::stop-commands::x']


def verdict(gate, message='what was found'):
    checks = [Check(f'{gate}:{i}', s, f'{message} {i}', reason, blocking, value=.5, bound=.1) for i, (s, reason, blocking) in enumerate(FINDINGS[gate])]
    return Verdict(gate, checks, dict(version=WHO, alias='champion'))


def decided(decision, gates, waivers=(), exit_code=None):
    return Decision(decision, 'tiny', 'champion', WHO, None, Verdicts(map(verdict, gates)), ['a sentence'], waivers=list(waivers), exit_code=exit_code)


@pytest.fixture
def job(tmp_path, monkeypatch, capsys):
    "Run a command whose result is given, with every report, as GitHub Actions would"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('GITHUB_ACTIONS', 'true')
    monkeypatch.setenv('GITHUB_STEP_SUMMARY', str(tmp_path/'summary.md'))
    def run(result, command='gate', *args):
        monkeypatch.setattr(cli, command, lambda a: result)
        for p in tmp_path.iterdir(): p.unlink()
        (tmp_path/'policy.yaml').write_text('stages: {champion: {gates: [passing]}}\ngates:\n  failing: {mode: block}\n')
        files = dict(junit='j.xml', markdown='m.md', sarif='s.sarif', code_quality='q.json')
        code = cli.run([command, 'tiny/3', *args, *(o for k, f in files.items() for o in (f'--{k.replace("_", "-")}', f))])
        out, err = capsys.readouterr()
        read = lambda name: (tmp_path/name).read_text()
        return SimpleNamespace(code=code, out=out, err=err, junit=ET.fromstring(read('j.xml')), markdown=read('m.md'), summary=read('summary.md'),
                               sarif=json.loads(read('s.sarif'))['runs'][0], quality=json.loads(read('q.json')))
    return run


def facts(suite): return {o.get('name'): o.get('value') for o in suite.iter('property')}
def outcomes(suite): return {c.get('name'): c[0].tag if len(c) else 'passed' for c in suite.iter('testcase')}


@pytest.mark.parametrize('gates', CASES, ids='+'.join)
def test_every_format_says_what_the_command_said(job, gates):
    status, code = CASES[gates]
    vs = Verdicts(map(verdict, gates))
    j, said = job(vs), job(vs, 'gate', '--json')
    whole = json.loads(said.out)
    assert (whole['status'], whole['exit_code']) == (status, code) and repr(vs).strip() == j.out.strip()
    for o in (j, said):
        assert o.code == code
        assert facts(o.junit) == dict(title=ci_output.report_of(vs).title, status=status, exit_code=str(code))
        assert (o.sarif['properties']['status'], o.sarif['invocations'][0]['exitCode'], o.sarif['invocations'][0]['executionSuccessful']) == (status, code, code != 3)
        assert o.markdown.strip() == o.summary.strip() and f'Exit code {code}.' in o.markdown and f': {status}; ' in o.markdown.splitlines()[1]
    tags = dict(passing='passed', warning='skipped', failing='failure', inconclusive='failure', error='error')
    assert outcomes(j.junit) == {g: tags[g] for g in gates} and {k: int(j.junit.get(k)) for k in ('failures', 'errors', 'skipped')} == {
        'failures': sum(tags[g] == 'failure' for g in gates), 'errors': gates.count('error'), 'skipped': gates.count('warning')}
    wrong = [(v.gate, c.id, c.reason) for v in vs for c in v.checks if c.status != 'pass']
    assert sorted((o['properties']['gate'], o['properties']['check'], o['ruleId']) for o in j.sarif['results']) == sorted(wrong) and len(j.quality) == len(wrong)
    assert {o['ruleId'] for o in j.sarif['results']} == {o['id'] for o in j.sarif['tool']['driver']['rules']}
    assert all(re.search(rf'\| \S+ {v.status}( \(only warns\))? \| {v.gate} \|', j.markdown) for v in vs)
    told = [o for o in j.err.splitlines() if o.startswith('::')]
    assert [o.split()[0] for o in told] == [o.split()[0] for o in said.err.splitlines() if o.startswith('::')]
    assert len([o for o in told if o.startswith('::error')]) == (1 + sum(not v.ok for v in vs) if code else 0)


def test_a_decision_is_more_than_its_gates(job):
    lift = [dict(gate='failing', by='Ben Ode', until='2026-12-01', why='')]
    for decision, gates, waivers, code, tags in [
            ('promoted', ['passing'], [], 0, ['passed', 'passed']), ('promoted', ['failing'], lift, 0, ['skipped', 'passed']),
            ('waiting for approval', ['passing'], [], 5, ['passed', 'failure']), ('blocked', ['failing'], [lift[0] | dict(why='it is over')], 1, ['failure', 'failure']),
            ('blocked', ['error'], [], 3, ['error', 'error']), ('conflict', [], [], 6, ['failure'])]:
        j = job(decided(decision, gates, waivers, code), 'promote')
        assert (j.code, facts(j.junit)['status'], facts(j.junit)['exit_code'], j.sarif['properties']['status'], j.sarif['invocations'][0]['exitCode']) == (code, decision, str(code), decision, code)
        assert list(outcomes(j.junit).values()) == tags and 'a sentence' in j.markdown
        assert ('::error' in j.err) == bool(code) and ('::notice' in j.err) == (not code)
        if waivers and not code:
            assert j.sarif['results'][0]['suppressions'][0]['justification'] == 'waived by Ben Ode until 2026-12-01'
            assert 'fail, waived by Ben Ode' in j.markdown and '::warning' in j.err


@pytest.mark.parametrize('text', HOSTILE)
def test_what_data_says_stays_text(job, text):
    vs = Verdicts([verdict('failing', text)])
    j = job(vs)
    assert all(o.startswith('::error title=') for o in j.err.splitlines() if o.startswith('::')) and not [o for o in j.markdown.splitlines() if o.startswith('::')]
    assert not re.search(r'<img|@ops|!\[|\]\(|\*\*', j.markdown) and len(re.findall(r'(?<!\\)\|', j.markdown.splitlines()[7])) == 7
    assert len(j.sarif['results']) == 1 and outcomes(j.junit) == dict(failing='failure')


def test_reports_stay_within_what_github_takes(tmp_path):
    many = Verdicts([Verdict(f'gate{i}', [Check(f'c{k}', 'fail', 'm|'*200, 'above_bound') for k in range(9)], dict(version=WHO)) for i in range(300)])
    r = ci_output.report_of(many)
    assert len(ci_output.markdown(r).encode()) < 2**20 and len(ci_output.markdown(r)) < 65536
    assert [sum(o.startswith(f'::{k} ') for o in ci_output.annotations(r)) for k in ('error', 'warning')] == [10, 0] and '292 more' in ci_output.annotations(r)[-1]


def test_where_a_report_goes_is_checked_before_the_run(tmp_path, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(cli, 'gate', lambda a: ran.append(a) or Verdicts([verdict('passing')]))
    (tmp_path/'old.xml').write_text('yesterday')
    for path in (tmp_path/'no/gates.xml', tmp_path, '/dev/null'):
        with pytest.raises(MlopsKitError, match='cannot be written') as e: cli.run(['gate', 'tiny/3', '--junit', str(path)])
        assert e.value.exit_code == 2 and not ran
    def fails(a): raise MlopsKitError('no.')
    monkeypatch.setattr(cli, 'promote', fails)
    with pytest.raises(MlopsKitError): cli.run(['promote', 'tiny/3', '--junit', str(tmp_path/'old.xml')])
    assert not (tmp_path/'old.xml').exists(), 'a report of yesterday is read as one of today'


def test_a_report_that_cannot_be_written_changes_no_exit_code(tmp_path, monkeypatch, capsys):
    def gate(a):
        (tmp_path/'gone').rmdir()
        return Verdicts([verdict('failing')])
    monkeypatch.setattr(cli, 'gate', gate)
    monkeypatch.setattr(ci_output, 'write_file', lambda *args: (_ for _ in ()).throw(OSError(28, 'No space left on device')) if not (tmp_path/'gone').exists() else open(args[0], 'w').close())
    monkeypatch.setenv('GITHUB_STEP_SUMMARY', str(tmp_path/'gone/summary.md'))
    (tmp_path/'gone').mkdir()
    assert cli.run(['gate', 'tiny/3', '--sarif', str(tmp_path/'s.sarif')]) == 1
    out, err = capsys.readouterr()
    assert 'note: no sarif report: No space left' in err and 'note: no step summary report' in err and 'failing' in out


def test_a_command_without_a_verdict_says_so_in_the_log(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('GITHUB_ACTIONS', 'true')
    monkeypatch.setenv('GITHUB_STEP_SUMMARY', str(tmp_path/'summary.md'))
    with pytest.raises(SystemExit) as e: cli.main(['gate', 'tiny/3', '--jobs', 'two'])
    out, err = capsys.readouterr()
    assert e.value.code == 2 and not out and '::error title=mlops-kit%3A exit code 2::argument --jobs' in err and 'exit code 2' in (tmp_path/'summary.md').read_text()
