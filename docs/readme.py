"Write README.md from nbs/index.ipynb: its prose, its code and the outputs that the code made."
import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent


def readme(path=ROOT/'nbs/index.ipynb'):
    nb = nbformat.read(path, 4)
    nb.cells = [c for c in nb.cells if not re.search(r'^#\|\s*hide\s*$', c.source, re.M)]
    for c in nb.cells:
        if '#| echo: false' in c.source: c.metadata.tags = ['output-only']
        c.source = re.sub(r'^#\|.*\n?', '', c.source, flags=re.M)
        for o in c.get('outputs', []): (o.get('data', {}).get('text/markdown') is None) and o.get('data', {}).pop('text/html', None)
    hidden = Config(TagRemovePreprocessor=dict(enabled=True, remove_input_tags=['output-only']))
    text = MarkdownExporter(config=hidden).from_notebook_node(nb)[0]
    text = re.sub(r'^```\n(?=import|from|train)', '```python\n', text, flags=re.M)
    text = re.sub(r'\]\((?!https?:|#)(?:\.\./)?', '](', text)
    return re.sub(r'\n{3,}', '\n\n', text).strip() + '\n'


if __name__ == '__main__': (ROOT/'README.md').write_text(readme(), encoding='utf-8')
