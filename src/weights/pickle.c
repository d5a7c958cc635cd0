/* pickle.c - see pickle.h.
 *
 * The stack holds numbers of nodes; MARK is a number that no node has.  Each opcode makes at most two nodes and takes from the
 * stack what it puts into cells, so the limits on steps and stack bound all else as well; the limits on nodes and cells are
 * what keeps the whole under 100 MB. */
#include "weights/pickle.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK UINT32_MAX
enum { MAX_LINE = 512 }; /* of a global's module or name */

struct machine {
    vka_pickle *p;
    const uint8_t *at, *end;
    const char *path;
    vka_error *err;
    uint32_t *stack, *memo;
    size_t depth, stack_capacity, memo_count, memo_capacity;
};

/* ---- failures ---- */

static vka_status fail(const struct machine *m, const char *what)
{
    return vka_fail(m->err, VKA_E_INPUT, "the pickle in '%s' %s", m->path, what);
}
static vka_status damaged(const struct machine *m)
{
    return fail(m, "is truncated or damaged");
}
static vka_status no_memory(const struct machine *m)
{
    return vka_fail(m->err, VKA_E_MEMORY, "out of memory reading '%s'", m->path);
}
static vka_status too_large(const struct machine *m, const char *what, unsigned long limit)
{
    return vka_fail(m->err, VKA_E_INPUT, "the pickle in '%s' has more than %lu %s, which no model file needs", m->path,
                    limit, what);
}

/* ---- names that only attacks use ---- */

static bool is_word(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(s, word, n) == 0;
}

/* A module or anything below it. */
static bool is_in(const char *s, size_t n, const char *module)
{
    size_t k = strlen(module);
    return n >= k && memcmp(s, module, k) == 0 && (n == k || s[k] == '.');
}

static bool is_dangerous(const vka_pickle_node *module, const vka_pickle_node *name)
{
    static const char *const modules[] = {"os",
                                          "posix",
                                          "nt",
                                          "posixpath",
                                          "ntpath",
                                          "subprocess",
                                          "commands",
                                          "popen2",
                                          "sys",
                                          "runpy",
                                          "imp",
                                          "importlib",
                                          "pty",
                                          "socket",
                                          "shutil",
                                          "ctypes",
                                          "pickle",
                                          "_pickle",
                                          "cPickle",
                                          "code",
                                          "codeop",
                                          "pip",
                                          "ssl",
                                          "http",
                                          "httplib",
                                          "urllib",
                                          "urllib2",
                                          "requests",
                                          "aiohttp",
                                          "asyncio",
                                          "bdb",
                                          "pdb",
                                          "timeit",
                                          "profile",
                                          "cProfile",
                                          "trace",
                                          "doctest",
                                          "webbrowser",
                                          "smtplib",
                                          "ftplib",
                                          "telnetlib",
                                          "marshal",
                                          "pkgutil",
                                          "zipimport",
                                          "multiprocessing",
                                          "dill",
                                          "cloudpickle",
                                          "venv",
                                          "ensurepip",
                                          "distutils",
                                          "setuptools",
                                          "pydoc",
                                          "idlelib",
                                          "lib2to3",
                                          "numpy.testing",
                                          "numpy.f2py",
                                          "numpy.distutils",
                                          "torch.hub",
                                          "torch.utils.cpp_extension",
                                          "torch._inductor",
                                          "torch._dynamo"};
    static const char *const safe[] = {"set",    "frozenset", "dict",    "list",  "tuple",     "int",
                                       "float",  "bool",      "complex", "bytes", "bytearray", "str",
                                       "object", "unicode",   "long",    "slice", "range",     "xrange"};
    const char *s = module->value.text, *t = name->value.text;
    size_t n = module->first, k = name->first;
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (is_in(s, n, modules[i]))
            return true;
    if (is_in(s, n, "builtins") || is_in(s, n, "__builtin__") || is_in(s, n, "__builtins__")) {
        for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
            if (is_word(t, k, safe[i]))
                return false;
        return true;
    }
    if (is_word(s, n, "operator") || is_word(s, n, "_operator"))
        return is_word(t, k, "attrgetter") || is_word(t, k, "methodcaller") || is_word(t, k, "itemgetter");
    if (is_word(s, n, "types"))
        return is_word(t, k, "CodeType") || is_word(t, k, "FunctionType");
    return (is_word(s, n, "torch") && (is_word(t, k, "load") || is_word(t, k, "save"))) ||
           (is_word(s, n, "numpy") && is_word(t, k, "load"));
}

