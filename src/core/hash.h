/* SHA-256, through OpenSSL's libcrypto. Not collective. */
#ifndef RT_CORE_HASH_H
#define RT_CORE_HASH_H

#include <retort/types.h>

typedef struct RtHash RtHash;
PetscErrorCode rt_hash_create(RtHash **hash);
PetscErrorCode rt_hash_add(RtHash *hash, const void *data, size_t bytes);
/* text: lower-case hexadecimal. Destroys the hash. */
PetscErrorCode rt_hash_finish(RtHash **hash, char text[RT_HASH_TEXT]);
PetscErrorCode rt_hash_destroy(RtHash **hash);
/* Of a whole file. Errors: it cannot be read. */
PetscErrorCode rt_hash_file(const char *path, char text[RT_HASH_TEXT]);

#endif
