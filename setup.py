"Read settings.ini and the version, and put the gate notebooks inside the package as data."
import re
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup

here = Path(__file__).parent
cfg = ConfigParser(delimiters=['='])
cfg.read(here/'settings.ini', encoding='utf-8')
cfg = cfg['DEFAULT']
lines = lambda key: [o.strip() for o in cfg.get(key, '').splitlines() if o.strip()]
version = re.search(r"__version__ = ['\"](.+?)['\"]", (here/'mlops_kit/__init__.py').read_text(encoding='utf-8'))[1]
extras = {k.strip(): v.split() for k, v in (o.split(':', 1) for o in lines('extras'))}
extras['dev'] = lines('dev_requirements') + extras['demo']

setup(
    version=version, license=cfg['license'], author=cfg['author'], keywords=cfg['keywords'].split(),
    classifiers=[f"Development Status :: {cfg['status']}", 'Programming Language :: Python :: 3 :: Only'],
    long_description=(here/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    packages=['mlops_kit', 'mlops_kit.gates', 'mlops_kit.promotion_gates'], package_dir={'mlops_kit.promotion_gates': 'promotion_gates'},
    package_data={'mlops_kit': ['data/*', 'py.typed'], 'mlops_kit.promotion_gates': ['*.ipynb']},
    install_requires=lines('requirements'), extras_require=extras,
    entry_points=dict(console_scripts=lines('console_scripts'), nbdev=['mlops_kit=mlops_kit._modidx:d']))
