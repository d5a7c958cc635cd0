/* queue.h - the jobs of the server.  Every function may be called from every thread.
 *
 * A job is queued, then running, then done, failed or stopped; stopped and failed ones go back to queued when they are
 * resumed.  At most config.queue are waiting; of those that have ended the last SRV_KEPT are remembered.  Of a job that ended
 * only its object stays, no picture.
 *
 * A job's object: {"id", "state", "made": unix seconds, "prompt", "job": {...}, "progress": {"stage", "clip", "clips", "done",
 * "total", "elapsed_s", "per_item_s", "eta_s" (null: not known), "device_bytes", "device_peak_bytes", "preview": step of the
 * newest preview or 0}, "place": how many go before it (queued), "resumable": bool, "report": the render object or null,
 * "error": {"code", "what", "why", "hint"} or null, "outputs": [{"name", "url", "bytes"}]}.  "job" is what the request said,
 * names and all, never what they became, with the seed that was drawn. */
#ifndef VKA_SERVER_QUEUE_H
#define VKA_SERVER_QUEUE_H

#include "server/server.h"

enum { SRV_KEPT = 100 };

/* Confines (files.h, srv_confine), checks and queues a request's job object, borrowed.  A job without a seed, or with -1, gets
 * one; one without an output gets ID-SEED.webp.  Returns 202, or the status to refuse with: 400, 429 (the queue is full),
 * 503 (ending), 507. */
unsigned srv_queue_add(struct srv *s, const json_t *request, char id[SRV_ID], vka_error *err);
/* Waits until the job has ended, or `seconds` have passed; whether it has (or is not known).  Not for handlers, which have
 * srv_reply_when. */
bool srv_queue_wait(struct srv *s, const char *id, double seconds);
/* The object of a job, new; NULL: not known. */
json_t *srv_queue_get(struct srv *s, const char *id);
/* {"jobs": [{"id", "state", "made", "prompt", "place", "progress", "resumable"}]}, those that run and wait first, then the
 * newest. */
json_t *srv_queue_list(struct srv *s);
/* The job that runs now; false: none. */
bool srv_queue_running(struct srv *s, char id[SRV_ID]);
/* How many wait. */
unsigned srv_queue_waiting(struct srv *s);
/* 200; 404: not known; 409: it has ended already (cancel), it cannot be resumed, it runs or waits (forget); 429, 503 as
 * above. */
unsigned srv_queue_cancel(struct srv *s, const char *id, vka_error *err);
unsigned srv_queue_resume(struct srv *s, const char *id, vka_error *err);
unsigned srv_queue_forget(struct srv *s, const char *id, vka_error *err);
/* The newest preview of a running job as "webp" or "png", malloc'd into *data; 0 when there is none.  *step (may be NULL) says
 * which.  Encoded once per step, on the thread that asks. */
size_t srv_queue_preview(struct srv *s, const char *id, const char *type, char **data, unsigned *step);

#endif
