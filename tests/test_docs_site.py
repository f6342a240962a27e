"The site of the documentation, built offline and read in a real browser."
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from browser import LOCAL, PICTURES, axe, beyond, browser, requests_of, settle
from conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def site():
    "Build it, as `make docs` does: a warning is an error"
    done = subprocess.run([sys.executable, 'docs/build.py'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT/'build/site'


def test_every_link_leads_somewhere(site):
    from bs4 import BeautifulSoup
    trees = {p: BeautifulSoup(p.read_text(encoding='utf-8'), 'html.parser') for p in site.rglob('*.html')}
    places = {p: {o['id'] for o in tree.select('[id]')} for p, tree in trees.items()}
    lost, checked = [], 0
    for page, tree in trees.items():
        for o in tree.select('[href], [src]'):
            link = o.get('href') or o.get('src') or ''
            parts = urlsplit(link)
            if parts.scheme or o.name == 'use' or not link.strip('#'): continue
            checked += 1
            to = (page.parent/unquote(parts.path)).resolve() if parts.path else page
            if not to.exists() or (parts.fragment and to in places and unquote(parts.fragment) not in places[to]): lost.append((str(page.relative_to(site)), link))
    assert checked > 5000 and lost == []


def test_the_site_holds_every_notebook_guide_and_gate(site):
    for folder, section in ('promotion_gates', 'gates'), ('examples', 'examples'), ('docs/guides', 'guides'):
        for p in [*(ROOT/folder).rglob('*.ipynb'), *(ROOT/folder).glob('*.md')]: assert (site/section/f'{p.stem}.html').exists(), p
    assert len(list((site/'rooms').glob('*.html'))) == len([*(ROOT/'nbs').glob('[0-9]*.ipynb'), *(ROOT/'nbs').glob('[a-z]*/*.ipynb')]) + 1


def test_guides_and_examples_are_listed_by_their_titles(site):
    from bs4 import BeautifulSoup
    for section, names in ('guides', (ROOT/'docs/guides').glob('*.md')), ('examples', (ROOT/'examples').rglob('*.ipynb')):
        rows = {a['href'].split('#')[0]: (a.text, td.text) for a, td in [(r.select_one('a'), r.select('td')[1]) for r in BeautifulSoup((site/section/'index.html').read_text(), 'html.parser').select('article tbody tr')]}
        assert rows.keys() == {f'{p.stem}.html' for p in names} and all(title not in ('', Path(to).stem) and len(about) > 20 for to, (title, about) in rows.items()), rows


def open_page(page, path, dark=False):
    "Open a page, and say what is wrong with it"
    page.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[dict(name='prefers-color-scheme', value='dark' if dark else 'light')]))
    requests_of(page), page.get_log('browser')
    page.get(path.as_uri())
    settle(page)
    outside = [o for o in requests_of(page) if not o.startswith(LOCAL)]
    console = [o['message'] for o in page.get_log('browser') if o['level'] == 'SEVERE']
    page.save_screenshot(str(PICTURES/f'docs-{path.stem}-{"dark" if dark else "light"}.png'))
    return outside + console + [o for o in axe(page) if o[0] in ('serious', 'critical')]


WHITE = 'return [...document.querySelectorAll(".cell_output")].flatMap(o => [o, ...o.children]).map(o => getComputedStyle(o).backgroundColor).filter(o => o === "rgb(255, 255, 255)")'


def test_in_a_browser_pages_are_clean_and_search_finds_without_a_server(site):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    PICTURES.mkdir(exist_ok=True)
    with browser() as page:
        for path in 'index', 'rooms/approval', 'examples/03_a_bad_month', 'gates/drift', 'reference', 'guarantees':
            for dark in (False, True)[:1 if path in ('gates/drift', 'reference', 'guarantees') else 2]: assert open_page(page, site/f'{path}.html', dark) == [], (path, dark)
            if 'bad_month' in path: assert page.execute_script(WHITE) == [], 'a white box on a dark page'
        page.get((site/'index.html').as_uri())
        page.get_log('browser') # What axe left there
        page.find_element(By.CSS_SELECTOR, 'input[name=q]').send_keys('cool_down', Keys.ENTER)
        settle(page)
        found = page.find_elements(By.CSS_SELECTOR, '#search-results li a')
        assert found and [o['message'] for o in page.get_log('browser') if o['level'] == 'SEVERE'] == []
        page.save_screenshot(str(PICTURES/'docs-search.png'))
        found[0].click()
        settle(page)
        assert 'cool_down' in page.find_element(By.TAG_NAME, 'article').get_attribute('textContent') # Some cells are folded
        page.set_window_size(500, 900)
        page.get((site/'rooms/approval.html').as_uri())
        settle(page)
        assert page.execute_script('return document.documentElement.scrollWidth <= document.documentElement.clientWidth')
