"What a terminal shows: width, colour, silence, help whose examples run, and completion."
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from mlops_kit import cli
from mlops_kit.core import Check, MlopsKitError, Verdict, Verdicts, text_table
from world import World

SHOW = '''
import sys
from mlops_kit import cli
from mlops_kit.core import Check, Verdict, Verdicts
cli.gate = lambda a: Verdicts([Verdict('drift', [Check('drift:wind', 'fail', 'the wind fell ' * 12, 'above_bound', value=.3, bound=.1)]), Verdict('quality', [Check('q', 'pass', 'fine')])])
cli.main(sys.argv[1:])
'''
COLOUR = re.compile(r'\x1b\[[0-9;]*m')


def at_terminal(*args, size=None, code=SHOW, **env):
    "Run a command on a terminal of its own: exit code and what stands on it"
    master, slave = pty.openpty()
    if size: __import__('termios').tcsetwinsize(slave, size)
    clean = {k: v for k, v in os.environ.items() if k not in ('TERM', 'COLUMNS', 'LINES')}
    p = subprocess.Popen([sys.executable, '-c', code, *args], stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=clean | dict(TERM='xterm') | env)
    os.close(slave)
    shown = b''
    while True:
        try: piece = os.read(master, 65536)
        except OSError: break
        if not piece: break
        shown += piece
    os.close(master)
    return p.wait(), shown.decode().replace('\r\n', '\n')


def test_colour_is_for_terminals():
    code, shown = at_terminal('gate', 'tiny/3')
    assert code == 1 and '\x1b[31m✗\x1b[0m' in shown and '\x1b[31mfail\x1b[0m' in shown and '\x1b[32mpass\x1b[0m' in shown
    plain = COLOUR.sub('', shown)
    for env in (dict(NO_COLOR='1'), dict(TERM='dumb'), dict(NO_COLOR='1', FORCE_COLOR='1'), dict(CLICOLOR='0')): assert at_terminal('gate', 'tiny/3', **env) == (1, plain), env
    assert json.loads(at_terminal('gate', 'tiny/3', '--json')[1])['exit_code'] == 1
    assert '\x1b[1;31merror\x1b[0m: ' in at_terminal('gate')[1]


BAR = '''
import sys
from tqdm import tqdm
from mlops_kit import cli
cli.status = lambda a: [*tqdm([1], desc='profile', disable=None), *tqdm([1], desc='gates', disable=not cli.bars(a))] and 0
cli.main(['status', *sys.argv[1:]])
'''


def test_progress_is_for_whoever_waits():
    "On stderr, on a terminal, and not where silence was asked for: a profile's bar as well as a command's own"
    assert all(f'{o}: 100%' in at_terminal(code=BAR, size=(24, 80))[1] for o in ('profile', 'gates'))
    assert at_terminal('--quiet', code=BAR) == (0, '') and at_terminal('--json', code=BAR) == (0, '{\n "exit_code": 0\n}\n')
    for words in ([], ['--quiet']):
        p = subprocess.run([sys.executable, '-c', BAR, *words], capture_output=True, text=True)
        assert (p.returncode, p.stdout, p.stderr) == (0, '', '')


def test_a_file_gets_colour_only_where_it_is_asked_for():
    piped = lambda **env: subprocess.run([sys.executable, '-c', SHOW, 'gate', 'tiny/3'], capture_output=True, text=True, env=os.environ | env)
    assert not COLOUR.search(piped().stdout) and COLOUR.search(piped(FORCE_COLOR='1').stdout) and not COLOUR.search(piped(FORCE_COLOR='0').stdout)
    p = piped(PYTHONIOENCODING='ascii', LC_ALL='C', PYTHONUTF8='0')
    assert p.returncode == 1 and '\\u2717' in p.stdout and not p.stderr, 'a verdict was lost because a log cannot show its mark'


