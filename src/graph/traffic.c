/* traffic.c - what a recorded plan moves and launches.  See plan.h. */
#include "graph/plan.h"

#include <string.h>

/* The operator's line, a new one at its first use; the last line takes those that find no room. */
static struct vka_traffic *line(struct vka_traffic *lines, uint32_t *count, const char *op)
{
    for (uint32_t i = 1; i < *count; i++)
        if (strcmp(lines[i].op, op) == 0)
            return &lines[i];
    if (*count == VKA_TRAFFIC_LINES)
        return &lines[*count - 1];
    lines[*count] = (struct vka_traffic){.op = op};
    return &lines[(*count)++];
}

/* Whether the step has the range already: q, k and v lie in one tensor. */
static bool repeats(const struct vka_program *p, const struct vka_step *s, uint32_t i)
{
    for (uint32_t k = s->range; k < i; k++)
        if (p->ranges[k].begin == p->ranges[i].begin && p->ranges[k].end == p->ranges[i].end &&
            p->ranges[k].write == p->ranges[i].write)
            return true;
    return false;
}

/* Bytes of a step: its ranges, and the weights it reads, which have none. */
static double step_bytes(const struct vka_program *p, const struct vka_step *s)
{
    double bytes = 0;
    for (uint32_t i = s->range; i < s->range + s->ranges; i++)
        bytes += repeats(p, s, i) ? 0 : (double)p->ranges[i].run * p->ranges[i].runs;
    for (uint32_t i = 0; i < s->node->inputs; i++) {
        const struct vka_tensor_info *t = &p->plan->graph->tensors[s->node->in[i].id];
        if (s->node->in[i].id && t->role == VKA_WEIGHT)
            bytes += (double)vka_tensor_bytes(t);
    }
    return bytes;
}

uint32_t vka_program_traffic(const struct vka_program *p, struct vka_traffic lines[VKA_TRAFFIC_LINES], uint32_t count)
{
    if (count == 0)
        lines[count++] = (struct vka_traffic){.op = "all"};
    for (uint32_t l = 0; l < p->list_count; l++) {
        const struct vka_program_list *list = &p->lists[l];
        for (uint32_t i = list->step; !list->once && i < list->step + list->steps; i++) {
            const struct vka_step *s = &p->steps[i];
            struct vka_traffic *to[2] = {&lines[0], line(lines, &count, s->node->op->name)};
            for (int k = 0; k < 2; k++) {
                to[k]->dispatches += s->launches;
                to[k]->bytes += step_bytes(p, s);
            }
        }
    }
    const struct vka_graph *g = p->plan->graph;
    for (uint32_t i = 0; i < g->node_count; i++) {
        struct vka_cost c = {0};
        if (g->nodes[i].once)
            continue;
        g->nodes[i].op->cost(g, &g->nodes[i], &c);
        line(lines, &count, g->nodes[i].op->name)->flop += c.flop;
        lines[0].flop += c.flop;
    }
    return count;
}
