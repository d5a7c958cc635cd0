/* bpe.c - byte-pair encoding of one word (Sennrich et al. 2016).
 *
 * The word is a doubly linked list of symbols in an array.  Every adjacent pair that can join waits in a binary heap,
 * ordered by rank and then by position; the best is joined and its two new neighbour pairs go in.  Entries that an
 * earlier join has made stale are recognised when they come out: their left symbol is gone, or the pair
 * that stands there now has another rank.  There are at most n - 1 joins and 3n entries, hence n log n. */
#include "text/vocabulary.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* `id` VKA_NO_TOKEN marks a symbol that was joined into its left neighbour. */
typedef struct vka_symbol {
    uint32_t id, previous, next;
} vka_symbol;

/* A waiting pair is rank * 2^32 + position of its left symbol, so that comparing numbers is the order wanted. */
static uint64_t candidate(uint32_t rank, uint32_t left)
{
    return (uint64_t)rank << 32 | left;
}

/* Moves heap[i] down to where it belongs. */
static void heap_sift(vka_bpe *bpe, size_t i)
{
    uint64_t *heap = bpe->heap, moving = heap[i];
    size_t n = bpe->heap_count;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= moving)
            break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

static uint64_t heap_pop(vka_bpe *bpe)
{
    uint64_t top = bpe->heap[0];
    bpe->heap[0] = bpe->heap[--bpe->heap_count];
    if (bpe->heap_count)
        heap_sift(bpe, 0);
    return top;
}

/* The capacity was made before: a word of n symbols has at most 3n entries in all. */
static void heap_push(vka_bpe *bpe, uint64_t c)
{
    size_t i = bpe->heap_count++;
    for (size_t up; i > 0 && c < bpe->heap[up = (i - 1) / 2]; i = up)
        bpe->heap[i] = bpe->heap[up];
    bpe->heap[i] = c;
}

/* The merge of the symbol at `left` with its neighbour, NULL when they do not join. */
static const vka_merge *pair_at(const vka_bpe *bpe, const vka_vocabulary *v, uint32_t left)
{
    uint32_t right = bpe->symbols[left].next;
    return right == NONE ? NULL : vka_vocabulary_pair(v, bpe->symbols[left].id, bpe->symbols[right].id);
}

static void offer(vka_bpe *bpe, const vka_vocabulary *v, uint32_t left)
{
    const vka_merge *m = pair_at(bpe, v, left);
    if (m)
        heap_push(bpe, candidate(m->rank, left));
}

/* Room for a word of `size` symbols. */
static bool make_room(vka_bpe *bpe, size_t size)
{
    vka_symbol *symbols = vka_grow(bpe->symbols, &bpe->symbol_capacity, size, sizeof *symbols);
    if (symbols)
        bpe->symbols = symbols;
    uint64_t *heap = vka_grow(bpe->heap, &bpe->heap_capacity, 3 * size, sizeof *heap);
    if (heap)
        bpe->heap = heap;
    return symbols && heap;
}

bool vka_bpe_word(vka_bpe *bpe, const vka_vocabulary *v, const uint8_t *word, size_t size, uint32_t unknown,
                  vka_u32_list *ids)
{
    if (!make_room(bpe, size))
        return false;
    for (size_t i = 0; i < size; i++) {
        uint32_t id = i + 1 < size ? v->byte_piece[word[i]] : v->byte_ending[word[i]];
        bpe->symbols[i] = (vka_symbol){.id = id == VKA_NO_TOKEN ? unknown : id,
                                       .previous = i ? (uint32_t)(i - 1) : NONE,
                                       .next = i + 1 < size ? (uint32_t)(i + 1) : NONE};
    }
    bpe->heap_count = 0;
    for (uint32_t i = 0; i < size; i++) {
        const vka_merge *m = pair_at(bpe, v, i);
        if (m)
            bpe->heap[bpe->heap_count++] = candidate(m->rank, i);
    }
    for (size_t i = bpe->heap_count / 2; i-- > 0;)
        heap_sift(bpe, i);
    while (bpe->heap_count) {
        uint64_t best = heap_pop(bpe);
        uint32_t at = (uint32_t)(best & UINT32_MAX);
        vka_symbol *left = &bpe->symbols[at];
        const vka_merge *m = left->id == VKA_NO_TOKEN ? NULL : pair_at(bpe, v, at);
        if (!m || m->rank != best >> 32)
            continue;
        vka_symbol *right = &bpe->symbols[left->next];
        left->id = m->id;
        left->next = right->next;
        right->id = VKA_NO_TOKEN;
        if (left->next != NONE)
            bpe->symbols[left->next].previous = at;
        if (left->previous != NONE)
            offer(bpe, v, left->previous);
        offer(bpe, v, at);
    }
    bool ok = true;
    for (uint32_t i = 0; ok && i != NONE; i = bpe->symbols[i].next)
        ok = vka_u32_list_add(ids, bpe->symbols[i].id);
    return ok;
}

void vka_bpe_free(vka_bpe *bpe)
{
    free(bpe->symbols);
    free(bpe->heap);
    *bpe = (vka_bpe){0};
}
