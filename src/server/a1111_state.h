/* a1111_state.h - what the routes of A1111's interface share. */
#ifndef VKA_SERVER_A1111_STATE_H
#define VKA_SERVER_A1111_STATE_H

#include "server/a1111.h"
#include "server/server.h"

#include <pthread.h>

/* A request whose jobs have not ended. */
struct srv_waiting {
    struct srv_waiting *next;
    unsigned long long number;
    struct srv_a1111_work work;
    unsigned count;
    char ids[A1111_CLIPS][SRV_ID];
};

struct srv_a1111 {
    pthread_mutex_t lock; /* of all that follows */
    json_t *options;
    struct srv_waiting *waiting;
    unsigned long long numbers;
    char model[300]; /* the server's own, or empty */
    char interrupted[SRV_ID];
    char shown[SRV_ID]; /* the job of the share below, the most that has been told of it */
    double share;
    char seen[SRV_ID]; /* the job of the preview below */
    unsigned char *preview;
    size_t preview_size;
};
struct srv_a1111 *srv_a1111_state(struct srv *s);

/* The error as the answer. */
void srv_a1111_answer(struct srv_reply *reply, const struct srv_a1111_error *err);
void srv_a1111_refuse(struct srv_reply *reply, unsigned status, const char *text, ...) A1111_PRINTF(3, 4);
void srv_a1111_refuse_error(struct srv_reply *reply, unsigned status, vka_error *e);
/* The request's object, new; NULL with the answer made. */
json_t *srv_a1111_body(const struct srv_request *request, struct srv_reply *reply);
/* A copy of the settings. */
json_t *srv_a1111_options(struct srv *s);
/* Sets those that are given, when the models that they name are there. */
bool srv_a1111_keep(struct srv *s, const json_t *given, struct srv_a1111_error *err);
/* As srv_a1111_store has it; `user` is the server. */
bool srv_a1111_find_model(void *user, const char *kind, const char *title, char name[300]);
/* What `inspect` says of a file; new, or NULL. */
json_t *srv_a1111_inspect(struct srv *s, const char *path, vka_error *err);

/* txt2img, img2img (a1111_make.c). */
void srv_a1111_make(struct srv *s, const struct srv_request *request, struct srv_reply *reply, enum srv_a1111_kind kind);
void srv_waiting_free(struct srv_waiting *w);

#endif