/* ---- nodes, cells, stack ---- */

static vka_status new_node(struct machine *m, enum vka_pickle_kind kind, uint32_t *node)
{
    vka_pickle *p = m->p;
    if (p->count >= VKA_PICKLE_MAX_NODES)
        return too_large(m, "values", VKA_PICKLE_MAX_NODES);
    vka_pickle_node *nodes = vka_grow(p->nodes, &p->capacity, p->count + 1, sizeof *nodes);
    if (!nodes)
        return no_memory(m);
    p->nodes = nodes;
    nodes[p->count] = (vka_pickle_node){.kind = (uint8_t)kind};
    *node = (uint32_t)p->count++;
    return VKA_OK;
}

static vka_status push(struct machine *m, uint32_t node)
{
    if (m->depth >= VKA_PICKLE_MAX_STACK)
        return too_large(m, "values on its stack", VKA_PICKLE_MAX_STACK);
    uint32_t *stack = vka_grow(m->stack, &m->stack_capacity, m->depth + 1, sizeof *stack);
    if (!stack)
        return no_memory(m);
    m->stack = stack;
    stack[m->depth++] = node;
    return VKA_OK;
}

/* A new node on the stack; *n is it. */
static vka_status push_new(struct machine *m, enum vka_pickle_kind kind, vka_pickle_node **n)
{
    uint32_t node = 0;
    vka_status s = new_node(m, kind, &node);
    if (s == VKA_OK)
        s = push(m, node);
    *n = &m->p->nodes[node];
    return s;
}

static vka_status push_integer(struct machine *m, enum vka_pickle_kind kind, int64_t value)
{
    vka_pickle_node *n;
    vka_status s = push_new(m, kind, &n);
    if (s == VKA_OK)
        n->value.integer = value;
    return s;
}

