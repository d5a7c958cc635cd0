/* torch_file.c - see torch_file.h.
 *
 * The pickle's tree is walked with a stack of our own.  A tensor is a call of torch._utils._rebuild_tensor_v2 or a relative,
 * whose storage names an entry of the archive; its bytes must lie inside of what storage and entry both say, and its strides
 * must be those of a dense row-major tensor, since nobody copies.  One dictionary may be reached in several ways, so the walk
 * counts its steps. */
#include "weights/torch_file.h"

#include "weights/pickle.h"
#include "weights/zip.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 16, MAX_VISITS = 500000, MAX_WRAPPERS = 4, MAX_CALLS = 8, MAX_METADATA = 1000, MAX_VALUE = 4096 };

/* A container whose members are being visited. */
struct frame {
    uint32_t cell;  /* of the next member, 0: done */
    bool dict;      /* cells alternate between keys and values */
    bool pairs;     /* cells are pairs of a key and a value */
    uint32_t index; /* of the next member of a list */
    size_t length;  /* of the container's own name with its dot */
};

struct reader {
    vka_safetensors *st;
    vka_zip zip;
    vka_pickle pickle;
    char root[VKA_ZIP_MAX_NAME + 1]; /* of the archive, with its slash */
    vka_weight *tensors;
    size_t count, capacity;
    const char *(*metadata)[2];
    size_t metadata_count, metadata_capacity;
    struct frame stack[MAX_DEPTH];
    int depth;
    uint32_t visits;
    char name[VKA_SAFETENSORS_MAX_NAME + 1];
    size_t length;
    vka_error *err;
};

static vka_status no_memory(const struct reader *r)
{
    return vka_fail(r->err, VKA_E_MEMORY, "out of memory reading '%s'", r->st->path);
}

/* About the tensor that is being visited. */
static vka_status bad_tensor(const struct reader *r, const char *what)
{
    return vka_fail(r->err, VKA_E_INPUT, "'%s': tensor '%.160s' %s", r->st->path, r->name, what);
}

static const vka_pickle_node *at(const struct reader *r, uint32_t node)
{
    return vka_pickle_at(&r->pickle, node);
}

/* ---- texts ---- */

