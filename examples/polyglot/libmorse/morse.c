#include "morse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "morse_table.h"

enum { ROWS = sizeof MORSE_TABLE / sizeof MORSE_TABLE[0], LONGEST_CODE = 8 };

static const char *code_of(char character) {
    for (int row = 0; row < ROWS; row++)
        if (MORSE_TABLE[row].character == toupper((unsigned char)character))
            return MORSE_TABLE[row].code;
    return NULL;
}

static char character_of(const char *code, size_t length) {
    for (int row = 0; row < ROWS; row++)
        if (strlen(MORSE_TABLE[row].code) == length && !memcmp(MORSE_TABLE[row].code, code, length))
            return MORSE_TABLE[row].character;
    return '\0';
}

char *morse_encode(const char *text, const char **unknown) {
    *unknown = NULL;
    char *result = malloc(strlen(text) * (LONGEST_CODE + 3) + 1), *end = result;
    if (!result) return NULL;

    const char *gap = "";
    for (; *text; text++) {
        if (*text == ' ') {
            if (end != result) gap = " / ";
            continue;
        }
        const char *code = code_of(*text);
        if (!code) {
            *unknown = text;
            free(result);
            return NULL;
        }
        for (; *gap; gap++) *end++ = *gap;
        for (; *code; code++) *end++ = *code;
        gap = " ";
    }
    *end = '\0';
    return result;
}

char *morse_decode(const char *code, const char **unknown) {
    *unknown = NULL;
    char *result = malloc(strlen(code) + 1), *end = result;
    if (!result) return NULL;

    while (*(code += strspn(code, " "))) {
        size_t length = strcspn(code, " ");
        char character = length == 1 && *code == '/' ? ' ' : character_of(code, length);
        if (!character) {
            *unknown = code;
            free(result);
            return NULL;
        }
        *end++ = character;
        code += length;
    }
    *end = '\0';
    return result;
}
