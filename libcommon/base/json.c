/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON, strictly, as a tree.
 * In: text of JSON.  Out: a tree of values; strings quoted for writing. */
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FEW = 16, BLOCK_MIN = 4096, BLOCK_MAX = 1 << 20, ROUND = 7 };

/* Lives in its tree's blocks. */
struct ov_json {
    uint8_t type;    /* an ov_json_event that begins a value */
    uint32_t n;      /* members or elements */
    uint32_t at;     /* where its key is in the text */
    const char *key; /* of a member; NULL: of an element */
    union {
        bool truth;
        int64_t integer;
        double real;
        const char *string;
        /* [n] in the file's order; of an object with more than FEW members
         * another [n] behind them, by their keys. */
        struct ov_json **kids;
        struct ov_json *first; /* while it is read */
    } u;
    struct ov_json *next; /* in the same container */
};

struct block {
    struct block *before;
    size_t used, size;
    /* size bytes follow */
};

/* The root is first, so that one stands for the other. */
struct tree {
    struct ov_json root;
    struct block *last;
};

/* A container that is open. */
struct frame {
    struct ov_json *v, *last;
};

struct builder {
    struct tree *tree;
    struct ov_json_pull in;
    struct frame *frames;
    size_t depth, room;
    const struct ov_json_tap *taps;
    size_t n_taps;
    void *arg;
};

/* memory ----------------------------------------------------------------- */

/* n bytes of the tree's, aligned for anything here; NULL: no memory. */
static void *
take(struct tree *t, size_t n)
{
    struct block *b = t->last;
    size_t size;

    n = (n + ROUND) & ~(size_t)ROUND;
    if (b == NULL || b->size - b->used < n) {
        size = b == NULL ? BLOCK_MIN : 2 * b->size;
        size = size > BLOCK_MAX ? BLOCK_MAX : size;
        size = size < n ? n : size;
        b = malloc(sizeof *b + size);
        if (b == NULL)
            return NULL;
        *b = (struct block){t->last, 0, size};
        t->last = b;
    }
    b->used += n;
    return (char *)(b + 1) + b->used - n;
}

static const char *
keep(struct tree *t, const char *s, size_t n)
{
    char *p = take(t, n + 1);

    if (p == NULL)
        return NULL;
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

static int
no_memory(const struct builder *b, struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "%s: out of memory", b->in.place);
}

void
ov_json_free(struct ov_json *root)
{
    struct tree *t = (struct tree *)root;
    struct block *b;

    while (t != NULL && (b = t->last) != NULL) {
        t->last = b->before;
        free(b);
    }
    free(t);
}

/* building --------------------------------------------------------------- */

/* By key, then as in the file. */
static int
by_key(const void *x, const void *y)
{
    const struct ov_json *a = *(struct ov_json *const *)x;
    const struct ov_json *b = *(struct ov_json *const *)y;
    int c = strcmp(a->key, b->key);

    return c != 0 ? c : (a->at > b->at) - (a->at < b->at);
}

/* A member whose key another before it has, too; NULL: none. */
static const struct ov_json *
twice(const struct ov_json *v)
{
    struct ov_json **kids = v->u.kids;
    uint32_t i, j;

    if (v->n > FEW) {
        kids += v->n;
        for (i = 1; i < v->n; i++)
            if (strcmp(kids[i - 1]->key, kids[i]->key) == 0)
                return kids[i];
        return NULL;
    }
    for (i = 1; i < v->n; i++)
        for (j = 0; j < i; j++)
            if (strcmp(kids[i]->key, kids[j]->key) == 0)
                return kids[i];
    return NULL;
}

/* The container on top is complete: from a list to a table. */
static int
finish(struct builder *b, struct ov_err *err)
{
    struct ov_json *v = b->frames[--b->depth].v, *kid = v->u.first;
    bool sorted = v->type == OV_JSON_OBJECT && v->n > FEW;
    size_t bytes = v->n * sizeof kid;
    const struct ov_json *again = NULL;
    struct ov_json **kids;
    char fact[160];
    uint32_t i;

    kids = take(b->tree, sorted ? 2 * bytes : bytes);
    if (kids == NULL)
        return no_memory(b, err);
    for (i = 0; i < v->n; i++, kid = kid->next)
        kids[i] = kid;
    v->u.kids = kids;
    if (sorted) {
        memcpy(kids + v->n, kids, bytes);
        qsort(kids + v->n, v->n, sizeof *kids, by_key);
    }
    if (v->type == OV_JSON_OBJECT)
        again = twice(v);
    if (again == NULL)
        return OV_OK;
    snprintf(fact, sizeof fact, "the key \"%.100s\" a second time", again->key);
    return ov_json_pull_bad(&b->in, again->at, fact, err);
}

