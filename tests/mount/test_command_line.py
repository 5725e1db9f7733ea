# SPDX-License-Identifier: MIT
"""The command line of cabfs, as far as no service is needed: messages, exit status, background, unmounting.

The program is named by the environment variable CABFS.  Mounting makes no request, so an address nobody listens at will
do for the service.
"""
import os
import pathlib
import re
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import time

import pytest

PROGRAM = os.environ.get('CABFS')
PATIENCE = 20
NOBODY = 65534

pytestmark = pytest.mark.skipif(not PROGRAM, reason='CABFS does not name the program')

needs_fuse = pytest.mark.skipif(not os.access('/dev/fuse', os.R_OK | os.W_OK), reason='/dev/fuse cannot be used')

WORKING = '''
[contoso]
token-file = {home}/token
api-url = http://127.0.0.1:9
login-url = http://127.0.0.1:9
allow-http = yes
'''


class Place:
    """A home directory with a configuration and a mount point."""

    def __init__(self, home):
        self.home = home
        self.mountpoint = home / 'mnt'
        self.mountpoint.mkdir()
        self.config = home / '.config' / 'cabfs' / 'cabfs.conf'
        self.config.parent.mkdir(parents=True)
        (home / 'token').write_text('header.payload.signature\n')
        self.prefix = []
        self.environment = {'PATH': os.environ['PATH'], 'HOME': str(home)}
        for name in ('ASAN_OPTIONS', 'LSAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS', 'G_SLICE'):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def write(self, text):
        self.config.write_text(text.format(home=self.home))

    def run(self, *arguments, **environment):
        return subprocess.run([PROGRAM, *map(str, arguments)], env={**self.environment, **environment}, cwd=self.home,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)

    def start(self, *arguments, **more):
        return subprocess.Popen([*self.prefix, PROGRAM, *map(str, arguments)], env=self.environment, cwd=self.home,
                                text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                **more)


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.write(WORKING)
    yield place
    if mount_line(place.mountpoint):
        subprocess.run(['fusermount3', '-u', '-z', place.mountpoint], check=False)


def mount_line(mountpoint):
    with open('/proc/self/mounts', encoding='utf-8') as mounts:
        for line in mounts:
            if line.split()[1] == str(mountpoint):
                return line
    return None


def wait_line(process, words):
    """Reads the log as far as the line with these words."""
    lines = []
    while not lines or words not in lines[-1]:
        line = process.stderr.readline()
        assert line, ''.join(lines)
        lines.append(line)


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def refused(result, status, *parts):
    """One line on stderr with all of the parts, and nothing mounted."""
    assert result.returncode == status, result.stderr
    assert result.stdout == ''
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith('cabfs: ')
    for part in parts:
        assert str(part) in lines[0]


def test_help_and_version(place):
    result = place.run('--help')
    assert result.returncode == 0 and result.stderr == ''
    assert result.stdout.startswith('Usage: cabfs [OPTION...] ACCOUNT MOUNTPOINT\n')
    for option in ('-c, --config', '-f, --foreground', '-d, --debug', '-o, --options', '-h, --help', '-V, --version'):
        assert option in result.stdout
    result = place.run('-V')
    assert result.returncode == 0
    assert re.fullmatch(r'cabfs \d+\.\d+\.\d+\n', result.stdout)


@pytest.mark.parametrize('line, parts', [
    ('cache-sise = 1G', ['[contoso] cache-sise: unknown key']),
    ('members = yes', ['[contoso] members: "yes" is not known; one of: hidden, visible, off']),
    ('cache-size = 10X', ['[contoso] cache-size: "10X" is not a size']),
    ('timeout = 0', ['[contoso] timeout: "0" is out of range']),
    ('driver = 42', ['[contoso] driver: "42" is not an application ID']),
    ('client-secret-file = /nonexistent/secret', ['[contoso] client-secret-file: /nonexistent/secret', 'No such file']),
    ('client-secret = hunter2', ['[contoso] client-secret: ', 'client-secret-file']),
])
def test_bad_key_or_value(place, line, parts):
    place.write(WORKING + line + '\n')
    result = place.run('contoso', place.mountpoint)
    refused(result, 2, place.config, *parts)
    assert 'hunter2' not in result.stderr
    assert mount_line(place.mountpoint) is None


