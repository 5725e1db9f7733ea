# SPDX-License-Identifier: MIT
"""Calls that cabfs makes, for as long as a test wants."""
import os

from mount import BUILD, within


class Calls:
    """Calls of a mount that can be held up, and a disk that can be full: hold-calls.c."""

    def __init__(self, directory):
        self.directory = directory / "calls"
        self.directory.mkdir()
        library = next((BUILD / "tests/mount").glob("*hold-calls.so"))
        self.environment = {"LD_PRELOAD": str(library), "CABFS_TEST_HOLD": str(self.directory),
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def hold(self, name):
        (self.directory / name).touch()

    def wait_held(self, name):
        within(20, (self.directory / f"{name}.held").exists, f"{name} is called")

    def go_on(self, name):
        (self.directory / name).unlink()