/* Bytes of a well-formed character at s, or 0. */
static size_t character(const uint8_t *s, size_t n)
{
    size_t length = s[0] < 0x80                   ? 1
                    : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                    : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                    : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                  : 0;
    if (!length || length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool low = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool high = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return low || high ? 0 : length;
}

/* UTF-8 without NUL; `plain`: and without control characters. */
static bool is_text(const char *text, size_t n, bool plain)
{
    const uint8_t *s = (const uint8_t *)text;
    for (size_t i = 0; i < n;) {
        size_t k = character(s + i, n - i);
        if (!k || !s[i] || (plain && (s[i] < 32 || s[i] == 127)))
            return false;
        i += k;
    }
    return true;
}

static char *copy_text(struct reader *r, const char *text, size_t n)
{
    char *copy = vka_arena_alloc(&r->st->arena, n + 1);
    if (copy && n)
        memcpy(copy, text, n);
    return copy;
}

/* ---- numbers and texts beside the tensors ---- */

static vka_status add_metadata(struct reader *r, const char *name, const char *value, size_t n)
{
    if (r->metadata_count >= MAX_METADATA || n > MAX_VALUE || !is_text(value, n, false))
        return VKA_OK;
    const char *(*metadata)[2] = vka_grow(r->metadata, &r->metadata_capacity, r->metadata_count + 1, sizeof *metadata);
    if (!metadata)
        return no_memory(r);
    r->metadata = metadata;
    metadata[r->metadata_count][0] = vka_arena_strdup(&r->st->arena, name);
    metadata[r->metadata_count][1] = copy_text(r, value, n);
    r->metadata_count++;
    return r->st->arena.failed ? no_memory(r) : VKA_OK;
}

static vka_status note_scalar(struct reader *r, const char *name, const vka_pickle_node *n)
{
    char text[40];
    switch (n->kind) {
    case VKA_PICKLE_TEXT:
        return add_metadata(r, name, n->value.text, n->first);
    case VKA_PICKLE_BOOL:
        return add_metadata(r, name, n->value.integer ? "true" : "false", n->value.integer ? 4 : 5);
    case VKA_PICKLE_INT:
        snprintf(text, sizeof text, "%" PRId64, n->value.integer);
        return add_metadata(r, name, text, strlen(text));
    default: /* real numbers would need the locale's point taken out; nothing asks for one */
        return VKA_OK;
    }
}

/* ---- containers ---- */

/* The members of a dictionary, of OrderedDict and defaultdict, of the parameters in a ParameterDict; false: none of these. */
static bool as_dict(const struct reader *r, uint32_t node, struct frame *f)
{
    const vka_pickle *p = &r->pickle;
    const vka_pickle_node *n = at(r, node);
    *f = (struct frame){.dict = true};
    if (vka_pickle_is_call(p, node, "torch.nn.modules.container.ParameterDict")) {
        const vka_pickle_node *state = at(r, n->state);
        uint32_t inner = 0;
        if (state->kind == VKA_PICKLE_DICT)
            for (uint32_t cell = state->first; cell; cell = p->cells[p->cells[cell].next].next)
                if (vka_pickle_is_text(p, p->cells[cell].node, "_parameters"))
                    inner = p->cells[p->cells[cell].next].node;
        n = at(r, node = inner);
    }
    bool ordered = vka_pickle_is_call(p, node, "collections.OrderedDict");
    if (n->kind != VKA_PICKLE_DICT && !ordered && !vka_pickle_is_call(p, node, "collections.defaultdict"))
        return false;
    f->cell = n->first;
    uint32_t args[1];
    if (ordered && !f->cell && vka_pickle_tuple(p, n->value.pair.b, 1, args, 1) == 1 &&
        at(r, args[0])->kind == VKA_PICKLE_LIST) {
        f->dict = false; /* Python 2 gave the members as an argument */
        f->pairs = true;
        f->cell = at(r, args[0])->first;
    }
    return true;
}

/* The next member: its key (0 in a list) and value. */
static bool next_member(const struct reader *r, struct frame *f, uint32_t *key, uint32_t *value)
{
    const vka_pickle_cell *cells = r->pickle.cells;
    if (!f->cell)
        return false;
    *key = 0;
    *value = cells[f->cell].node;
    f->cell = cells[f->cell].next;
    if (f->dict) {
        *key = *value;
        *value = cells[f->cell].node; /* dictionaries hold pairs of cells */
        f->cell = cells[f->cell].next;
    } else if (f->pairs) {
        const vka_pickle_node *pair = at(r, *value);
        uint32_t first = pair->kind == VKA_PICKLE_TUPLE || pair->kind == VKA_PICKLE_LIST ? pair->first : 0;
        *key = cells[first].node;
        *value = first ? cells[cells[first].next].node : 0;
    }
    return true;
}

/* A member of a dictionary by its name; 0: there is none. */
static uint32_t member(const struct reader *r, struct frame dict, const char *name)
{
    uint32_t key, value;
    while (next_member(r, &dict, &key, &value))
        if (vka_pickle_is_text(&r->pickle, key, name))
            return value;
    return 0;
}

/* Takes off the wrappers that trainers put around the weights; what stands beside them as text or number is kept. */
static vka_status unwrap(struct reader *r, struct frame *root)
{
    static const char *const wrappers[] = {"state_dict", "model_state_dict", "model", "module", "controlnet"};
    for (int level = 0; level < MAX_WRAPPERS; level++) {
        struct frame inner, beside = *root;
        uint32_t key, value, found = 0;
        for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers && !found; i++) {
            found = member(r, *root, wrappers[i]);
            if (found && (!as_dict(r, found, &inner) || !inner.cell))
                found = 0;
        }
        if (!found)
            return VKA_OK;
        while (next_member(r, &beside, &key, &value)) {
            const vka_pickle_node *k = at(r, key);
            char name[VKA_SAFETENSORS_MAX_NAME + 1];
            if (k->kind != VKA_PICKLE_TEXT || !k->first || k->first >= sizeof name ||
                !is_text(k->value.text, k->first, true))
                continue;
            snprintf(name, sizeof name, "%.*s", (int)k->first, k->value.text);
            vka_status s = note_scalar(r, name, at(r, value));
            if (s != VKA_OK)
                return s;
        }
        *root = inner;
    }
    return VKA_OK;
}

/* ---- tensors ---- */

