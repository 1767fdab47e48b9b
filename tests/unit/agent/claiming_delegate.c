/* A delegate library for TensorFlow Lite and LiteRT that claims the operators it is told to, and by default none.
 *
 * The option `take` is a builtin operator's number: 22, RESHAPE, copies its input to its output and is right; others
 * are claimed and do the same. The structs are those of tflite/core/c/common.h, as far as they are touched; they are
 * the C ABI that every delegate library is built against.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int size; int data[]; } IntArray;

typedef struct {
  int type;
  void *data;
  IntArray *dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  struct Delegate *delegate;
  int buffer_handle;
  uint8_t data_is_stale, is_variable;
  struct { int type; void *params; } quantization;
  void *sparsity;
  const IntArray *dims_signature;
} Tensor;

typedef struct { IntArray *inputs, *outputs; } Node;

typedef struct Context Context;

typedef struct {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  int (*prepare)(Context *, Node *);
  int (*invoke)(Context *, Node *);
  const char *(*profiling_string)(const Context *, const Node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *external, *async_kernel;
  uint64_t inplace_operator;
  void *spare[8];
} Registration;

struct Context {
  size_t tensors_size;
  int (*GetExecutionPlan)(Context *, IntArray **);
  Tensor *tensors;
  void *impl;
  int (*ResizeTensor)(Context *, Tensor *, IntArray *);
  void (*ReportError)(Context *, const char *, ...);
  int (*AddTensors)(Context *, int, int *);
  int (*GetNodeAndRegistration)(Context *, int, Node **, Registration **);
  int (*ReplaceNodeSubsets)(Context *, Registration, const IntArray *, struct Delegate *);
};

typedef struct Delegate {
  void *data;
  int (*Prepare)(Context *, struct Delegate *);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *opaque;
} Delegate;

static int invoke(Context *context, Node *node) {
  for (int i = 0; i < node->inputs->size; i++) { /* the first input that is no constant (allocation 1 is read-only) */
    const Tensor *from = &context->tensors[node->inputs->data[i]];
    Tensor *to = &context->tensors[node->outputs->data[0]];
    if (from->allocation_type != 1) {
      memcpy(to->data, from->data, from->bytes < to->bytes ? from->bytes : to->bytes);
      return 0;
    }
  }
  return 1;
}

static void *init(Context *context, const char *buffer, size_t length) { return NULL; }
static void release(Context *context, void *buffer) {}
static int prepare(Context *context, Node *node) { return 0; }

static int claim(Context *context, Delegate *delegate) {
  const int wanted = (int)(intptr_t)delegate->data;
  IntArray *plan, *taken;
  if (wanted < 0) return 0;
  if (context->GetExecutionPlan(context, &plan)) return 1;
  taken = calloc(1, sizeof(int) * (plan->size + 1));
  for (int i = 0; i < plan->size; i++) {
    Node *node;
    Registration *registration;
    if (context->GetNodeAndRegistration(context, plan->data[i], &node, &registration)) return 1;
    if (registration->builtin_code == wanted) taken->data[taken->size++] = plan->data[i];
  }
  Registration kernel = {.init = init, .free = release, .prepare = prepare, .invoke = invoke,
                         .custom_name = "ClaimingDelegate", .version = 1};
  const int status = context->ReplaceNodeSubsets(context, kernel, taken, delegate);
  free(taken);
  return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, int count, void (*report)(const char *)) {
  int wanted = -1;
  for (int i = 0; i < count; i++) {
    if (!strcmp(keys[i], "refuse")) {
      report(values[i]);
      return NULL;
    }
    if (!strcmp(keys[i], "take")) wanted = atoi(values[i]);
  }
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->data = (void *)(intptr_t)wanted;
  delegate->Prepare = claim;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
