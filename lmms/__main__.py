"""`python -m lmms` is `lmms`."""

from __future__ import annotations

import sys

from lmms.cli.main import main

sys.exit(main())
