"""``python -m icehouse``: the command ``icehouse`` of the checkout that is the working folder."""

import stages  # noqa: F401  (first: where the project is not installed, it says so and ends)
from icehouse.cli import main

main()
