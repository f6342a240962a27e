"The browser that looks at our pages notices what it is there to notice."
import pytest

from browser import screenshot_and_requests

PAGES = dict(
    network=('<p>x</p><img src="http://example.invalid/x.png">', 'network'),
    late=('<p>x</p><script>setTimeout(() => fetch("https://example.invalid/ping").catch(() => 0), 200)</script>', 'network'),
    console=('<p>x</p><script>console.error("broken")</script>', 'console'),
    crash=('<p>x</p><script>nothing.there()</script>', 'console'),
    blank=('<div></div>', 'blank'))


@pytest.mark.slow
@pytest.mark.parametrize('name', PAGES)
def test_a_bad_page_is_noticed(name, tmp_path):
    page, complaint = PAGES[name]
    (tmp_path/'page.html').write_text(f'<!DOCTYPE html><title>x</title><body>{page}</body>')
    with pytest.raises(AssertionError, match=complaint): screenshot_and_requests(tmp_path/'page.html', tmp_path/'page.png')


@pytest.mark.slow
def test_a_good_page_is_pictured_whole(tmp_path):
    (tmp_path/'page.html').write_text('<!DOCTYPE html><title>x</title><body><button onclick="this.textContent=\'open\'">more</button>'
                                      '<div style="height:3000px">high</div></body>')
    requests, text = screenshot_and_requests(tmp_path/'page.html', tmp_path/'page.png', click='more')
    assert len(requests) == 1 and 'open' in text
    assert int.from_bytes((tmp_path/'page.png').read_bytes()[20:24], 'big') > 3000


@pytest.mark.slow
def test_a_page_that_not_all_can_read_is_noticed(tmp_path):
    from browser import axe, beyond, browser, paper
    (tmp_path/'page.html').write_text('<!DOCTYPE html><html><title>x</title><main><h1>x</h1><img src="data:,"><p style="color:#bbb">faint</p><div style="width:3000px">wide</div></main></html>')
    with browser() as page:
        page.get((tmp_path/'page.html').as_uri())
        assert {o[1] for o in axe(page)} >= {'image-alt', 'color-contrast', 'html-has-lang'} and len(beyond(page)) == 1 and paper(page)[1] == 1
