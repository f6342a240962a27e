"No sentence steers: code decides by values, and words may be improved at any time without changing an answer."
import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from words import literals, room_of, rooms

WORDS = re.compile(r'[A-Za-z]{2,}[,;:.]?(?: |\\s[*+]?|\\ )+[A-Za-z]{2,}|^ [a-z]+|[a-z]+ $|: [A-Z]|[a-z]: ') # Two words, or a word with a space beside it
READS = 'startswith', 'endswith', 'removeprefix', 'removesuffix', 'partition', 'rpartition', 'split', 'rsplit', 'find', 'rfind', 'index', 'count'
PATTERNS = 'compile', 'match', 'search', 'fullmatch', 'findall', 'finditer', 'sub', 'split'
VALUES = {'rolled back', 'waiting for approval', 'process only'} # Of `promotion.DECISIONS` and of a run's isolation, kept in ledgers and files: values, not sentences
PARSERS = { # Who may read words, and whose they are
    'store.unread': 'what MLflow says of an answer that is not JSON', 'store.status_of': 'what requests, urllib3 and MLflow say of a status',
    'store.foreign_fault': 'what databases and systems say went wrong', 'store.sentence': 'the class that SQLAlchemy writes before its message',
    'policy._plainly': 'what pydantic says of a value', 'consent.read_old_waiver': 'waivers of ledgers that were written before gate and day were fields',
    'governance.HOLDERS': 'an answer that a person filled in without saying anything', 'anchor.read_head': 'a line that a person copied',
    'engine.with_table': 'SQL that a person wrote', 'table.copy_csv': 'what Arrow says of a column of a CSV file', 'dossier.code_gap': 'a note in the record of a version: shown, decides nothing', 'page._TOKEN': 'markup', 'gates.worker.answered': 'what MLflow says of rows that do not fit: shown, decides nothing',
    'cli.folded': 'a line on its way to a terminal: a command to be copied is not broken'}


def text_of(node, names):
    "The literals in an expression, and those of the names of its room"
    for o in ast.walk(node):
        if isinstance(o, ast.Constant) and isinstance(o.value, str): yield o.value
        if isinstance(o, ast.Name) and o.id in names: yield from names[o.id]


def readings(room, tree):
    "Every place where a literal of words is looked for in something, as (line, function, literal)"
    names = {t.id: [o.value for o in ast.walk(n.value) if isinstance(o, ast.Constant) and isinstance(o.value, str)]
             for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name) and isinstance(n.value, (ast.Constant, ast.Tuple, ast.List))}

    def look(node, where):
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, (ast.FunctionDef, ast.ClassDef)) and where in ('', *classes) else where
            if isinstance(node, ast.Module) and isinstance(child, ast.Assign): inner = getattr(child.targets[0], 'id', '')
            yield from found(child, inner)
            yield from look(child, inner)

    def found(n, where):
        if isinstance(n, ast.Compare):
            sides = [n.left, *n.comparators]
            for op, left, right in zip(n.ops, sides, sides[1:]):
                asked = [left] if isinstance(op, (ast.In, ast.NotIn)) else [left, right] if isinstance(op, (ast.Eq, ast.NotEq)) else []
                for side in asked:
                    if isinstance(side, (ast.Constant, ast.Name, ast.JoinedStr)): yield from ((n.lineno, where, t) for t in text_of(side, names))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute):
            pattern = getattr(n.func.value, 'id', '') == 're' and n.func.attr in PATTERNS
            if pattern or n.func.attr in READS: yield from ((n.lineno, where, t) for a in n.args[:1] for t in text_of(a, names))

    classes = {n.name for n in tree.body if isinstance(n, ast.ClassDef)}
    return [o for o in look(tree, '') if WORDS.search(o[2]) and o[2] not in VALUES]


@pytest.mark.parametrize('path', rooms(), ids=room_of)
def test_no_code_looks_for_words(path):
    room, tree = room_of(path), ast.parse(path.read_text())
    assert [o for o in readings(room, tree) if f'{room}.{o[1]}' not in PARSERS] == [], 'decide by a value, or read foreign words in a named parser'


@pytest.mark.parametrize('code', ["'was stopped' in said", "said.startswith('conflict: ')", "re.search('no space left', said)", "said == 'nothing recorded'", "said.split(' until ')",
                                  "' is blocked' in o.waits", "said.partition(' Hint: ')", "said.removesuffix(': the code is not known')"])
def test_the_lint_would_notice(code): assert readings('x', ast.parse(f'import re\ndef f(said, o): return {code}'))


def test_the_lint_knows_constants(): assert readings('x', ast.parse("GAP = 'there is a gap'\ndef f(said): return said.startswith(GAP)"))


def test_every_named_parser_is_there():
    for name in PARSERS:
        room, what = name.rsplit('.', 1)
        assert re.search(rf'^(def {what}\(|{what} = )', (ROOT/'mlops_kit'/f'{room.replace(".", "/")}.py').read_text(), re.M), name


def ends(folder, first, last):
    "How the scenes end with the literals from `first` to `last` altered"
    folder.mkdir()
    env = os.environ | dict(PYTHONPATH=f'{ROOT}{os.pathsep}{ROOT/"tests"}', MLFLOW_DISABLE_TELEMETRY='true')
    p = subprocess.run([sys.executable, '-W', 'ignore', ROOT/'tests/words.py', folder, str(first), str(last)], env=env, cwd=folder, capture_output=True, text=True)
    return json.loads(p.stdout.splitlines()[-1]) if not p.returncode else p.stderr.splitlines()[-1:]


def culprit(tmp_path, want, first, last):
    "The one literal by which the scenes end differently"
    while last - first > 1:
        middle = (first + last)//2
        if ends(tmp_path/f'{first}-{middle}', first, middle) != want: last = middle
        else: first = middle
    return literals()[first]


@pytest.mark.slow
def test_all_words_may_be_reworded_at_once(tmp_path):
    "Every literal of words is altered, and the same scenes end in the same codes, statuses and decisions"
    n = len(literals())
    want, found = ends(tmp_path/'plain', 0, 0), ends(tmp_path/'altered', 0, n)
    assert n > 1500 and isinstance(want, dict) and len(want) > 100
    if found != want: pytest.fail(f'a sentence steers: {culprit(tmp_path, want, 0, n)}')
