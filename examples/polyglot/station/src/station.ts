/** station encode|decode < INPUT > OUTPUT: works line by line. */
import { readFileSync } from "node:fs";

import { decode, encode, UnknownSignError } from "@polyglot/codec";

const commands: Readonly<Record<string, (line: string) => string>> = { encode, decode };

function main(name: string): number {
  const convert = commands[name];
  if (convert === undefined) {
    process.stderr.write("usage: station encode|decode < INPUT\n");
    return 2;
  }
  const lines = readFileSync(0, "utf8").trimEnd().split(/\r?\n/);
  try {
    process.stdout.write(lines.map((line) => `${convert(line)}\n`).join(""));
  } catch (error) {
    if (!(error instanceof UnknownSignError)) throw error;
    process.stderr.write(`station: ${error.message}\n`);
    return 1;
  }
  return 0;
}

process.exitCode = main(process.argv[2] ?? "");
