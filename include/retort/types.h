/* Types, limits and error codes that all of Retort shares. */
#ifndef RETORT_TYPES_H
#define RETORT_TYPES_H

#include <petscsys.h> /* and MPI, without its C++ classes, which ask for a library of their own */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RETORT_VERSION "0.1.0"

enum {
  RT_MAX_DIM = 8,   /* most dimensions of a tensor */
  RT_HASH_TEXT = 65 /* a SHA-256 in hexadecimal, with its end */
};

/* Element types of tensors and files. */
typedef enum { RT_FLOAT, RT_UINT8, RT_INT32, RT_INT64, RT_TYPES } RtType;

/* Error codes beside PETSc's own. They mark a mistake of the user or of the outside world (a bad file, a full disk):
   one line is printed, no trace. Every other code is an internal error and keeps PETSc's trace. */
enum {
  RT_ERR_FAILED = 301, /* exit code 1 */
  RT_ERR_USAGE = 302   /* exit code 2 */
};

/* Exit codes of the program. */
enum { RT_EXIT_DONE = 0, RT_EXIT_FAILED = 1, RT_EXIT_USAGE = 2, RT_EXIT_STOPPED = 75 };

/* Return from a function with a message for the user: what is wrong, where, what to do. No full stop, no newline.
   The message is printed once, by rt_message_finish, whichever rank it came from. */
#define RtFail(...) SETERRQ(PETSC_COMM_SELF, RT_ERR_FAILED, __VA_ARGS__)
#define RtUsage(...) SETERRQ(PETSC_COMM_SELF, RT_ERR_USAGE, __VA_ARGS__)
#define RtCheck(condition, ...)                                                                                        \
  do {                                                                                                                 \
    if (PetscUnlikely(!(condition))) RtFail(__VA_ARGS__);                                                              \
  } while (0)

/* Bytes of one element. */
static inline size_t rt_types_size(RtType type)
{
  return type == RT_UINT8 ? 1 : type == RT_INT64 ? 8 : 4;
}

#ifdef __cplusplus
}
#endif

#endif
