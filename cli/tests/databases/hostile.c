/* An ADBC driver that crashes or lies, as the query says. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t Status;
enum { OK = 0, NOT_IMPLEMENTED = 2, INVALID = 5 };

struct Error { char *message; int32_t vendor_code; char sqlstate[5]; void (*release)(struct Error *); };
/* Databases, connections and statements are alike. */
struct Handle { void *private_data; void *private_driver; };
struct Schema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct Schema **children, *dictionary;
    void (*release)(struct Schema *);
    void *private_data;
};
struct Array {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct Array **children, *dictionary;
    void (*release)(struct Array *);
    void *private_data;
};
struct Stream {
    int (*get_schema)(struct Stream *, struct Schema *);
    int (*get_next)(struct Stream *, struct Array *);
    const char *(*get_last_error)(struct Stream *);
    void (*release)(struct Stream *);
    void *private_data;
};
typedef Status (*Any)();
struct Driver { void *private_data, *private_manager; Any functions[27]; };

static const char *query;

static Status ok() { return OK; }
static Status not_implemented() { return NOT_IMPLEMENTED; }
static void error_release(struct Error *error) { error->release = 0; }
static void schema_release(struct Schema *schema) { schema->release = 0; }
static void array_release(struct Array *array) { array->release = 0; }
static void stream_release(struct Stream *stream) { stream->release = 0; }
static const char *last_error(struct Stream *stream) { return "lost in the middle"; }

static int get_schema(struct Stream *stream, struct Schema *out) {
    static struct Schema text = {"u", "a", 0, 2, 0, 0, 0, schema_release, 0};
    static struct Schema number = {"l", "b", 0, 2, 0, 0, 0, schema_release, 0};
    static struct Schema *children[] = {&text, &number};
    text.release = number.release = schema_release;
    *out = (struct Schema){"+s", "", 0, 0, 2, children, 0, schema_release, 0};
    return 0;
}

static int get_next(struct Stream *stream, struct Array *out) {
    static int32_t good[] = {0, 1, 2}, bad[] = {2, 1, 0};
    static int64_t numbers[] = {1, 2};
    static char texts[] = "ab", torn[] = "\xff\xfe";
    static const void *none[] = {0};
    static const void *text_buffers[3], *number_buffers[2];
    static struct Array text, number;
    static struct Array *children[] = {&text, &number};
    if (!strcmp(query, "stream")) return 5;
    text_buffers[1] = strcmp(query, "offsets") ? good : bad;
    text_buffers[2] = strcmp(query, "utf8") ? texts : torn;
    number_buffers[1] = numbers;
    text = (struct Array){2, 0, 0, 3, 0, text_buffers, 0, 0, array_release, 0};
    number = (struct Array){2, 0, 0, 2, 0, number_buffers, 0, 0, array_release, 0};
    int64_t count = strcmp(query, "children") ? 2 : 1;
    *out = (struct Array){2, 0, 0, 1, count, none, children, 0, array_release, 0};
    return 0;
}

static Status set_query(struct Handle *statement, const char *text, struct Error *error) {
    query = strdup(text);
    return OK;
}

static Status execute(struct Handle *statement, struct Stream *out, int64_t *rows, struct Error *error) {
    if (!strcmp(query, "crash")) *(volatile int *)0 = 1;
    if (!strcmp(query, "exit")) {
        fprintf(stderr, "going\n");
        _Exit(3);
    }
    if (!strcmp(query, "refuse")) {
        error->message = "no such thing";
        error->release = error_release;
        return INVALID;
    }
    *out = (struct Stream){get_schema, get_next, last_error, stream_release, 0};
    return OK;
}

Status AdbcDriverInit(int version, struct Driver *driver, struct Error *error) {
    if (version != 1000000) return NOT_IMPLEMENTED;
    for (int i = 0; i < 27; i++) driver->functions[i] = not_implemented;
    int fine[] = {0, 1, 2, 3, 4, 10, 11, 12, 14, 21, 23, 24};
    for (unsigned i = 0; i < sizeof fine / sizeof *fine; i++) driver->functions[fine[i]] = ok;
    driver->functions[18] = execute;
    driver->functions[25] = set_query;
    return OK;
}