static bool element_of(const struct reader *r, uint32_t node, const char *suffix, enum vka_weight_dtype *t,
                       bool *untyped)
{
    static const struct {
        const char *storage, *dtype;
        enum vka_weight_dtype t;
    } types[] = {
        {"Double", "float64", VKA_WEIGHT_F64},
        {"Float", "float32", VKA_WEIGHT_F32},
        {"Half", "float16", VKA_WEIGHT_F16},
        {"BFloat16", "bfloat16", VKA_WEIGHT_BF16},
        {"", "float8_e4m3fn", VKA_WEIGHT_F8_E4M3},
        {"", "float8_e5m2", VKA_WEIGHT_F8_E5M2},
        {"Long", "int64", VKA_WEIGHT_I64},
        {"Int", "int32", VKA_WEIGHT_I32},
        {"Short", "int16", VKA_WEIGHT_I16},
        {"Char", "int8", VKA_WEIGHT_I8},
        {"", "uint64", VKA_WEIGHT_U64},
        {"", "uint32", VKA_WEIGHT_U32},
        {"", "uint16", VKA_WEIGHT_U16},
        {"Byte", "uint8", VKA_WEIGHT_U8},
        {"Bool", "bool", VKA_WEIGHT_BOOL},
    };
    char name[64];
    vka_pickle_name(&r->pickle, node, name, sizeof name);
    *untyped = strcmp(name, "torch.storage.UntypedStorage") == 0 || strcmp(name, "torch.UntypedStorage") == 0;
    const char *word = strncmp(name, "torch.", 6) == 0 ? name + 6 : "";
    word = strncmp(word, "cuda.", 5) == 0 ? word + 5 : word;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char whole[32];
        snprintf(whole, sizeof whole, "%s%s", *suffix ? types[i].storage : types[i].dtype, suffix);
        if (strcmp(whole, word) == 0 && (!*suffix || types[i].storage[0])) {
            *t = types[i].t;
            return true;
        }
    }
    return *untyped;
}

/* A number that is not negative. */
static bool size_at(const struct reader *r, uint32_t node, uint64_t *value)
{
    const vka_pickle_node *n = at(r, node);
    if (n->kind != VKA_PICKLE_INT || n->value.integer < 0)
        return false;
    *value = (uint64_t)n->value.integer;
    return true;
}

/* A tuple of sizes, in a torch.Size or bare; its length or -1. */
static int sizes_at(const struct reader *r, uint32_t node, uint64_t out[VKA_WEIGHT_MAX_RANK])
{
    uint32_t items[VKA_WEIGHT_MAX_RANK + 1];
    if (vka_pickle_is_call(&r->pickle, node, "torch.Size") &&
        vka_pickle_tuple(&r->pickle, at(r, node)->value.pair.b, 1, items, 1) == 1)
        node = items[0];
    int rank = vka_pickle_tuple(&r->pickle, node, 0, items, VKA_WEIGHT_MAX_RANK + 1);
    if (rank < 0 || rank > VKA_WEIGHT_MAX_RANK)
        return -1;
    for (int i = 0; i < rank; i++)
        if (!size_at(r, items[i], &out[i]))
            return -1;
    return rank;
}

/* The storage's bytes in the archive, and its type where it has one. */
static vka_status find_storage(const struct reader *r, uint32_t node, const uint8_t **data, uint64_t *bytes,
                               enum vka_weight_dtype *t, bool *untyped)
{
    uint32_t part[5];
    uint64_t count;
    const vka_pickle_node *n = at(r, node);
    if (n->kind != VKA_PICKLE_OUTSIDE || vka_pickle_tuple(&r->pickle, n->value.pair.a, 5, part, 5) != 5 ||
        !vka_pickle_is_text(&r->pickle, part[0], "storage") || at(r, part[2])->kind != VKA_PICKLE_TEXT ||
        !size_at(r, part[4], &count))
        return bad_tensor(r, "has a damaged storage");
    if (!element_of(r, part[1], "Storage", t, untyped)) {
        char what[64];
        vka_pickle_name(&r->pickle, part[1], what, sizeof what);
        return vka_fail(r->err, VKA_E_INPUT, "'%s': tensor '%.160s' has elements of the kind %s, which are not read",
                        r->st->path, r->name, what);
    }
    char entry[VKA_ZIP_MAX_NAME + 1];
    const vka_pickle_node *key = at(r, part[2]);
    int length =
        key->first < 64 ? snprintf(entry, sizeof entry, "%sdata/%.*s", r->root, (int)key->first, key->value.text) : -1;
    const vka_zip_entry *e =
        length > 0 && (size_t)length < sizeof entry ? vka_zip_find(&r->zip, entry, (size_t)length) : NULL;
    if (!e)
        return bad_tensor(r, "lies in a storage that the archive lacks");
    if (!vka_mul_u64(count, *untyped ? 1 : vka_dtype_size(*t), bytes) || *bytes > e->size)
        return bad_tensor(r, "lies in a storage that is larger than its entry in the archive");
    *data = e->data;
    return VKA_OK;
}

