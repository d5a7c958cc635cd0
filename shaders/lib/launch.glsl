// launch.glsl - one workgroup number out of the x and z axes: launches that need more than a device's limit on x
// continue in z (src/ops/launch.h); the surplus is masked by the kernels' own bounds.
#ifndef LAUNCH_GLSL
#define LAUNCH_GLSL

uint workgroup_number() { return gl_WorkGroupID.z * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

#endif
