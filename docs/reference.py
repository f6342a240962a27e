"Write docs/reference.md from the code: commands, options, exit codes, gates, policy keys, variables, formats, reason codes."
import dataclasses
import importlib
import inspect
import json
import re
from pathlib import Path
from typing import get_args, get_origin

import nbformat

ROOT = Path(__file__).resolve().parent.parent
ROOMS = 'contract', 'slices', 'quality', 'drift', 'performance', 'calibration', 'fairness', 'behaviour', 'governance', 'gates.candidate', 'gates.worker', 'selftest', 'runner', 'dossier'


def reasons():
    "Every reason code, the room that gives it, and what to do"
    return {(code, room): todo for room in ROOMS for code, todo in getattr(importlib.import_module(f'mlops_kit.{room}'), 'REASONS', {}).items()}


def question(path):
    "The first heading of a notebook or of a page"
    text = path.read_text(encoding='utf-8')
    if path.suffix == '.ipynb': text = '\n'.join(c.source for c in nbformat.reads(text, 4).cells if c.cell_type == 'markdown')
    return re.search('^# (.+)$', text, re.M)[1]


VARIABLES = {
    'MLFLOW_TRACKING_URI': 'the store, unless `--store` or `store=` names it; else `mlflow.db` beside the policy',
    'MLOPS_KIT_KEY': 'the signing key; else `~/.config/mlops_kit/key.pem`',
    'MLOPS_KIT_KEYS': 'a folder of public keys that one knows: a ledger that nobody of them signed is not read; else `mlops-kit.toml`',
    'MLOPS_KIT_HEAD': 'a head as `verify` printed it: a ledger that does not contain it is not read; else `mlops-kit.toml`',
    'MLOPS_KIT_ARTIFACTS': 'where a store that is a database keeps its files',
    'MLOPS_KIT_PATIENCE': 'seconds to wait for the store before it counts as not answering',
    'MLOPS_KIT_WEBHOOK': 'an address that each decision is sent to, as a CloudEvent',
    'MLOPS_KIT_WEBHOOK_SECRET': 'signs what is sent there with HMAC',
    'MLOPS_KIT_APPRISE': 'addresses for Apprise, separated by spaces; needs the extra `notify`',
    'MLOPS_KIT_DEBUG': 'anything: show the traceback of an unexpected error',
    'MLOPS_KIT_ISOLATION': 'which of bubblewrap and landlock may hold a model, separated by commas; both unless given, and `process` for none',
    'MLOPS_KIT_WORKERS': 'set by the runner: where a gate finds the processes that answer for the models',
    'MLOPS_KIT_GATE': 'set by the runner: the gate that a notebook asks for',
    'MLOPS_KIT_CRASH_AT': 'for tests: die before or after the numbered write to the store',
    'OPENLINEAGE_URL': 'where lineage events are sent; what else the OpenLineage client reads counts too',
    'OPENLINEAGE_CONFIG': 'the OpenLineage client\'s configuration file',
    'OPENLINEAGE_DISABLED': '`true`: send no lineage events',
    'GITHUB_ACTIONS': 'set by GitHub: annotations are written to the log',
    'GITHUB_STEP_SUMMARY': 'set by GitHub: the file that the step summary goes to',
    'NO_COLOR': 'anything: no colour; `FORCE_COLOR`, `CLICOLOR_FORCE` and `CLICOLOR` are read too',
    'XDG_CACHE_HOME': 'where models and environments are cached, in `mlops_kit/`; else `~/.cache`',
    'PYTHONPATH': 'whole paths in it are searched by gates too; what is relative, and the current folder, are not',
    'OMP_NUM_THREADS': 'threads of one gate; 1 unless given, since gates run side by side',
    'MLFLOW_DISABLE_TELEMETRY': 'set to `true` by every command',
    'DO_NOT_TRACK': 'set to `1` by every command',
    'JPY_SESSION_NAME': 'set by Jupyter: the notebook that a version is registered from',
    'USER': 'who a new key and a new policy belong to, unless they are told'}
FORMATS = {
    'run.json': ('what a run of gates judges, and on what; in the run\'s folder', 'run.schema.json'),
    'verdict.json': ('what one gate found; in `GATE/` of the run\'s folder', 'verdict.schema.json')}
MODE = {'mode': '`block`, or `warn`: say it, and let the version through'}
ROW = re.compile(r'^    (\w+)\s*:.*?(?:#\s*(.*))?$', re.M)


def comments(thing):
    "The comment beside each field of a class"
    return {m[1]: m[2] or '' for m in ROW.finditer(inspect.getsource(thing))}


