"How Sphinx builds the site. `docs/build.py` lays out its sources and calls it."
from mlops_kit import __version__

project, author, copyright = 'mlops_kit', 'The mlops_kit authors', 'The mlops_kit authors'
version = release = __version__
extensions = ['myst_nb']
exclude_patterns = ['.doctrees']
html_theme = 'furo'
html_title = f'mlops_kit {version}'
html_static_path = ['_static']
html_css_files, html_js_files = ['site.css'], ['site.js']
html_copy_source = html_show_sourcelink = False
html_show_search_summary = False # it would fetch pages, which a browser refuses for files
nb_code_prompt_show = 'The code'
nb_code_prompt_hide = 'The code'
nb_execution_mode = 'off' # the outputs are the stored ones, which the tests compare
myst_heading_anchors = 3
pygments_style, pygments_dark_style = 'a11y-high-contrast-light', 'a11y-high-contrast-dark'
