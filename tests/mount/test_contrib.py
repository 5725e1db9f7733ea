# SPDX-License-Identifier: MIT
"""What contrib/ has for service managers: the readers of these files take them, and cabfs takes what they say to it."""
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import APP
from mount import BUILD, PROGRAM, Mount, need

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
UNIT = BUILD / "contrib/cabfs@.service"

# Options by which a unit gets a view of the file system of its own, in which alone its mount would be (systemd.exec(5)).
OWN_VIEW = re.compile(
    r"^(PrivateMounts|PrivateTmp|PrivateDevices|PrivateNetwork|PrivateUsers|PrivateIPC|Protect\w+|ProcSubset|Root\w+|MountFlags|"
    r"MountAPIVFS|Bind(ReadOnly)?Paths|(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)Paths|TemporaryFileSystem|MountImages|"
    r"Extension\w+|DynamicUser|LogNamespace|NetworkNamespacePath|IPCNamespacePath|JoinsNamespaceOf|NoNewPrivileges)=", re.M)


def takes(directory, arguments):
    """That cabfs takes these arguments, the last two of which are account and mount point: it gets as far as to look for a
    mount point."""
    config = directory / "cabfs.conf"
    config.write_text("[contoso]\ntoken-file = token\n")
    result = subprocess.run([PROGRAM, "-c", config, *arguments[:-1], directory / "none"], capture_output=True, text=True,
                            timeout=60)
    assert (result.returncode, "No such file or directory" in result.stderr) == (1, True), result.stderr


def lines_of(unit, key):
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(key + "=")]


# --- systemd --------------------------------------------------------------------------------------------------------

def verify(directory, unit, *options):
    return subprocess.run(["systemd-analyze", *options, "--man=no", "verify", unit], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "XDG_RUNTIME_DIR": str(directory)})


def put_unit(directory, text):
    """The unit as it is installed, but that the program is where it was built."""
    unit = directory / "cabfs@.service"
    unit.write_text(re.sub(r"^ExecStart=\S+/cabfs", f"ExecStart={Path(PROGRAM).resolve()}", text, flags=re.M))
    drop_ins = directory / "cabfs@contoso.service.d"
    drop_ins.mkdir(exist_ok=True)
    shutil.copy(CONTRIB / "systemd/secret.conf", drop_ins)
    return directory / "cabfs@contoso.service"


def test_unit(directory):
    """systemd-analyze has nothing to say of the unit and the drop-in; of a wrong one it has."""
    need("systemd", "systemd-analyze")
    text = UNIT.read_text()
    result = verify(directory, put_unit(directory, text), "--user")
    assert (result.returncode, result.stderr) == (0, "")
    result = verify(directory, put_unit(directory, text.replace("Restart=on-failure", "Restart=on-fire")), "--user")
    assert "on-fire" in result.stderr
    for command in lines_of(text, "ExecStartPre") + lines_of(text, "ExecStop") + lines_of(text, "ExecStopPost"):
        assert os.access(shlex.split(command.lstrip("-"))[0], os.X_OK), command


def test_unit_hides_no_mount():
    for path in (UNIT, CONTRIB / "systemd/secret.conf"):
        assert OWN_VIEW.search(path.read_text()) is None, path


def test_unit_command(directory):
    """What it starts stays in the foreground, as Type=notify wants, and is understood."""
    text = UNIT.read_text()
    assert lines_of(text, "Type") == ["notify"]
    [command] = lines_of(text, "ExecStart")
    arguments = shlex.split(command.replace("%i", "contoso").replace("%h", str(directory)))
    assert "-f" in arguments and arguments[-2:] == ["contoso", f"{directory}/cabfs/contoso"]
    takes(directory, arguments[1:])


def test_unit_stops_for_good(directory):
    """A configuration that is wrong ends cabfs with the status that the unit does not restart at."""
    [status] = lines_of(UNIT.read_text(), "RestartPreventExitStatus")
    (directory / "cabfs.conf").write_text("[contoso]\ndays = none\n")
    result = subprocess.run([PROGRAM, "-f", "-c", directory / "cabfs.conf", "contoso", directory], capture_output=True,
                            timeout=60)
    assert result.returncode == int(status)


@pytest.mark.parametrize("key", [None, "partner-center"])
def test_credential(emulator, directory, key):
    """LoadCredential= of the drop-in: the secret is found by its usual name, or by the one that the key says."""
    [credential] = lines_of((CONTRIB / "systemd/secret.conf").read_text(), "LoadCredential")
    name = credential.partition(":")[0] if key is None else key
    emulator.add_cabs(APP, "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed", count=1, size=1000)
    credentials = directory / "credentials"
    credentials.mkdir(mode=0o700)
    secret = credentials / name
    secret.write_text(emulator.config()["clientSecret"])
    secret.chmod(0o400)
    with Mount(emulator, directory, driver=[APP], client_secret_file=key,
               environment={"CREDENTIALS_DIRECTORY": str(credentials)}) as mount:
        assert len(os.listdir(mount.path / APP)) == 1


