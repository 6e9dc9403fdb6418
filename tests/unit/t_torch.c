/* SPDX-License-Identifier: BSD-2-Clause */
/* model/torch, model/pickle, model/zip: checkpoints read, never executed.
 * In: nothing, and torch_pickle of $OV_VECTORS if it is there.  Out: TAP. */
#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/pickle.h"
#include "tests/unit/checkpoint.h"
#include "tests/unit/tap.h"

static struct ov_err err;
static struct bytes file;
static const float data[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static struct ov_weights *w;

/* clang-format off */
/* Everything that a checkpoint may be made of. */
static const char all[] =
    "} ( "
    "'plain' " TENSOR("FloatStorage", "0", "12", "2", "2 3", "3 1")
    "'turned' " TENSOR("FloatStorage", "0", "12", "0", "3 2", "1 3")
    "'wide' " TENSOR("FloatStorage", "0", "12", "5", "2 2", "0 0")
    "'none' " TENSOR("FloatStorage", "0", "12", "12", "0 4", "4 1")
    "'one' " TENSOR("FloatStorage", "0", "12", "11", "", "")
    "'thin' " TENSOR("FloatStorage", "0", "12", "3", "1 2", "99 1")
    "'param' @torch._utils|_rebuild_parameter ( "
    TENSOR("FloatStorage", "0", "12", "0", "1", "1")
    "x88 @collections|OrderedDict ) R t R "
    "'sub' @collections|OrderedDict ) R ( 'x' 7 u } '_metadata' 1 s b "
    "'deep' ] ( 1 } 'y' 2 s ( 3 'text' t e "
    "'o' @argparse|Namespace ) x81 } ( "
    "'lr' G? xd0 x00 x00 x00 x00 x00 x00 'on' x88 'off' x89 'nil' N u b "
    "'set' @builtins|set ] ( 4 5 e x85 R "
    "'size' @torch|Size ( 6 7 t x85 R "
    "'type' @torch|float32 'dev' @torch|device 'cpu' x85 R "
    "'big' x8a x01 xfe "
    "'huge' x8a x09 x00 x00 x00 x00 x00 x00 x00 x00 x01 "
    "8 'eight' "
    "u";
/* clang-format on */

static int
is(const char *name, int rank, int64_t d0, int64_t d1, const float *want)
{
    const struct ov_array *a = ov_weights_get(w, name);
    float y[12];

    return a != NULL && a->dtype == OV_F32 && a->rank == rank &&
           (rank < 1 || a->shape[0] == d0) && (rank < 2 || a->shape[1] == d1) &&
           ov_array_to_f32(a, y, &err) == OV_OK &&
           memcmp(y, want, (size_t)a->count * sizeof *y) == 0;
}

static void
check_all(const char *what)
{
    static const float turned[] = {0, 3, 1, 4, 2, 5}, wide[] = {5, 5, 5, 5};
    const char *s;
    int64_t i;
    double f;

    ok(is("plain", 2, 2, 3, data + 2), "%s: a view", what);
    ok(is("turned", 2, 3, 2, turned), "%s: transposed", what);
    ok(is("wide", 2, 2, 2, wide), "%s: expanded", what);
    ok(is("none", 2, 0, 4, data), "%s: empty", what);
    ok(is("one", 0, 0, 0, data + 11), "%s: a scalar", what);
    ok(is("thin", 2, 1, 2, data + 3), "%s: an odd stride of no effect", what);
    ok(is("param", 1, 1, 0, data), "%s: a parameter", what);
    ok(ov_weights_count(w) == 7, "%s: no other tensors", what);
    ok(ov_weights_int(w, "sub.x", &i) && i == 7 &&
           !ov_weights_int(w, "sub._metadata", &i),
       "%s: a dict with attributes", what);
    ok(ov_weights_int(w, "deep.1.y", &i) && i == 2 &&
           ov_weights_int(w, "deep.2.0", &i) && i == 3 &&
           (s = ov_weights_text(w, "deep.2.1")) != NULL &&
           strcmp(s, "text") == 0,
       "%s: lists and tuples", what);
    ok(ov_weights_double(w, "o.lr", &f) && f == 0.25 &&
           ov_weights_int(w, "o.on", &i) && i == 1 &&
           ov_weights_int(w, "o.off", &i) && i == 0 &&
           !ov_weights_int(w, "o.nil", &i),
       "%s: an object", what);
    ok(ov_weights_int(w, "set.1", &i) && i == 5 &&
           ov_weights_double(w, "size.0", &f) && f == 6,
       "%s: a set, a size", what);
    ok(ov_weights_int(w, "big", &i) && i == -2 &&
           !ov_weights_int(w, "huge", &i),
       "%s: long integers", what);
    ok((s = ov_weights_text(w, "8")) != NULL && strcmp(s, "eight") == 0,
       "%s: a number as a key", what);
    ok(ov_weights_meta(w, "x") == NULL, "%s: no metadata", what);
}

static void
test_all(void)
{
    make_zip(&file, all, data, sizeof data);
    if (ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_OK,
           "a zip archive: %s", err.text))
        check_all("zip");
    ov_weights_close(w);
    make_stream(&file, all, data, 12, sizeof *data);
    if (ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_OK,
           "a stream: %s", err.text))
        check_all("stream");
    ov_weights_close(w);
}

