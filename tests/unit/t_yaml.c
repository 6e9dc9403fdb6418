/* SPDX-License-Identifier: BSD-2-Clause */
/* The YAML of configurations: what is read, and what is refused.
 * In: texts.  Out: TAP. */
#include <stdlib.h>
#include <string.h>

#include "model/yaml.h"
#include "tests/unit/tap.h"

static void
reads(const char *text, const char *json)
{
    struct ov_json *v = NULL;
    struct ov_err err = {0};
    char *got = NULL;
    size_t n = 0;
    FILE *f;

    if (ov_yaml_parse(&v, text, strlen(text), "x", &err) != OV_OK) {
        ok(0, "%s", json);
        diag("%s", err.text);
        return;
    }
    f = open_memstream(&got, &n);
    ov_json_print(f, v);
    fclose(f);
    ok(strcmp(got, json) == 0, "%s", json);
    if (strcmp(got, json) != 0)
        diag("got %s", got);
    free(got);
    ov_json_free(v);
}

static void
refuses(const char *text, const char *fact)
{
    struct ov_json *v = NULL;
    struct ov_err err = {0};
    int rc = ov_yaml_parse(&v, text, strlen(text), "x", &err);

    ok(rc == OV_EMODEL && v == NULL && strstr(err.text, fact) != NULL,
       "refused: %s", fact);
    if (rc != OV_OK && strstr(err.text, fact) == NULL)
        diag("%s", err.text);
    ov_json_free(v);
}

int
main(void)
{
    char deep[400] = "";
    int i;

    reads("a: 1\nb: -2.5\nc: 1.0e-06\nd: 1e-6\n",
          "{\"a\":1,\"b\":-2.5,\"c\":1e-6,\"d\":1e-6}");
    reads("a: true\nb: No\nc: null\nd: ~\ne:\nf: none\n",
          "{\"a\":true,\"b\":false,\"c\":null,\"d\":null,\"e\":null,"
          "\"f\":\"none\"}");
    reads("---\n# said\na: x # more\nb: 'it''s'\nc: \"q\\\"\\n\"\r\n",
          "{\"a\":\"x\",\"b\":\"it's\",\"c\":\"q\\\"\\n\"}");
    reads("a:\n  b: 1\n  c:\n    d: 2\ne: 3\n",
          "{\"a\":{\"b\":1,\"c\":{\"d\":2}},\"e\":3}");
    reads("a:\n- 1\n- 2\nb:\n  - x: 1\n    y: 2\n  - z\n",
          "{\"a\":[1,2],\"b\":[{\"x\":1,\"y\":2},\"z\"]}");
    reads("a: [1, 'b, c', true]\nd: {e: 1, f: g}\nh: []\ni: {}\n",
          "{\"a\":[1,\"b, c\",true],\"d\":{\"e\":1,\"f\":\"g\"},\"h\":[],"
          "\"i\":{}}");
    reads("- a\n- - 1\n  - 2\n", "[\"a\",[1,2]]");
    reads("a: b:c\nu: http://x/y\n", "{\"a\":\"b:c\",\"u\":\"http://x/y\"}");
    reads("a: 012\nb: 0x1f\nc: 1_0\nd: .5\ne: +3\nf: 1e999\n",
          "{\"a\":\"012\",\"b\":\"0x1f\",\"c\":\"1_0\",\"d\":0.5,\"e\":3,"
          "\"f\":\"1e999\"}");
    refuses("a: 1\na: 2\n", "");
    refuses("a: &x 1\n", "anchor");
    refuses("a: *x\n", "alias");
    refuses("a: !!int 1\n", "tag");
    refuses("a: |\n  text\n", "block scalar");
    refuses("a:\tb\n", "tab");
    refuses("a: 1\n---\nb: 2\n", "second document");
    refuses("a: 1\n  b: 2\n", "indented");
    refuses("  a: 1\nb: 2\n", "indented less");
    refuses("a: \"x\n", "not closed");
    refuses("a: [1, 2\n", "not closed");
    refuses("a: 1\njust words\n", "neither a pair");
    refuses("", "says nothing");
    refuses("a: 1\n- b\n", "item among pairs");
    for (i = 0; i < 20; i++)
        strcat(deep, "- ");
    refuses(deep, "16 levels");
    return tap_done();
}
