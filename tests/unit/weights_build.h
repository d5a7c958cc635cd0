/* weights_build.h - model files for tests: headers made from names and shapes, with data that is a hole in the file.
 *
 * A file of full-size tensors costs a few hundred kilobytes: its data is never written, only its length is set. */
#ifndef VKA_TEST_WEIGHTS_BUILD_H
#define VKA_TEST_WEIGHTS_BUILD_H
#define _XOPEN_SOURCE 700

#include "base/error.h"
#include "base/file.h"
#include "weights/weights.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a folder that goes again ---- */

static char folder[256];

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/vkanim-weights-XXXXXX", base && *base ? base : P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[320];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

/* A path in it; good until the eighth next call. */
static inline const char *in_folder(const char *name)
{
    static char paths[8][600];
    static unsigned next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", folder, name);
    return p;
}

static inline void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

/* ---- headers ---- */

typedef struct build {
    char *text;
    size_t length, capacity;
    uint64_t at;
    unsigned count;
} build;

static inline void build_text(build *b, const char *s)
{
    size_t n = strlen(s);
    if (b->length + n + 1 > b->capacity) {
        b->capacity = (b->length + n + 1) * 2;
        b->text = realloc(b->text, b->capacity);
        assert_non_null(b->text);
    }
    memcpy(b->text + b->length, s, n + 1);
    b->length += n;
}

static inline void build_dims(build *b, const char *name, const char *dtype, const uint64_t *dims, unsigned rank)
{
    char part[200];
    enum vka_weight_dtype t;
    assert_true(vka_dtype_parse(dtype, &t));
    uint64_t bytes = vka_dtype_size(t);
    build_text(b, b->count++ ? ",\"" : "{\"");
    build_text(b, name);
    snprintf(part, sizeof part, "\":{\"dtype\":\"%s\",\"shape\":[", dtype);
    build_text(b, part);
    for (unsigned i = 0; i < rank; i++) {
        snprintf(part, sizeof part, "%s%" PRIu64, i ? "," : "", dims[i]);
        build_text(b, part);
        bytes *= dims[i];
    }
    snprintf(part, sizeof part, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", b->at, b->at + bytes);
    build_text(b, part);
    b->at += bytes;
}

/* build_add(&b, "name", 2, 320, 768): an F16 tensor; dims are unsigned ints. */
static inline void build_add(build *b, const char *name, unsigned rank, ...)
{
    uint64_t dims[8];
    va_list ap;
    va_start(ap, rank);
    for (unsigned i = 0; i < rank; i++)
        dims[i] = va_arg(ap, unsigned);
    va_end(ap);
    build_dims(b, name, "F16", dims, rank);
}

/* Writes the file with a hole for data, and empties the builder. */
static inline const char *build_write(build *b, const char *name)
{
    const char *path = in_folder(name);
    uint8_t prefix[8];
    if (!b->count)
        build_text(b, "{");
    build_text(b, "}");
    for (unsigned i = 0; i < 8; i++)
        prefix[i] = (uint8_t)((uint64_t)b->length >> (8 * i));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(prefix, 1, 8, f), 8);
    assert_int_equal(fwrite(b->text, 1, b->length, f), b->length);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(truncate(path, (off_t)(8 + b->length + b->at)), 0);
    free(b->text);
    *b = (build){0};
    return path;
}

/* NAME.weight of the given shape and NAME.bias of its first dimension. */
static inline void build_pair(build *b, const char *name, unsigned rank, unsigned d0, unsigned d1, unsigned k)
{
    char full[640];
    snprintf(full, sizeof full, "%s.weight", name);
    build_add(b, full, rank, d0, d1, k, k);
    snprintf(full, sizeof full, "%s.bias", name);
    build_add(b, full, 1, d0);
}

/* ---- motion modules, original names ---- */

typedef struct motion_shape {
    unsigned levels, channels[8], layers, pe; /* pe 0: no table */
    bool mid;
    const char *prefix; /* a wrapper in front of every name */
    bool hotshot, diffusers;
} motion_shape;

