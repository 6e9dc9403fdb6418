/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of the pickle machine: for pickle.c and pickle_call.c alone.
 * In: opcodes, by way of a stack.  Out: values. */
#ifndef OV_MODEL_PICKLE_MACHINE_H
#define OV_MODEL_PICKLE_MACHINE_H

#include "model/pickle.h"

typedef struct ov_pickle_value *value;

enum { OV_PICKLE_BLOCK = 1024 }; /* values allocated at a time */

struct ov_pickle_block {
    struct ov_pickle_block *next;
    size_t n;
    struct ov_pickle_value v[OV_PICKLE_BLOCK];
};

struct ov_pickle_owned {
    struct ov_pickle_owned *next;
    struct ov_pickle_tensor t;
};

struct ov_pickle {
    value root;
    struct ov_pickle_block *blocks;
    struct ov_pickle_owned *tensors;
    size_t n_values, n_items, n_tensors;
    struct ov_pickle_storage *storages;
    size_t n_storages, storages_room;
    uint32_t *index; /* hash of storages: number + 1 */
    size_t index_mask;
};

struct ov_pickle_machine {
    struct ov_pickle *k;
    const unsigned char *p, *at, *end, *op; /* op: the present opcode */
    const char *file;
    struct ov_err *err;
    int rc;
    value *stack;
    size_t depth, stack_room;
    size_t *marks;
    size_t n_marks, marks_room;
    value *memo;
    size_t memo_room, memo_next;
    bool done;
};

/* Stop the machine; the first reason stays, and from then on everything here
 * does nothing. */
void ov_pickle_fail(struct ov_pickle_machine *m, const char *fact);
void ov_pickle_fail_memory(struct ov_pickle_machine *m);
/* A new value; never NULL: if it fails it is one that is thrown away. */
value ov_pickle_fresh(struct ov_pickle_machine *m, enum ov_pickle_kind kind);
/* A new tensor; NULL if it fails. */
struct ov_pickle_tensor *ov_pickle_fresh_tensor(struct ov_pickle_machine *m);
void ov_pickle_add(struct ov_pickle_machine *m, struct ov_pickle_items *to,
                   const value *from, size_t n);
void ov_pickle_push(struct ov_pickle_machine *m, value v);
/* Never NULL. */
value ov_pickle_pop(struct ov_pickle_machine *m);
/* A value of kind OTHER. */
value ov_pickle_other(void);

/* The opcodes of pickle_call.c. */
void ov_pickle_persistent(struct ov_pickle_machine *m);
void ov_pickle_reduce(struct ov_pickle_machine *m);
void ov_pickle_new_object(struct ov_pickle_machine *m, int args);
void ov_pickle_build(struct ov_pickle_machine *m);

#endif
