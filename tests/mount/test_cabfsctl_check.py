# SPDX-License-Identifier: MIT
"""`cabfsctl check`: each cause is named, in the service's words and in ours, and the exit status is right."""
import email.utils
import re
import subprocess
import time

import pytest

from conftest import APP, FAILURE
from ctl import Terminal, run
from families import BY_NAME, FAMILIES, add_failure
from mount import Mount

CORRELATION = r"\(correlation id [0-9A-Za-z-]{8,}\)"
BLOB = "blob-get"


@pytest.fixture
def account(emulator, directory):
    """check(*arguments, **options of the configuration)"""
    def check(*arguments, family="driver", environment=None, wrapper=(), **options):
        options = {**BY_NAME[family].options, **options}
        account = Mount(emulator, directory, **options)
        return run("check", "test", "-c", account.write_config(), *arguments, secrets=account.secrets,
                   environment=environment, wrapper=wrapper)
    return check


def steps(result):
    """(word, name, rest, advice or "") of each line."""
    found = []
    for line in result.stdout.splitlines():
        advice = re.match(r" +-> (.*)", line)
        step = re.match(r"(ok|note|skipped|warning|FAILED) +(.+?): (.*)", line)
        if advice:
            found[-1] = (*found[-1][:3], advice[1])
        elif step:
            found.append((*step.groups(), ""))
    return found


def failed(result):
    """The only step that failed."""
    wrong = [step for step in steps(result) if step[0] == "FAILED"]
    assert len(wrong) == 1, result.stdout + result.stderr
    assert result.returncode == 1
    return wrong[0][1:]


def warned(result, name):
    return [step for step in steps(result) if step[0] == "warning" and step[1] == name]


# --- all is well ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [family.name for family in FAMILIES])
def test_well(emulator, account, family):
    """One CAB of each family is located and read: 512 bytes of it, and nothing else is asked for."""
    add_failure(emulator, BY_NAME[family], FAILURE, count=3, size=10_000)
    result = account(family=family)
    assert result.returncode == 0, result.stdout + result.stderr
    words = [step[:2] for step in steps(result)]
    for name in ("configuration", "credentials", "token", "clock", "cache", "/dev/fuse"):
        assert ("ok", name) in words, result.stdout
    assert "CABs of test can be read" in result.stdout
    counters = emulator.counters(cabs=False)["endpoints"]
    assert counters[BLOB]["requests"] == 1
    assert counters["login"]["requests"] == 1
    assert emulator.log(endpoint=BLOB)[0]["bytes"] == 512


def test_all_families(emulator, account):
    options = {}
    for family in FAMILIES:
        add_failure(emulator, family, FAILURE, count=2, size=1000)
        for key, value in family.options.items():
            options.setdefault(key, []).extend(value)
    result = account(**options)
    assert result.returncode == 0, result.stdout
    for family in FAMILIES:
        assert f"{family.name}/{family.application}: 1 failure" in result.stdout
    assert emulator.requests(BLOB) == len(FAMILIES)


def test_discovered(emulator, account):
    add_failure(emulator, BY_NAME["driver"], FAILURE, count=1, size=1000)
    result = account(driver=None, discover="yes")
    assert result.returncode == 0, result.stdout
    assert "discover: driver: 1 product" in result.stdout


def test_at_a_terminal(emulator, directory):
    """The same lines."""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    account = Mount(emulator, directory, driver=[APP])
    with Terminal("check", "test", "-c", account.write_config(), columns=60) as terminal:
        assert terminal.end() == 0
        assert "CABs of test can be read" in terminal.all
        assert account.secrets[0] not in terminal.all


def test_no_cab(emulator, account):
    """Nothing is wrong, but nothing was read: that is no success."""
    emulator.add_dataset([{"id": APP, "family": "driver"}])
    result = account()
    assert result.returncode == 1
    assert "FAILED" not in result.stdout
    assert "no CAB of test was there to be read" in result.stdout
    result = account(driver=None)
    assert result.returncode == 1
    assert warned(result, "applications")


# --- the token --------------------------------------------------------------------------------------------------


def test_wrong_secret(emulator, directory):
    account = Mount(emulator, directory, driver=[APP])
    config = account.write_config()
    (directory / "secret").write_text("not-the-secret-of-anybody")
    result = run("check", "test", "-c", config, secrets=["not-the-secret-of-anybody"])
    name, text, advice = failed(result)
    assert name == "token"
    assert "HTTP status 401" in text and "AADSTS7000215" in text and re.search(CORRELATION, text)
    assert "secret is wrong" in advice
    assert emulator.requests("login") == 1, "what does not pass by itself is not tried again"


def test_expired_secret(emulator, account):
    emulator.fault("status", "login", status=401, code="7000222")
    name, text, advice = failed(account())
    assert name == "token"
    assert "AADSTS7000222" in text and re.search(CORRELATION, text)
    assert "secret has expired" in advice