static inline void build_slot(build *b, const motion_shape *s, const char *slot, unsigned c)
{
    static const char *const qkv[] = {"to_q", "to_k", "to_v"};
    char at[300], name[600];
    snprintf(at, sizeof at, "%s%s%s", s->prefix ? s->prefix : "", slot,
             s->hotshot || s->diffusers ? "" : ".temporal_transformer");
#define NAMED(...) (snprintf(name, sizeof name, __VA_ARGS__), name)
    build_pair(b, NAMED("%s.norm", at), 1, c, 0, 0);
    build_pair(b, NAMED("%s.proj_in", at), 2, c, c, 0);
    for (unsigned a = 0; a < 2; a++) {
        char attention[400];
        if (s->diffusers)
            snprintf(attention, sizeof attention, "%s.transformer_blocks.0.attn%u", at, a + 1);
        else
            snprintf(attention, sizeof attention, "%s.transformer_blocks.0.attention_blocks.%u", at, a);
        for (unsigned i = 0; i < 3; i++)
            build_add(b, NAMED("%s.%s.weight", attention, qkv[i]), 2, c, c);
        build_pair(b, NAMED("%s.to_out.0", attention), 2, c, c, 0);
        if (s->pe && !s->diffusers)
            build_add(b, NAMED("%s.pos_encoder.%s", attention, s->hotshot ? "positional_encoding" : "pe"), 3, 1, s->pe,
                      c);
        if (s->pe && s->diffusers && a == 0)
            build_add(b, NAMED("%s.transformer_blocks.0.pos_embed.pe", at), 3, 1, s->pe, c);
        if (s->diffusers)
            build_pair(b, NAMED("%s.transformer_blocks.0.norm%u", at, a + 1), 1, c, 0, 0);
        else
            build_pair(b, NAMED("%s.transformer_blocks.0.norms.%u", at, a), 1, c, 0, 0);
    }
    build_pair(b, NAMED("%s.transformer_blocks.0.ff.net.0.proj", at), 2, 8 * c, c, 0);
    build_pair(b, NAMED("%s.transformer_blocks.0.ff.net.2", at), 2, c, 4 * c, 0);
    build_pair(b, NAMED("%s.transformer_blocks.0.%s", at, s->diffusers ? "norm3" : "ff_norm"), 1, c, 0, 0);
    build_pair(b, NAMED("%s.proj_out", at), 2, c, c, 0);
#undef NAMED
}

static inline void build_motion(build *b, const motion_shape *s)
{
    const char *word = s->hotshot ? "temporal_attentions" : "motion_modules";
    char slot[128];
    for (unsigned l = 0; l < s->levels; l++) {
        for (unsigned i = 0; i < s->layers; i++) {
            snprintf(slot, sizeof slot, "down_blocks.%u.%s.%u", l, word, i);
            build_slot(b, s, slot, s->channels[l]);
        }
        for (unsigned i = 0; i <= s->layers; i++) {
            snprintf(slot, sizeof slot, "up_blocks.%u.%s.%u", l, word, i);
            build_slot(b, s, slot, s->channels[s->levels - 1 - l]);
        }
    }
    snprintf(slot, sizeof slot, "mid_block.%s.0", word);
    if (s->mid)
        build_slot(b, s, slot, s->channels[s->levels - 1]);
}

/* ---- a checkpoint in LDM names ---- */

typedef struct ldm_shape {
    unsigned levels, channels[8], layers, attends[8]; /* attends: bool per level */
    unsigned in, text, time;                          /* input channels, text width, time embedding */
} ldm_shape;

static inline void build_ldm_resnet(build *b, const char *at, unsigned in, unsigned out, unsigned time)
{
    char name[300];
#define NAMED(suffix) (snprintf(name, sizeof name, "%s." suffix, at), name)
    build_pair(b, NAMED("in_layers.0"), 1, in, 0, 0);
    build_pair(b, NAMED("in_layers.2"), 4, out, in, 3);
    build_pair(b, NAMED("emb_layers.1"), 2, out, time, 0);
    build_pair(b, NAMED("out_layers.0"), 1, out, 0, 0);
    build_pair(b, NAMED("out_layers.3"), 4, out, out, 3);
    if (in != out)
        build_pair(b, NAMED("skip_connection"), 4, out, in, 1);
}

