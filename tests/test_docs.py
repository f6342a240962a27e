"What a user can meet is documented: commands, functions, gates, reason codes."
import ast
import re
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT/'docs'))
from reference import ROOMS, reasons, reference  # noqa: E402


ROOM_FILES = sorted('.'.join(p.relative_to(ROOT/'mlops_kit').with_suffix('').parts) for p in (ROOT/'mlops_kit').rglob('[a-z]*.py'))


def test_the_reference_is_current(): assert (ROOT/'docs/reference.md').read_text() == reference()


@pytest.mark.parametrize('room', ROOM_FILES)
def test_every_reason_code_is_explained(room):
    "The fourth argument of `check` and of `Check`, and what is given as `reason=`, in the room's own code; `conftest.explained` sees what is made up while tests run"
    tree, found = ast.parse((ROOT/'mlops_kit'/f'{room.replace(".", "/")}.py').read_text()), set()
    for n in ast.walk(tree):
        if isinstance(n, ast.Call) and getattr(n.func, 'id', '') in ('check', 'Check'):
            given = [k.value for k in n.keywords if k.arg == 'reason'] + n.args[3:4]
            found |= {o.value for g in given for o in ast.walk(g) if isinstance(o, ast.Constant) and isinstance(o.value, str) and re.fullmatch('[a-z]+(_[a-z]+)*', o.value)}
    explained = {code for code, _ in reasons()}
    assert found <= explained, found - explained


def test_every_room_with_reason_codes_is_asked():
    from mlops_kit import ci_output
    rooms = {o for o in ROOM_FILES if re.search('^REASONS = ', (ROOT/'mlops_kit'/f'{o.replace(".", "/")}.py').read_text(), re.M)}
    assert set(ROOMS) == set(ci_output.ROOMS) == rooms and all(todo.strip() for todo in reasons().values())


def test_an_option_without_help_is_no_option(monkeypatch):
    from mlops_kit import cli
    monkeypatch.setitem(cli.COMMANDS, 'status', ('say it', ['name?', '--loud'], 'mlops-kit status'))
    with pytest.raises(KeyError, match='--loud'): cli.parser()


def test_every_command_has_an_example_that_parses():
    import shlex
    from mlops_kit.cli import COMMANDS, parser
    for name, (about, _, example) in COMMANDS.items():
        words = shlex.split(example)
        assert words[:2] == ['mlops-kit', name] and about
        assert parser().parse_args(words[1:]).command == name


def test_every_public_function_says_what_it_does():
    import mlops_kit
    for name in mlops_kit.__all__: assert getattr(mlops_kit, name).__doc__, name


def test_the_readme_names_every_page():
    text = (ROOT/'README.md').read_text()
    for p in sorted([*(ROOT/'nbs').glob('[0-9]*.ipynb'), *(ROOT/'nbs').glob('[a-z]*/*.ipynb')]): assert f'({p.relative_to(ROOT)})' in text, p


def test_every_option_and_every_key_of_the_policy_has_a_meaning():
    from reference import options, policy_keys
    assert [o for o in options() if not re.match(r'\w', o[2] or '')] == []
    assert [o for o in policy_keys() if not o[2]] == []
    assert {'gates.performance.metrics.NAME.margin', 'stages.NAME.approvals.roles', 'gates.drift.columns.NAME.reason'} <= {o[0] for o in policy_keys()}


def test_every_variable_that_is_read_is_documented():
    from reference import VARIABLES
    text = '\n'.join(p.read_text() for p in (ROOT/'mlops_kit').rglob('*.py') if p.name != '_modidx.py')
    read = set(re.findall(r"\benv(?:iron)?(?:\.get|\.setdefault)?[(\[]'([A-Z][A-Z_]+)'", text)) | set(re.findall(r'MLOPS_KIT_[A-Z_]+', text))
    ours = {'FORCE_COLOR', 'CLICOLOR_FORCE', 'CLICOLOR'} # named beside NO_COLOR
    assert {'MLOPS_KIT_KEY', 'NO_COLOR', 'MLFLOW_TRACKING_URI'} <= read and read - set(VARIABLES) - ours - {'TERM', 'MLOPS_KIT_'} <= set(), read - set(VARIABLES)


def test_each_test_that_the_guarantees_name_is_there():
    rows = [o.split('|')[3] for o in (ROOT/'docs/guarantees.md').read_text().splitlines() if '`tests/' in o and o.startswith('|')]
    named = [(path, said) for row in rows for path, rest in re.findall(r'`(tests/[\w/.]+)`((?:(?!`tests/).)*)', row) for said in re.findall(r'\*([^*]+)\*', rest) or ['']]
    plain = lambda said: re.sub(r"[^a-z0-9 ]", '', said.lower()).strip().replace(' ', '_')
    tests = {path: re.findall(r'^def (?:test_)?(\w+)', (ROOT/path).read_text(), re.M) for path, _ in named}
    assert len(named) > 40 and [o for o in named if not any(plain(o[1]) in t for t in tests[o[0]])] == []
