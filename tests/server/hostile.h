/* hostile.h - the requests of hostile_test.c that are one table: what is sent, and which answers are right. */
#ifndef VKA_TESTS_HOSTILE_H
#define VKA_TESTS_HOSTILE_H

struct hostile {
    const char *name;
    const char *request; /* up to the end of the headers, without "Host:" and the final empty line where `whole` is 0 */
    const char *body;    /* NULL: none; its length is announced unless `whole` */
    const char *want;    /* statuses that are right, "0" being a connection that is closed without an answer */
    int whole;           /* the text is sent as it stands; '$' stands for the port */
};
extern const struct hostile hostile_table[];
extern const unsigned hostile_count;

/* Paths that lead out of a folder, as they are sent; each is tried behind every prefix, with its method. */
extern const char *const hostile_paths[];
extern const unsigned hostile_path_count;
struct hostile_prefix {
    const char *method, *path, *tail;
};
extern const struct hostile_prefix hostile_prefixes[];
extern const unsigned hostile_prefix_count;

/* Members of job objects that must be refused with 400, by both routes that take one. */
extern const char *const hostile_jobs[];
extern const unsigned hostile_job_count;
/* Those that only the library sees through: the plan is refused with 400, the job may also fail. */
extern const char *const hostile_late_jobs[];
extern const unsigned hostile_late_job_count;

#endif
