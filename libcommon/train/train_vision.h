/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the eyes alone: the thing of a picture is to be named, and of a
 * scene the shape and colour that cover each patch, and how many shapes there
 * are.  The heads that do it ("name.*") are for this stage only, but for the
 * names that the adapter knows; what is kept is "vision.*" and
 * "adapter.image.name.*".
 * In: drawings.  Out: a task for the trainer, and how well it sees. */
#ifndef OV_TRAIN_TRAIN_VISION_H
#define OV_TRAIN_TRAIN_VISION_H

#include "net/vision.h"
#include "train/images.h"
#include "train/trainer.h"

struct ov_vision_task_options {
    struct ov_vision_config net;
    int batch; /* pictures a shard, an eighth of them scenes */
    double drop;
    double mix;  /* share of pictures that are given another one's style */
    double more; /* share of drawings of what is never asked about */
    uint64_t seed;
};

struct ov_vision_task;

/* The pictures stay the caller's. */
int ov_vision_task_open(struct ov_vision_task **t,
                        const struct ov_vision_task_options *o,
                        const struct ov_images *im, struct ov_task *task,
                        struct ov_err *err);
void ov_vision_task_close(struct ov_vision_task *t);

/* What a network of the task makes of n pictures: windows of each
 * [n * cells, values] -> name logits [n, things] (behind the adapter's names,
 * if it has some, stands what is no single thing), logits of one shape, two,
 * ... [n, OV_PICTURE_MOST] and, of each patch, shape logits [n * rows,
 * OV_SHAPES + 1] and colour logits. */
struct ov_vision_heads {
    struct ov_vision v;
    int things; /* that have a name in the adapter */
    struct ov_tensor *name_w, *name_b, *count_w, *count_b, *shape_w, *shape_b,
        *colour_w, *colour_b;
};
void ov_vision_heads_bind(struct ov_vision_heads *h, struct ov_params *ps,
                          const struct ov_vision_config *c, int things);
struct ov_vision_said {
    struct ov_tensor *name, *count, *shape, *colour;
};
struct ov_vision_said ov_vision_heads_run(const struct ov_vision_heads *h,
                                          struct ov_graph *g,
                                          struct ov_tensor *x, int n);
/* What the eyes saw of n pictures of each kind that was not learnt from. */
struct ov_vision_score {
    const char *what; /* a style, or "scenes", which are counted rightly */
    int n, right, patches, shapes, colours;
};
/* Show test drawings (each `times` times, varied) and held-out scenes to the
 * network whose weights are at path; rows go to score [most].  The count, or
 * negative.  confused (may be NULL) is told each drawing named wrongly. */
int ov_vision_test(const struct ov_vision_config *c, const struct ov_images *im,
                   const char *path, int times, uint64_t seed,
                   struct ov_vision_score *score, int most,
                   void (*confused)(const char *style, const char *is,
                                    const char *said),
                   struct ov_err *err);
/* The column of a thing among the name logits; thing -1: a scene, which has one
 * (else -1) if the adapter has names. */
int32_t ov_vision_name_of(const struct ov_vision_config *c, int thing);
/* Whether the adapter's names, if there are any, are those of the pictures:
 * OV_EMODEL. */
int ov_vision_names_fit(const struct ov_vision_config *c,
                        const struct ov_images *im, struct ov_err *err);
/* The windows of one picture. */
void ov_vision_look(const struct ov_vision_config *c,
                    const struct ov_picture *p, ov_real *x);

#endif
