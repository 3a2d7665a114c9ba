/** Morse code: text to code and back. Letters are separated by a space, words by " / ". */
import { table } from "@polyglot/alphabet";

/** Something that the alphabet does not hold. */
export class UnknownSignError extends Error {
  constructor(readonly sign: string) {
    super(`not in the alphabet: ${sign}`);
  }
}

const codes = new Map(table);
const characters = new Map(table.map(([character, code]) => [code, character]));

function lookUp(signs: ReadonlyMap<string, string>, sign: string): string {
  const found = signs.get(sign);
  if (found === undefined) throw new UnknownSignError(sign);
  return found;
}

function words(text: string, separator: string): string[] {
  return text.split(separator).filter((word) => word !== "");
}

export function encode(text: string): string {
  return words(text.toUpperCase(), " ")
    .map((word) => Array.from(word, (character) => lookUp(codes, character)).join(" "))
    .join(" / ");
}

export function decode(code: string): string {
  return words(code, " / ")
    .map((word) => words(word, " ").map((sign) => lookUp(characters, sign)).join(""))
    .join(" ");
}