/* The call that makes the tensor, under the calls that only wrap it; false when it is none. */
static bool find_rebuild(const struct reader *r, uint32_t node, uint32_t *function, uint32_t *args)
{
    const vka_pickle *p = &r->pickle;
    uint32_t a[3];
    for (int i = 0; i < MAX_CALLS && at(r, node)->kind == VKA_PICKLE_CALL; i++) {
        *function = at(r, node)->value.pair.a;
        *args = at(r, node)->value.pair.b;
        if (vka_pickle_is_global(p, *function, "torch._tensor._rebuild_from_type_v2") ||
            vka_pickle_is_global(p, *function, "torch._tensor._rebuild_from_type")) {
            if (vka_pickle_tuple(p, *args, 3, a, 3) != 3)
                return false;
            *function = a[0];
            *args = a[2];
        }
        if (!vka_pickle_is_global(p, *function, "torch._utils._rebuild_parameter") &&
            !vka_pickle_is_global(p, *function, "torch._utils._rebuild_parameter_with_state"))
            break;
        if (vka_pickle_tuple(p, *args, 1, a, 1) != 1)
            return false;
        node = a[0];
    }
    char name[40];
    if (at(r, node)->kind != VKA_PICKLE_CALL)
        return false;
    vka_pickle_name(p, *function, name, sizeof name);
    return strncmp(name, "torch._utils._rebuild_", 22) == 0;
}

/* Reads a tensor's own description and checks that it lies in its storage, densely. */
static vka_status read_tensor(const struct reader *r, uint32_t function, uint32_t args, vka_weight *t)
{
    const vka_pickle *p = &r->pickle;
    bool v3 = vka_pickle_is_global(p, function, "torch._utils._rebuild_tensor_v3"), untyped;
    uint32_t a[7];
    uint64_t offset, strides[VKA_WEIGHT_MAX_RANK], room;
    const uint8_t *data = NULL;
    if (!v3 && !vka_pickle_is_global(p, function, "torch._utils._rebuild_tensor_v2") &&
        !vka_pickle_is_global(p, function, "torch._utils._rebuild_tensor")) {
        char what[64];
        vka_pickle_name(p, function, what, sizeof what);
        return vka_fail(r->err, VKA_E_INPUT, "'%s': tensor '%.160s' is of a kind that is not read (%s)", r->st->path,
                        r->name, what);
    }
    if (vka_pickle_tuple(p, args, v3 ? 7 : 4, a, 7) < 0)
        return bad_tensor(r, "has a damaged description");
    vka_status s = find_storage(r, a[0], &data, &room, &t->dtype, &untyped);
    if (s != VKA_OK)
        return s;
    bool other = false;
    if ((v3 && (!element_of(r, a[6], "", &t->dtype, &other) || other)) || (!v3 && untyped)) {
        char what[64];
        vka_pickle_name(p, v3 ? a[6] : 0, what, sizeof what);
        return vka_fail(r->err, VKA_E_INPUT, "'%s': tensor '%.160s' has elements of the kind %s, which are not read",
                        r->st->path, r->name, what);
    }
    int rank = sizes_at(r, a[2], t->dims);
    if (!size_at(r, a[1], &offset) || rank < 0 || sizes_at(r, a[3], strides) != rank)
        return bad_tensor(r, "has an odd size, stride or offset");
    t->rank = (uint32_t)rank;
    uint64_t count = 1, element = vka_dtype_size(t->dtype);
    bool dense = true, empty = false;
    for (int i = rank; i-- > 0;) {
        dense = dense && (t->dims[i] == 1 || strides[i] == count);
        empty = empty || t->dims[i] == 0;
        if (!vka_mul_u64(count, t->dims[i], &count))
            return bad_tensor(r, "is impossibly large");
    }
    if (!dense && !empty) {
        bad_tensor(r, "is a transposed or strided view of its storage, which is not read");
        vka_error_hint(r->err, "save it again with .contiguous()");
        return VKA_E_INPUT;
    }
    if (!vka_mul_u64(count, element, &t->bytes) || !vka_mul_u64(offset, element, &offset))
        return bad_tensor(r, "is impossibly large");
    if (offset > room || t->bytes > room - offset)
        return bad_tensor(r, "goes beyond the end of its storage");
    t->data = data + offset;
    return VKA_OK;
}

