"The site of a registry: what it says of each model, what it keeps, and that nothing in a store leads it astray."
import json
import os
import re
import shutil
import signal
from html import unescape
from html.parser import HTMLParser
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import unquote

import pytest

from browser import PICTURES, axe, beyond, browser, requests_of, settle
from mlops_kit import site as room
from mlops_kit.cli import run
from mlops_kit.core import MlopsKitError, RegistryError, digest
from mlops_kit.ledger import ledger, make_ledger
from mlops_kit.site import slug, write_site
from mlops_kit.store import WRITES, Store, create_model, set_alias
from eventful import SOON
from world import POLICY, PRELOAD, World

TEAM = POLICY.replace('{champion: {gates: [performance]}}', '{champion: {gates: [performance], approvals: {required: 1, roles: [risk]}}}')
EVIL = '<img src=x onerror=alert(1)>'


def grown(folder):
    "1 and 3 were champion and 3 was rolled back, 2 was refused, 4 waits for Ben; beside it a bare model with a bad name and two whose ledgers cannot be read"
    world = World(folder).furnish()
    world.person('Ben Ode', 'risk')
    world.policy.write_text(TEAM)
    os.environ['MLOPS_KIT_KEY'] = str(world.key)
    for upside_down in (False, True, False, False): world.register(upside_down=upside_down)
    for n in (1, 2, 3):
        world.judge(f'tiny/{n}')
        if n != 2: world.says('approve', 'benrisk', f'tiny/{n}', reason=f'looks right {EVIL}')
        world.promote(f'tiny/{n}', reason='' if n == 1 else f'better than before {EVIL}')
    world.rollback(reason='refunds spiked')
    world.judge('tiny/4')
    assert world.promote('tiny/4').exit_code == 5
    create_model(world.store, EVIL)
    world.store.client.log_param(make_ledger(world.store, 'odd'), 'seq-000001', '{"schema": "mlops_kit/entry/9"}')
    world.store.client.create_experiment('mlops_kit/ledger/alien')
    return world


@pytest.fixture(scope='module')
def world(tmp_path_factory): return grown(tmp_path_factory.mktemp('site')/'world')


@pytest.fixture(scope='module')
def built(world): return write_site(world.folder/'site', world.store)


@pytest.fixture
def again(world, built, tmp_path):
    "A copy of the site that a test may spoil, and the way to build it again"
    shutil.copytree(built.folder, tmp_path/'site')
    return tmp_path/'site', lambda: write_site(tmp_path/'site', world.store)


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.tags = [], []
        self.feed(text)
    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.found += [v for k, v in attrs if k in ('href', 'src') and v]


def astray(root):
    "Links that lead nowhere or out of the site"
    ours = [p for p in root.rglob('*.html') if p.name not in ('report.html', 'executed.html')]
    to = lambda p, o: (p.parent/unquote(o.split('#')[0])).resolve()
    good = lambda p, o: o.startswith(('#', 'data:')) or to(p, o).is_file() and to(p, o).is_relative_to(root.resolve())
    return [(p.name, o) for p in ours for o in Links(p.read_text()).found if not good(p, o)]


def text_of(path): return ' '.join(unescape(re.sub('<[^>]+>', ' ', re.sub('<(style|script)>.*?</\\1>', ' ', path.read_text(), flags=re.S))).split())
def model(root, name='tiny'): return root/'models'/slug(name)/'index.html'
def dated(root): return {p: p.stat().st_mtime_ns for p in root.rglob('*') if p.is_file()}


def test_the_index_says_who_waits(built):
    said = text_of(built.folder/'index.html')
    assert '4 models: 2 cannot be read, 1 waiting for approval' in said and 'type mlops-kit approve tiny/4' in said
    assert re.search(r'tiny version 1 \d{4}-\d\d-\d\d today ! performance version 4, \d{4}-\d\d-\d\d 1 last', said), said
    assert (built.models, built.exit_code, [*built.unread]) == (4, 3, ['alien', 'odd'])
    said = text_of(model(built.folder, 'alien'))
    assert 'alien cannot be read' in said and 'does not say which run is the ledger' in said and 'champion is' not in said