/* Whether `count` values lie above the last mark. */
static bool has(const struct machine *m, size_t count)
{
    if (m->depth < count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (m->stack[m->depth - 1 - i] == MARK)
            return false;
    return true;
}

/* The values above the last mark; false when there is no mark. */
static bool above_mark(const struct machine *m, size_t *first)
{
    for (size_t i = m->depth; i-- > 0;)
        if (m->stack[i] == MARK) {
            *first = i + 1;
            return true;
        }
    return false;
}

/* Appends stack[first, first + count) to a container's cells. */
static vka_status append(struct machine *m, uint32_t container, size_t first, size_t count)
{
    vka_pickle *p = m->p;
    if (p->cell_count + count > VKA_PICKLE_MAX_CELLS)
        return too_large(m, "values in lists and dictionaries", VKA_PICKLE_MAX_CELLS);
    vka_pickle_cell *cells = vka_grow(p->cells, &p->cell_capacity, p->cell_count + count, sizeof *cells);
    if (!cells)
        return no_memory(m);
    p->cells = cells;
    cells[0] = (vka_pickle_cell){0}; /* whoever follows a list that is an entry short ends at None */
    vka_pickle_node *n = &p->nodes[container];
    for (size_t i = 0; i < count; i++) {
        uint32_t cell = (uint32_t)p->cell_count++;
        cells[cell] = (vka_pickle_cell){m->stack[first + i], 0};
        if (n->last)
            cells[n->last].next = cell;
        else
            n->first = cell;
        n->last = cell;
    }
    return VKA_OK;
}

/* The top `count` values become one container. */
static vka_status gather(struct machine *m, enum vka_pickle_kind kind, size_t count)
{
    uint32_t node = 0;
    if (!has(m, count))
        return damaged(m);
    vka_status s = new_node(m, kind, &node);
    if (s == VKA_OK && count)
        s = append(m, node, m->depth - count, count);
    m->depth -= count;
    return s == VKA_OK ? push(m, node) : s;
}

/* All above the mark become one container, the mark goes. */
static vka_status gather_marked(struct machine *m, enum vka_pickle_kind kind)
{
    size_t first;
    if (!above_mark(m, &first) || (kind == VKA_PICKLE_DICT && (m->depth - first) % 2))
        return damaged(m);
    size_t count = m->depth - first;
    uint32_t node = 0;
    vka_status s = new_node(m, kind, &node);
    if (s == VKA_OK && count)
        s = append(m, node, first, count);
    m->depth = first - 1;
    return s == VKA_OK ? push(m, node) : s;
}

/* Appends the top values to the container below them. */
static vka_status add_to(struct machine *m, size_t first, size_t below, enum vka_pickle_kind kind)
{
    if (below >= m->depth || m->stack[below] == MARK)
        return damaged(m);
    uint32_t target = m->stack[below];
    uint8_t is = m->p->nodes[target].kind;
    size_t count = m->depth - first;
    if ((is != kind && is != VKA_PICKLE_CALL) || (kind == VKA_PICKLE_DICT && count % 2))
        return damaged(m);
    vka_status s = count ? append(m, target, first, count) : VKA_OK;
    m->depth = below + 1;
    return s;
}

static vka_status add_marked(struct machine *m, enum vka_pickle_kind kind)
{
    size_t first;
    if (!above_mark(m, &first) || first < 2)
        return damaged(m);
    return add_to(m, first, first - 2, kind);
}

static vka_status add_top(struct machine *m, enum vka_pickle_kind kind, size_t count)
{
    return has(m, count + 1) ? add_to(m, m->depth - count, m->depth - count - 1, kind) : damaged(m);
}

/* ---- operands ---- */

static bool left(const struct machine *m, uint64_t bytes)
{
    return (uint64_t)(m->end - m->at) >= bytes;
}

static uint64_t take(struct machine *m, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)m->at[i] << (8 * i);
    m->at += bytes;
    return v;
}

static vka_status push_text(struct machine *m, enum vka_pickle_kind kind, unsigned length_bytes)
{
    vka_pickle_node *n;
    if (!left(m, length_bytes))
        return damaged(m);
    uint64_t length = take(m, length_bytes);
    if (!left(m, length))
        return damaged(m);
    vka_status s = push_new(m, kind, &n);
    if (s == VKA_OK) {
        n->value.text = (const char *)m->at;
        n->first = (uint32_t)length;
        m->at += length;
    }
    return s;
}

static vka_status push_long(struct machine *m)
{
    if (!left(m, 1))
        return damaged(m);
    unsigned bytes = (unsigned)take(m, 1);
    if (!left(m, bytes))
        return damaged(m);
    if (bytes > 8) {
        m->at += bytes;
        return push_integer(m, VKA_PICKLE_LONG, 0);
    }
    uint64_t v = take(m, bytes);
    if (bytes && bytes < 8 && v >> (8 * bytes - 1))
        v |= UINT64_MAX << (8 * bytes);
    int64_t value;
    memcpy(&value, &v, sizeof value);
    return push_integer(m, VKA_PICKLE_INT, value);
}

static vka_status push_real(struct machine *m)
{
    vka_pickle_node *n;
    uint64_t v = 0;
    if (!left(m, 8))
        return damaged(m);
    for (int i = 0; i < 8; i++)
        v = v << 8 | *m->at++;
    vka_status s = push_new(m, VKA_PICKLE_REAL, &n);
    if (s == VKA_OK)
        memcpy(&n->value.real, &v, sizeof v);
    return s;
}

/* ---- globals and calls ---- */

