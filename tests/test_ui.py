"MLflow's own pages show what was decided, and the dossier inside their artifact viewer."
import json
from pathlib import Path

import pytest

from browser import PICTURES, browser
from mlops_kit.core import write_file
from mlops_kit.promotion import PAGE
from mlops_kit.store import BLOCK, DESCRIPTION, describe_version, get_version, run_files, with_fact
from servers import mlflow_server
from world import World


def seen(page, address, what, seconds=40):
    "Open a page of MLflow and wait for a text on it, in its frames too"
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait
    page.get('about:blank')
    page.get(address)
    return WebDriverWait(page, seconds).until(lambda p: what in (text := p.find_element(By.TAG_NAME, 'body').text) and text)


@pytest.mark.slow
def test_the_decision_and_its_dossier_show_in_mlflow(tmp_path, monkeypatch):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait
    with mlflow_server(tmp_path/'server') as server, browser(1500) as page:
        world = World(tmp_path/'world', place=server).furnish()
        monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
        for upside_down in (False, True): world.register(upside_down=upside_down)
        describe_version(world.store, 'tiny', 1, 'Ana likes *this* one.', {})
        d, refused = [(world.judge(f'tiny/{n}'), world.promote(f'tiny/{n}', page=PAGE))[1] for n in (1, 2)]
        assert (d.exit_code, refused.exit_code) == (0, 1), (d, refused)
        v, own = get_version(world.store, 'tiny', 1), f'decisions/{d.entry["seq"]:06d}-promoted.html'
        assert v.description.startswith('Ana likes *this* one.') and BLOCK[0] in v.description and v.tags['mlops_kit.decision'].startswith('promoted to champion, entry ')
        assert {own, 'dossier.html'} <= run_files(world.store, d.evidence['run_id']).keys()
        PICTURES.mkdir(exist_ok=True)
        text = seen(page, f'{server.address}/#/models/tiny/versions/1', 'promoted to champion, entry')
        page.save_screenshot(str(PICTURES/'mlflow-version.png'))
        assert 'Ana likes this one.' in text and 'mlops_kit.decision' in text
        link = next(o.get_attribute('href') for o in page.find_elements(By.TAG_NAME, 'a') if o.text == 'dossier')
        assert link.endswith(own)
        seen(page, link, 'decisions')
        frame = WebDriverWait(page, 40).until(lambda p: next(iter(p.find_elements(By.TAG_NAME, 'iframe')), None))
        page.switch_to.frame(frame)
        WebDriverWait(page, 40).until(lambda p: 'Promoted:' in p.find_element(By.TAG_NAME, 'body').text)
        wide, inside, high = page.execute_script('const e = document.documentElement; return [e.scrollWidth, e.clientWidth, e.scrollHeight - e.clientHeight]')
        page.switch_to.default_content()
        page.save_screenshot(str(PICTURES/'mlflow-dossier.png'))
        assert frame.get_attribute('sandbox') is not None and wide <= inside + 1 and high > 0
        before = get_version(world.store, 'tiny', 1).description
        d = world.promote('tiny/1', page=PAGE)
        assert d.exit_code == 0 and get_version(world.store, 'tiny', 1).description == before


def test_what_people_wrote_stays_and_ours_makes_room():
    lines = [f'- fact {i} {"x"*800}' for i in range(9)]
    text = 'Mine.'
    for o in lines: text = with_fact(text, o)
    assert text.startswith('Mine.\n') and len(text) <= DESCRIPTION and lines[8] in text and lines[0] not in text
    text = with_fact(f'{text}\n\nMine too.', '- last')
    assert text.endswith('Mine too.') and text.count(BLOCK[0]) == text.count(BLOCK[1]) == 1 and text.index('- last') < text.index('fact 8')
    torn = f'torn {BLOCK[0]} mine' # A block without an end is a person's text
    assert with_fact(with_fact(torn, '- a'), '- b').startswith(torn)


def full(path): raise OSError('no space left')


@pytest.mark.slow
def test_a_version_that_cannot_be_described_changes_no_decision(tmp_path, monkeypatch):
    world = World(tmp_path/'world').furnish()
    monkeypatch.setenv('MLOPS_KIT_KEY', str(world.key))
    for _ in range(2): world.register()
    world.judge('tiny/1')
    with monkeypatch.context() as m:
        m.setattr('mlops_kit.promotion.write_file', lambda path, text: full(path) if 'decisions' in Path(path).parts else write_file(path, text))
        d = world.promote('tiny/1', page=PAGE)
    assert (d.exit_code, d.reasons[-1]) == (0, 'the page was not written: OSError: no space left') and 'dossier' not in get_version(world.store, 'tiny', 1).description
    world.judge('tiny/2')
    describe_version(world.store, 'tiny', 2, theirs := 'x'*4990, {})
    d = world.promote('tiny/2')
    assert (d.exit_code, world.alias(), get_version(world.store, 'tiny', 2).description) == (0, 2, theirs)
    assert d.reasons[-1].startswith('MLflow does not show the decision beside the version: RegistryError: the description of `tiny/2`')
    assert json.loads(Path(d.run, 'decision.json').read_text())['reasons'] == d.reasons
    assert world.rollback(reason='why not').exit_code == 0
    told = [o for o in get_version(world.store, 'tiny', 1).description.splitlines() if o.startswith('- ')]
    assert [o.split(',')[0] for o in told] == ['- **brought back as champion by a rollback', '- **promoted to champion']