static inline void build_ldm_attention(build *b, const char *at, unsigned c, unsigned text)
{
    char name[300];
    build_pair(b, NAMED("norm"), 1, c, 0, 0);
    build_pair(b, NAMED("proj_in"), 4, c, c, 1);
    build_pair(b, NAMED("proj_out"), 4, c, c, 1);
    build_pair(b, NAMED("transformer_blocks.0.norm1"), 1, c, 0, 0);
    build_pair(b, NAMED("transformer_blocks.0.norm2"), 1, c, 0, 0);
    build_pair(b, NAMED("transformer_blocks.0.norm3"), 1, c, 0, 0);
    build_add(b, NAMED("transformer_blocks.0.attn1.to_q.weight"), 2, c, c);
    build_add(b, NAMED("transformer_blocks.0.attn1.to_k.weight"), 2, c, c);
    build_add(b, NAMED("transformer_blocks.0.attn1.to_v.weight"), 2, c, c);
    build_add(b, NAMED("transformer_blocks.0.attn2.to_q.weight"), 2, c, c);
    build_add(b, NAMED("transformer_blocks.0.attn2.to_k.weight"), 2, c, text);
    build_add(b, NAMED("transformer_blocks.0.attn2.to_v.weight"), 2, c, text);
    build_pair(b, NAMED("transformer_blocks.0.attn1.to_out.0"), 2, c, c, 0);
    build_pair(b, NAMED("transformer_blocks.0.attn2.to_out.0"), 2, c, c, 0);
    build_pair(b, NAMED("transformer_blocks.0.ff.net.0.proj"), 2, 8 * c, c, 0);
    build_pair(b, NAMED("transformer_blocks.0.ff.net.2"), 2, c, 4 * c, 0);
}

#define AT(...) (snprintf(at, sizeof at, __VA_ARGS__), at)
/* Down blocks and middle below `p`; returns how many skips there are. */
static inline unsigned build_ldm_encoder(build *b, const ldm_shape *s, const char *p, unsigned skips[64])
{
    char at[128];
    unsigned n = 1, c = s->channels[0], k = 0;
    build_pair(b, AT("%stime_embed.0", p), 2, s->time, c, 0);
    build_pair(b, AT("%stime_embed.2", p), 2, s->time, s->time, 0);
    build_pair(b, AT("%sinput_blocks.0.0", p), 4, c, s->in, 3);
    skips[k++] = c;
    for (unsigned l = 0; l < s->levels; l++) {
        for (unsigned i = 0; i < s->layers; i++, n++) {
            build_ldm_resnet(b, AT("%sinput_blocks.%u.0", p, n), c, s->channels[l], s->time);
            c = skips[k++] = s->channels[l];
            if (s->attends[l])
                build_ldm_attention(b, AT("%sinput_blocks.%u.1", p, n), c, s->text);
        }
        if (l + 1 < s->levels) {
            build_pair(b, AT("%sinput_blocks.%u.0.op", p, n++), 4, c, c, 3);
            skips[k++] = c;
        }
    }
    build_ldm_resnet(b, AT("%smiddle_block.0", p), c, c, s->time);
    build_ldm_attention(b, AT("%smiddle_block.1", p), c, s->text);
    build_ldm_resnet(b, AT("%smiddle_block.2", p), c, c, s->time);
    return k;
}

static inline void build_ldm_unet(build *b, const ldm_shape *s)
{
    const char *p = "model.diffusion_model.";
    char at[128];
    unsigned skips[64], k = build_ldm_encoder(b, s, p, skips), n, c = s->channels[s->levels - 1];
    n = 0;
    for (unsigned l = s->levels; l-- > 0;)
        for (unsigned i = 0; i <= s->layers; i++, n++) {
            build_ldm_resnet(b, AT("%soutput_blocks.%u.0", p, n), c + skips[--k], s->channels[l], s->time);
            c = s->channels[l];
            if (s->attends[l])
                build_ldm_attention(b, AT("%soutput_blocks.%u.1", p, n), c, s->text);
            if (l && i == s->layers)
                build_pair(b, AT("%soutput_blocks.%u.%u.conv", p, n, s->attends[l] ? 2u : 1u), 4, c, c, 3);
        }
    build_pair(b, AT("%sout.0", p), 1, c, 0, 0);
    build_pair(b, AT("%sout.2", p), 4, 4, c, 3);
}