static int
open_container(struct builder *b, struct ov_json *v, struct ov_err *err)
{
    size_t room = b->room == 0 ? 16 : 2 * b->room;
    struct frame *p;

    if (b->depth == b->room) {
        p = realloc(b->frames, room * sizeof *p);
        if (p == NULL)
            return no_memory(b, err);
        b->frames = p;
        b->room = room;
    }
    b->frames[b->depth++] = (struct frame){v, NULL};
    return OV_OK;
}

/* Hang a value into the container on top. */
static void
hang(struct builder *b, struct ov_json *v)
{
    struct frame *f = &b->frames[b->depth - 1];

    if (f->last == NULL)
        f->v->u.first = v;
    else
        f->last->next = v;
    f->last = v;
    f->v->n++;
}

/* Is v, a member of the object on top, at this path? */
static bool
is_at(const struct builder *b, const struct ov_json *v, const char *path)
{
    const char *key;
    size_t i, n;

    for (i = 1; i <= b->depth; i++) {
        key = i < b->depth ? b->frames[i].v->key : v->key;
        n = key != NULL ? strlen(key) : 0;
        if (n == 0 || strncmp(path, key, n) != 0 ||
            path[n] != (i < b->depth ? '.' : '\0'))
            return false;
        path += n + 1;
    }
    return true;
}

static const struct ov_json_tap *
tap_of(const struct builder *b, const struct ov_json *v)
{
    size_t i;

    for (i = 0; i < b->n_taps; i++)
        if (v->key != NULL && is_at(b, v, b->taps[i].path))
            return &b->taps[i];
    return NULL;
}

/* Give v the value whose first event is e. */
static int
fill(struct builder *b, struct ov_json *v, int e, struct ov_err *err)
{
    const struct ov_json_tap *tap = tap_of(b, v);

    v->type = (uint8_t)e;
    if (tap != NULL) {
        v->type = OV_JSON_NULL;
        return tap->read(b->arg, &b->in, e, err);
    }
    switch (e) {
    case OV_JSON_BOOL:
        v->u.truth = b->in.truth;
        return OV_OK;
    case OV_JSON_INT:
        v->u.integer = b->in.integer;
        return OV_OK;
    case OV_JSON_REAL:
        v->u.real = b->in.real;
        return OV_OK;
    case OV_JSON_STRING:
        v->u.string = keep(b->tree, b->in.string, b->in.string_n);
        return v->u.string != NULL ? OV_OK : no_memory(b, err);
    case OV_JSON_OBJECT:
    case OV_JSON_ARRAY:
        return open_container(b, v, err);
    default:
        return OV_OK;
    }
}

/* The element or the member that event e begins. */
static int
grow(struct builder *b, int e, struct ov_err *err)
{
    struct ov_json *v = take(b->tree, sizeof *v);

    if (v == NULL)
        return no_memory(b, err);
    memset(v, 0, sizeof *v);
    hang(b, v);
    if (e == OV_JSON_KEY) {
        v->at = (uint32_t)b->in.at;
        v->key = keep(b->tree, b->in.string, b->in.string_n);
        if (v->key == NULL)
            return no_memory(b, err);
        e = ov_json_pull_next(&b->in, err);
    }
    return e < 0 ? e : fill(b, v, e, err);
}

static int
build(struct builder *b, struct ov_err *err)
{
    int e = ov_json_pull_next(&b->in, err);
    int rc = e < 0 ? e : fill(b, &b->tree->root, e, err);

    while (rc == OV_OK) {
        e = ov_json_pull_next(&b->in, err);
        if (e < 0 || e == OV_JSON_END)
            return e < 0 ? e : OV_OK;
        rc = e == OV_JSON_CLOSE ? finish(b, err) : grow(b, e, err);
    }
    return rc;
}

