"Every block of every guide is run, as one story, and prints what the page shows."
import re
import sys
from contextlib import nullcontext

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT/'docs'))
import guides
import postgres


def test_every_guide_is_in_the_story_and_every_block_of_a_kind_that_is_run():
    assert sorted(guides.ORDER) == sorted(p.stem for p in guides.HERE.glob('*.md'))
    for name in guides.ORDER:
        text = (guides.HERE/f'{name}.md').read_text()
        assert {m[1] for m in guides.BLOCK.finditer(text)} <= {'bash', 'python', 'yaml', 'text'}, name
        for m in guides.BLOCK.finditer(text): assert all('# exits' not in o for o in m[2].splitlines()[:-1]), f'{name}: what follows would not be run'
        assert len(re.findall('^```', text, re.M)) == 2*len(guides.BLOCK.findall(text)) and '**Where this stops.**' in text, name


@pytest.mark.slow
def test_the_guides_print_what_they_show(tmp_path):
    has = ['postgres'] if postgres.binaries() else []
    with postgres.server() if has else nullcontext() as address:
        found = list(guides.run(guides.ORDER, tmp_path, guides.variables(address) if has else {}, has))
    assert [(name, guides.masked(printed)) for name, _, _, printed in found] == [(name, guides.masked(text)) for name, _, text, _ in found]
    texts = sum(m[1] == 'text' for name in guides.ORDER for m in guides.BLOCK.finditer((guides.HERE/f'{name}.md').read_text()))
    assert len(found) == texts - (not has)
    if not has: pytest.skip('one block: no PostgreSQL here; `apt-get install postgresql` brings it')


@pytest.mark.spark
def test_the_block_on_spark_runs(tmp_path):
    for _ in guides.run(['first-promotion'], tmp_path): pass
    code = next(m[2] for m in guides.BLOCK.finditer((guides.HERE/'data.md').read_text()) if guides.needs(m[2]) == 'spark')
    assert 'contract' in guides.execute('python', code, tmp_path/'story', guides.environment(tmp_path))
