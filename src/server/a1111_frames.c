/* a1111_frames.c - the frames of an APNG as PNG files of their own, each with what the first one says about itself.
 *
 * vkanim's own writer makes every frame whole: it covers the picture and replaces what was there, so a frame is the header,
 * the texts, and its data as IDAT chunks (PNG, third edition, 11.3.6: fdAT is a number and then what IDAT would hold).  Any
 * bytes are safe: what is no such file ends in false. */
#include "server/a1111.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

struct out {
    unsigned char *data;
    size_t size, room;
    bool failed;
};

static void add(struct out *o, const void *data, size_t size)
{
    if (o->failed || !size)
        return;
    if (size > o->room - o->size) {
        size_t room = o->size + size + o->room / 2 + 4096;
        unsigned char *more = room > o->size ? realloc(o->data, room) : NULL;
        if (!more) {
            o->failed = true;
            return;
        }
        o->data = more;
        o->room = room;
    }
    memcpy(o->data + o->size, data, size);
    o->size += size;
}

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put_be32(unsigned char *p, uint32_t v)
{
    p[0] = (unsigned char)(v >> 24), p[1] = (unsigned char)(v >> 16), p[2] = (unsigned char)(v >> 8), p[3] = (unsigned char)v;
}

/* CRC-32 of PNG, annex D. */
static uint32_t crc_of(const uint32_t table[256], const unsigned char *p, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++)
        crc = table[(crc ^ p[i]) & 255] ^ crc >> 8;
    return crc ^ 0xffffffff;
}

static void make_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] & 1 ? 0xedb88320 ^ table[i] >> 1 : table[i] >> 1;
    }
}

static void add_data(struct out *o, const uint32_t table[256], const unsigned char *data, size_t size)
{
    unsigned char number[4];
    size_t at = o->size + 4;
    put_be32(number, (uint32_t)size);
    add(o, number, 4);
    add(o, "IDAT", 4);
    add(o, data, size);
    if (!o->failed)
        put_be32(number, crc_of(table, o->data + at, size + 4));
    add(o, number, 4);
}

/* Ends a frame and hands it over. */
static bool hand_over(struct out *frame, const struct out *head, bool (*take)(void *user, unsigned char *png, size_t size),
                      void *user)
{
    static const unsigned char end[12] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    add(frame, end, sizeof end);
    bool good = !frame->failed && take(user, frame->data, frame->size);
    if (frame->failed)
        free(frame->data);
    *frame = (struct out){0};
    if (good)
        add(frame, head->data, head->size);
    return good && !frame->failed;
}

bool srv_a1111_split(const void *apng, size_t size, bool (*take)(void *user, unsigned char *png, size_t size), void *user)
{
    const unsigned char *p = apng;
    uint32_t table[256];
    struct out head = {0}, frame = {0};
    bool good = size >= 8 && memcmp(p, signature, 8) == 0, begun = false, ended = false;
    make_table(table);
    add(&head, signature, good ? 8 : 0);
    for (size_t at = 8; good && !ended && at < size;) {
        size_t left = size - at, length = left >= 12 ? be32(p + at) : 0;
        if (left < 12 || length > left - 12) {
            good = false;
            break;
        }
        const unsigned char *chunk = p + at, *type = chunk + 4, *data = chunk + 8;
        bool control = memcmp(type, "fcTL", 4) == 0, first = memcmp(type, "IDAT", 4) == 0, later = memcmp(type, "fdAT", 4) == 0;
        ended = memcmp(type, "IEND", 4) == 0;
        if ((first || later) && !begun) { /* the head is whole */
            begun = true;
            add(&frame, head.data, head.size);
        } else if ((control || ended) && begun)
            good = hand_over(&frame, &head, take, user);
        if (first)
            add_data(&frame, table, data, length);
        else if (later && (good = good && length >= 4))
            add_data(&frame, table, data + 4, length - 4);
        else if (!begun && !control && memcmp(type, "acTL", 4) != 0)
            add(&head, chunk, length + 12);
        good = good && !head.failed && !frame.failed;
        at += length + 12;
    }
    free(head.data);
    free(frame.data);
    return good && ended && begun;
}