@pytest.mark.parametrize('arguments, part', [
    ([], 'the account and the mount point are missing'),
    (['contoso'], 'the mount point is missing'),
    (['contoso', 'mnt', 'more'], 'one argument too many: more'),
    (['-x', 'contoso', 'mnt'], 'unknown option -x'),
    (['--client-secret=hunter2', 'contoso', 'mnt'], 'unknown option --client-secret'),
    (['contoso', 'mnt', '-o', 'nonsense'], '-o nonsense: unknown key'),
    (['contoso', 'mnt', '-o', 'cache-size=x'], '-o cache-size: "x" is not a size'),
    (['contoso', 'mnt', '-o', 'client-secret=hunter2'], '-o client-secret: a secret must not stand here'),
    (['-c', '/nonexistent/conf', 'contoso', 'mnt'], '/nonexistent/conf'),
    (['fabrikam', 'mnt'], 'there is no section [fabrikam]; there are: contoso'),
    (['../contoso', 'mnt'], '"../contoso" cannot be the name of an account'),
])
def test_bad_command_line(place, arguments, part):
    result = place.run(*arguments)
    refused(result, 2, part)
    assert 'hunter2' not in result.stderr
    assert mount_line(place.mountpoint) is None


def test_no_configuration(place):
    if os.path.exists('/etc/cabfs/cabfs.conf'):
        pytest.skip('there is a configuration of the system')
    place.config.unlink()
    refused(place.run('contoso', 'mnt'), 2, place.config, '/etc/cabfs/cabfs.conf')
    place.config.write_text('a line that is none\n')
    refused(place.run('contoso', 'mnt'), 2, place.config, 'line 1')


def test_secret_file_of_everybody(place):
    secret = place.home / 'secret'
    secret.write_text('hunter2\n')
    secret.chmod(0o644)
    place.write('[contoso]\ntenant = t\nclient-id = c\nclient-secret-file = {home}/secret\n')
    result = place.run('contoso', 'mnt')
    refused(result, 2, place.config, '[contoso]', secret)
    assert 'hunter2' not in result.stderr


def test_no_credentials(place):
    place.write('[contoso]\n')
    refused(place.run('contoso', 'mnt'), 2, place.config, '[contoso]')


def test_http_elsewhere(place):
    place.write(WORKING)
    refused(place.run('contoso', 'mnt', '-o', 'allow-http=no'), 2, '[contoso] api-url: http is not allowed')
    refused(place.run('contoso', 'mnt', '-o', 'api-url=http://192.0.2.1'), 2, '192.0.2.1')


def test_bad_mount_point(place):
    refused(place.run('contoso', 'none'), 1, place.home / 'none', 'No such file or directory', 'mkdir')
    refused(place.run('contoso', 'token'), 1, place.home / 'token', 'not a directory')


def test_bad_cache_directory(place):
    (place.home / 'file').write_text('')
    refused(place.run('contoso', 'mnt', '-o', 'cache-dir=file'), 1, '[contoso]: cache-dir: ', place.home / 'file')
    assert mount_line(place.mountpoint) is None


@needs_fuse
def test_background(place):
    """It returns when the mount answers, leaves nobody with its standard streams, and goes when it is unmounted."""
    result = place.run('contoso', place.mountpoint)
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')
    source, target, kind, options = mount_line(place.mountpoint).split()[:4]
    assert (source, target, kind) == ('contoso', str(place.mountpoint), 'fuse.cabfs')
    assert {'ro', 'nosuid', 'nodev'} <= set(options.split(','))
    assert stat.S_IMODE(place.mountpoint.stat().st_mode) == 0o555
    cache = place.home / '.cache' / 'cabfs' / 'contoso'
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    daemons = running(place)
    assert len(daemons) == 1
    if os.access('/proc/%d/fd' % daemons[0], os.R_OK):  # it keeps others than root from looking
        assert os.readlink('/proc/%d/cwd' % daemons[0]) == '/'
        for number in range(3):
            assert os.readlink('/proc/%d/fd/%d' % (daemons[0], number)) == '/dev/null'
    subprocess.run(['fusermount3', '-u', place.mountpoint], check=True)
    wait_for(lambda: not running(place), 'it does not end')


def running(place):
    """Processes of PROGRAM for the mount point of this place."""
    found = []
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/cmdline' % name, 'rb') as file:
                words = file.read().split(b'\0')
        except OSError:  # it has ended
            continue
        if words[0] == os.fsencode(PROGRAM) and os.fsencode(place.mountpoint) in words:
            found.append(int(name))
    return found


@needs_fuse
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_signal(place, number):
    process = place.start('-f', '-o', 'log-level=info', 'contoso', 'mnt')
    wait_line(process, 'contoso is mounted at %s' % place.mountpoint)
    assert mount_line(place.mountpoint)
    process.send_signal(number)
    _, rest = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, rest
    assert mount_line(place.mountpoint) is None


