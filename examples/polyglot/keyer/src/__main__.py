"""keyer encode|decode|units < INPUT > OUTPUT: works line by line."""

import sys

from keyer import UnknownSignError, decode, encode, units

COMMANDS = {"encode": encode, "decode": decode, "units": lambda text: str(units(encode(text)))}


def main() -> int:
    convert = COMMANDS.get(" ".join(sys.argv[1:]))
    if convert is None:
        sys.stderr.write("usage: keyer encode|decode|units < INPUT\n")
        return 2
    try:
        sys.stdout.writelines(f"{convert(line.rstrip())}\n" for line in sys.stdin)
    except UnknownSignError as error:
        sys.stderr.write(f"keyer: {error}\n")
        return 1
    return 0


sys.exit(main())