static void
test_cuts(void)
{
    size_t i, n;

    make_zip(&file, all, data, sizeof data);
    for (i = 0, n = file.n; i < n; i++)
        if (ov_weights_parse(&w, file.p, i, "mem", &err) != OV_EMODEL)
            break;
    ok(i == n, "a zip archive cut anywhere is refused");
    make_stream(&file, all, data, 12, sizeof *data);
    for (i = 0, n = file.n; i < n; i++)
        if (ov_weights_parse(&w, file.p, i, "mem", &err) != OV_EMODEL)
            break;
    ok(i == n, "a stream cut anywhere is refused");
    put(&file, "", 1);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL,
       "a stream with a byte more is refused: %s", err.text);
}

/* clang-format off */
#define T(count, offset, shape, stride)                                       \
    TENSOR("FloatStorage", "0", count, offset, shape, stride)

static const struct {
    const char *what, *program, *fact;
} refused[] = {
    {"os.system", "@posix|system 'true' x85 R", "posix.system"},
    {"os.system, new style", "'os' 'system' x93 'true' x85 R", "os.system"},
    {"eval", "@__builtin__|eval '1' x85 R", "__builtin__.eval"},
    {"getattr", "@builtins|getattr", "builtins.getattr"},
    {"a near name", "@collections|OrderedDictX", "OrderedDictX"},
    {"a near module", "@__torch__x|Y", "__torch__x.Y"},
    {"torch.load", "@torch.serialization|load", "torch.serialization"},
    {"a module", "@torch.nn.modules.linear|Linear", "modules.linear"},
    {"a name with escapes", "@a\x1b[31m|b", "a?[31m.b"},
    {"INST", "( 'a' ixx\ny\n", "opcode 0x69"},
    {"OBJ", "( @torch|Size o", "opcode 0x6f"},
    {"EXT1", "x82 x01", "opcode 0x82"},
    {"PERSID", "P0\n", "opcode 0x50"},
    {"text integers", "I1\n", "opcode 0x49"},
    {"protocol 6", "x80 x06", "protocol above 5"},
    {"a call of a list", "] ) R", "no function"},
    {"a call of a storage", "@torch|FloatStorage ) R", "no function"},
    {"a call of a dtype", "@torch|float32 ) R", "no function"},
    {"arguments that are a list", "@torch|Size ] R", "no function"},
    {"an object of a function", "@torch|Size ) x81", "no class"},
    {"an empty stack", "R", "stack is empty"},
    {"nothing", "", "stack is empty"},
    {"a mark in the way", "] ( a", "stack is empty"},
    {"no mark", "] e", "no mark"},
    {"append to a dict", "} 1 a", "no list"},
    {"append to a tuple", ") 1 a", "no list"},
    {"a member of a list", "] 1 2 s", "no dict"},
    {"a key alone", "} ( 1 u", "without a value"},
    {"an empty memo", "h\x05", "memo"},
    {"a huge memo", "] r\xff\xff\xff\x7f", "too large"},
    {"another persistent id", "'x' Q", "no storage"},
    {"a negative count",
     "( 'storage' @torch|FloatStorage '0' 'cpu' x8a x01 xff t Q",
     "no storage"},
    {"a storage that is missing",
     TENSOR("FloatStorage", "1", "12", "0", "1", "1"), "data/1: missing"},
    {"a storage of another size", T("11", "0", "1", "1"),
     "48 bytes, where 44"},
    {"a storage in two ways",
     "] ( " T("12", "0", "1", "1") T("11", "0", "1", "1") "e", "two ways"},
    {"a complex storage", "@torch|ComplexFloatStorage", "Complex"},
    {"past the end", T("12", "0", "13", "1"), "outside"},
    {"offset past the end", T("12", "12", "1", "1"), "outside"},
    {"strides past the end", T("12", "0", "2 2", "11 1"), "outside"},
    {"a negative stride", T("12", "11", "2", "x8a x01 xff"), "cannot be"},
    {"an overflow",
     T("12", "0", "3", "x8a x08 xff xff xff xff xff xff xff x7f"), "outside"},
    {"fewer strides", T("12", "0", "2 2", "1"), "cannot be"},
    {"nine dimensions",
     T("12", "0", "1 1 1 1 1 1 1 1 1", "1 1 1 1 1 1 1 1 1"), "cannot be"},
    {"expanded beyond reason",
     T("12", "0", "x8a x04 x00 x00 x00 x7f", "0"), "much larger"},
    {"expanded beyond numbers",
     T("12", "0", "x8a x08 x00 x00 x00 x00 x00 x00 x00 x40 200", "0 0"),
     "impossible"},
    {"a name twice",
     "} ( 'a' } 'b' " T("12", "0", "1", "1") "s 'a.b' "
     T("12", "0", "1", "1") "u", "twice"},
    {"a list in itself", "] q\x01 h\x01 a", "too deep"},
    {"attributes that are a list", "@argparse|Namespace ) x81 ] b",
     "no dict"},
};
/* clang-format on */