def test_updatedb(directory):
    """The drop-in for the unit of plocate fits it, and updatedb knows the option."""
    need("updatedb", "updatedb.plocate", "systemd-analyze")
    unit = directory / "plocate-updatedb.service"
    shutil.copy("/lib/systemd/system/plocate-updatedb.service", unit)
    drop_ins = directory / "plocate-updatedb.service.d"
    drop_ins.mkdir()
    shutil.copy(CONTRIB / "systemd/plocate-updatedb.conf", drop_ins)
    result = verify(directory, unit)
    assert (result.returncode, result.stderr) == (0, "")
    command = shlex.split(lines_of((drop_ins / "plocate-updatedb.conf").read_text(), "ExecStart")[-1])
    assert command[0] == shlex.split(lines_of(unit.read_text(), "ExecStart")[-1])[0]
    for place in ("tree/in", "empty"):
        (directory / place).mkdir(parents=True)
    subprocess.run([*command, "-U", directory / "tree", "-o", directory / "db", "--require-visibility", "no"], check=True,
                   timeout=60)


def test_updatedb_stays_out(mount, emulator, directory):
    """With these options updatedb walks around a mount and asks the service for nothing."""
    need("updatedb", "updatedb.plocate", "plocate")
    emulator.add_cabs(APP, "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed", count=1, size=1000)
    mount = mount(deny="")
    text = (CONTRIB / "systemd/plocate-updatedb.conf").read_text()
    command = shlex.split(lines_of(text, "ExecStart")[-1])
    rest = ["--prunepaths", "", "-U", directory, "-o", directory / "db", "--require-visibility", "no"]
    subprocess.run([*command, *rest], check=True, timeout=60)
    assert sum(endpoint["requests"] for endpoint in emulator.counters(cabs=False)["endpoints"].values()) == 0
    found = subprocess.run(["plocate", "-d", directory / "db", ""], capture_output=True, text=True, check=True).stdout
    assert f"{directory}/cabfs.conf\n" in found
    assert APP not in found
    assert os.listdir(mount.path / APP)


# --- autofs and Kubernetes ---------------------------------------------------------------------------------------------

def test_autofs_map(directory):
    [line] = [line for line in (CONTRIB / "autofs/auto.cabfs").read_text().splitlines() if line and line[0] != "#"]
    key, options, source = line.split()
    assert (key, source) == ("*", ":&")
    kind, *words = options.removeprefix("-").split(",")
    assert kind == "fstype=fuse.cabfs"
    takes(directory, ["-o", ",".join(words).replace("&", "contoso"), "contoso", "mnt"])


class Map(dict):
    """Fields of an object; a name that ends in "!" has to be there."""


META = Map({"name": str, "namespace": str, "labels": {str: str}, "annotations": {str: str}})
SECURITY = Map({"privileged": bool, "runAsUser": int, "readOnlyRootFilesystem": bool, "capabilities": Map({"add": [str]})})
VOLUME_MOUNT = Map({"name!": str, "mountPath!": str, "mountPropagation": str, "readOnly": bool, "subPath": str})
RESOURCES = Map({"requests": {str: str}, "limits": {str: str}})
PROBE = Map({"exec": Map({"command!": [str]}), "periodSeconds": int, "timeoutSeconds": int, "initialDelaySeconds": int})
CONTAINER = Map({"name!": str, "image!": str, "command": [str], "args": [str], "securityContext": SECURITY,
                 "volumeMounts": [VOLUME_MOUNT], "resources": RESOURCES, "readinessProbe": PROBE, "livenessProbe": PROBE,
                 "env": [Map({"name!": str, "value": str})]})
VOLUME = Map({"name!": str, "hostPath": Map({"path!": str, "type": str}), "configMap": Map({"name!": str}),
              "secret": Map({"secretName!": str, "defaultMode": int}), "emptyDir": Map({})})
POD = Map({"containers!": [CONTAINER], "initContainers": [CONTAINER], "volumes": [VOLUME], "nodeSelector": {str: str},
           "serviceAccountName": str, "automountServiceAccountToken": bool, "terminationGracePeriodSeconds": int,
           "restartPolicy": str})
DAEMON_SET = Map({
    "apiVersion!": str, "kind!": str, "metadata!": META,
    "spec!": Map({"selector!": Map({"matchLabels!": {str: str}}), "updateStrategy": Map({"type": str}),
                  "template!": Map({"metadata!": META, "spec!": POD})})})