def cell(text): return str(text).replace('|', '\\|').replace('\n', ' ')


def options():
    "Every option of every command, with its help"
    from mlops_kit.cli import parser
    for name, p in parser().commands.choices.items():
        for o in p._actions:
            if '-h' not in o.option_strings: yield name, ', '.join(o.option_strings) or o.dest, o.help


def inner(kind):
    "The models inside a type"
    return [kind] if isinstance(kind, type) and hasattr(kind, 'model_fields') else [m for o in get_args(kind) for m in inner(o)]


def policy_keys(model=None, at='', above=None):
    "Every key of a policy, with its default and its meaning"
    from mlops_kit.policy import Policy
    model = model or Policy
    said = {k: v for base in reversed(model.__mro__) if hasattr(base, 'model_fields') and base.__module__.startswith('mlops_kit') for k, v in comments(base).items()}
    for name, o in model.model_fields.items():
        inside, named = inner(o.annotation), get_origin(o.annotation) is dict
        path = f'{at}{name}' + '.NAME'*bool(inside and named)
        default = '' if inside else 'required' if o.is_required() else json.dumps(o.default, default=str)
        yield path, default, said.get(name) or (MODE | (above or {})).get(name) or (inside[0].__doc__ if inside else '')
        for m in inside: yield from policy_keys(m, path + '.', (above or {}) | {k: v for k, v in said.items() if v})


def table(head, rows): return ['', f'| {" | ".join(head)} |', '|---'*len(head) + '|', *(f'| {" | ".join(map(cell, r))} |' for r in rows)]


def formats():
    "Every field of the files that others may read"
    import mlops_kit
    from mlops_kit.core import Check
    from mlops_kit.entry import Entry
    out = []
    for name, (about, file) in FORMATS.items():
        schema = json.loads((ROOT/'mlops_kit/data'/file).read_text())
        out += ['', f'### `{name}`', '', f'{about[0].upper()}{about[1:]}. Its schema: [`{file}`](../mlops_kit/data/{file}).']
        out += table(['field', 'type', 'needed'], [(f'`{k}`', ' or '.join([v['type']] if isinstance(v.get('type'), str) else v.get('type') or ['see the schema']), 'yes' if k in schema.get('required', []) else '') for k, v in schema['properties'].items()])
    for name, about, thing in ('A check', 'One line of a verdict', Check), ('An entry of the ledger', 'One signed param of MLflow; `mlops-kit history NAME --json` lists them', Entry):
        said = comments(thing)
        out += ['', f'### {name}', '', f'{about}.', *table(['field', 'meaning'], [(f'`{f.name}`', said.get(f.name, '')) for f in dataclasses.fields(thing)])]
    return out


def reference():
    import mlops_kit
    from mlops_kit.cli import COMMANDS
    from mlops_kit.core import EXIT
    homes = {name: importlib.import_module(f'mlops_kit.{mlops_kit._HOMES[name]}') for name in mlops_kit.__all__}
    out = ['# Reference', '', 'Written by `make export` from the code.', '', '## Commands']
    out += table(['command', 'what it does', 'example'], [(f'`{name}`', about, f'`{example}`') for name, (about, _, example) in COMMANDS.items()])
    out += ['', '## Options'] + table(['command', 'option', 'meaning'], [(f'`{name}`', f'`{o}`', said) for name, o, said in options()])
    out += ['', '## Exit codes'] + table(['code', 'meaning'], [(code, name) for name, code in EXIT.items()])
    out += ['', '## Functions'] + table(['name', 'what it does'], [(f'`{n}`', getattr(m, n).__doc__) for n, m in homes.items()])
    out += ['', '## Gates'] + table(['gate', 'question'], [(f'`{p.stem}`', question(p)) for p in sorted((ROOT/'promotion_gates').glob('*.ipynb'))])
    out += ['', '## The policy', '', '`NAME` stands for a name of yours: an alias, a metric, a column.'] + table(['key', 'unless given', 'meaning'], [(f'`{k}`', d and (d if d == 'required' else f'`{d}`'), said) for k, d, said in policy_keys()])
    out += ['', '## Environment variables'] + table(['variable', 'meaning'], [(f'`{k}`', v) for k, v in VARIABLES.items()])
    out += ['', '## Formats'] + formats()
    out += ['', '## Reason codes'] + table(['code', 'from', 'what to do'], [(f'`{code}`', room, todo) for (code, room), todo in sorted(reasons().items())])
    return '\n'.join(out) + '\n'


if __name__ == '__main__': (ROOT/'docs/reference.md').write_text(reference(), encoding='utf-8')