static vka_status push_global(struct machine *m, uint32_t module, uint32_t name)
{
    const vka_pickle_node *a = &m->p->nodes[module], *b = &m->p->nodes[name];
    vka_pickle_node *n;
    if (a->kind != VKA_PICKLE_TEXT || b->kind != VKA_PICKLE_TEXT || a->first > MAX_LINE || b->first > MAX_LINE)
        return damaged(m);
    bool refused = is_dangerous(a, b);
    vka_status s = push_new(m, VKA_PICKLE_GLOBAL, &n);
    if (s != VKA_OK)
        return s;
    n->value.pair.a = module;
    n->value.pair.b = name;
    if (refused) {
        char text[160];
        vka_pickle_name(m->p, m->stack[m->depth - 1], text, sizeof text);
        vka_fail(m->err, VKA_E_INPUT,
                 "'%s' is refused: it names '%s', which can run programs or read files and has no place in a model",
                 m->path, text);
        vka_error_why(m->err, "nothing of it was executed");
        vka_error_hint(m->err, "do not load this file with any other program");
        return VKA_E_INPUT;
    }
    return VKA_OK;
}

/* A line of GLOBAL's operand as a text node. */
static vka_status take_line(struct machine *m, uint32_t *node)
{
    size_t room = (size_t)(m->end - m->at);
    const uint8_t *nl = memchr(m->at, '\n', room < MAX_LINE + 1 ? room : MAX_LINE + 1);
    if (!nl)
        return damaged(m);
    vka_status s = new_node(m, VKA_PICKLE_TEXT, node);
    if (s == VKA_OK) {
        m->p->nodes[*node].value.text = (const char *)m->at;
        m->p->nodes[*node].first = (uint32_t)(nl - m->at);
        m->at = nl + 1;
    }
    return s;
}

static vka_status take_global(struct machine *m)
{
    uint32_t module, name;
    vka_status s = take_line(m, &module);
    if (s == VKA_OK)
        s = take_line(m, &name);
    return s == VKA_OK ? push_global(m, module, name) : s;
}

static vka_status stack_global(struct machine *m)
{
    if (!has(m, 2))
        return damaged(m);
    m->depth -= 2;
    return push_global(m, m->stack[m->depth], m->stack[m->depth + 1]);
}

/* `values` are the callable, its arguments and, of NEWOBJ_EX, its named ones. */
static vka_status push_call(struct machine *m, size_t values)
{
    vka_pickle_node *n;
    if (!has(m, values))
        return damaged(m);
    m->depth -= values;
    uint32_t callable = m->stack[m->depth], args = m->stack[m->depth + 1];
    vka_status s = push_new(m, VKA_PICKLE_CALL, &n);
    if (s == VKA_OK) {
        n->value.pair.a = callable;
        n->value.pair.b = args;
    }
    return s;
}

static vka_status push_outside(struct machine *m)
{
    vka_pickle_node *n;
    if (!has(m, 1))
        return damaged(m);
    uint32_t what = m->stack[--m->depth];
    vka_status s = push_new(m, VKA_PICKLE_OUTSIDE, &n);
    if (s == VKA_OK)
        n->value.pair.a = what;
    return s;
}

static vka_status build(struct machine *m)
{
    if (!has(m, 2))
        return damaged(m);
    uint32_t state = m->stack[--m->depth];
    m->p->nodes[m->stack[m->depth - 1]].state = state;
    return VKA_OK;
}

/* ---- memo ---- */

static vka_status put(struct machine *m, uint64_t index)
{
    if (!has(m, 1))
        return damaged(m);
    if (index >= VKA_PICKLE_MAX_MEMO)
        return too_large(m, "values in its memo", VKA_PICKLE_MAX_MEMO);
    uint32_t *memo = vka_grow(m->memo, &m->memo_capacity, (size_t)index + 1, sizeof *memo);
    if (!memo)
        return no_memory(m);
    m->memo = memo;
    while (m->memo_count <= index)
        memo[m->memo_count++] = MARK;
    memo[index] = m->stack[m->depth - 1];
    return VKA_OK;
}

static vka_status get(struct machine *m, uint64_t index)
{
    if (index >= m->memo_count || m->memo[index] == MARK)
        return damaged(m);
    return push(m, m->memo[index]);
}

/* ---- the machine ---- */

static vka_status numbered(struct machine *m, unsigned bytes, vka_status (*act)(struct machine *, uint64_t))
{
    return left(m, bytes) ? act(m, take(m, bytes)) : damaged(m);
}

