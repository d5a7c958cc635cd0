/* hires.h - --hires: what lies between a clip's first pass and its second, larger one. */
#ifndef VKA_RENDER_HIRES_H
#define VKA_RENDER_HIRES_H

#include "render/run.h"

/* Enlarges the clips whose first pass is done and whose second has not begun, in clips[k].from; no other stage holds memory. */
vka_status vka_hires_enlarge(struct vka_run *r, vka_error *err);

#endif
