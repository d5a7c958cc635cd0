// hint_canny.comp - edge candidates (Canny 1986), in whole numbers as OpenCV's Canny has them: 3 x 3 Sobel of each colour, the
// colour whose |dx| + |dy| is largest, and a pixel stays where that is more than its neighbours' across the edge; the direction
// is one of four, with tan 22.5 degrees as 13573 / 32768.
//
// f32 [1, h, 1, 4 w] of 0 .. 255, rounded here -> i32 [1, h, w, 1]: 0 no edge, 1 above the low threshold, 2 above the high one.
// Colours outside are the nearest pixel's, sizes of gradients there zero.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "lanes.glsl"
#include "rows.glsl"

layout(push_constant, scalar) uniform Push {
    uvec2 image, result;
    uint h, w;
    int low, high;
} push;

ivec3 color(Field f, int y, int x) { return ivec3(roundEven(load_f32x4(f.address, pixel_near(f, 0u, y, x)).rgb)); }

// (dx, dy) of the colour that changes most.
ivec2 gradient(Field f, int y, int x)
{
    const ivec3 nw = color(f, y - 1, x - 1), n = color(f, y - 1, x), ne = color(f, y - 1, x + 1), w = color(f, y, x - 1),
                e = color(f, y, x + 1), sw = color(f, y + 1, x - 1), s = color(f, y + 1, x), se = color(f, y + 1, x + 1);
    const ivec3 dx = ne + 2 * e + se - nw - 2 * w - sw, dy = sw + 2 * s + se - nw - 2 * n - ne, size = abs(dx) + abs(dy);
    int k = 0;
    if (size[1] > size[k])
        k = 1;
    if (size[2] > size[k])
        k = 2;
    return ivec2(dx[k], dy[k]);
}

int size_at(Field f, int y, int x)
{
    if (y < 0 || x < 0 || y >= int(push.h) || x >= int(push.w))
        return 0;
    const ivec2 d = abs(gradient(f, y, x));
    return d.x + d.y;
}

void main()
{
    const uint i = invocation_number();
    if (i >= push.h * push.w)
        return;
    const int y = int(i / push.w), x = int(i % push.w);
    const Field from = field(push.image, push.h, push.w, 4u), to = picture(push.result, push.h, push.w);
    const ivec2 d = gradient(from, y, x), a = abs(d);
    const int m = a.x + a.y;
    bool edge = false;
    if (m > push.low) {
        const int steep = a.y << 15, flat_side = a.x * 13573;
        if (steep < flat_side)
            edge = m > size_at(from, y, x - 1) && m >= size_at(from, y, x + 1);
        else if (steep > flat_side + (a.x << 16))
            edge = m > size_at(from, y - 1, x) && m >= size_at(from, y + 1, x);
        else {
            const int s = (d.x ^ d.y) < 0 ? -1 : 1;
            edge = m > size_at(from, y - 1, x - s) && m > size_at(from, y + 1, x + s);
        }
    }
    store_u32(push.result, pixel_at(to, 0u, uint(y), uint(x)), edge ? m > push.high ? 2u : 1u : 0u);
}
