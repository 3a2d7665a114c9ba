/* Morse code: text to code and back. Letters are separated by a space, words by " / ". */
#ifndef MORSE_H
#define MORSE_H

/* Both return a new string that the caller frees. NULL: out of memory, or something that is not in
 * the alphabet; `unknown` then points to it (into the argument), and is NULL otherwise. */
char *morse_encode(const char *text, const char **unknown);
char *morse_decode(const char *code, const char **unknown);

#endif