def test_a_models_page_tells_every_step(built):
    said = text_of(model(built.folder))
    for o in ('version 1 is champion since', 'champion: version 1, then version 3, then version 1 (rolled back)', 'waiting for approval champion from', 'looks right <img',
              'performance says fail', 'refunds spiked', 'Ben Ode', 'approve champion'): assert o.replace(' from', '') in said, o
    rows = re.findall(r'(✓ promoted|✗ blocked|! rolled back|\? waiting for approval) champion', said)
    assert rows == ['? waiting for approval', '! rolled back', '✓ promoted', '✗ blocked', '✓ promoted']
    assert len([*model(built.folder).parent.glob('entry-*.html')]) == 3 and len([*model(built.folder).parent.glob('evidence/*/dossier.html')]) == 4


def test_a_gate_that_was_waived_is_red_and_says_so(tmp_path):
    world = World(tmp_path/'world').furnish()
    world.team(TEAM)
    os.environ['MLOPS_KIT_KEY'] = str(world.key)
    world.register(upside_down=True)
    world.judge('tiny/1')
    world.says('waive', 'benrisk', 'tiny/1', gate='performance', until=SOON, reason='a known strike')
    world.says('approve', 'benrisk', 'tiny/1')
    assert world.promote('tiny/1').exit_code == 0
    root = write_site(tmp_path/'site', world.store).folder
    assert '✗ performance (waived)' in text_of(root/'index.html') and re.search(r'✓ promoted champion 1 ✗ fail: performance \(waived\)', text_of(model(root)))
    red = f'<span class="status fail waived">waive champion: performance until {SOON}</span>'
    assert model(root).read_text().count(red) == 2, 'among the waivers, and in the ledger'


def test_where_nobody_signed_every_page_says_so(tmp_path, built, monkeypatch):
    world = World(tmp_path/'world').furnish()
    world.policy.write_text(POLICY.replace('required: true', 'required: false'))
    monkeypatch.delenv('MLOPS_KIT_KEY')
    monkeypatch.setenv('HOME', str(tmp_path))
    world.register()
    world.judge('tiny/1')
    assert world.promote('tiny/1').exit_code == 0
    root = write_site(world.folder/'site', world.store).folder
    entry = next(model(root).parent.glob('entry-*.html'))
    for page in root/'index.html', model(root): assert 'unsigned' in text_of(page), page
    assert 'nobody: it is not signed' in text_of(entry)
    for page in built.folder/'index.html', model(built.folder): assert 'unsigned' not in text_of(page)


def test_links_lead_somewhere_and_nothing_is_markup_that_a_stranger_wrote(built):
    assert astray(built.folder) == []
    ours = [p for p in built.folder.rglob('*.html') if p.name not in ('report.html', 'executed.html')]
    for p in ours: assert 'img' not in Links(p.read_text()).tags and '<img' not in p.read_text(), p
    assert Links((built.folder/'index.html').read_text()).tags.count('script') == 1
    assert not {c for p in built.folder.rglob('*') for c in p.name} & {*'<>:"\\|?*'}, 'a name that not every file system takes'
    assert all(re.fullmatch(r'[a-z0-9-]+', p.name) for p in (built.folder/'models').iterdir())


def test_a_second_build_keeps_what_cannot_have_changed(again):
    root, build = again
    before, wrote = dated(root), len(WRITES)
    found = build()
    fresh = {p.relative_to(root).as_posix() for p, at in dated(root).items() if before.get(p) != at}
    assert fresh == {'index.html', *(f'models/{slug(o)}/index.html' for o in ('tiny', 'odd', 'alien', EVIL))}
    assert (found.made, found.kept, found.removed, len(WRITES)) == (5, 7, 0, wrote)


def test_what_is_gone_is_removed_and_what_is_damaged_is_made_again(again, monkeypatch):
    root, build = again
    home, whole = model(root).parent, {p.relative_to(root) for p in root.rglob('*')}
    for o in (root/'models'/'old-0123456789ab', home/'evidence'/'.0123456789abcdef.77'): (o/'evidence').mkdir(parents=True)
    (root/'models'/'old-0123456789ab'/'index.html').write_text('old')
    for o in (home/'entry-000099.html', root/'.index.html.77'): o.write_text('old')
    min(home.glob('entry-*.html')).write_text('half a pa')
    next(home.glob('evidence/*.json')).write_text('{"key"')
    found = build()
    assert {p.relative_to(root) for p in root.rglob('*')} == whole and found.removed == 2 and found.made == 7


