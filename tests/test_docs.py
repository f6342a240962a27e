"What a user can meet is documented: commands, functions, gates, reason codes."
import ast
import re
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT/'docs'))
from reference import ROOMS, reasons, reference  # noqa: E402


def test_the_reference_is_current(): assert (ROOT/'docs/reference.md').read_text() == reference()


@pytest.mark.parametrize('room', ROOMS)
def test_every_reason_code_is_explained(room):
    "The fourth argument of `check` and of `Check`, and what is given as `reason=`, in the room's own code"
    tree, found = ast.parse((ROOT/f'mlops_kit/{room}.py').read_text()), set()
    for n in ast.walk(tree):
        if isinstance(n, ast.Call) and getattr(n.func, 'id', '') in ('check', 'Check'):
            given = [k.value for k in n.keywords if k.arg == 'reason'] + n.args[3:4]
            found |= {o.value for g in given for o in ast.walk(g) if isinstance(o, ast.Constant) and isinstance(o.value, str) and re.fullmatch('[a-z]+(_[a-z]+)+', o.value)}
    explained = {code for code, _ in reasons()}
    assert found <= explained, found - explained


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
    for p in sorted((ROOT/'nbs').glob('[0-9]*.ipynb')): assert f'(nbs/{p.name})' in text, p.name
