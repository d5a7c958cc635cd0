/* sha256.c - SHA-256 by nettle, which uses the processor's own instructions where it has them: a model file of some GB is
 * a matter of seconds. */
#include "base/file.h"

#include <nettle/sha2.h>
#include <nettle/version.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(vka_sha256), "room for nettle's context");

static struct sha256_ctx *context(vka_sha256 *s) { return (struct sha256_ctx *)(void *)s->context; }

void vka_sha256_init(vka_sha256 *s) { sha256_init(context(s)); }

void vka_sha256_add(vka_sha256 *s, const void *data, size_t size) { sha256_update(context(s), size, data); }

void vka_sha256_hex(vka_sha256 *s, char hex[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
#if NETTLE_VERSION_MAJOR >= 4
    sha256_digest(context(s), digest);
#else
    sha256_digest(context(s), sizeof digest, digest);
#endif
    for (int i = 0; i < SHA256_DIGEST_SIZE; i++) {
        hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    hex[64] = '\0';
}