@pytest.mark.parametrize('size', [(24, 60), (24, 80), (30, 120)], ids=lambda s: f'{s[1]}')
def test_tables_fit_the_terminal(size):
    code, shown = at_terminal('gate', 'tiny/3', size=size, NO_COLOR='1')
    assert max(map(len, shown.splitlines())) <= size[1] and ' '.join(shown.split()).count('the wind fell') == 12


def test_no_table_is_wider_than_it_may_be():
    rows = [['', 'check', 'value', 'what was found'], ['✗', 'a_very_long_name_of_a_column_that_nobody_can_break:wind', '0.123456', 'word ' * 40], ['✓', 'short', '', '']]
    for width in range(20, 140, 7):
        shown = text_table(rows, width)
        assert all(len(o) <= width for o in shown.splitlines()) and shown.count('word') == 40
    assert len(text_table(rows, 400).splitlines()) == 4 and text_table([['only']], 20) == 'only\n────'


def test_help_leaves_examples_as_they_are_typed(monkeypatch, capsys):
    monkeypatch.setenv('COLUMNS', '60')
    for name, (_, _, example) in cli.COMMANDS.items():
        with pytest.raises(SystemExit): cli.parser().parse_args([name, '--help'])
        shown = capsys.readouterr().out
        assert f'example:\n  {example}\n' in shown
        assert [o for o in shown.splitlines() if len(o) > 60 and example not in o] == []


def test_what_was_mistyped_is_named_with_what_is_meant(capsys):
    def said(*words):
        with pytest.raises(SystemExit) as e: cli.parser().parse_args(words)
        out, err = capsys.readouterr()
        assert e.value.code == 2 and not out and len(err.splitlines()) == 1
        return err
    assert 'command `gaet` is unknown; known: init, ' in said('gaet', 'x') and said('gaet', 'x').endswith('did you mean `gate`?\n')
    for word, meant in {'--polcy': '--policy', '--pol': '--policy', '--polcy=a.yaml': '--policy'}.items():
        assert f'`{word.split("=")[0]}` is no option of `mlops-kit gate`; it takes ' in said('gate', 'x', word) and said('gate', 'x', word).endswith(f'did you mean `{meant}`?\n')
    assert '`b` is one word too many. Hint: `mlops-kit status --help`' in said('status', 'a', 'b')
    assert '`mlops-kit gate --help`' in said('gate') and "invalid int value: 'two'" in said('gate', 'x', '--jobs', 'two')


def test_nothing_typed_is_answered_with_the_help():
    def typed(*words):
        p = subprocess.run([sys.executable, '-c', 'from mlops_kit.cli import main; main()', *words], capture_output=True, text=True)
        return p.returncode, p.stdout, p.stderr
    (code, out, err), version = typed(), typed('--version')
    assert (code, out) == (2, '') and 'act:\n  init ' in err and 'exit codes:' in err
    assert version == typed('-V') and version[0] == 0 and re.fullmatch(r'\d+(\.\d+)+\n', version[1])


def test_help_says_what_an_option_is_unless_given(capsys):
    for name, said in dict(gate=['gates at once (default: 2)', 'each gate (default: 600)', 'are asked (default: champion)'], demo=['(default: mlops-kit-demo)'], init=['regression (default: binary)']).items():
        with pytest.raises(SystemExit): cli.parser().parse_args([name, '--help'])
        shown = ' '.join(capsys.readouterr().out.split())
        assert all(o in shown for o in said), shown


def test_a_folder_that_is_no_run_is_bad_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path/'runs/20260101T000000Z-ab').mkdir(parents=True)
    (tmp_path/'runs/20260101T000000Z-ab/run.json').write_text('{}')
    for o in ('nope', 'runs'):
        with pytest.raises(MlopsKitError, match=f'run `{o}` is unknown; known: `runs/20260101T000000Z-ab`') as e: cli.run(['dossier', o])
        assert e.value.exit_code == 2


