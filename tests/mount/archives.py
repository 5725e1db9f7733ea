# SPDX-License-Identifier: MIT
"""Archives for tests of mounts: those of tests/samples/make-archives.py, by name, served as CABs; and what there is to see
of workers that unpack them."""
import importlib.util
import os
import subprocess
from pathlib import Path

from conftest import APP, FAILURE
from mount import tool

_path = Path(__file__).parent.parent / "samples" / "make-archives.py"
_spec = importlib.util.spec_from_file_location("make_archives", _path)
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)

PAYLOADS = os.path.dirname(os.environ.get("CABFS_EMULATOR", "build/tests/emulator/cabfs-emulator"))

# What a listing of an archive of this size may move: the first range of a CAB, see cache/plan.h.
HEAD = 256 << 10


def payload(name):
    """The bytes of a file that was made for the emulator: a real dump, packed."""
    return (Path(PAYLOADS) / name).read_bytes()


def payload_members(name):
    """{member: bytes} of such a file, by bsdtar."""
    archive = os.path.join(PAYLOADS, name)
    names = subprocess.run([tool("bsdtar"), "-tf", archive], check=True, capture_output=True, text=True).stdout.split()
    return {member: subprocess.run([tool("bsdtar"), "-xOf", archive, member], check=True, capture_output=True).stdout
            for member in names}


def serve(emulator, directory, data, *, failure=FAILURE, name=None, **rule):
    """Adds a CAB with these bytes (or a file's); the CAB as the emulator lists it."""
    serve.number = getattr(serve, "number", 0) + 1
    path = data if isinstance(data, Path) else directory / (name or f"payload-{serve.number}")
    if path is not data:
        path.write_bytes(data)
    cab, = emulator.add_cabs(APP, failure, file=str(path), seed=serve.number, **rule)
    return next(item for item in emulator.cabs(APP, failure) if item["id"] == cab)


def opened(mounted, cab):
    """The directory that shows @cab open."""
    return Path(f"{mounted.cab(cab)}.d")


def tree(directory):
    """{path: bytes} of all files below."""
    found = {}
    for place, _, names in os.walk(directory, onerror=_raise):
        for name in names:
            path = Path(place, name)
            found[str(path.relative_to(directory))] = path.read_bytes()
    return found


def _raise(error):
    raise error


def unpack(data, directory):
    """The same as bsdtar has it."""
    archive, folder = directory / "reference", directory / "unpacked"
    archive.write_bytes(data)
    folder.mkdir()
    subprocess.run([tool("bsdtar"), "-xf", archive, "-C", folder], check=True)
    found = tree(folder)
    subprocess.run(["rm", "-rf", folder], check=True)
    return found


def extractions(mounted):
    """How often the present process set a worker to a member."""
    return mounted.log().count("is taken out of its CAB")


def workers(mounted):
    """Processes of workers that run now."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            stat = Path("/proc", entry, "stat").read_text() if entry.isdigit() else ""
        except (FileNotFoundError, ProcessLookupError):
            continue
        name, _, rest = stat.partition("(")[2].rpartition(")")
        if name.startswith("cabfs-unpack") and int(rest.split()[1]) == mounted.process.pid and rest.split()[0] != "Z":
            found.append(int(entry))
    return found