static void
test_refusals(void)
{
    size_t i;

    for (i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        make_zip(&file, refused[i].program, data, sizeof data);
        err.text[0] = '\0';
        ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL &&
               w == NULL && strstr(err.text, refused[i].fact) != NULL,
           "refused: %s: %s", refused[i].what, err.text);
    }
}

/* Lists of lists of lists: a small tree with 10^12 paths. */
static void
test_laughs(void)
{
    char program[1024] = "] ( 'ha' 'ha' e ";
    int i;

    for (i = 1; i < 12; i++)
        strcat(program, "q\x01 ] ( h\x01 h\x01 h\x01 h\x01 h\x01 h\x01 "
                        "h\x01 h\x01 h\x01 h\x01 e ");
    make_zip(&file, program, data, sizeof data);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL,
       "a billion laughs: %s", err.text);
}

static void
test_zip(void)
{
    static struct bytes directory;
    int count = 0;

    file.n = directory.n = 0;
    put_member(&file, &directory, &count, "a.npy", "x", 1);
    put_directory(&file, &directory, count);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL &&
           strstr(err.text, "no PyTorch") != NULL,
       "another archive: %s", err.text);
    make_zip(&file, "N", data, sizeof data);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_OK &&
           ov_weights_count(w) == 0,
       "nothing in it");
    ov_weights_close(w);
    file.p[42] ^= 1;
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL &&
           strstr(err.text, "checksum") != NULL,
       "a damaged pickle: %s", err.text);
    file.n = directory.n = 0;
    count = 0;
    put_member(&file, &directory, &count, "a/data.pkl", "\x80\x02N.", 4);
    put_member(&file, &directory, &count, "a/byteorder", "big", 3);
    put_directory(&file, &directory, count);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL &&
           strstr(err.text, "big-endian") != NULL,
       "big-endian: %s", err.text);
    file.n = directory.n = 0;
    put_member(&file, &directory, &count, "a/data.pkl", "\x80\x02N.", 4);
    put_member(&file, &directory, &count, "a/data.pkl", "\x80\x02N.", 4);
    put_directory(&file, &directory, 2);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL &&
           strstr(err.text, "twice") != NULL,
       "a member twice: %s", err.text);
}