static inline void build_vae_resnet(build *b, const char *at, unsigned in, unsigned out)
{
    char name[300];
    build_pair(b, NAMED("norm1"), 1, in, 0, 0);
    build_pair(b, NAMED("conv1"), 4, out, in, 3);
    build_pair(b, NAMED("norm2"), 1, out, 0, 0);
    build_pair(b, NAMED("conv2"), 4, out, out, 3);
    if (in != out)
        build_pair(b, NAMED("nin_shortcut"), 4, out, in, 1);
}

static inline void build_vae_mid(build *b, const char *at, unsigned c)
{
    char name[300], block[200];
    snprintf(block, sizeof block, "%s.block_1", at);
    build_vae_resnet(b, block, c, c);
    snprintf(block, sizeof block, "%s.block_2", at);
    build_vae_resnet(b, block, c, c);
    build_pair(b, NAMED("attn_1.norm"), 1, c, 0, 0);
    build_pair(b, NAMED("attn_1.q"), 4, c, c, 1);
    build_pair(b, NAMED("attn_1.k"), 4, c, c, 1);
    build_pair(b, NAMED("attn_1.v"), 4, c, c, 1);
    build_pair(b, NAMED("attn_1.proj_out"), 4, c, c, 1);
}

static inline void build_ldm_vae(build *b, const char *p, const unsigned *channels, unsigned levels, unsigned layers)
{
    char at[128];
    unsigned c = channels[0];
    build_pair(b, AT("%sencoder.conv_in", p), 4, c, 3, 3);
    for (unsigned l = 0; l < levels; l++) {
        for (unsigned i = 0; i < layers; i++) {
            build_vae_resnet(b, AT("%sencoder.down.%u.block.%u", p, l, i), c, channels[l]);
            c = channels[l];
        }
        if (l + 1 < levels)
            build_pair(b, AT("%sencoder.down.%u.downsample.conv", p, l), 4, c, c, 3);
    }
    build_vae_mid(b, AT("%sencoder.mid", p), c);
    build_pair(b, AT("%sencoder.norm_out", p), 1, c, 0, 0);
    build_pair(b, AT("%sencoder.conv_out", p), 4, 8, c, 3);
    build_pair(b, AT("%sdecoder.conv_in", p), 4, c, 4, 3);
    build_vae_mid(b, AT("%sdecoder.mid", p), c);
    for (unsigned l = levels; l-- > 0;) {
        for (unsigned i = 0; i <= layers; i++) {
            build_vae_resnet(b, AT("%sdecoder.up.%u.block.%u", p, l, i), c, channels[l]);
            c = channels[l];
        }
        if (l)
            build_pair(b, AT("%sdecoder.up.%u.upsample.conv", p, l), 4, c, c, 3);
    }
    build_pair(b, AT("%sdecoder.norm_out", p), 1, c, 0, 0);
    build_pair(b, AT("%sdecoder.conv_out", p), 4, 3, c, 3);
    build_pair(b, AT("%squant_conv", p), 4, 8, 8, 1);
    build_pair(b, AT("%spost_quant_conv", p), 4, 4, 4, 1);
}

static inline void build_text_model(build *b, const char *p, unsigned layers, unsigned width, unsigned vocab)
{
    static const char *const projections[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                              "self_attn.out_proj"};
    char at[200];
    build_add(b, AT("%sembeddings.token_embedding.weight", p), 2, vocab, width);
    build_add(b, AT("%sembeddings.position_embedding.weight", p), 2, 77, width);
    for (unsigned i = 0; i < layers; i++) {
        for (unsigned k = 0; k < 4; k++)
            build_pair(b, AT("%sencoder.layers.%u.%s", p, i, projections[k]), 2, width, width, 0);
        build_pair(b, AT("%sencoder.layers.%u.layer_norm1", p, i), 1, width, 0, 0);
        build_pair(b, AT("%sencoder.layers.%u.layer_norm2", p, i), 1, width, 0, 0);
        build_pair(b, AT("%sencoder.layers.%u.mlp.fc1", p, i), 2, 4 * width, width, 0);
        build_pair(b, AT("%sencoder.layers.%u.mlp.fc2", p, i), 2, width, 4 * width, 0);
    }
    build_pair(b, AT("%sfinal_layer_norm", p), 1, width, 0, 0);
}
#undef NAMED
#undef AT

#endif
