// hint_grow.comp - hysteresis: a candidate (1) with a certain edge (2) among its eight neighbours is one itself.
//
// i32 [1, h, w, 1] -> the same.  One workgroup takes a tile of 16 x 16 pixels and what borders on it, and goes on until nothing
// in the tile changes; what enters from another tile is there in the next launch.  All that changes in a round does so at once,
// so that the rounds, and what comes out, are the same on every device.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

const int TILE = 16, SIDE = TILE + 2;

layout(push_constant, scalar) uniform Push {
    uvec2 edges, result;
    uint h, w, across, tiles;
} push;

shared uint tile[SIDE * SIDE];
shared uint changed;

void main()
{
    const uint t = workgroup_number(), lane = gl_LocalInvocationIndex;
    if (t >= push.tiles)
        return;
    const Field f = picture(push.edges, push.h, push.w);
    const int y0 = int(t / push.across) * TILE, x0 = int(t % push.across) * TILE;
    for (int i = int(lane); i < SIDE * SIDE; i += int(LANES)) {
        const int y = y0 + i / SIDE - 1, x = x0 + i % SIDE - 1;
        const bool inside = y >= 0 && x >= 0 && y < int(push.h) && x < int(push.w);
        tile[i] = inside ? load_u32(push.edges, pixel_near(f, 0u, y, x)) : 0u;
    }
    for (int round = 0; round < TILE * TILE; round++) {
        barrier();
        if (lane == 0u)
            changed = 0u;
        uint grows = 0u; // bit k: the k-th pixel of this invocation
        uint k = 0u;
        for (int i = int(lane); i < TILE * TILE; i += int(LANES), k++) {
            const int at = (i / TILE + 1) * SIDE + i % TILE + 1;
            if (tile[at] != 1u)
                continue;
            if (tile[at - SIDE - 1] == 2u || tile[at - SIDE] == 2u || tile[at - SIDE + 1] == 2u || tile[at - 1] == 2u ||
                tile[at + 1] == 2u || tile[at + SIDE - 1] == 2u || tile[at + SIDE] == 2u || tile[at + SIDE + 1] == 2u)
                grows |= 1u << k;
        }
        barrier();
        if (grows != 0u)
            changed = 1u;
        k = 0u;
        for (int i = int(lane); i < TILE * TILE; i += int(LANES), k++)
            if ((grows >> k & 1u) != 0u)
                tile[(i / TILE + 1) * SIDE + i % TILE + 1] = 2u;
        barrier();
        if (changed == 0u)
            break;
    }
    for (int i = int(lane); i < TILE * TILE; i += int(LANES)) {
        const int y = y0 + i / TILE, x = x0 + i % TILE;
        if (y < int(push.h) && x < int(push.w))
            store_u32(push.result, pixel_near(f, 0u, y, x), tile[(i / TILE + 1) * SIDE + i % TILE + 1]);
    }
}