int
ov_json_parse_tapped(struct ov_json **root, const char *text, size_t n,
                     const char *place, const struct ov_json_tap *taps,
                     size_t n_taps, void *arg, struct ov_err *err)
{
    struct builder b = {.taps = taps, .n_taps = n_taps, .arg = arg};
    int rc;

    *root = NULL;
    if (n > INT32_MAX)
        return ov_err_set(err, OV_EMODEL, "%s: larger than 2 GiB", place);
    b.tree = calloc(1, sizeof *b.tree);
    if (b.tree == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", place);
    ov_json_pull_open(&b.in, text, n, place);
    rc = build(&b, err);
    ov_json_pull_close(&b.in);
    free(b.frames);
    if (rc < 0)
        ov_json_free(&b.tree->root);
    else
        *root = &b.tree->root;
    return rc;
}

int
ov_json_parse(struct ov_json **root, const char *text, size_t n,
              const char *place, struct ov_err *err)
{
    return ov_json_parse_tapped(root, text, n, place, NULL, 0, NULL, err);
}

/* files ------------------------------------------------------------------ */

/* Read all of f: malloc'd *text, its length *n.  At most max bytes. */
static int
slurp(FILE *f, const char *path, size_t max, char **text, size_t *n,
      struct ov_err *err)
{
    size_t room = 0, got = 0, k;
    char *buf = NULL, *more;

    do {
        if (got == room) {
            room = room == 0 ? 16384 : room * 2;
            more = realloc(buf, room);
            if (more == NULL) {
                free(buf);
                return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
            }
            buf = more;
        }
        k = fread(buf + got, 1, room - got, f);
        got += k;
        if (got > max) {
            free(buf);
            return ov_err_set(err, OV_EMODEL, "%s: larger than %zu bytes", path,
                              max);
        }
    } while (k > 0);
    if (ferror(f)) {
        free(buf);
        return ov_err_errno(err, "%s", path);
    }
    *text = buf;
    *n = got;
    return OV_OK;
}

int
ov_json_slurp(char **text, size_t *n, const char *path, size_t max,
              struct ov_err *err)
{
    struct stat st;
    FILE *f;
    int rc;

    *text = NULL;
    *n = 0;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return ov_err_set(err, OV_EMODEL, "%s: is not a file", path);
    f = fopen(path, "rbe");
    if (f == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
    rc = slurp(f, path, max, text, n, err);
    fclose(f);
    return rc;
}

int
ov_json_read(struct ov_json **root, const char *path, size_t max,
             struct ov_err *err)
{
    char *text;
    size_t n;
    int rc = ov_json_slurp(&text, &n, path, max, err);

    *root = NULL;
    if (rc == OV_OK)
        rc = ov_json_parse(root, text, n, path, err);
    free(text);
    return rc;
}

/* looking ---------------------------------------------------------------- */

static bool
is(const struct ov_json *v, enum ov_json_event type)
{
    return v != NULL && v->type == type;
}

bool
ov_json_is_object(const struct ov_json *v)
{
    return is(v, OV_JSON_OBJECT);
}

bool
ov_json_is_array(const struct ov_json *v)
{
    return is(v, OV_JSON_ARRAY);
}

bool
ov_json_is_null(const struct ov_json *v)
{
    return is(v, OV_JSON_NULL);
}

bool
ov_json_int(const struct ov_json *v, int64_t *value)
{
    if (!is(v, OV_JSON_INT))
        return false;
    *value = v->u.integer;
    return true;
}

bool
ov_json_double(const struct ov_json *v, double *value)
{
    if (!is(v, OV_JSON_INT) && !is(v, OV_JSON_REAL))
        return false;
    *value = v->type == OV_JSON_INT ? (double)v->u.integer : v->u.real;
    return true;
}

bool
ov_json_bool(const struct ov_json *v, bool *value)
{
    if (!is(v, OV_JSON_BOOL))
        return false;
    *value = v->u.truth;
    return true;
}

const char *
ov_json_string(const struct ov_json *v)
{
    return is(v, OV_JSON_STRING) ? v->u.string : NULL;
}

size_t
ov_json_size(const struct ov_json *v)
{
    return is(v, OV_JSON_OBJECT) || is(v, OV_JSON_ARRAY) ? v->n : 0;
}

const struct ov_json *
ov_json_get(const struct ov_json *v, const char *key)
{
    struct ov_json **kids;
    size_t lo = 0, hi, mid;
    int c;

    if (!is(v, OV_JSON_OBJECT))
        return NULL;
    kids = v->u.kids;
    for (hi = v->n; v->n <= FEW && lo < hi; lo++)
        if (strcmp(kids[lo]->key, key) == 0)
            return kids[lo];
    for (kids += v->n; lo < hi;) {
        mid = lo + (hi - lo) / 2;
        c = strcmp(key, kids[mid]->key);
        if (c == 0)
            return kids[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const struct ov_json *
ov_json_at(const struct ov_json *v, size_t i)
{
    return is(v, OV_JSON_ARRAY) && i < v->n ? v->u.kids[i] : NULL;
}

const struct ov_json *
ov_json_path(const struct ov_json *v, const char *path)
{
    char key[256], *end;
    size_t n, i;

    while (v != NULL) {
        n = strcspn(path, ".");
        if (n == 0 || n >= sizeof key)
            return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        if (ov_json_is_array(v)) {
            i = strtoul(key, &end, 10);
            v = *end == '\0' ? ov_json_at(v, i) : NULL;
        } else {
            v = ov_json_get(v, key);
        }
        if (path[n] == '\0')
            return v;
        path += n + 1;
    }
    return NULL;
}

bool
ov_json_next(const struct ov_json *object, void **at, const char **key,
             const struct ov_json **value)
{
    struct ov_json **next;

    if (ov_json_size(object) == 0 || !ov_json_is_object(object))
        return false;
    next = *at == NULL ? object->u.kids : (struct ov_json **)*at + 1;
    if (next == object->u.kids + object->n)
        return false;
    *at = next;
    *key = (*next)->key;
    *value = *next;
    return true;
}

/* writing ---------------------------------------------------------------- */

/* One that JSON has a letter for, or by its number. */
static void
quote_control(FILE *f, char c)
{
    static const char from[] = "\b\f\n\r\t", to[] = "bfnrt";
    const char *p = c != '\0' ? strchr(from, c) : NULL;

    if (p != NULL)
        fprintf(f, "\\%c", to[p - from]);
    else
        fprintf(f, "\\u%04x", (unsigned char)c);
}

void
ov_json_quote(FILE *f, const char *s, size_t n)
{
    size_t i, len;

    putc('"', f);
    for (i = 0; i < n; i += len) {
        len = ov_json_utf8(s + i, n - i);
        if (len == 0) {
            fputs("\xef\xbf\xbd", f);
            len = 1;
        } else if (s[i] == '"' || s[i] == '\\') {
            fprintf(f, "\\%c", s[i]);
        } else if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
            quote_control(f, s[i]);
        } else {
            fwrite(s + i, 1, len, f);
        }
    }
    putc('"', f);
}

/* A number that reads as a real again, its exponent without zeros. */
static void
print_real(FILE *f, double x)
{
    char s[40], *e;

    snprintf(s, sizeof s, "%.15g", x);
    e = strchr(s, 'e');
    if (e == NULL)
        fprintf(f, "%s%s", s, strchr(s, '.') == NULL ? ".0" : "");
    else
        fprintf(f, "%.*s%d", (int)(e + 1 - s), s, atoi(e + 1));
}

static void
print_kids(FILE *f, const struct ov_json *v)
{
    bool object = v->type == OV_JSON_OBJECT;
    uint32_t i;

    putc(object ? '{' : '[', f);
    for (i = 0; i < v->n; i++) {
        if (i > 0)
            putc(',', f);
        if (object) {
            ov_json_quote(f, v->u.kids[i]->key, strlen(v->u.kids[i]->key));
            putc(':', f);
        }
        ov_json_print(f, v->u.kids[i]);
    }
    putc(object ? '}' : ']', f);
}

void
ov_json_print(FILE *f, const struct ov_json *v)
{
    switch (v->type) {
    case OV_JSON_BOOL:
        fputs(v->u.truth ? "true" : "false", f);
        break;
    case OV_JSON_INT:
        fprintf(f, "%lld", (long long)v->u.integer);
        break;
    case OV_JSON_REAL:
        print_real(f, v->u.real);
        break;
    case OV_JSON_STRING:
        ov_json_quote(f, v->u.string, strlen(v->u.string));
        break;
    case OV_JSON_OBJECT:
    case OV_JSON_ARRAY:
        print_kids(f, v);
        break;
    default:
        fputs("null", f);
        break;
    }
}
