"Pages of evidence run nothing: not what a notebook printed, not what a gate of somebody's own left behind; what needs scripts has no origin."
import json

import nbformat
import pytest
from nbformat import v4

from browser import browser, requests_of, settle
from mlops_kit.core import write_file
from mlops_kit.dossier import gate_of, notebook_html
from mlops_kit.page import framed_page, is_quiet, quiet
from mlops_kit.site import quieten

RAN = "document.title='ran'"
HOSTILE = f'''<table><tr><td>0.71</td></tr></table><script>{RAN}</script><img src=x onerror="{RAN}"><svg onload="{RAN}"><script>{RAN}</script><animate onbegin="{RAN}" attributeName=x></svg>
<a id=a href="javascript:{RAN}">x</a><a href="&#x6a;ava\tscript:{RAN}">y</a><iframe srcdoc="<script>parent.{RAN}</script>"></iframe><meta http-equiv="refresh" content="0;url=data:text/html,ran">
<base href="http://127.0.0.1:1/"><object data="data:text/html,x"></object><embed src="data:text/html,x"><form action="http://127.0.0.1:1/"><button formaction="javascript:{RAN}">go</button></form>
<details open ontoggle="{RAN}">d</details><math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={RAN}&gt;"></mglyph></table></mtext></math>
<noscript><p title="</noscript><img src=x onerror={RAN}>"></noscript><style>@import "http://127.0.0.1:1/x.css";</style><link rel=stylesheet href="http://127.0.0.1:1/y.css"><video src="http://127.0.0.1:1/z" onerror="{RAN}">'''


def hostile_notebook(path):
    data = [{'text/html': HOSTILE}, {'application/javascript': RAN}, {'text/markdown': HOSTILE}, {'text/latex': f'$<script>{RAN}</script>$'},
            {'image/svg+xml': f"<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40'><script>parent.{RAN}</script><rect width='40' height='40'/></svg>"},
            {'image/png': f'"><script>{RAN}</script>'}, {'text/vnd.mermaid': f'<script>{RAN}</script>'},
            {'application/vnd.jupyter.widget-view+json': {'model_id': f'"><script>{RAN}</script>'}, 'text/plain': 'w'}]
    outputs = [v4.new_output('display_data', data=o, metadata={k: {'width': f'1" onload="{RAN}'} for k in o}) for o in data]
    outputs += [v4.new_output('stream', name='stdout', text=f'\x1b[31m<script>{RAN}</script>'), v4.new_output('error', ename='<script>', evalue='x', traceback=[f'<script>{RAN}</script>'])]
    nb = v4.new_notebook(cells=[v4.new_markdown_cell('# Is it good?\n\n' + HOSTILE), v4.new_code_cell(f'x = "<script>{RAN}</script>"', outputs=outputs),
                                v4.new_raw_cell(HOSTILE, metadata=dict(raw_mimetype='text/html'))])
    nb.metadata |= dict(title=f'</title><script>{RAN}</script>', widgets={'application/vnd.jupyter.widget-state+json': {'state': {'x': f'</script><script>{RAN}</script>'}}})
    nbformat.write(nb, path)
    return notebook_html(path)


def test_the_page_of_a_hostile_notebook_has_nothing_that_acts(tmp_path):
    page = hostile_notebook(tmp_path/'executed.ipynb').read_text()
    assert is_quiet(page) and '0.71' in page and 'Is it good?' in page and page.index('Content-Security-Policy') < page.index('<style')
    for word in ('<script', '<iframe', '<object', '<embed', '<form', '<base', '<link', '<svg onload', 'href="javascript'): assert word not in page.lower(), word
    assert page.count('<meta') == 2


@pytest.mark.slow
def test_in_a_browser_nothing_of_it_runs_or_asks_for_anything(tmp_path):
    quiet_one, raw = hostile_notebook(tmp_path/'executed.ipynb'), write_file(tmp_path/'raw.html', f'<!DOCTYPE html><title>t</title>{HOSTILE}')
    with browser() as page:
        page.get(raw.as_uri())
        settle(page)
        assert page.title == 'ran' or 'ran' in page.page_source, 'the bait works'
        requests_of(page)
        for path in (quiet_one, write_file(tmp_path/'framed.html', framed_page('f', raw.read_text(), scripts=False))):
            page.get(path.as_uri())
            settle(page)
            page.execute_script('document.querySelectorAll("a").forEach(a => a.click())')
            settle(page)
            assert page.title in ('executed', 'f') and page.current_url.startswith('file:'), path
            assert [o for o in requests_of(page) if not o.startswith(('file:', 'data:image/', 'about:srcdoc'))] == [], path


@pytest.mark.slow
def test_what_needs_scripts_runs_without_an_origin(tmp_path):
    script = "let said = []; for (const f of [() => parent.document.title, () => document.cookie, () => localStorage.length, () => top.location.href]) { try { f(); said.push('yes') } catch (e) { said.push('no') } } fetch('http://127.0.0.1:1/').catch(() => 0); document.title = JSON.stringify([self.origin, ...said]); document.body.append(document.title)"
    path = write_file(tmp_path/'report.html', framed_page('Drift', f'<html><body>Drift<script>{script}</script></body></html>'))
    with browser() as page:
        page.get(path.as_uri())
        settle(page)
        assert page.title == 'Drift'
        page.switch_to.frame(0)
        assert json.loads(page.execute_script('return document.title')) == ['null', 'no', 'no', 'no', 'no']
        assert [o for o in requests_of(page) if o.startswith('http')] == []


@pytest.mark.parametrize('text', ['<script>1</script>', '<p onclick="x">', '<p title="<title>" onclick="x</title>">', '<!-- -->', '<img src=x>', '<a href="java&#115;cript:x">',
                                  '<iframe title="" sandbox="allow-scripts allow-same-origin" srcdoc=""></iframe>', '<style>@import "http://x"</style>', '<?xml version="1.0"?>', '<', '<P>'])
def test_what_this_kit_does_not_write_is_not_taken_for_quiet(text): assert not is_quiet(text) and is_quiet(quiet(text))


def test_foreign_pages_are_not_linked_and_never_published_as_they_are(tmp_path):
    from mlops_kit.core import Check, Verdict
    folder = tmp_path/'run'
    for name in ('executed.html', 'report.html'): write_file(folder/'drift'/name, HOSTILE)
    write_file(folder/'drift'/'own.svg', '<svg onload="x">')
    write_file(folder/'dossier.html', '<script>ours</script>')
    write_file(folder/'fine'/'report.html', fine := framed_page('Drift', HOSTILE))
    v = Verdict('drift', [Check('a', 'pass', 'fine')])
    assert [o[0] for o in gate_of(folder, 'drift', v).links] == [] and [o[0] for o in gate_of(folder, 'fine', v).links] == ['fine/report.html']
    quieten(folder)
    assert {p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()} == {
        'dossier.html', 'drift/executed.html', 'drift/report.html', 'drift/own.svg.txt', 'fine/report.html'}
    assert all(is_quiet(p.read_text()) and 'sandbox=""' in p.read_text() for p in (folder/'drift').glob('*.html'))
    assert (folder/'fine'/'report.html').read_text() == fine and (folder/'dossier.html').read_text() == '<script>ours</script>'