@needs_fuse
def test_mount_options(place):
    """Everything that mount(8) passes on is taken."""
    result = place.run('contoso', 'mnt', '-o', 'rw,noexec,nosuid,nodev,user=me,_netdev,noauto,nofail,x-systemd.automount',
                       '-o', 'umask=027,fsname=a\\,b')
    assert (result.returncode, result.stderr) == (0, '')
    source, _, _, options = mount_line(place.mountpoint).split()[:4]
    assert source == 'a,b'
    assert {'ro', 'noexec'} <= set(options.split(','))
    assert stat.S_IMODE(place.mountpoint.stat().st_mode) == 0o550


@needs_fuse
def test_stale_mount_point(place):
    process = place.start('-f', '-o', 'log-level=info,noauto_unmount', 'contoso', 'mnt')
    wait_line(process, 'is mounted')
    process.kill()
    process.communicate()
    with pytest.raises(OSError, match='Transport endpoint is not connected'):
        place.mountpoint.stat()
    result = place.run('contoso', 'mnt')
    remedy = 'fusermount3 -u %s' % place.mountpoint
    refused(result, 1, 'Transport endpoint is not connected', remedy)
    subprocess.run(remedy.split(), check=True)
    assert place.run('contoso', 'mnt').returncode == 0


@needs_fuse
@pytest.mark.skipif(os.geteuid() != 0, reason='fusermount3 before 3.15 does it for root only')
def test_auto_unmount(place):
    process = place.start('-f', '-o', 'log-level=info', 'contoso', 'mnt')
    wait_line(process, 'is mounted')
    process.kill()
    process.communicate()
    wait_for(lambda: mount_line(place.mountpoint) is None, 'the mount stays')


def dumps_core(process):
    """Whether a process leaves a core dump when it is told to end with one."""
    process.send_signal(signal.SIGQUIT)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = -signal.SIGQUIT
    return os.WCOREDUMP(status)


@needs_fuse
@pytest.mark.parametrize('how', ['-f', '-d'])
def test_no_core_dump(place, how):
    """It leaves no core dump, not even where one is wanted."""
    def want():
        resource.setrlimit(resource.RLIMIT_CORE, 2 * (resource.getrlimit(resource.RLIMIT_CORE)[1],))

    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        pytest.skip('core dumps are forbidden here anyway')
    if not dumps_core(subprocess.Popen(['sleep', '60'], cwd=place.home, preexec_fn=want)):
        pytest.skip('core dumps are not made here')
    process = place.start(how, '-o', 'log-level=info', 'contoso', 'mnt', preexec_fn=want)
    wait_line(process, 'is mounted')
    assert resource.prlimit(process.pid, resource.RLIMIT_CORE)[1] <= 1  # where it would be piped, too
    assert not dumps_core(process)
    process.communicate(timeout=PATIENCE)


def is_sanitized():
    with open(PROGRAM, 'rb') as file:
        return b'__asan_init' in file.read()


@pytest.fixture
def other_user():
    """A place of somebody who is not root, and the words that make a command his."""
    if os.geteuid() != 0:
        pytest.skip('only root can be somebody else')
    home = pathlib.Path(tempfile.mkdtemp(prefix='cabfs-other-'))
    place = Place(home)
    place.write(WORKING)
    for path in (home, *home.rglob('*')):
        os.chown(path, NOBODY, NOBODY)
    place.prefix = ['setpriv', '--reuid=%d' % NOBODY, '--regid=%d' % NOBODY, '--clear-groups']
    yield place
    if mount_line(place.mountpoint):
        subprocess.run(['fusermount3', '-u', '-z', place.mountpoint], check=False)
    shutil.rmtree(home)


@needs_fuse
@pytest.mark.parametrize('how, traced', [('-f', False), ('-d', True)])
def test_not_traced(other_user, how, traced):
    """Other programs of its user cannot look into it, unless it is to be debugged; it works all the same."""
    traced = traced or is_sanitized()  # LeakSanitizer looks into the process as another one does
    process = other_user.start(how, '-o', 'log-level=info', 'contoso', 'mnt')
    wait_line(process, 'is mounted')
    place = pathlib.Path('/proc', str(process.pid))
    assert 'Uid:\t%d\t' % NOBODY in (place / 'status').read_text()
    assert ((place / 'environ').stat().st_uid == NOBODY) == traced
    look = [*other_user.prefix, 'cat', '/proc/%d/environ' % process.pid, '/proc/%d/maps' % process.pid]
    looked = subprocess.run(look, capture_output=True, check=False)
    assert (looked.returncode == 0) == traced, looked.stderr
    listing = subprocess.run([*other_user.prefix, 'ls', '-a', other_user.mountpoint], capture_output=True, text=True,
                             check=True)
    assert listing.stdout.split() == ['.', '..']
    process.terminate()
    _, rest = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, rest
    assert mount_line(other_user.mountpoint) is None