static vka_status push_unsigned(struct machine *m, uint64_t v)
{
    return push_integer(m, VKA_PICKLE_INT, (int64_t)v);
}
static vka_status push_int32(struct machine *m, uint64_t v)
{
    return push_integer(m, VKA_PICKLE_INT, (int64_t)(v & 0x7fffffff) - (int64_t)(v & 0x80000000));
}
static vka_status check_protocol(struct machine *m, uint64_t v)
{
    return v >= 2 && v <= 5 ? VKA_OK : fail(m, "has a protocol that torch.save does not write");
}
static vka_status skip_frame(struct machine *m, uint64_t v)
{
    return left(m, v) ? VKA_OK : damaged(m);
}

static vka_status pop(struct machine *m)
{
    if (!m->depth)
        return damaged(m);
    m->depth--;
    return VKA_OK;
}

static vka_status step(struct machine *m, uint8_t op)
{
    switch (op) {
    case 0x80:
        return numbered(m, 1, check_protocol);
    case 0x95:
        return numbered(m, 8, skip_frame);
    case '(':
        return push(m, MARK);
    case '0':
        return pop(m);
    case 'N':
        return push(m, 0);
    case 0x88:
        return push_integer(m, VKA_PICKLE_BOOL, 1);
    case 0x89:
        return push_integer(m, VKA_PICKLE_BOOL, 0);
    case 'K':
        return numbered(m, 1, push_unsigned);
    case 'M':
        return numbered(m, 2, push_unsigned);
    case 'J':
        return numbered(m, 4, push_int32);
    case 0x8a:
        return push_long(m);
    case 'G':
        return push_real(m);
    case 'X':
        return push_text(m, VKA_PICKLE_TEXT, 4);
    case 0x8c:
        return push_text(m, VKA_PICKLE_TEXT, 1);
    case 'U':
        return push_text(m, VKA_PICKLE_TEXT, 1); /* Python 2's str */
    case 'T':
        return push_text(m, VKA_PICKLE_TEXT, 4);
    case 'B':
        return push_text(m, VKA_PICKLE_BYTES, 4);
    case 'C':
        return push_text(m, VKA_PICKLE_BYTES, 1);
    case ')':
        return gather(m, VKA_PICKLE_TUPLE, 0);
    case 0x85:
        return gather(m, VKA_PICKLE_TUPLE, 1);
    case 0x86:
        return gather(m, VKA_PICKLE_TUPLE, 2);
    case 0x87:
        return gather(m, VKA_PICKLE_TUPLE, 3);
    case 't':
        return gather_marked(m, VKA_PICKLE_TUPLE);
    case ']':
        return gather(m, VKA_PICKLE_LIST, 0);
    case 'a':
        return add_top(m, VKA_PICKLE_LIST, 1);
    case 'e':
        return add_marked(m, VKA_PICKLE_LIST);
    case 0x8f:
        return gather(m, VKA_PICKLE_SET, 0);
    case 0x90:
        return add_marked(m, VKA_PICKLE_SET);
    case '}':
        return gather(m, VKA_PICKLE_DICT, 0);
    case 's':
        return add_top(m, VKA_PICKLE_DICT, 2);
    case 'u':
        return add_marked(m, VKA_PICKLE_DICT);
    case 'q':
        return numbered(m, 1, put);
    case 'r':
        return numbered(m, 4, put);
    case 0x94:
        return put(m, m->memo_count);
    case 'h':
        return numbered(m, 1, get);
    case 'j':
        return numbered(m, 4, get);
    case 'c':
        return take_global(m);
    case 0x93:
        return stack_global(m);
    case 'R':
        return push_call(m, 2);
    case 0x81:
        return push_call(m, 2);
    case 0x92:
        return push_call(m, 3);
    case 'b':
        return build(m);
    case 'Q':
        return push_outside(m);
    default:
        break;
    }
    return vka_fail(m->err, VKA_E_INPUT, "the pickle in '%s' uses the opcode 0x%02x, which torch.save does not write",
                    m->path, (unsigned)op);
}

