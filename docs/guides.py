"Run every block of the guides as one story, and compare what they print with what the pages show; `--write` writes it there."
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent/'guides'
ORDER = 'first-promotion', 'ci', 'own-gate', 'approve-and-waive', 'rollback', 'data', 'who-may-promote'
BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.M | re.S)
CHANGES = [(r'\d{8}T\d{6}Z-[0-9a-f]+', 'RUN'), (r'\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?Z?)?', 'DAY'), (r'\b[0-9a-f]{7,64}\b', 'DIGEST'),
           (r'\b\d+(\.\d+)? (seconds?|minutes?|hours?|days?|s|min|h|d)\b', 'WHILE'), (r'/\S*/', 'FOLDER/'), (r'127\.0\.0\.1:\d+', 'HOST'), (r'[ ─]+', ' ')]


def masked(text):
    "A text without what differs between two runs"
    for pattern, word in CHANGES: text = re.sub(pattern, word, text)
    return text.strip()


def needs(code):
    "What a block needs and this machine may lack"
    return 'spark' if 'pyspark' in code else 'postgres' if 'psycopg' in code or 'postgres://' in code else ''


def execute(kind, code, folder, env):
    "Run one block in the story's folder; what it printed, or `None` for a file that was written"
    if kind == 'yaml':
        (folder/code.split('\n', 1)[0].lstrip('# ').strip()).write_text(code)
        return None
    command = {'bash': ['bash', '-euo', 'pipefail', '-c', code], 'python': [sys.executable, '-c', code]}[kind]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    expected = int((re.findall(r'# exits (\d)', code) or [0])[-1])
    assert done.returncode == expected, f'{code}\nexited {done.returncode}, not {expected}\n{done.stdout}\n{done.stderr}'
    return done.stdout


def variables(address):
    "The environment that names a PostgreSQL server to its clients"
    o = urlsplit(address)
    return dict(PGUSER=o.username, PGHOST=o.hostname, PGPORT=str(o.port), PGDATABASE=o.path[1:])


def environment(folder):
    "What a block may know of the machine: the tools, a home of its own, and no store or key of the reader's"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(('MLOPS_KIT', 'MLFLOW_TRACKING', 'GITHUB', 'GITLAB', 'CI'))}
    path = f'{Path(sys.executable).parent}:{os.environ["PATH"]}'
    return kept | dict(HOME=str(folder/'home'), PATH=path, MLFLOW_DISABLE_TELEMETRY='true', COLUMNS='100')


def run(names, folder, extra=(), has=(), write=False):
    "Run these guides in their order; yields `(guide, block, shown, printed)` for each output that a page shows"
    for o in 'story', 'home': (folder/o).mkdir(exist_ok=True)
    env = environment(folder) | dict(extra)
    for name in names:
        text, printed, code = (HERE/f'{name}.md').read_text(), None, ''
        for m in BLOCK.finditer(text):
            kind, body = m[1], m[2]
            if kind != 'text':
                printed, code = None, body
                if not needs(body) or needs(body) in has: printed = execute(kind, body, folder/'story', env)
                printed = printed and printed.replace(f'{folder}/story', '…/tumour').replace(f'{folder}/home', '~')
            elif printed is not None:
                yield name, code, body, printed
                if write: text = text.replace(f'{code}```\n```text\n{body}```', f'{code}```\n```text\n{printed.rstrip()}\n```')
        if write: (HERE/f'{name}.md').write_text(text)


if __name__ == '__main__':
    import tempfile
    sys.path.insert(0, str(HERE.parent.parent/'tests'))
    import postgres
    with tempfile.TemporaryDirectory() as folder, postgres.server() as address:
        for o in run(ORDER, Path(folder), variables(address), ['postgres'], '--write' in sys.argv): print(o[0], '\n', o[1], o[3], flush=True)