def test_unknown_tenant(account):
    name, text, advice = failed(account("-o", "tenant=nobody.onmicrosoft.com"))
    assert name == "token"
    assert "AADSTS90002" in text and re.search(CORRELATION, text)
    assert "no such tenant" in advice


def test_unknown_application(account):
    name, text, advice = failed(account("-o", "client-id=11111111-2222-3333-4444-555555555555"))
    assert (name, "AADSTS700016" in text, "client-id" in advice) == ("token", True, True)


def test_login_host_is_not_there(emulator, account):
    name, text, advice = failed(account(login_url="http://127.0.0.1:9"))
    assert name == "token"
    assert "127.0.0.1" in text and "cannot be reached" in advice


def test_secret_file_is_open(emulator, directory):
    account = Mount(emulator, directory, driver=[APP])
    config = account.write_config()
    (directory / "secret").chmod(0o644)
    name, text, _ = failed(run("check", "test", "-c", config, secrets=account.secrets))
    assert name == "credentials"
    assert "others can read" in text and "chmod 600" in text


def test_no_token_answers_nothing(emulator, account):
    """A login host that has a fault is asked twice, not for half a minute."""
    emulator.fault("status", "login", status=503, retryAfter=0)
    result = account()
    assert failed(result)[0] == "token"
    assert ("skipped", "lists and CABs") in [step[:2] for step in steps(result)]
    assert emulator.requests("login") == 2


# --- the services -----------------------------------------------------------------------------------------------


def test_missing_role(emulator, account):
    add_failure(emulator, BY_NAME["desktop"], FAILURE, count=1, size=1000)
    emulator.fault("status", "desktop-hits", status=403, code="Forbidden", message="User UnauthorizedException EC5")
    name, text, advice = failed(account(family="desktop"))
    assert name == f"desktop/{BY_NAME['desktop'].application}"
    assert "HTTP status 403" in text and "Forbidden" in text and "EC5" in text
    assert "role is missing" in advice


@pytest.mark.parametrize("status", [401, 403])
def test_token_is_refused_at_the_cab(emulator, account, status):
    """What lists take the step to a CAB may not: that is told apart from a bad token."""
    add_failure(emulator, BY_NAME["desktop"], FAILURE, count=2, size=1000)
    emulator.fault("status", "desktop-cabdownload", status=status, code="Unauthorized")
    result = account(family="desktop")
    name, text, advice = failed(result)
    assert name.startswith("address of ")
    assert f"HTTP status {status}" in text
    assert "app-only tokens" in advice and "token-command" in advice
    assert ("ok", "token") in [step[:2] for step in steps(result)]


def test_undownloadable(emulator, account):
    add_failure(emulator, BY_NAME["desktop"], FAILURE, count=2, size=1000, cabDownloadable=False)
    result = account(family="desktop")
    assert result.returncode == 1
    assert "cannot download" in warned(result, "CABs")[0][2]


def test_blob_host_is_not_allowed(emulator, account):
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    name, text, advice = failed(account(blob_hosts="*.blob.core.windows.net"))
    assert name.startswith("address of ")
    assert emulator.blob.split("//")[1] in text
    assert "blob-hosts does not allow" in advice
    assert emulator.requests(BLOB) == 0


def test_blob_host_refuses(emulator, account):
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    emulator.fault("status", BLOB, status=403, code="AuthorizationSourceIPMismatch")
    name, text, advice = failed(account())
    assert name.startswith("bytes of ")
    assert "AuthorizationSourceIPMismatch" in text
    assert "another machine" in advice


def test_one_family_of_two(emulator, account):
    """CABs of one family cannot be read: that is a failure, and the others are tried all the same."""
    for name in ("driver", "desktop"):
        add_failure(emulator, BY_NAME[name], FAILURE, count=1, size=1000)
    emulator.fault("status", "desktop-cabdownload", status=401)
    result = account(desktop=[BY_NAME["desktop"].application])
    assert failed(result)[0].startswith("address of ")
    assert emulator.requests(BLOB) == 1


# --- the machine ------------------------------------------------------------------------------------------------


# 7205: the service tells whole seconds, and a test takes some.
@pytest.mark.parametrize("off, words", [(86400, "a day behind"), (-86400, "a day ahead of"), (7205, "2:00:0")])
def test_clock(emulator, account, off, words):
    """Its clock is not that of the service: CABs are read all the same, but lists and expiry are wrong."""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    emulator.fault("header", "login", name="Date", value=email.utils.formatdate(time.time() + off, usegmt=True))
    result = account()
    assert result.returncode == 0, result.stdout
    _, _, text, advice = warned(result, "clock")[0]
    assert words in text
    assert "Set the clock" in advice
    assert "can be read, 1 warning" in result.stdout


def test_clock_of_the_api(emulator, account, directory):
    """With a token that nobody was asked for, the API tells the time."""
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text(emulator.token())
    emulator.fault("header", "hits", name="Date", value=email.utils.formatdate(time.time() + 86400, usegmt=True))
    result = account(token_file=token)
    assert result.returncode == 0, result.stdout
    assert "a day behind" in warned(result, "clock")[0][2]


