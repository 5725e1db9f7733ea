# SPDX-License-Identifier: MIT
"""One emulator for all tests of a file, as new for each."""

import pytest

from service import Api, Emulator


@pytest.fixture(scope="module")
def running():
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def emu(running):
    running.reset()
    return running


@pytest.fixture
def api(emu):
    return Api(emu)