static vka_status run(struct machine *m)
{
    vka_status s = VKA_OK;
    if (!left(m, 2) || m->at[0] != 0x80)
        return damaged(m);
    for (uint32_t steps = 0; s == VKA_OK; steps++) {
        if (steps >= VKA_PICKLE_MAX_STEPS)
            return too_large(m, "steps", VKA_PICKLE_MAX_STEPS);
        if (!left(m, 1))
            return damaged(m);
        uint8_t op = *m->at++;
        if (op == '.') {
            if (m->depth != 1 || m->stack[0] == MARK)
                return damaged(m);
            m->p->root = m->stack[0];
            return m->at == m->end ? VKA_OK : fail(m, "goes on behind its end");
        }
        s = step(m, op);
    }
    return s;
}

vka_status vka_pickle_read(vka_pickle *p, const void *data, size_t size, const char *path, vka_error *err)
{
    *p = (vka_pickle){0};
    if (size > VKA_PICKLE_MAX_BYTES)
        return vka_fail(err, VKA_E_INPUT, "the pickle in '%s' has %zu bytes, more than the %u that are read", path,
                        size, VKA_PICKLE_MAX_BYTES);
    struct machine m = {.p = p, .at = data, .end = (const uint8_t *)data + size, .path = path, .err = err};
    uint32_t none;
    vka_status s = new_node(&m, VKA_PICKLE_NONE, &none);
    if (s == VKA_OK && !(p->cells = vka_grow(NULL, &p->cell_capacity, 16, sizeof *p->cells)))
        s = no_memory(&m);
    p->cell_count = 1; /* cell 0 stands for none */
    if (s == VKA_OK)
        s = run(&m);
    free(m.stack);
    free(m.memo);
    if (s != VKA_OK)
        vka_pickle_free(p);
    return s;
}

void vka_pickle_free(vka_pickle *p)
{
    free(p->nodes);
    free(p->cells);
    *p = (vka_pickle){0};
}

/* ---- looking at what was read ---- */

bool vka_pickle_is_text(const vka_pickle *p, uint32_t node, const char *text)
{
    const vka_pickle_node *n = &p->nodes[node];
    return n->kind == VKA_PICKLE_TEXT && is_word(n->value.text, n->first, text);
}

bool vka_pickle_is_global(const vka_pickle *p, uint32_t node, const char *name)
{
    const vka_pickle_node *n = &p->nodes[node];
    const char *dot = strrchr(name, '.');
    if (n->kind != VKA_PICKLE_GLOBAL || !dot)
        return false;
    const vka_pickle_node *module = &p->nodes[n->value.pair.a];
    return module->first == (size_t)(dot - name) && memcmp(module->value.text, name, module->first) == 0 &&
           vka_pickle_is_text(p, n->value.pair.b, dot + 1);
}

bool vka_pickle_is_call(const vka_pickle *p, uint32_t node, const char *name)
{
    return p->nodes[node].kind == VKA_PICKLE_CALL && vka_pickle_is_global(p, p->nodes[node].value.pair.a, name);
}

void vka_pickle_name(const vka_pickle *p, uint32_t node, char *out, size_t cap)
{
    const vka_pickle_node *n = &p->nodes[node];
    if (n->kind == VKA_PICKLE_CALL)
        n = &p->nodes[n->value.pair.a];
    if (n->kind != VKA_PICKLE_GLOBAL) {
        snprintf(out, cap, "?");
        return;
    }
    const vka_pickle_node *a = &p->nodes[n->value.pair.a], *b = &p->nodes[n->value.pair.b];
    snprintf(out, cap, "%.*s.%.*s", (int)a->first, a->value.text, (int)b->first, b->value.text);
    for (char *c = out; *c; c++)
        if (*c < 32 || *c > 126)
            *c = '?';
}

int vka_pickle_tuple(const vka_pickle *p, uint32_t node, int least, uint32_t *out, int cap)
{
    const vka_pickle_node *n = &p->nodes[node];
    int count = 0;
    if (n->kind != VKA_PICKLE_TUPLE)
        return -1;
    for (uint32_t cell = n->first; cell && count < cap; cell = p->cells[cell].next)
        out[count++] = p->cells[cell].node;
    return count >= least ? count : -1;
}
