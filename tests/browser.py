"Open a page in a real browser, as a reader would, with the network watched."
import base64
import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import ROOT

PICTURES = ROOT/'test-output'
LOCAL = 'file:', 'data:', 'blob:', 'about:'


def find_browser():
    "The paths of chromium and of its driver, or skip the test"
    paths = [next(filter(None, map(shutil.which, names)), None) for names in
             (('chromium', 'chromium-browser', 'google-chrome'), ('chromedriver',))]
    if None in paths: pytest.skip('no chromium with chromedriver here; `apt-get install chromium chromium-driver` brings both')
    return paths


@contextmanager
def browser(width=1300):
    "A headless Chromium that logs its console and every request; selenium itself stays offline"
    os.environ['SE_OFFLINE'], os.environ['SE_AVOID_STATS'] = 'true', 'true'
    from selenium import webdriver
    binary, driver = find_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability('goog:loggingPrefs', dict(browser='ALL', performance='ALL'))
    for o in ('headless=new', 'no-sandbox', 'disable-gpu', 'disable-dev-shm-usage', 'disable-background-networking', 'no-first-run',
              'hide-scrollbars', f'window-size={width},1000'): options.add_argument(f'--{o}')
    page = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try: yield page
    finally: page.quit()


def requests_of(page):
    "Every address that the page asked for since the last call"
    events = [json.loads(o['message'])['message'] for o in page.get_log('performance')]
    return [e['params']['request']['url'] for e in events if e['method'] == 'Network.requestWillBeSent']


def settle(page, timeout=20):
    "Wait until the page has stopped growing, and say how high it is"
    end, seen, height = time.monotonic() + timeout, None, -1
    while seen != height and time.monotonic() < end:
        seen = height
        time.sleep(.4)
        height = page.execute_script('return Math.max(document.documentElement.scrollHeight, document.body ? document.body.scrollHeight : 0)')
    return height


def axe(page, within='html'):
    "What axe-core finds on the open page, or inside some of its elements, as `(impact, rule, how many, the first)`; the wheel that brings its script needs no network"
    from importlib.metadata import PackageNotFoundError, files
    try: script = next(f for f in files('selenium-axe-python') if f.name == 'axe.min.js').read_text()
    except PackageNotFoundError: pytest.skip('no axe-core here; `pip install selenium-axe-python` brings it')
    page.execute_script(script)
    page.set_script_timeout(180) # A long page on a busy machine
    found = page.execute_async_script('const [within, done] = arguments; axe.run(within).then(done, e => done({error: String(e)}))', within)
    assert 'error' not in found, found
    assert len(found['passes']) > (10 if within == 'html' else 0), 'axe-core looked at next to nothing'
    return [(o['impact'], o['id'], len(o['nodes']), o['nodes'][0]['html'][:200]) for o in found['violations']]


def paper(page):
    "The open page as a PDF: its bytes, and how many sheets it takes"
    pdf = base64.b64decode(page.execute_cdp_cmd('Page.printToPDF', dict(preferCSSPageSize=True, printBackground=True))['data'])
    return pdf, len(re.findall(rb'/Type\s*/Page\b', pdf))


def beyond(page):
    "What sticks out on the right, or is cut off in a box that does not scroll"
    return page.execute_script("""const wide = document.documentElement.clientWidth + 1, seen = e => !e.closest('.unseen, .skip') && e.checkVisibility();
        const boxed = e => { for (let p = e.parentElement; p; p = p.parentElement) if (['auto', 'scroll'].includes(getComputedStyle(p).overflowX)) return true; return false };
        return [...document.querySelectorAll('body *')].filter(e => seen(e) && !boxed(e) && e.getBoundingClientRect().right > wide).map(e => e.outerHTML.slice(0, 150))""")


def screenshot_and_requests(html_path, png_path, width=1300, click=None):
    """Open `html_path`, assert that its console is clean and that it asks nothing of any network, save its picture.

    `png_path` is a name in test-output/ (or an absolute path); `click` is the visible text of a button or link to click first.
    Returns the requests that were made and the text that a reader sees."""
    from selenium.webdriver.common.by import By
    png = PICTURES/png_path
    png.parent.mkdir(parents=True, exist_ok=True)
    with browser(width) as page:
        page.get(Path(html_path).resolve().as_uri())
        settle(page)
        inside = page.find_elements(By.CSS_SELECTOR, 'body > iframe[sandbox]:only-child') # A page behind glass
        if inside: page.switch_to.frame(inside[0])
        settle(page)
        if click: page.find_element(By.XPATH, f'//*[self::button or self::a or self::summary][contains(., {json.dumps(click)})]').click()
        tall = settle(page)
        page.switch_to.default_content()
        frame = page.execute_script('return window.outerHeight - window.innerHeight')
        page.set_window_size(width, min(tall + frame, 16000))
        settle(page)
        page.save_screenshot(str(png))
        if inside: page.switch_to.frame(inside[0])
        requests, text = requests_of(page), page.find_element(By.TAG_NAME, 'body').text
        console = [o['message'] for o in page.get_log('browser') if o['level'] == 'SEVERE']
    assert requests, 'the browser reported no request, not even for the page itself'
    assert [o for o in requests if not o.startswith(LOCAL)] == [], 'the page went to the network'
    assert console == [], 'the page complained in the console'
    assert text.strip(), 'the page is blank'
    return requests, text
