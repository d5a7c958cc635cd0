/* poison.c - poison FILE TENSOR FIRST COUNT STRIDE VALUE: overwrites values of one tensor of a safetensors file in place, so
 * that tests have models and inputs that make NaN and infinity.
 *
 * FIRST counts values from 0, from the tensor's end when it is negative; COUNT 0 is as many as there are.  VALUE is what
 * strtod reads: nan, inf, -inf, 1e4.  F16 and F32. */
#include "base/half.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what, const char *name)
{
    fprintf(stderr, "poison: %s: %s\n", name, what);
    return 1;
}

int main(int argc, char **argv)
{
    uint8_t word[8];
    uint64_t header = 0;
    if (argc != 7)
        return fail("FILE TENSOR FIRST COUNT STRIDE VALUE", "usage");
    FILE *file = fopen(argv[1], "r+b");
    if (!file || fread(word, 1, sizeof word, file) != sizeof word)
        return fail("cannot be read", argv[1]);
    for (int i = 8; i-- > 0;)
        header = header << 8 | word[i];
    char *text = malloc((size_t)header);
    json_t *all =
        text && fread(text, 1, (size_t)header, file) == header ? json_loadb(text, (size_t)header, 0, NULL) : NULL;
    const json_t *tensor = json_object_get(all, argv[2]), *offsets = json_object_get(tensor, "data_offsets");
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    if (!dtype || (strcmp(dtype, "F16") != 0 && strcmp(dtype, "F32") != 0))
        return fail("is not there as F16 or F32", argv[2]);
    const long size = dtype[1] == '1' ? 2 : 4, from = (long)json_integer_value(json_array_get(offsets, 0)),
               values = ((long)json_integer_value(json_array_get(offsets, 1)) - from) / size;
    long first = strtol(argv[3], NULL, 10), count = strtol(argv[4], NULL, 10), stride = strtol(argv[5], NULL, 10);
    const float value = strtof(argv[6], NULL);
    const uint16_t half = vka_float_to_half(value);
    first = first < 0 ? values + first : first;
    for (long i = first, n = 0; i < values && (!count || n < count); i += stride, n++)
        if (fseek(file, 8 + (long)header + from + i * size, SEEK_SET) != 0 ||
            fwrite(size == 2 ? (const void *)&half : (const void *)&value, (size_t)size, 1, file) != 1)
            return fail("cannot be written", argv[1]);
    if (fclose(file) != 0)
        return fail("cannot be written", argv[1]);
    free(text);
    json_decref(all);
    return 0;
}