TAB = '''
source {script}
tab() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); COMPREPLY=(); $(complete -p mlops-kit | sed 's/.*-F \\([^ ]*\\).*/\\1/'); echo ${{COMPREPLY[@]}}; }}
'''
TYPED = {'mlops-kit ro': 'rollback', 'mlops-kit gate x --sar': '--sarif', 'mlops-kit promote x --to cha': 'challenger champion', 'mlops-kit register --task b': 'binary',
         'mlops-kit waive x --gate dr': 'drift', 'mlops-kit waive x --gate sea': 'season', 'mlops-kit gate x --policy pol': 'policy.yaml'}


def test_tab_completes_commands_options_and_gates(tmp_path, monkeypatch, capsys):
    import shutil
    monkeypatch.chdir(tmp_path)
    (tmp_path/'promotion_gates').mkdir()
    for name in ('promotion_gates/season.ipynb', 'policy.yaml'): (tmp_path/name).write_text('')
    for shell in cli.SHELLS:
        with pytest.raises(SystemExit) as e: cli.run(['--completion', shell])
        (tmp_path/f'script.{shell}').write_text(capsys.readouterr().out)
        assert e.value.code == 0
    with pytest.raises(SystemExit) as e: cli.run(['--completion', 'csh'])
    assert e.value.code == 2 and 'known: bash, zsh, fish' in capsys.readouterr().err
    if shutil.which('bash'):
        typed = TAB.format(script='script.bash') + '\n'.join(f'tab {o}' for o in TYPED)
        assert subprocess.run(['bash', '-c', typed], capture_output=True, text=True).stdout.split('\n')[:-1] == list(TYPED.values())
    if shutil.which('fish'):
        found = subprocess.run(['fish', '-c', 'source script.fish; ' + '; '.join(f"complete -C '{o}'" for o in list(TYPED)[:-1])], capture_output=True, text=True).stdout
        assert [o.split('\t')[0] for o in found.splitlines()] == ' '.join(list(TYPED.values())[:-1]).split()
    for shell in ('bash', 'zsh'):
        if shutil.which(shell): assert subprocess.run([shell, '-n', f'script.{shell}'], capture_output=True).returncode == 0


@pytest.mark.parametrize('columns, rows', [(80, 24), (120, 24)])
def test_one_model_fits_one_screen(monkeypatch, columns, rows):
    from mlops_kit.promotion import Standing, Status
    monkeypatch.setenv('COLUMNS', str(columns))
    who = lambda n: dict(name='flight-delay', version=n)
    wrong = [dict(gate=f'gate_{i}', status='fail', why='it is far from what was promised, ' * 9) for i in range(8)]
    fine = [dict(gate=f'good_{i}', status='pass', why='1 check passed') for i in range(4)]
    o = Standing('flight-delay', who(5), '2026-11-01T10:00:00Z', who(9), 'version 9 is blocked: ' + 'a gate says no; ' * 40, 'mlops-kit history flight-delay --all', 'the alias points elsewhere ' * 20, 'promoted by Ana Silva, entry 31: ' + 'why ' * 90, who(4), wrong + fine, 'blocked')
    shown = repr(Status('sqlite:////somewhere/mlflow.db', [o], alone=True)).splitlines()
    assert len(shown) <= rows - 2 and max(map(len, shown)) <= columns, 'the prompt has to fit too'
    for word in ('champion   version 5, since 2026-11-01', 'rollback flight-delay', 'candidate  version 9', 'blocked    version 9', '✗ gate_0 fail', 'and 5 more', '✓ good_0, good_1, good_2, good_3 pass'): assert any(word in l for l in shown), word
    assert shown[-1] == 'type       mlops-kit history flight-delay --all'


