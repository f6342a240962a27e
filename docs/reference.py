"Write docs/reference.md from the code: commands, exit codes, gates, reason codes."
import importlib
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
ROOMS = 'contract', 'slices', 'quality', 'drift', 'performance', 'calibration', 'fairness', 'behaviour', 'governance', 'gates', 'selftest', 'runner'


def reasons():
    "Every reason code, the room that gives it, and what to do"
    return {(code, room): todo for room in ROOMS for code, todo in getattr(importlib.import_module(f'mlops_kit.{room}'), 'REASONS', {}).items()}


def question(path):
    "The first line of a gate notebook"
    return nbformat.read(path, 4).cells[0].source.splitlines()[0].lstrip('# ')


def reference():
    import mlops_kit
    from mlops_kit.cli import COMMANDS
    from mlops_kit.core import EXIT
    homes = {name: importlib.import_module(f'mlops_kit.{mlops_kit._HOMES[name]}') for name in mlops_kit.__all__}
    out = ['# Reference', '', 'Written by `make export` from the code.', '', '## Commands', '', '| command | what it does | example |', '|---|---|---|']
    out += [f'| `{name}` | {about} | `{example}` |' for name, (about, _, example) in COMMANDS.items()]
    out += ['', '## Exit codes', '', '| code | meaning |', '|---|---|'] + [f'| {code} | {name} |' for name, code in EXIT.items()]
    out += ['', '## Functions', '', '| name | what it does |', '|---|---|'] + [f'| `{n}` | {getattr(m, n).__doc__} |' for n, m in homes.items()]
    out += ['', '## Gates', '', '| gate | question |', '|---|---|'] + [f'| `{p.stem}` | {question(p)} |' for p in sorted((ROOT/'promotion_gates').glob('*.ipynb'))]
    out += ['', '## Reason codes', '', '| code | from | what to do |', '|---|---|---|'] + [f'| `{code}` | {room} | {todo} |' for (code, room), todo in sorted(reasons().items())]
    return '\n'.join(out) + '\n'


if __name__ == '__main__': (ROOT/'docs/reference.md').write_text(reference(), encoding='utf-8')