def test_clock_and_token(emulator, account):
    """Where there is no token, the answer has told the time nevertheless."""
    emulator.fault("status", "login", status=401, code="700024")
    emulator.fault("header", "login", name="Date", value=email.utils.formatdate(time.time() + 86400, usegmt=True))
    result = account()
    assert failed(result)[0] == "token"
    assert warned(result, "clock")


@pytest.mark.parametrize("by", ["key", "environment"])
def test_proxy(emulator, account, by):
    """It is named, without user and password; and no time is lost with hosts that are behind it."""
    urls = {"api_url": "https://api.example.org", "login_url": "https://login.example.org"}
    proxy = "http://anna:very-secret-word@127.0.0.1:9"
    environment = {"no_proxy": "", "NO_PROXY": ""}  # else the hosts might be among the exceptions
    if by == "key":
        result = account(proxy=proxy, environment=environment, **urls)
    else:
        result = account(environment={"https_proxy": proxy, **environment}, **urls)
    name, text, _ = failed(result)
    assert name == "proxy"
    assert "127.0.0.1:9" in text and "Connection refused" in text
    assert ("https_proxy" in text) == (by == "environment")
    assert "very-secret-word" not in result.stdout
    assert ("skipped", "services") in [step[:2] for step in steps(result)]


def test_cache_cannot_be_made(emulator, account):
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    name, text, advice = failed(account(cache_dir="/proc/cabfs-test"))
    assert name == "cache"
    assert "cannot be made" in text and "cache-dir" in advice


def test_cache_is_read_only(emulator, account, directory):
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("no mount namespaces here")
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    (directory / "cache").mkdir(mode=0o700)
    script = f"mount --bind -o ro '{directory}/cache' '{directory}/cache' && exec \"$@\""
    name, text, _ = failed(account(wrapper=["unshare", "--mount", "sh", "-c", script, "sh"]))
    assert name == "cache"
    assert "cannot be written: Read-only file system" in text


def test_cache_is_something_else(emulator, account, directory):
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    (directory / "cache").mkdir()
    (directory / "cache/letter.txt").write_text("dear")
    name, text, _ = failed(account())
    assert name == "cache"
    assert "is no cache directory of cabfs" in text
    assert [path.name for path in (directory / "cache").iterdir()] == ["letter.txt"]


def test_cache_of_another_version(emulator, account, directory):
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    (directory / "cache").mkdir(mode=0o700)
    (directory / "cache/version").write_text("cabfs-cache 99\n")
    assert "another version" in failed(account())[1]


def test_nothing_is_left(emulator, account, directory):
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    assert account().returncode == 0
    assert not (directory / "cache").exists()
    (directory / "cache").mkdir(mode=0o700)
    assert account().returncode == 0
    assert list((directory / "cache").iterdir()) == []


def test_no_room(emulator, account):
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    result = account(cache_free="100%")
    assert result.returncode == 0
    assert warned(result, "cache space")


# --- the configuration ------------------------------------------------------------------------------------------


def test_configuration(directory, account):
    name, text, _ = failed(account("-o", "days=none"))
    assert (name, "-o days" in text) == ("configuration", True)
    config = directory / "other.conf"
    result = run("check", "test", "-c", config)
    assert "cannot be read" in failed(result)[1]
    config.write_text("[another]\n")
    assert "there are: another" in failed(run("check", "test", "-c", config))[1]


def test_others_can_change_it(emulator, directory):
    emulator.add_cabs(APP, FAILURE, count=1, size=1000)
    account = Mount(emulator, directory, driver=[APP])
    config = account.write_config()
    config.chmod(0o666)
    result = run("check", "test", "-c", config)
    assert result.returncode == 0
    assert "others can change it" in warned(result, "configuration file")[0][2]


@pytest.mark.parametrize("arguments, words", [
    ((), "the command is missing"),
    (("mend",), 'no command "mend"'),
    (("check",), "the account is missing"),
    (("check", "one", "two"), "one argument too many: two"),
    (("check", "--jobs=3", "one"), "check has no option --jobs"),
    (("check", "--nonsense"), "unknown option --nonsense"),
    (("check", "-c"), "option -c needs a value"),
    (("fetch",), "the path is missing"),
    (("fetch", "--jobs=0", "/"), "--jobs: "),
    (("status",), "the mount point is missing"),
    (("purge", "--all", "--expired", "one"), "not both"),
])
def test_usage(arguments, words):
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_help():
    for words in (["--help"], ["fetch", "-h"]):
        result = run(*words)
        assert result.returncode == 0
        for command in ("check ACCOUNT", "fetch PATH...", "purge ACCOUNT", "refresh PATH...", "status MOUNTPOINT"):
            assert command in result.stdout
    assert run("--version").stdout.startswith("cabfsctl ")