def test_evidence_that_was_touched_or_lost_is_said(world, tmp_path):
    entries = [e for e in world.book().entries() if e.kind == 'promote']
    base = world.folder/'mlartifacts/mlops_kit/evidence/tiny'
    verdict, other = base/entries[0].evidence['run_id']/'artifacts/performance/verdict.json', base/entries[1].evidence['run_id']
    raw = verdict.read_bytes()
    refused = next(p for p in base.glob('*/artifacts/decision.json') if json.loads(p.read_text())['decision'] == 'blocked')
    said = refused.read_bytes()
    try:
        verdict.write_bytes(raw.replace(b'"gate"', b' "gate"'))
        refused.write_bytes(said.replace(b'"decision": "blocked"', b'"decision": "promoted"'))
        other.rename(other.with_name('hidden'))
        found = write_site(tmp_path/'site', world.store)
        page, home = text_of(model(found.folder)), model(found.folder).parent
        assert '1 with evidence that does not hold' in text_of(found.folder/'index.html') and 'tiny' in found.unread
        assert 'Evidence does not hold.' in page and 'does not hold' in page and 'the alias was moved, and no entry of the ledger says so' in page
        assert 'The evidence is not here.' in text_of(home/f'entry-{entries[1].seq:06d}.html') and astray(found.folder) == []
        assert any('This evidence does not hold. The evidence is not as it was signed' in text_of(p) for p in home.glob('evidence/*/dossier.html'))
    finally:
        verdict.write_bytes(raw), refused.write_bytes(said), other.with_name('hidden').rename(other)
    assert 'does not hold' not in text_of(model(write_site(tmp_path/'site', world.store).folder))


def test_an_alias_that_a_person_moved_is_a_conflict(world, tmp_path):
    set_alias(world.store, 'tiny', 'champion', 2)
    try: said = text_of(write_site(tmp_path/'site', world.store).folder/'index.html')
    finally: set_alias(world.store, 'tiny', 'champion', 1)
    assert '1 conflict' in said.replace('in conflict', 'conflict') and 'mlops-kit reconcile tiny' in said


def test_a_store_that_fails_ends_the_build_and_removes_nothing(again, monkeypatch):
    root, build = again
    before, real, calls = dated(root), Store.call, []
    def call(self, *args, **kwargs):
        calls.append(1)
        if len(calls) > 12: raise ConnectionError('gone')
        return real(self, *args, **kwargs)
    monkeypatch.setattr(Store, 'call', call)
    with pytest.raises(RegistryError, match='could not') as e: build()
    assert e.value.exit_code == 3 and dated(root).keys() == before.keys()


def test_a_longer_history_costs_no_more_questions(store_uri, tmp_path, monkeypatch):
    from mlops_kit.store import connect
    store, asked, real = connect(store_uri), [], Store.call
    monkeypatch.setattr(Store, 'call', lambda self, *args, **kwargs: asked.append(1) or real(self, *args, **kwargs))
    book, base, counts = ledger(store, 'long', create=True), None, []
    book.pin(text := POLICY.replace('model: tiny', 'model: long').replace('required: true', 'required: false'), {})
    for n in range(1, 31):
        target = dict(version=n, model_id=f'm-{n:032x}', created=n, manifest=digest(str(n)))
        book.append('promote', 'champion', target, base=base, decision='promoted', evidence=dict(run_id=f'{n:032x}', digest=digest(f'e{n}')), policy=digest(text))
        base = target
        if n in (10, 30):
            asked.clear()
            write_site(tmp_path/'site', store)
            counts.append(len(asked))
    assert counts[1] <= counts[0] < 20, counts # The first look at a ledger also looks for versions older than it


def build_and_die(folder, address, at):
    real, calls = room.write_file, []
    def dying(*args):
        calls.append(args)
        if len(calls) == at: os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)
    room.write_file = dying
    os.environ.pop('MLFLOW_TRACKING_URI', None)
    write_site(folder, address)


