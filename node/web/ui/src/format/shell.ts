/**
 * A word as a shell takes it. Names come from others and from addresses: in a command that people
 * copy they stay one word, and begin no command of their own.
 */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