def test_a_version_that_its_gates_refuse_waits_for_nobody(tmp_path, monkeypatch):
    "Nobody is asked to approve, or told to promote, what would be blocked; each reason stands on the screen once"
    from mlops_kit.promotion import status
    from world import POLICY
    world = World(tmp_path/'w').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    world.team(POLICY.replace('gates: [performance]}', 'gates: [performance], approvals: {required: 1, roles: [risk]}}'))
    def now():
        shown = status('tiny', world.store)
        return shown.models[0], repr(shown)
    world.register(upside_down=True)
    world.judge('tiny/1')
    o, shown = now()
    why = o.gates[0]['why']
    assert (o.waits, o.next) == (f'version 1 is blocked: performance says fail: {why}', 'mlops-kit register MODEL tiny --train … --target …')
    assert 'blocked    version 1 is blocked: performance says fail\n' in shown and ' '.join(shown.split()).count(' '.join(why.split())[:30]) == 1
    assert world.promote('tiny/1').exit_code == 1 and (now()[0].waits, now()[0].next) == (o.waits, o.next)
    world.register()
    world.judge('tiny/2')
    o, shown = now()
    assert 'waits for approval' in o.waits and o.next == 'mlops-kit approve tiny/2' and 'blocked' not in shown


@pytest.mark.slow
def test_every_example_runs_and_says_nothing_but_json(tmp_path, monkeypatch, capfd):
    "The example in each command's help, typed in a world that is as the examples say; `demo` has tests of its own"
    import shlex
    import shutil
    from datetime import date, timedelta

    from mlops_kit.registry import quiet
    from mlops_kit.store import set_alias
    from world import POLICY, TREES, fitted, flights
    ran = set()
    def types(name, code=0):
        words = shlex.split(cli.COMMANDS[name][2].replace('2026-12-01', str(date.today() + timedelta(days=9))))[1:]
        capfd.readouterr()
        try: found = cli.run([*words, '--json'])
        except SystemExit as e: found = e.code
        out, err = capfd.readouterr()
        assert found == code, (name, out, err)
        assert json.loads(out) and '\x1b' not in err and 'store:' not in err
        ran.add(name)
        return json.loads(out)
    world = World(tmp_path/'w', name='flight-delay').furnish()
    monkeypatch.chdir(world.folder)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    monkeypatch.setenv('MLFLOW_TRACKING_URI', world.address)
    Path('data').mkdir()
    flights().to_parquet('data/train.parquet')
    flights().assign(wind=lambda d: d.wind + 40).to_parquet('data/2013-04.parquet') # A storm
    with quiet():
        import mlflow
        mlflow.sklearn.save_model(fitted(), 'model', pip_requirements=['scikit-learn'], skops_trusted_types=TREES, input_example=flights()[['hour', 'wind']].head(4))
    types('init')
    types('register')
    for _ in range(5): world.register()
    world.judge('flight-delay/6')
    assert world.promote('flight-delay/6').exit_code == 0
    world.register()
    world.person('Ben Ode')
    world.policy.write_text(world.rules(POLICY.replace('[performance]', '[performance, drift]')))
    types('policy')
    types('gate', code=1)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.folder/'ben.pem'))
    for o in ('approve', 'reject', 'withdraw', 'waive', 'promote', 'rollback'): types(o)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    assert world.alias() == 6
    set_alias(world.store, 'flight-delay', 'champion', 3)
    assert types('status', code=6)['models'][0]['conflict']
    types('reconcile')
    assert types('status')['models'][0]['champion']['version'] == 6 and types('verify')
    shutil.copytree(next(p for p in Path('runs').glob('2*') if (p/'statement.json').exists()), 'runs/20130901T120000Z-1a2b3c')
    for o in ('history', 'dossier', 'inbox', 'receive'): types(o)
    plain = World(tmp_path/'p', name='flight-delay').furnish()
    plain.log()
    monkeypatch.chdir(plain.folder)
    monkeypatch.setenv('MLFLOW_TRACKING_URI', plain.address)
    monkeypatch.setenv('MLOPS_KIT_KEY', str(plain.key))
    types('adopt')
    assert set(cli.COMMANDS) - ran == {'demo'}
