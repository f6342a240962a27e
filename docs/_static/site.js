// Whoever works by keyboard scrolls what is wider than the page.
addEventListener('load', () => document.querySelectorAll('pre, .table-wrapper, .text_html').forEach(o => { if (o.scrollWidth > o.clientWidth) o.tabIndex = 0 }))
