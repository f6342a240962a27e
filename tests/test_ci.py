"What a CI job shows: every format says what the command said, and what data says stays text."
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
import yaml

from mlops_kit import ci_output, cli
from mlops_kit.core import Check, MlopsKitError, Verdict, Verdicts
from mlops_kit.promotion import Decision
from world import World

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
        assert o.markdown.strip() == o.summary.strip() and f'Exit code {code} (' in o.markdown and f': {status}; ' in o.markdown.splitlines()[1]
    tags = dict(passing='passed', warning='skipped', failing='failure', inconclusive='failure', error='error')
    assert outcomes(j.junit) == {g: tags[g] for g in gates} and {k: int(j.junit.get(k)) for k in ('failures', 'errors', 'skipped')} == {
        'failures': sum(tags[g] == 'failure' for g in gates), 'errors': gates.count('error'), 'skipped': gates.count('warning')}
    wrong = [(v.gate, c.id, c.reason) for v in vs for c in v.checks if c.status != 'pass']
    assert sorted((o['properties']['gate'], o['properties']['check'], o['ruleId']) for o in j.sarif['results']) == sorted(wrong) and len(j.quality) == len(wrong)
    assert {o['ruleId'] for o in j.sarif['results']} == {o['id'] for o in j.sarif['tool']['driver']['rules']}
    assert all(re.search(rf'\| \S+&nbsp;{v.status}( \(only warns\))? \| {v.gate} \|', j.markdown) for v in vs)
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
    (tmp_path/'policy.yaml').write_text('mine')
    for words in (['--sarif', str(tmp_path/'policy.yaml')], ['--sarif', str(tmp_path/'x'), '--junit', str(tmp_path/'x')]):
        with pytest.raises(MlopsKitError, match='reads it|two reports'): cli.run(['gate', 'tiny/3', '--policy', str(tmp_path/'policy.yaml'), *words])
    assert (tmp_path/'policy.yaml').read_text() == 'mine' and not ran
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


@pytest.fixture
def project(tmp_path, monkeypatch):
    "A world with one version, and what `init` writes beside it"
    world = World(tmp_path/'w').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    monkeypatch.chdir(world.folder)
    assert cli.run(['init', 'tiny', '--target', 'late', '--ci', 'both']) == 0
    return world


def test_init_writes_jobs_that_linters_accept(project, tmp_path):
    "The schemas are those that check-jsonschema ships; zizmor looks for ways to abuse a workflow; actionlint runs where it is installed"
    bin, github = Path(sys.executable).parent, '.github/workflows/mlops-kit.yml'
    policy = tmp_path/'zizmor.yml' # Hashes of actions would age in a file that is the user's
    policy.write_text('rules: {unpinned-uses: {config: {policies: {"actions/*": ref-pin}}}}')
    schema = lambda name, *args: [sys.executable, '-m', 'check_jsonschema', '--builtin-schema', f'vendor.{name}', *args]
    zizmor, actionlint = shutil.which('zizmor') or str(bin/'zizmor'), shutil.which('actionlint')
    commands = [schema('github-workflows', github), schema('gitlab-ci', '--data-transform', 'gitlab-ci', '.gitlab-ci.yml'), [zizmor, '--offline', '--config', str(policy), github]]
    for c in commands + ([[actionlint, github]] if actionlint else []):
        p = subprocess.run(c, capture_output=True, text=True)
        assert p.returncode == 0, p.stdout + p.stderr
    with open(github) as f: assert 'tiny' == yaml.safe_load(f)['env']['MODEL']


def test_init_knows_whose_jobs_to_write(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(tmp_path.parent/f'{tmp_path.name}.pem'))
    subprocess.run('git init -q . && git remote add origin https://gitlab.example/a/b.git', shell=True, check=True)
    Path('.gitlab-ci.yml').write_text('build: {script: [make]}\n')
    assert cli.run(['init', 'tiny', '--target', 'late']) == 0 and 'include: {local: .gitlab/mlops-kit.yml}' in capsys.readouterr().out
    assert Path('.gitlab-ci.yml').read_text() == 'build: {script: [make]}\n' and yaml.safe_load(Path('.gitlab/mlops-kit.yml').read_text())['gates'] and not Path('.github').exists()
    for words in (['--ci', 'github'], ['--ci', 'both']): assert cli.run(['init', 'tiny', '--target', 'late', *words]) == 0
    assert Path('.github/workflows/mlops-kit.yml').exists()