static vka_status add_tensor(struct reader *r, uint32_t function, uint32_t args)
{
    vka_weight t = {0};
    if (r->count >= VKA_SAFETENSORS_MAX_TENSORS)
        return vka_fail(r->err, VKA_E_INPUT, "'%s' has more than %u tensors", r->st->path, VKA_SAFETENSORS_MAX_TENSORS);
    vka_status s = read_tensor(r, function, args, &t);
    if (s != VKA_OK)
        return s;
    vka_weight *tensors = vka_grow(r->tensors, &r->capacity, r->count + 1, sizeof *tensors);
    t.name = vka_arena_strdup(&r->st->arena, r->name);
    if (tensors)
        r->tensors = tensors;
    if (!tensors || !t.name)
        return no_memory(r);
    tensors[r->count++] = t;
    return VKA_OK;
}

/* ---- the walk ---- */

/* Puts a member's name behind its container's; false: the key cannot be a part of a name. */
static vka_status set_name(struct reader *r, struct frame *f, uint32_t key)
{
    char number[24];
    const vka_pickle_node *k = at(r, key);
    const char *text = number;
    size_t n;
    if (!f->dict && !f->pairs)
        snprintf(number, sizeof number, "%u", (unsigned)f->index++);
    else if (k->kind == VKA_PICKLE_INT)
        snprintf(number, sizeof number, "%" PRId64, k->value.integer);
    else if (k->kind == VKA_PICKLE_TEXT)
        text = k->value.text;
    else
        return VKA_E_INPUT;
    n = text == number ? strlen(number) : k->first;
    if (n == 0 || n > VKA_SAFETENSORS_MAX_NAME - f->length || !is_text(text, n, true))
        return VKA_E_INPUT;
    memcpy(r->name + f->length, text, n);
    r->length = f->length + n;
    r->name[r->length] = '\0';
    return VKA_OK;
}

static vka_status visit(struct reader *r, uint32_t value, bool named)
{
    uint32_t function, args;
    struct frame f;
    const vka_pickle_node *n = at(r, value);
    bool list = n->kind == VKA_PICKLE_LIST || n->kind == VKA_PICKLE_TUPLE;
    if (find_rebuild(r, value, &function, &args))
        return named ? add_tensor(r, function, args)
                     : vka_fail(r->err, VKA_E_INPUT, "'%s' has a tensor whose name is empty, too long or not a text",
                                r->st->path);
    if (!named || (r->depth == 1 && strcmp(r->name, "animatediff_config") == 0))
        return VKA_OK;
    if (!list && !as_dict(r, value, &f))
        return r->stack[r->depth - 1].dict ? note_scalar(r, r->name, n) : VKA_OK;
    if (list)
        f = (struct frame){.cell = n->first};
    if (!f.cell)
        return VKA_OK;
    if (r->depth == MAX_DEPTH)
        return vka_fail(r->err, VKA_E_INPUT, "'%s' has dictionaries nested more than %d deep, which no model needs",
                        r->st->path, MAX_DEPTH);
    if (r->length == VKA_SAFETENSORS_MAX_NAME)
        return VKA_OK;
    r->name[r->length++] = '.';
    f.length = r->length;
    r->stack[r->depth++] = f;
    return VKA_OK;
}

static vka_status walk(struct reader *r)
{
    uint32_t key, value;
    while (r->depth) {
        struct frame *f = &r->stack[r->depth - 1];
        if (!next_member(r, f, &key, &value)) {
            r->depth--;
            continue;
        }
        if (r->visits++ >= MAX_VISITS)
            return vka_fail(r->err, VKA_E_INPUT, "'%s' has more than %d values, which no model needs", r->st->path,
                            MAX_VISITS);
        vka_status s = visit(r, value, set_name(r, f, key) == VKA_OK);
        if (s != VKA_OK)
            return s;
    }
    return VKA_OK;
}

