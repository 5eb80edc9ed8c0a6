"""What `offhook run` sees to before the server starts."""

from __future__ import annotations

import subprocess
import sys

ASKS = """
import resource
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
from offhook.cli.run import take_all_descriptors
take_all_descriptors()
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most))
"""


def test_the_server_takes_as_many_descriptors_as_it_may_have() -> None:
    done = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
