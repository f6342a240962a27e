"Build the site into build/site: the pages of the house, the gates, the examples, the guides and the reference, offline."
import ast
import importlib
import os
import re
import shutil
import sys
import tomllib
from collections import Counter
from pathlib import Path

from fastcore.docments import MarkdownRenderer
from fastcore.nbio import mk_cell, read_nb, write_nb
from nbdev.process import NBProcessor
from nbdev.processors import clean_magics, hide_, hide_line, strip_ansi

from guides import ORDER
from reference import question

ROOT = Path(__file__).resolve().parent.parent
SOURCES, SITE = ROOT/'build/docs', ROOT/'build/site'
SECTIONS = { # folder on the site: its title, what it is for, its sources in reading order
    'guides': ('Guides', 'One task each, from what you have to what you get. Every command on these pages is run by the tests.', ' '.join(f'docs/guides/{o}.md' for o in ORDER)),
    'gates': ('Gates', 'One notebook a question. papermill runs it, a reviewer reads it, and its verdict is signed.', 'promotion_gates/*.ipynb'),
    'examples': ('Examples', 'Whole stories with their outputs.', 'examples/flights/*.ipynb examples/*.ipynb'),
    'rooms': ('The map of the house', 'One page a module: why it is as it is, its code, and an example with its output.', 'nbs/[0-9]*.ipynb nbs/[a-z]*/*.ipynb')}
SINGLE = {'nbs/index.ipynb': 'index', 'docs/reference.md': 'reference', 'docs/guarantees.md': 'guarantees', 'docs/selftest.md': 'selftest',
          'benchmarks/README.md': 'benchmarks', 'CHANGELOG.md': 'changelog', 'CONTRIBUTING.md': 'contributing'}


def pages():
    "Every source, by its path in the repository, and the page of the site that it becomes"
    places = {s: f'{section}/' + re.sub(r'^\d+[a-z]?_(?=\w)', '', p.stem) if section == 'rooms' else f'{section}/{p.stem}'
              for section, (_, _, globs) in SECTIONS.items() for g in globs.split() for p in sorted(ROOT.glob(g)) for s in [str(p.relative_to(ROOT))]}
    return places | SINGLE


PAGES = pages()
FOLDERS = {'promotion_gates': 'gates', 'examples/flights': 'examples', 'examples': 'examples', 'nbs': 'rooms', 'docs/guides': 'guides'}
REPOSITORY = tomllib.loads((ROOT/'pyproject.toml').read_text())['project']['urls']['Repository']


def relink(text, source):
    "Point each relative link at the page that its file became; at the repository where it became none"
    def target(m):
        link, _, anchor = m[1].partition('#')
        if not link or re.match('[a-z]+:', m[1]): return m[0]
        for base in (ROOT/source).parent, ROOT:
            path = os.path.relpath((base/link).resolve(), ROOT)
            if path in PAGES: return f'](/{PAGES[path]}{Path(path).suffix}' + (f'#{anchor})' if anchor else ')')
            if path in FOLDERS: return f'](/{FOLDERS[path]}/index.md)'
            if path.endswith('.png') and (ROOT/path).is_file(): return f'](/images/{Path(path).name})'
            if (ROOT/path).exists(): return f"]({REPOSITORY}/{'tree' if (ROOT/path).is_dir() else 'blob'}/main/{path})"
        sys.exit(f'{source}: the link `{m[1]}` leads nowhere')
    return re.sub(r'\]\(([^)\s]+)\)', target, text)


def anchor(full):
    "Where a definition is found; targets are not case-sensitive, and `Ledger` is not `ledger`"
    return full + '-class' if full.rsplit('.', 1)[1][0].isupper() else full


def symbols():
    "Every public name of the library, and every name that one module alone defines, with the place where it is described"
    from mlops_kit import _HOMES
    from mlops_kit._modidx import d
    names = [full for module in d['syms'].values() for full in module if not re.search(r'\._|\..*\..*\.', full)]
    times = Counter(full.rsplit('.', 1)[1] for full in names)
    return {name: anchor(full) for full in names if times[name := full.rsplit('.', 1)[1]] == 1} | {
        name: anchor(f'mlops_kit.{home}.{name}') for name, home in _HOMES.items()}


SYMBOLS = symbols()


def link_names(text):
    "Link the names of the library in prose to the pages that define them"
    link = lambda m: f'[{m[0]}](#{SYMBOLS[m[1]]})' if m[1] in SYMBOLS else m[0]
    lines, fenced = [], False
    for line in text.split('\n'):
        fenced ^= line.lstrip().startswith('```')
        lines.append(line if fenced or line.startswith(('#', '    ')) else re.sub(r'(?<!\[)`([A-Za-z_]\w+)`(?!\])', link, line))
    return '\n'.join(lines)


