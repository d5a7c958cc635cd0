/* golden_json.h - numbers of tests/golden/NAME.json, for tests that hold their own against them.
 *
 * Include after cmocka.h. */
#ifndef VKA_TESTS_GOLDEN_JSON_H
#define VKA_TESTS_GOLDEN_JSON_H

#include <jansson.h>
#include <math.h>

/* What `key` names in the file at `path`; release it. */
static inline json_t *golden_part(const char *path, const char *key)
{
    json_t *root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    json_t *part = json_incref(json_object_get(root, key));
    json_decref(root);
    assert_non_null(part);
    return part;
}

static inline double number(const json_t *array, size_t i)
{
    return json_number_value(json_array_get(array, i));
}

static inline double named(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static inline const char *text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static inline void near(double a, double b, double tolerance, const char *what)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%s: %.9g is not %.9g (tolerance %g)", what, a, b, tolerance);
}

#endif
