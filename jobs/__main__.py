"""`python -m jobs` is `pumice`: for checkouts that are not installed, and for clusters it is submitted to.

Any Python that a cluster has must be able to read this file.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - a cluster's Python is not known before the job runs there
    sys.stderr.write(f"pumice: Python {sys.version.split()[0]} runs here, and Pumice needs 3.11 or newer.\n")
    sys.exit(2)

try:
    from jobs.cli.main import main
except ModuleNotFoundError as error:
    sys.stderr.write(
        f"pumice: {sys.executable} has no module {error.name}: install there what infra/Dockerfile does.\n"
    )
    sys.exit(2)

main()