def problems(value, schema, place=""):
    """What of @value is not as the API of Kubernetes has it: as far as the example goes, and no field besides."""
    if isinstance(schema, Map):
        if not isinstance(value, dict):
            return [f"{place} is no object"]
        known = {name.rstrip("!"): kind for name, kind in schema.items()}
        found = [f"{place}.{name[:-1]} is missing" for name in schema if name[-1] == "!" and name[:-1] not in value]
        found += [f"{place}.{name} is unknown" for name in value if name not in known]
        return found + [p for name in value if name in known for p in problems(value[name], known[name], f"{place}.{name}")]
    if isinstance(schema, list):
        if not isinstance(value, list) or not value:
            return [f"{place} is no list"]
        return [p for i, item in enumerate(value) for p in problems(item, schema[0], f"{place}[{i}]")]
    if isinstance(schema, dict):
        ok = isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in value.items())
        return [] if ok else [f"{place} is no map of strings"]
    return [] if type(value) is schema else [f"{place} is no {schema.__name__}"]


@pytest.fixture
def daemon_set():
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((CONTRIB / "kubernetes/daemonset.yaml").read_text())


def test_daemon_set(daemon_set):
    assert problems(daemon_set, DAEMON_SET) == []
    assert (daemon_set["apiVersion"], daemon_set["kind"]) == ("apps/v1", "DaemonSet")
    template = daemon_set["spec"]["template"]
    pod = template["spec"]
    assert daemon_set["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    volumes = {volume["name"]: [key for key in volume if key != "name"] for volume in pod["volumes"]}
    assert all(len(kinds) == 1 for kinds in volumes.values())
    used = set()
    for container in pod["initContainers"] + pod["containers"]:
        for mount in container["volumeMounts"]:
            used.add(mount["name"])
            # The API refuses it elsewhere.
            assert mount.get("mountPropagation", "None") in ("None", "HostToContainer", "Bidirectional")
            assert mount.get("mountPropagation") != "Bidirectional" or container["securityContext"]["privileged"]
    assert used == set(volumes)


def test_daemon_set_check_finds(daemon_set):
    """The check above can fail."""
    del daemon_set["spec"]["selector"]
    container = daemon_set["spec"]["template"]["spec"]["containers"][0]
    container["volumeMount"] = container.pop("volumeMounts")
    container["command"] = "cabfs"
    assert problems(daemon_set, DAEMON_SET) == [
        ".spec.selector is missing", ".spec.template.spec.containers[0].volumeMount is unknown",
        ".spec.template.spec.containers[0].command is no list"]


def test_daemon_set_command(daemon_set, directory):
    """cabfs takes its arguments, and mounts in a volume that leaves the container."""
    container = daemon_set["spec"]["template"]["spec"]["containers"][0]
    program, *arguments = container["command"]
    assert program == "/usr/bin/cabfs" and "-f" in arguments
    at = arguments.index("-c")
    config = arguments[at + 1]
    del arguments[at:at + 2]
    takes(directory, arguments)
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts[os.path.dirname(config)]
    assert mounts[os.path.dirname(arguments[-1])]["mountPropagation"] == "Bidirectional"


MERGE_KEYS = {"containers": "name", "volumes": "name", "volumeMounts": "mountPath"}


def merge(value, patch, key=None):
    """A strategic merge patch, as far as the example goes: lists of objects by their key, "$patch: delete" takes away."""
    if isinstance(patch, dict):
        return {**value, **{name: merge(value[name], part, name) if name in value else part
                            for name, part in patch.items()}}
    if not isinstance(patch, list):
        return patch
    parts = {part[MERGE_KEYS[key]]: part for part in patch}
    assert parts.keys() <= {item[MERGE_KEYS[key]] for item in value}
    kept = [item for item in value if parts.get(item[MERGE_KEYS[key]], {}).get("$patch") != "delete"]
    return [merge(item, parts.get(item[MERGE_KEYS[key]], {})) for item in kept]


def test_workload_identity(daemon_set):
    """The patch leaves a sound DaemonSet that has no secret, and is who the service account is."""
    import yaml
    patch, account = (yaml.safe_load((CONTRIB / "kubernetes" / name).read_text())
                      for name in ("workload-identity.yaml", "serviceaccount.yaml"))
    assert problems(account, Map({"apiVersion!": str, "kind!": str, "metadata!": META,
                                  "automountServiceAccountToken": bool})) == []
    patched = merge(daemon_set, patch)
    assert problems(patched, DAEMON_SET) == []
    template = patched["spec"]["template"]
    assert template["metadata"]["labels"].items() >= {"azure.workload.identity/use": "true",
                                                      **daemon_set["spec"]["selector"]["matchLabels"]}.items()
    pod = template["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert account["metadata"]["namespace"] == daemon_set["metadata"]["namespace"]
    used = {mount["name"] for container in pod["initContainers"] + pod["containers"] for mount in container["volumeMounts"]}
    assert used == {volume["name"] for volume in pod["volumes"]} == {"cabfs", "config"}