/* clang-format off */
/* A TorchScript archive: classes of its own, and constants. */
static void
test_script(void)
{
    static struct bytes pickle, constants, directory;
    static const float half[2] = {0.5f, -0.5f};
    int count = 0;

    file.n = 0;
    put(&pickle, "\x80\x02", 2);
    put_program(&pickle, "@__torch__.a.b|Net ) x81 } ( 'w' " TENSOR(
                             "FloatStorage", "0", "12", "0", "2 3",
                             "3 1") "'training' x88 'sub' @__torch__|L ) x81 } "
                                    "'b' " TENSOR("FloatStorage", "0", "12",
                                                  "6", "2", "1") "s b u b .");
    put(&constants, "\x80\x02", 2);
    put_program(&constants,
                "( " TENSOR("FloatStorage", "0", "2", "0", "2", "1") "t .");
    put_member(&file, &directory, &count, "n/data/0", data, sizeof data);
    put_member(&file, &directory, &count, "n/data.pkl", pickle.p, pickle.n);
    put_member(&file, &directory, &count, "n/constants/0", half, sizeof half);
    put_member(&file, &directory, &count, "n/constants.pkl", constants.p,
               constants.n);
    put_member(&file, &directory, &count, "n/code/x.py", "import os", 9);
    put_directory(&file, &directory, count);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_OK &&
           ov_weights_count(w) == 3 && is("w", 2, 2, 3, data) &&
           is("sub.b", 1, 2, 0, data + 6) && is("constants.0", 1, 2, 0, half),
       "a TorchScript archive: %s", err.text);
    ov_weights_close(w);
}

/* Newer ways to say a tensor, older ways to say a storage. */
static void
test_variants(void)
{
    make_zip(&file,
             "@torch._utils|_rebuild_tensor_v3 ( "
             "( 'storage' @torch.storage|UntypedStorage '0' 'cpu' 48 t Q "
             "1 ( 2 t ( 1 t x89 @collections|OrderedDict ) R "
             "@torch|float32 t R",
             data, sizeof data);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_OK &&
           is("tensor", 1, 2, 0, data + 1),
       "_rebuild_tensor_v3 of an untyped storage: %s", err.text);
    ov_weights_close(w);
    make_zip(&file,
             "@torch._utils|_rebuild_tensor_v3 ( "
             "( 'storage' @torch.storage|UntypedStorage '0' 'cpu' 48 t Q "
             "11 ( 2 t ( 1 t x89 @collections|OrderedDict ) R "
             "@torch|float32 t R",
             data, sizeof data);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL,
       "outside of it: %s", err.text);
    make_zip(&file,
             "@torch._tensor|_rebuild_from_type_v2 ( "
             "@torch._utils|_rebuild_tensor ( " STORAGE(
                 "FloatStorage", "0",
                 "12") "4 ( 2 t ( 2 t t "
                       "t 0 ( @torch._utils|_rebuild_tensor @torch|Tensor "
                       "( " STORAGE("FloatStorage", "0",
                                    "12") "4 ( 2 t ( 1 t t } t R",
             data, sizeof data);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL,
       "a call that is none: %s", err.text);
    make_zip(&file,
             "@torch._tensor|_rebuild_from_type_v2 ( "
             "@torch._utils|_rebuild_tensor @torch|Tensor ( " STORAGE(
                 "FloatStorage", "0", "12") "4 ( 2 t ( 1 t t } t R",
             data, sizeof data);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_OK &&
           is("tensor", 1, 2, 0, data + 4),
       "_rebuild_from_type_v2: %s", err.text);
    ov_weights_close(w);
    make_stream(&file,
                "@torch._utils|_rebuild_tensor ( ( 'storage' "
                "@torch|FloatStorage '0' 'cpu' 12 ( 'v' 3 5 t t Q "
                "1 ( 4 t ( 1 t t R",
                data, 12, sizeof *data);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_OK &&
           is("tensor", 1, 4, 0, data + 4),
       "a view of a storage: %s", err.text);
    ov_weights_close(w);
    make_stream(&file,
                "@torch._utils|_rebuild_tensor ( ( 'storage' "
                "@torch|FloatStorage '0' 'cpu' 12 ( 'v' 3 5 t t Q "
                "2 ( 4 t ( 1 t t R",
                data, 12, sizeof *data);
    ok(ov_weights_parse(&w, file.p, file.n, "mem", &err) == OV_EMODEL,
       "outside of the view: %s", err.text);
}