@pytest.mark.slow
@pytest.mark.parametrize('at', [1, 4, 9])
def test_a_killed_build_is_finished_by_the_next(world, built, tmp_path, at):
    ctx = get_context('forkserver')
    ctx.set_forkserver_preload([*PRELOAD, 'mlops_kit.site'])
    p = ctx.Process(target=build_and_die, args=(str(tmp_path/'site'), world.address, at))
    p.start()
    p.join(120)
    assert p.exitcode == -signal.SIGKILL
    found = write_site(tmp_path/'site', world.store)
    names = lambda root: {o.relative_to(root).as_posix() for o in root.rglob('*')}
    assert names(found.folder) == names(built.folder) and astray(found.folder) == []


def test_the_command(world, built, tmp_path, capsys):
    assert run(['dossier', '--site', str(tmp_path/'site'), '--store', world.address, '--quiet']) == 3
    out, err = capsys.readouterr()
    assert '4 models, 2 cannot be read or believed' in out and 'error: `odd`: entry 1 of its ledger' in err and err.count('\n') == 2
    for words in (['dossier'], ['dossier', 'runs/x', '--site', 'y']):
        with pytest.raises(MlopsKitError, match='not both'): run(words)
    with pytest.raises(MlopsKitError, match='holds other files'): write_site(tmp_path, world.store)


def looks(page, width, dark, height=1000):
    page.execute_cdp_cmd('Emulation.setEmulatedMedia', dict(features=[dict(name='prefers-color-scheme', value='dark' if dark else 'light')]))
    page.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', dict(width=width, height=height, deviceScaleFactor=1, mobile=False))


@pytest.mark.slow
def test_in_a_real_browser(built):
    from selenium.webdriver.common.by import By
    PICTURES.mkdir(exist_ok=True)
    home = model(built.folder).parent
    last = max(home.glob('entry-*.html'))
    pages = dict(index=built.folder/'index.html', model=model(built.folder), entry=last, promotion=next(home.glob('evidence/*/dossier.html')), unread=model(built.folder, 'odd'), broken=model(built.folder, 'alien'))
    with browser(1280) as page:
        for name, path in pages.items():
            page.get(path.as_uri())
            for look, width, dark in (('light', 1280, False), ('dark', 1280, True), ('phone', 390, False)):
                looks(page, width, dark)
                looks(page, width, dark, min(settle(page), 8000))
                page.save_screenshot(str(PICTURES/f'site-{name}-{look}.png'))
                assert page.execute_script('return document.documentElement.scrollWidth') <= width and beyond(page) == [], (name, width)
                if not dark or name == 'index': assert axe(page) == [], (name, look)
        looks(page, 1280, False)
        go = lambda text: page.find_element(By.XPATH, f'//a[normalize-space()="{text}"]').send_keys('\n')
        page.get(pages['index'].as_uri())
        box, seen = page.find_element(By.ID, 'filter'), lambda: [o.text.split('\n')[0] for o in page.find_elements(By.CSS_SELECTOR, '#models tbody th') if o.is_displayed()]
        assert len(seen()) == 4
        box.send_keys('TIN 1')
        assert seen() == ['tiny'] and page.find_element(By.ID, 'found').text == '1 of 4 models'
        for text, where in [('tiny', home/'index.html'), ('dossier', None), ('tiny', home/'index.html'), (last.stem.replace('entry-', 'entry ').replace(' 0000', ' ').replace(' 0', ' '), last), ('All models', pages['index'])]:
            go(text)
            assert where is None and '/dossier.html' in page.current_url or where and page.current_url == where.as_uri(), page.current_url
        assert all(o.startswith(('file:', 'data:')) for o in requests_of(page)) and page.get_log('browser') == []


@pytest.mark.slow
def test_without_script(built):
    "Everything is there, and nothing that cannot work is shown"
    with browser(1280) as page:
        page.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', dict(value=True))
        page.get((built.folder/'index.html').as_uri())
        text = page.execute_cdp_cmd('DOM.getDocument', {}) and page.find_element('tag name', 'body').text
        assert 'tiny' in text and 'approve' in text and 'Find a model' not in text