static vka_status no_tensors(const struct reader *r)
{
    char what[100];
    uint32_t function, args;
    if (find_rebuild(r, r->pickle.root, &function, &args))
        return vka_fail(r->err, VKA_E_INPUT, "'%s' is a PyTorch file with one tensor without a name, not a model", r->st->path);
    vka_pickle_name(&r->pickle, r->pickle.root, what, sizeof what);
    vka_fail(r->err, VKA_E_INPUT, "'%s' is a PyTorch file without named tensors in it", r->st->path);
    if (strcmp(what, "?") != 0)
        vka_error_why(r->err, "it holds an object of the class %s, which only its own program can read", what);
    return VKA_E_INPUT;
}

/* Finds the pickle, which tells the archive's folder. */
static vka_status open_archive(struct reader *r, const void *data, size_t size)
{
    vka_status s = vka_zip_read(&r->zip, data, size, r->st->path, r->err);
    if (s != VKA_OK)
        return s;
    const vka_zip_entry *first = r->zip.first, *e = NULL;
    const char *slash = first ? memchr(first->name, '/', first->length) : NULL;
    char name[VKA_ZIP_MAX_NAME + 16];
    if (slash)
        snprintf(r->root, sizeof r->root, "%.*s", (int)(slash - first->name + 1), first->name);
#define ENTRY(what) vka_zip_find(&r->zip, name, (size_t)snprintf(name, sizeof name, "%s" what, r->root))
    if (slash && ENTRY("constants.pkl")) {
        vka_fail(r->err, VKA_E_INPUT, "'%s' is a TorchScript program, not a file of weights", r->st->path);
        return VKA_E_INPUT;
    }
    if (!slash || !(e = ENTRY("data.pkl"))) {
        vka_fail(r->err, VKA_E_INPUT, "'%s' is a zip archive, but not one that PyTorch wrote", r->st->path);
        vka_error_hint(r->err, "if there is a model in it, unpack it");
        return VKA_E_INPUT;
    }
    const vka_zip_entry *order = ENTRY("byteorder");
#undef ENTRY
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        return vka_fail(r->err, VKA_E_INPUT, "'%s' was written on a machine with another byte order, which is not read",
                        r->st->path);
    return vka_pickle_read(&r->pickle, e->data, (size_t)e->size, r->st->path, r->err);
}

static vka_status read_archive(struct reader *r, const void *data, size_t size)
{
    struct frame root;
    vka_status s = open_archive(r, data, size);
    if (s != VKA_OK)
        return s;
    if (!as_dict(r, r->pickle.root, &root))
        return no_tensors(r);
    if ((s = unwrap(r, &root)) != VKA_OK)
        return s;
    r->stack[r->depth++] = root;
    if ((s = walk(r)) != VKA_OK)
        return s;
    return r->count ? VKA_OK : no_tensors(r);
}

vka_status vka_torch_parse(vka_safetensors *st, const void *data, size_t size, const char *path, vka_error *err)
{
    *st = (vka_safetensors){.path = vka_strdup(path), .is_torch = true};
    struct reader *r = vka_calloc(1, sizeof *r);
    vka_status s = st->path && r ? VKA_OK : vka_fail(err, VKA_E_MEMORY, "out of memory reading '%s'", path);
    if (s == VKA_OK) {
        r->st = st;
        r->err = err;
        s = read_archive(r, data, size);
    }
    if (s == VKA_OK) {
        st->tensors = vka_arena_alloc(&st->arena, (r->count + 1) * sizeof *st->tensors);
        st->metadata = vka_arena_alloc(&st->arena, (r->metadata_count + 1) * sizeof *st->metadata);
        if (!st->tensors || !st->metadata)
            s = no_memory(r);
    }
    if (s == VKA_OK) {
        st->count = r->count;
        st->metadata_count = r->metadata_count;
        memcpy(st->tensors, r->tensors, r->count * sizeof *st->tensors);
        if (r->metadata_count)
            memcpy(st->metadata, r->metadata, r->metadata_count * sizeof *st->metadata);
    }
    if (r) {
        vka_zip_free(&r->zip);
        vka_pickle_free(&r->pickle);
        free(r->tensors);
        free(r->metadata);
        free(r);
    }
    if (s != VKA_OK)
        vka_safetensors_close(st);
    return s;
}
