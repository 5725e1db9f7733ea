#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the payloads of one crashing program: a real minidump, cabinets around it, ZIPs around those.

make-payloads.py LLDB GCAB PROGRAM NAME FOLDER

NAME-plain.cab   stored cabinet:  minidump.mdmp, WERInternalMetadata.xml
NAME-mszip.cab   the same with MSZIP
NAME-kernel.cab  as a kernel report is arranged: WATCHDOG-….dmp, sysdata.xml, WERInternalMetadata.xml; MSZIP
NAME-cab.zip     ZIP that holds NAME-mszip.cab
NAME-files.zip   ZIP that holds the members themselves
"""

import os
import subprocess
import sys
import tempfile
import zipfile

METADATA = """<?xml version="1.0" encoding="utf-8"?>
<WERReportMetadata>
  <OSVersionInformation><WindowsNTVersion>10.0</WindowsNTVersion><Build>22631</Build></OSVersionInformation>
  <ProblemSignatures><EventType>{event}</EventType><Parameter0>{name}</Parameter0></ProblemSignatures>
</WERReportMetadata>
"""

SYSDATA = """<?xml version="1.0" encoding="utf-8"?>
<SYSTEMINFO>
  <SYSTEM><OSNAME>Windows 11</OSNAME><OSVER>10.0.22631</OSVER></SYSTEM>
  <DRIVERS><DRIVER><FILENAME>contoso.sys</FILENAME><VERSION>3.1.0.17</VERSION><CAUSE>{name}</CAUSE></DRIVER></DRIVERS>
</SYSTEMINFO>
"""

# A Linux minidump contains the environment of the program: so there is none.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
DATE = (2026, 1, 2, 3, 4, 6)


def run_lldb(lldb, program, dump, disable_aslr):
    commands = [lldb, "--no-lldbinit", "--batch",
                "-o", "settings set target.inherit-env false",
                "-o", f"settings set target.disable-aslr {disable_aslr}",
                "-o", "process launch --no-stdio",  # which needs no terminal
                "-k", f"process save-core --plugin-name=minidump --style=stack {dump}",
                "-k", "process kill",
                "--", program]
    return subprocess.run(commands, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120, check=False)


def write_dump(lldb, program, dump):
    for disable_aslr in ("true", "false"):  # some containers forbid the first
        result = run_lldb(lldb, program, dump, disable_aslr)
        if os.path.exists(dump) and os.path.getsize(dump) >= 1024:
            return
    sys.exit(f"{lldb} made no minidump of {program} (may it trace processes here?):\n"
             + result.stdout.decode(errors="replace"))


def write_file(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            with open(member, "rb") as file:
                archive.writestr(zipfile.ZipInfo(os.path.basename(member), DATE), file.read(),
                                 zipfile.ZIP_DEFLATED)


def main():
    lldb, gcab, program, name, folder = sys.argv[1:]
    program, folder = os.path.abspath(program), os.path.abspath(folder)
    out = os.path.join(folder, name)
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        write_dump(lldb, program, "minidump.mdmp")
        os.link("minidump.mdmp", "WATCHDOG-20260102-0304.dmp")
        write_file("WERInternalMetadata.xml", METADATA.format(event="APPCRASH", name=name))
        write_file("sysdata.xml", SYSDATA.format(name=name))
        user = ["minidump.mdmp", "WERInternalMetadata.xml"]
        kernel = ["WATCHDOG-20260102-0304.dmp", "sysdata.xml", "WERInternalMetadata.xml"]
        for member in set(user + kernel):
            os.utime(member, (1767323046, 1767323046))
        subprocess.run([gcab, "-c", out + "-plain.cab", *user], check=True)
        subprocess.run([gcab, "-cz", out + "-mszip.cab", *user], check=True)
        subprocess.run([gcab, "-cz", out + "-kernel.cab", *kernel], check=True)
        write_zip(out + "-cab.zip", [out + "-mszip.cab"])
        write_zip(out + "-files.zip", user)


main()
