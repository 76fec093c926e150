"""The command."""

from __future__ import annotations

import sys

from tests.fuzz.running import main

sys.exit(main(sys.argv[1:]))
