/* telegraph encode|decode|sound < INPUT > OUTPUT
 * The first two work line by line. `sound` writes a WAV file of one line of text. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "morse.h"

enum { LONGEST_LINE = 4096, SAMPLES_PER_SECOND = 8000, SAMPLES_PER_UNIT = 480 };

/* One cycle of a 500 Hz sine. A table, and not sin(): every processor makes the same file. */
static const int8_t TONE[16] = {0, 38, 71, 92, 100, 92, 71, 38, 0, -38, -71, -92, -100, -92, -71, -38};

static int read_line(char *line) {
    if (!fgets(line, LONGEST_LINE, stdin)) return 0;
    line[strcspn(line, "\r\n")] = '\0';
    return 1;
}

static char *converted(char *(*convert)(const char *, const char **), const char *line) {
    const char *unknown;
    char *result = convert(line, &unknown);
    if (!result && unknown)
        fprintf(stderr, "telegraph: not in the alphabet: %.*s\n", (int)strcspn(unknown, " "), unknown);
    return result;
}

static int convert_lines(char *(*convert)(const char *, const char **)) {
    char line[LONGEST_LINE];
    while (read_line(line)) {
        char *result = converted(convert, line);
        if (!result) return 1;
        puts(result);
        free(result);
    }
    return 0;
}

/* A dot sounds for one unit of time, a dash for three. Silence: one unit after each, and two more for
 * each further sign, which makes three between letters and seven between words (" / "). */
static int sounding_units(char sign) { return sign == '.' ? 1 : sign == '-' ? 3 : 0; }
static int silent_units(char sign) { return sounding_units(sign) ? 1 : 2; }

static void put_number(uint32_t number, int bytes) {
    for (; bytes; bytes--, number >>= 8) putchar((int)(number & 0xff));
}

static void put_header(uint32_t samples) {
    fputs("RIFF", stdout);
    put_number(36 + samples, 4);
    fputs("WAVEfmt ", stdout);
    put_number(16, 4);
    put_number(1, 2); /* PCM */
    put_number(1, 2); /* one channel */
    put_number(SAMPLES_PER_SECOND, 4);
    put_number(SAMPLES_PER_SECOND, 4); /* bytes per second */
    put_number(1, 2);                  /* bytes per sample */
    put_number(8, 2);                  /* bits per sample */
    fputs("data", stdout);
    put_number(samples, 4);
}

static int write_sound(void) {
    char line[LONGEST_LINE];
    char *code = read_line(line) ? converted(morse_encode, line) : NULL;
    if (!code) return 1;

    uint32_t units = 0;
    for (const char *sign = code; *sign; sign++) units += sounding_units(*sign) + silent_units(*sign);
    put_header(units * SAMPLES_PER_UNIT);
    for (const char *sign = code; *sign; sign++) {
        for (int i = 0; i < sounding_units(*sign) * SAMPLES_PER_UNIT; i++) putchar(128 + TONE[i % 16]);
        for (int i = 0; i < silent_units(*sign) * SAMPLES_PER_UNIT; i++) putchar(128);
    }
    free(code);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 2 && !strcmp(arguments[1], "encode")) return convert_lines(morse_encode);
    if (count == 2 && !strcmp(arguments[1], "decode")) return convert_lines(morse_decode);
    if (count == 2 && !strcmp(arguments[1], "sound")) return write_sound();
    fputs("usage: telegraph encode|decode|sound < INPUT\n", stderr);
    return 2;
}
