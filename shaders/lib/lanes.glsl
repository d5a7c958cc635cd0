// lanes.glsl - a workgroup of LANES invocations in a row, specialization constant 0, and the number of an invocation
// in the launch. (The constant is named before anything uses it: gl_WorkGroupSize would be read as 1 here.)
#ifndef LANES_GLSL
#define LANES_GLSL

#include "launch.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 0) const uint LANES = 64;

uint invocation_number() { return workgroup_number() * LANES + gl_LocalInvocationIndex; }

#endif
