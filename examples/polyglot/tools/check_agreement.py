"""Let three programs talk to each other in every combination, and write down what they said.

usage: check_agreement.py MESSAGES OUTPUT_DIRECTORY TELEGRAPH STATION KEYER

Every program encodes the messages and every program decodes every other's code. A difference is an
error that shows both sides. The first message becomes a sound file, whose length must be right.
"""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

SECONDS_PER_UNIT = 0.06


def run(command: list[str], text: str) -> bytes:
    return subprocess.run(command, input=text.encode(), stdout=subprocess.PIPE, check=True).stdout


def expect(what: str, found: str, expected: str) -> None:
    if found != expected:
        sys.exit(f"{what} differs\n--- found ---\n{found}--- expected ---\n{expected}")


def main() -> None:
    messages_path, output = Path(sys.argv[1]), Path(sys.argv[2])
    telegraph, station, keyer = sys.argv[3:]
    programs = {"C": [telegraph], "TypeScript": ["node", station], "Python": ["python3", keyer]}

    messages = messages_path.read_text("ascii")
    code = run([*programs["C"], "encode"], messages).decode()
    for sender, program in programs.items():
        expect(f"code of {sender}", run([*program, "encode"], messages).decode(), code)
        expect(f"text of {sender}", run([*program, "decode"], code).decode(), messages.upper())

    output.mkdir(parents=True, exist_ok=True)
    first = messages.splitlines()[0]
    sound = output / "message.wav"
    sound.write_bytes(run([*programs["C"], "sound"], first + "\n"))
    with wave.open(str(sound), "rb") as recording:
        seconds = recording.getnframes() / recording.getframerate()
    units = int(run([*programs["Python"], "units"], first + "\n"))
    expect("length of the sound", f"{seconds:.2f} s\n", f"{units * SECONDS_PER_UNIT:.2f} s\n")

    lines = [f"{', '.join(programs)} agree on {len(messages.splitlines())} messages.\n"]
    for text, signs in zip(messages.splitlines(), code.splitlines(), strict=True):
        lines.append(f"\n{text}\n{signs}\n")
    lines.append(f"\nmessage.wav: {first!r}, {seconds:.2f} s\n")
    (output / "agreement.txt").write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main()
