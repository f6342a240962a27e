"Take the README's picture: the top of the newest dossier of the demo, as headless Chromium shows it."
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
FLAGS = '--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --hide-scrollbars'.split()


def main(story):
    pages = sorted(Path(story).resolve().glob('runs/*/dossier.html'))
    if not pages: sys.exit(f'no dossier in {story}. Hint: make demo')
    with TemporaryDirectory() as profile:
        subprocess.run(['chromium', *FLAGS, f'--user-data-dir={profile}', '--window-size=1200,1850', f'--screenshot={ROOT}/docs/dossier.png', pages[1].as_uri()],
                       check=True, capture_output=True)


if __name__ == '__main__': main(sys.argv[1])