def test_init_names_the_contract_that_it_wrote_and_says_what_comes_next(tmp_path, monkeypatch, capsys):
    import shlex
    from mlops_kit.contract import load_contract
    from mlops_kit.policy import load_policy
    from world import flights
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(tmp_path.parent/f'{tmp_path.name}.pem'))
    flights().to_parquet('train.parquet')
    words = ['init', 'tiny', '--target', 'late', '--train', 'train.parquet']
    assert cli.run([*words, '--json']) == 0
    first = json.loads(capsys.readouterr().out)
    file = load_policy('policy.yaml').gate('contract').file
    assert load_contract(file).path and first['files'][file] == first['files']['policy.yaml'] == 'written'
    a = cli.parser().parse_args(shlex.split(first['next'])[1:])
    assert (a.command, a.name, a.train, a.target, a.policy) == ('register', 'tiny', 'train.parquet', 'late', 'policy.yaml')
    assert cli.run(words) == 0 and f'{file} exists, left as it is\n' in (said := capsys.readouterr().out) and 'next:' not in said # A colleague who makes a key
    Path('policy.yaml').unlink()
    assert cli.run(words) == 0 and capsys.readouterr().out.endswith(f'next: {first["next"]}\n')


def test_init_writes_nothing_where_the_key_would_lie_in_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(tmp_path/'key.pem'))
    (tmp_path/'.git').mkdir()
    with pytest.raises(MlopsKitError, match='a private key must not'): cli.run(['init', 'tiny', '--target', 'late'])
    assert [p.name for p in tmp_path.iterdir()] == ['.git']


FAKE_GH = '''#!/bin/sh
echo "$@" >> gh.log
case "$*" in *--paginate*) cat old-comment 2>/dev/null; exit 0;; esac
'''


@pytest.mark.slow
def test_the_jobs_of_init_run_here(project, tmp_path):
    "Every command of both files, in their order, with the variables that a runner would give"
    world, bin = project, tmp_path/'bin'
    bin.mkdir()
    (bin/'gh').write_text(FAKE_GH)
    (bin/'gh').chmod(0o755)
    world.register()
    values = {'vars.MLOPS_KIT_DATA': world.data, 'secrets.MLFLOW_TRACKING_URI': world.address, 'secrets.MLOPS_KIT_KEY': world.key.read_text(), 'github.token': 't', 'github.event.pull_request.number': 7}
    env = {k: v for k, v in os.environ.items() if k != 'MLOPS_KIT_KEY'} | dict(PATH=f'{bin}:{Path(sys.executable).parent}:{os.environ["PATH"]}', GITHUB_ACTIONS='true', GITHUB_REPOSITORY='a/b',
        GITHUB_SHA='c0ffee', CI_COMMIT_SHA='c0ffee', RUNNER_TEMP=str(tmp_path), GITHUB_ENV=str(tmp_path/'env'), GITHUB_STEP_SUMMARY=str(tmp_path/'summary.md'))
    told = lambda d: {k: re.sub(r'\$\{\{ (.*?) \}\}', lambda m: str(values[m[1]]), str(v)) for k, v in d.items()}
    def sh(line, **more):
        kept = dict(o.split('=', 1) for o in (tmp_path/'env').read_text().splitlines()) if (tmp_path/'env').exists() else {}
        if line.startswith('pip install'): return
        p = subprocess.run(['bash', '-eo', 'pipefail', '-c', line], cwd=world.folder, env=env | kept | more, capture_output=True, text=True)
        assert p.returncode == 0, p.stdout + p.stderr
        return p
    flow = yaml.safe_load((world.folder/'.github/workflows/mlops-kit.yml').read_text())
    ran = []
    for job in ('gates', 'promote'):
        for step in (o for o in flow['jobs'][job]['steps'] if 'run' in o):
            for again in range(1 + ('$PR' in step['run'])):
                p = sh(step['run'], **told(flow['env'] | step.get('env', {})))
                if again == 0 and p: ran.append(p)
                if '$PR' in step['run']: (world.folder/'old-comment').write_text('41\n')
        assert world.alias() == (1 if job == 'promote' else None)
    gh = (world.folder/'gh.log').read_text()
    assert 'pr comment 7 --body-file gates.md' in gh and '-X PATCH repos/a/b/issues/comments/41 -F body=@gates.md' in gh
    assert oct((tmp_path/'key.pem').stat().st_mode)[-3:] == '600' and '::notice title=mlops-kit gate::tiny/1' in ran[0].stderr and 'is promoted' in (tmp_path/'summary.md').read_text()
    assert world.history().entries[-1].reason == 'commit c0ffee' and list((world.folder/'runs').glob('2*/dossier.html'))
    (tmp_path/'env').unlink()
    jobs = yaml.safe_load((world.folder/'.gitlab-ci.yml').read_text())
    variables = {k: str(v) for k, v in jobs['.mlops-kit']['variables'].items()} | dict(MLOPS_KIT_DATA=str(world.data), MLFLOW_TRACKING_URI=world.address)
    shutil.rmtree(world.folder/'runs')
    for o in jobs['gates']['script'] + jobs['gates']['after_script']: sh(o, **variables)
    for o in jobs['promote']['script']: sh(o, **variables, MLOPS_KIT_KEY=str(world.key))
    assert {o['severity'] for o in json.loads((world.folder/'gates.json').read_text())} <= {'minor'} and ET.parse(world.folder/'promotion.xml').getroot().get('failures') == '0'
