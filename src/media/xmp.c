/* xmp.c - the metadata text inside an XMP packet (ISO 16684-1), which is what WebP offers for text and what other tools
 * (exiftool, photo managers) keep and show: one property, vkanim:metadata, holding the JSON as XML character data.
 *
 * Reading looks for that property alone, as element or as attribute (tools rewrite one into the other), and is
 * safe on any bytes. */
#include "media/media_int.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char before[] = "<?xpacket begin=\"\xef\xbb\xbf\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
                             "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
                             "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
                             "<rdf:Description rdf:about=\"\" xmlns:vkanim=\"urn:vkanim:1/\">\n"
                             "<vkanim:metadata>";
static const char after[] = "</vkanim:metadata>\n</rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"r\"?>";

vka_status vka_json_check(const void *text, size_t size)
{
    json_error_t e;
    /* A NUL in the middle would cut a copy short; jansson refuses it outside of escapes. */
    json_t *root = json_loadb(text, size, JSON_ALLOW_NUL, &e);
    bool memory = !root && (json_error_code(&e) == json_error_out_of_memory || !e.text[0]);
    bool object = json_is_object(root);
    json_decref(root);
    return memory ? VKA_E_MEMORY : object ? VKA_OK : VKA_E_INPUT;
}

char *vka_json_copy(const void *text, size_t size)
{
    char *copy = vka_json_check(text, size) == VKA_OK ? malloc(size + 1) : NULL;
    if (copy) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

char *vka_xmp_wrap(const char *json)
{
    vka_bytes b = {0};
    vka_bytes_add(&b, before, sizeof before - 1);
    for (const char *p = json; *p; p++) {
        const char *as = NULL;
        if (*p == '&')
            as = "&amp;";
        else if (*p == '<')
            as = "&lt;";
        else if (*p == '>')
            as = "&gt;";
        else if (*p == '\r') /* XML readers turn a bare one into a line feed */
            as = "&#13;";
        else if (!strncmp(p, "\xef\xbf\xbe", 3) || !strncmp(p, "\xef\xbf\xbf", 3)) {
            /* U+FFFE and U+FFFF are no XML characters, but JSON strings may hold them: as JSON escapes. */
            as = p[2] == '\xbe' ? "\\ufffe" : "\\uffff";
            p += 2;
        }
        if (as)
            vka_bytes_add(&b, as, strlen(as));
        else
            vka_bytes_add(&b, p, 1);
    }
    vka_bytes_add(&b, after, sizeof after); /* with its NUL */
    if (b.failed)
        vka_bytes_free(&b);
    return (char *)b.data;
}

/* First place of `word` in [p, end), or NULL. */
static const uint8_t *find(const uint8_t *p, const uint8_t *end, const char *word)
{
    size_t n = strlen(word);
    for (; (size_t)(end - p) >= n; p++) {
        p = memchr(p, word[0], (size_t)(end - p) - n + 1);
        if (!p)
            return NULL;
        if (!memcmp(p, word, n))
            return p;
    }
    return NULL;
}

/* The character that &NAME; stands for, 0 when there is none. */
static uint32_t entity(const uint8_t *name, size_t n)
{
    static const struct {
        const char *name;
        uint32_t c;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].name) == n && !memcmp(known[i].name, name, n))
            return known[i].c;
    if (n < 2 || name[0] != '#')
        return 0;
    bool hex = name[1] == 'x';
    uint32_t c = 0;
    for (size_t i = hex ? 2 : 1; i < n; i++) {
        uint32_t d = name[i] >= '0' && name[i] <= '9'   ? (uint32_t)(name[i] - '0')
                     : name[i] >= 'a' && name[i] <= 'f' ? (uint32_t)(name[i] - 'a' + 10)
                     : name[i] >= 'A' && name[i] <= 'F' ? (uint32_t)(name[i] - 'A' + 10)
                                                        : 99;
        if (d >= (hex ? 16u : 10u))
            return 0;
        c = c * (hex ? 16 : 10) + d;
        if (c > 0x10ffff)
            return 0;
    }
    return c;
}

char *vka_xmp_unwrap(const uint8_t *xmp, size_t size)
{
    const uint8_t *end = xmp + size, *from = NULL, *to = NULL;
    if ((from = find(xmp, end, "<vkanim:metadata>")) != NULL) {
        from += strlen("<vkanim:metadata>");
        to = find(from, end, "<");
    } else if ((from = find(xmp, end, "vkanim:metadata=")) != NULL) {
        from += strlen("vkanim:metadata=");
        if (from < end && (*from == '"' || *from == '\'')) {
            to = memchr(from + 1, *from, (size_t)(end - from - 1));
            from++;
        }
    }
    if (!to)
        return NULL;
    vka_bytes b = {0};
    while (from < to) {
        size_t reach = to - from < 12 ? (size_t)(to - from) : 12; /* the longest is &#x10ffff; */
        const uint8_t *stop = *from == '&' ? memchr(from, ';', reach) : NULL;
        uint32_t c = stop ? entity(from + 1, (size_t)(stop - from - 1)) : 0;
        if (c)
            vka_utf8_add(&b, c);
        else
            vka_bytes_add(&b, from, 1);
        from = c ? stop + 1 : from + 1;
    }
    char *json = b.failed || !b.size ? NULL : vka_json_copy(b.data, b.size);
    vka_bytes_free(&b);
    return json;
}
