"A real PostgreSQL server for one test session, on a free port of this machine."
import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

HOMES = [Path(p) for p in sorted(map(str, Path('/usr/lib/postgresql').glob('*/bin')), reverse=True)] + [Path('/usr/bin'), Path('/usr/local/bin')]


def binaries():
    "The folder of the server's programs, or None"
    there = [o for o in HOMES if (o/'initdb').exists() and (o/'postgres').exists()]
    return there[0] if there else None


def servant():
    "Who may run the server: it refuses root"
    if os.geteuid(): return getpass.getuser()
    names = [o.pw_name for o in pwd.getpwall()]
    return 'postgres' if 'postgres' in names else 'nobody'


@contextmanager
def server():
    "Start a server; user `toy` needs no password, any other does; yields its address"
    home, who = binaries(), servant()
    folder = Path(tempfile.mkdtemp(prefix='pg-', dir='/tmp'))
    shutil.chown(folder, who)
    run = dict(user=who if not os.geteuid() else None, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    try:
        p = subprocess.run([home/'initdb', '-D', folder/'data', '-U', 'toy', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'], **run)
        assert p.returncode == 0, p.stdout
        (folder/'data/pg_hba.conf').write_text('local all all trust\nhost all toy 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n')
        options = f'-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off'
        p = subprocess.run([home/'pg_ctl', '-D', folder/'data', '-w', '-l', folder/'log', '-o', options, 'start'], **run | dict(stdout=subprocess.DEVNULL))
        assert p.returncode == 0, (folder/'log').read_text()
        yield f'postgres://toy@127.0.0.1:{port}/postgres'
    finally:
        subprocess.run([home/'pg_ctl', '-D', folder/'data', '-m', 'immediate', 'stop'], **run)
        shutil.rmtree(folder, ignore_errors=True)
