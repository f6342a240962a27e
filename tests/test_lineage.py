"Lineage in a real git checkout, and what must never be recorded."
import subprocess

from mlops_kit.lineage import code_record, sources_record


def git(folder, *args): subprocess.run(['git', '-c', 'user.name=a', '-c', 'user.email=a@b', *args], cwd=folder, check=True, capture_output=True)


def test_clean_and_dirty_are_told_apart(tmp_path):
    git(tmp_path, 'init', '-q')
    (tmp_path/'train.py').write_text('fit()')
    git(tmp_path, 'add', '.')
    git(tmp_path, 'commit', '-qm', 'one')
    git(tmp_path, 'remote', 'add', 'origin', 'https://me:token@example.org/x.git')
    clean = code_record(tmp_path)
    assert clean['commit'] and clean['dirty'] is False and clean['remote'] == 'https://example.org/x.git'
    (tmp_path/'train.py').write_text('fit(2)')
    assert code_record(tmp_path)['dirty'] is True
    assert 'token' not in str(code_record(tmp_path))


def test_a_folder_is_its_files(tmp_path):
    for n in 'ab': (tmp_path/f'{n}.csv').write_text(n)
    digests = {r['digest'] for r in sources_record(tmp_path)}
    assert len(digests) == 2
    (tmp_path/'a.csv').write_text('c')
    assert len({r['digest'] for r in sources_record(tmp_path)} - digests) == 1
