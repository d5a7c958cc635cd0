// rows.glsl - pictures, u8x4 [n, h, w, 1] of the graph, and fields, f32 [n, h, 1, w * k]: k numbers for each of w pixels in a row,
// and zeros up to the next multiple of 8.
#ifndef ROWS_GLSL
#define ROWS_GLSL

#include "memory.glsl"

struct Field {
    uvec2 address;
    uint h, w, k;
    uint pitch; // elements between rows
};

Field field(uvec2 address, uint h, uint w, uint k) { return Field(address, h, w, k, (w * k + 7u) / 8u * 8u); }
Field picture(uvec2 address, uint h, uint w) { return Field(address, h, w, 1u, w); }

// Element of the first number of pixel (y, x) in sample n.
uint pixel_at(Field f, uint n, uint y, uint x) { return (n * f.h + y) * f.pitch + x * f.k; }

// The same for a pixel that may lie outside: the nearest one's.
uint pixel_near(Field f, uint n, int y, int x)
{
    return pixel_at(f, n, uint(clamp(y, 0, int(f.h) - 1)), uint(clamp(x, 0, int(f.w) - 1)));
}

// Zeros behind the row, by who writes its last pixel.
void end_row(Field f, uint n, uint y, uint x)
{
    if (x + 1u == f.w)
        for (uint i = f.w * f.k; i < f.pitch; i++)
            store_u32(f.address, (n * f.h + y) * f.pitch + i, 0u);
}

// One number between pixels, bilinearly; outside the nearest pixel's.
float number_between(Field f, uint n, float y, float x)
{
    // so far outside that nothing changes, and no whole number overflows
    y = clamp(y, -2.0, float(f.h) + 1.0);
    x = clamp(x, -2.0, float(f.w) + 1.0);
    const float fy = floor(y), fx = floor(x), ay = y - fy, ax = x - fx;
    const int iy = int(fy), ix = int(fx);
    const float a = load_f32(f.address, pixel_near(f, n, iy, ix)), b = load_f32(f.address, pixel_near(f, n, iy, ix + 1));
    const float c = load_f32(f.address, pixel_near(f, n, iy + 1, ix)), d = load_f32(f.address, pixel_near(f, n, iy + 1, ix + 1));
    return (a * (1.0 - ax) + b * ax) * (1.0 - ay) + (c * (1.0 - ax) + d * ax) * ay;
}

// The first four numbers of a pixel (k a multiple of 4) between pixels.
vec4 four_between(Field f, uint n, float y, float x)
{
    y = clamp(y, 0.0, float(f.h) - 1.0);
    x = clamp(x, 0.0, float(f.w) - 1.0);
    const float fy = floor(y), fx = floor(x), ay = y - fy, ax = x - fx;
    const int iy = int(fy), ix = int(fx);
    const vec4 a = load_f32x4(f.address, pixel_near(f, n, iy, ix)), b = load_f32x4(f.address, pixel_near(f, n, iy, ix + 1));
    const vec4 c = load_f32x4(f.address, pixel_near(f, n, iy + 1, ix)),
               d = load_f32x4(f.address, pixel_near(f, n, iy + 1, ix + 1));
    return (a * (1.0 - ax) + b * ax) * (1.0 - ay) + (c * (1.0 - ax) + d * ax) * ay;
}

// Bytes 0 .. 255 of a picture.
vec4 bytes_of(uint v) { return vec4(v & 255u, v >> 8 & 255u, v >> 16 & 255u, v >> 24); }
vec4 color_near(Field f, uint n, int y, int x) { return bytes_of(load_u32(f.address, pixel_near(f, n, y, x))); }
vec4 color_between(Field f, uint n, float y, float x)
{
    y = clamp(y, -2.0, float(f.h) + 1.0);
    x = clamp(x, -2.0, float(f.w) + 1.0);
    const float fy = floor(y), fx = floor(x), ay = y - fy, ax = x - fx;
    const int iy = int(fy), ix = int(fx);
    return (color_near(f, n, iy, ix) * (1.0 - ax) + color_near(f, n, iy, ix + 1) * ax) * (1.0 - ay) +
           (color_near(f, n, iy + 1, ix) * (1.0 - ax) + color_near(f, n, iy + 1, ix + 1) * ax) * ay;
}

// A picture's pixel out of four numbers in bytes' scale.
uint to_bytes(vec4 v)
{
    const uvec4 b = uvec4(roundEven(clamp(v, 0.0, 255.0)));
    return b.x | b.y << 8 | b.z << 16 | b.w << 24;
}

#endif
