"""What runs when Python is given the packed program."""

import sys

from lightcurve_program.command_line import main

sys.exit(main())