/* clang-format on */
/* The files that PyTorch wrote, where they are. */
static void
compare(const char *dir, const char *name, const char *expected,
        const char *from, const char *to)
{
    struct ov_weights *a = NULL, *b = NULL;
    const struct ov_array *x, *y;
    char path[600], want[1200];
    size_t i, bad = 0, n = 0;

    snprintf(path, sizeof path, "%s/%s", dir, expected);
    if (ov_weights_open(&b, path, &err) < 0) {
        ok(0, "%s", err.text);
        return;
    }
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (ov_weights_open(&a, path, &err) < 0) {
        ok(0, "%s", err.text);
        ov_weights_close(b);
        return;
    }
    for (i = 0; i < ov_weights_count(a); i++, n++) {
        x = ov_weights_at(a, i);
        if (strncmp(x->name, from, strlen(from)) != 0) {
            bad++;
            continue;
        }
        snprintf(want, sizeof want, "%s%s", to, x->name + strlen(from));
        y = ov_weights_get(b, want);
        bad += y == NULL || x->dtype != y->dtype || x->rank != y->rank ||
               memcmp(x->shape, y->shape, sizeof x->shape) != 0 ||
               memcmp(x->data, y->data,
                      (size_t)x->count * ov_dtype_size(x->dtype)) != 0;
    }
    ok(bad == 0 && n > 0, "%s: %zu tensors as PyTorch reads them", name, n);
    ov_weights_close(a);
    ov_weights_close(b);
}

static void
test_vectors(void)
{
    const char *top = getenv("OV_VECTORS"), *src = getenv("OV_SRCDIR");
    char dir[500], path[600];

    if (top != NULL)
        snprintf(dir, sizeof dir, "%s/torch_pickle", top);
    else
        snprintf(dir, sizeof dir, "%s/../shared/vectors/torch_pickle",
                 src != NULL ? src : ".");
    if (access(dir, R_OK) < 0) {
        skip("files that PyTorch wrote", "they are not here");
        return;
    }
    compare(dir, "sd_zip.pth", "expected.safetensors", "", "");
    compare(dir, "sd_legacy.pth", "expected.safetensors", "", "");
    compare(dir, "plain_dict_zip.bin", "expected.safetensors", "", "");
    compare(dir, "proto4.pt", "expected.safetensors", "", "");
    compare(dir, "nested_zip.pt", "expected.safetensors", "nested.state.model.",
            "nested.");
    compare(dir, "bare_tensor.pt", "expected.safetensors", "tensor",
            "bare_tensor");
    compare(dir, "scripted.pt", "scripted_expected.safetensors", "", "");
    snprintf(path, sizeof path, "%s/must_refuse_os_system.pt", dir);
    ok(ov_weights_open(&w, path, &err) == OV_EMODEL &&
           strstr(err.text, "posix.system") != NULL,
       "%s", err.text);
    snprintf(path, sizeof path, "%s/truncated.pth", dir);
    ok(ov_weights_open(&w, path, &err) == OV_EMODEL, "%s", err.text);
}

int
main(void)
{
    test_all();
    test_cuts();
    test_refusals();
    test_laughs();
    test_zip();
    test_script();
    test_variants();
    test_vectors();
    return tap_done();
}
