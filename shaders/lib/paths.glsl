// paths.glsl - what a motion through a pixel costs that frames between two pictures are read along; see between_choose.comp.
#ifndef PATHS_GLSL
#define PATHS_GLSL

#include "rows.glsl"

const float AGREE = 1.0, ONE_SIDE = 0.12, NO_SIDE = 0.5;

vec2 flow_at(Field motion, uint n, vec2 p) { return four_between(motion, n, p.y, p.x).xy; }

float agreement(Field motion, uint n, vec2 p, vec2 u)
{
    if (!(p.x >= 0.0 && p.y >= 0.0 && p.x <= float(motion.w - 1u) && p.y <= float(motion.h - 1u)))
        return 0.0;
    const vec2 d = flow_at(motion, n, p) - u;
    const float e = dot(d, d) / AGREE;
    return 1.0 / (1.0 + e * e);
}

float difference(Field pictures, vec2 p0, vec2 p1)
{
    const vec2 around[5] = vec2[5](vec2(0.0), vec2(0.0, -1.0), vec2(0.0, 1.0), vec2(-1.0, 0.0), vec2(1.0, 0.0));
    vec3 sum = vec3(0.0);
    for (int k = 0; k < 5; k++)
        sum += abs(color_between(pictures, 0u, p0.y + around[k].y, p0.x + around[k].x) -
                   color_between(pictures, 1u, p1.y + around[k].y, p1.x + around[k].x)).rgb;
    return (sum.r + sum.g + sum.b) / (15.0 * 255.0);
}

// Of motion u through p at t: what it costs, and in v whether it is seen in picture 0 and in picture 1.
float cost_of(Field pictures, Field motion, float t, vec2 p, vec2 u, out vec2 v)
{
    const vec2 p0 = p - t * u, p1 = p + (1.0 - t) * u;
    v = vec2(agreement(motion, 0u, p0, u), agreement(motion, 1u, p1, -u));
    const float both = v.x * v.y;
    return both * difference(pictures, p0, p1) + (1.0 - both) * ONE_SIDE + (1.0 - v.x) * (1.0 - v.y) * NO_SIDE;
}

#endif