def signature(full):
    "What one reads about a definition: its name, its parameters with their comments, its docstring"
    module, name = full.rsplit('.', 1)
    thing = getattr(importlib.import_module(module), name)
    text = MarkdownRenderer(thing)._repr_markdown_().replace(':NoneType', '')
    if isinstance(thing, type): text = text.replace('```python\ndef ', '```python\nclass ').replace(')->None:', '):')
    return f'({anchor(full)})=\n### {name}\n\n' + re.sub(r'\n\*(.+)\*\s*$', r'\n\1\n', text)


def definitions(module):
    "A processor that shows what an exported cell defines as signatures, and folds its code away"
    def shown(cell):
        d, body = cell.directives_, cell.parsed_() or []
        names = [o.name for o in body if isinstance(o, (ast.FunctionDef, ast.ClassDef)) and not o.name.startswith('_')]
        imports = all(isinstance(o, (ast.Import, ast.ImportFrom)) for o in body)
        if cell.cell_type == 'markdown': return
        if not cell.source.strip(): del cell['source']
        elif 'echo' in d: cell.metadata['tags'] = ['remove-input']
        elif 'export' in d and (names or imports):
            cell.metadata['tags'] = ['hide-input']
            cell.docs_ = [signature(f'{module}.{o}') for o in names]
    return shown


def lesson(source):
    "One notebook as the site shows it: its examples with their stored outputs, what it defines as signatures"
    nb = read_nb(ROOT/source)
    module = next((f"mlops_kit.{c.directives['default_exp']}" for c in nb.cells if 'default_exp' in c.directives), None)
    NBProcessor(nb=nb, procs=[definitions(module), strip_ansi, hide_line, clean_magics, hide_], process=True)
    cells, level = [], '##'
    for c in nb.cells:
        if c.cell_type == 'markdown':
            if '## ' in c.source: level = '###'
            c.source = link_names(relink(c.source, source))
        cells += [mk_cell(o.replace('### ', level + ' ', 1), 'markdown') for o in c.pop('docs_', [])] + [c]
    nb.cells = cells
    return nb


def opening(source):
    "What stands under the title of a guide or an example, without its links"
    text = (ROOT/source).read_text(encoding='utf-8') if source.endswith('.md') else read_nb(ROOT/source).cells[0].source
    return re.sub(r'\[([^]]+)\]\([^)]+\)', r'\1', re.search('^# .+\\n+(.+)$', text, re.M)[1])


def index_of(section):
    "The page that lists a section"
    name, about, _ = SECTIONS[section]
    mine = {s: page for s, page in PAGES.items() if page.startswith(f'{section}/')}
    named = section in ('rooms', 'gates') # Those are known by their names, the others by their titles
    row = lambda s, page: f'[{Path(page).name}](/{page}{Path(s).suffix}) | {question(ROOT/s)}' if named else f'[{question(ROOT/s)}](/{page}{Path(s).suffix}) | {opening(s)}'
    table = [f'| {row(s, page)} |' for s, page in mine.items()]
    tree = [f'{Path(page).name} </{page}>' if named else f'/{page}' for page in mine.values()]
    return '\n'.join([f'# {name}', '', about, '', '| page | what it says |', '|---|---|', *table, '', '```{toctree}', ':hidden:', '', *tree, '```', ''])


TREE = '''```{toctree}
:hidden:

guides/index
examples/index
gates/index
reference
Guarantees </guarantees>
selftest
benchmarks
Modules <rooms/index>
changelog
contributing
```'''


def lay_out():
    "Write the sources that Sphinx reads into build/docs"
    for o in SOURCES, SITE: shutil.rmtree(o, ignore_errors=True) # So that no page outlives its source
    for section in SECTIONS: write(SOURCES/section/'index.md', index_of(section))
    for source, page in PAGES.items():
        place = (SOURCES/page).with_suffix(Path(source).suffix)
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith('.md'): write(place, relink((ROOT/source).read_text(), source))
        else:
            nb = lesson(source)
            if page == 'index': nb.cells.append(mk_cell(TREE, 'markdown'))
            write_nb(nb, place)
    (SOURCES/'images').mkdir()
    for o in (ROOT/'docs').glob('*.png'): shutil.copy(o, SOURCES/'images')


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')


def build():
    "Build the site, every warning an error"
    from sphinx.cmd.build import build_main
    lay_out()
    return build_main(['-W', '--keep-going', '-q', '-j', 'auto', '-c', str(ROOT/'docs'), '-d', str(SOURCES/'.doctrees'), str(SOURCES), str(SITE)])


if __name__ == '__main__':
    code = build()
    print(f'{SITE.relative_to(ROOT)}/index.html' if not code else 'the site has warnings; see above')
    sys.exit(code)
