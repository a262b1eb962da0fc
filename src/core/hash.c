#include "core/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

struct RtHash {
  EVP_MD_CTX *context;
};

PetscErrorCode rt_hash_create(RtHash **hash)
{
  RtHash *h;

  PetscFunctionBegin;
  PetscCall(PetscNew(&h));
  h->context = EVP_MD_CTX_new();
  PetscCheck(h->context && EVP_DigestInit_ex(h->context, EVP_sha256(), NULL), PETSC_COMM_SELF, PETSC_ERR_LIB,
             "libcrypto gives no SHA-256");
  *hash = h;
  PetscFunctionReturn(0);
}

PetscErrorCode rt_hash_add(RtHash *hash, const void *data, size_t bytes)
{
  PetscFunctionBegin;
  PetscCheck(EVP_DigestUpdate(hash->context, data, bytes), PETSC_COMM_SELF, PETSC_ERR_LIB, "SHA-256 failed");
  PetscFunctionReturn(0);
}

PetscErrorCode rt_hash_finish(RtHash **hash, char text[RT_HASH_TEXT])
{
  static const char digit[] = "0123456789abcdef";
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int bytes = 0;

  PetscFunctionBegin;
  PetscCheck(EVP_DigestFinal_ex((*hash)->context, sum, &bytes) && bytes == 32, PETSC_COMM_SELF, PETSC_ERR_LIB,
             "SHA-256 failed");
  for (unsigned int i = 0; i < bytes; i++) {
    text[2 * i] = digit[sum[i] >> 4];
    text[2 * i + 1] = digit[sum[i] & 15];
  }
  text[2 * bytes] = 0;
  PetscCall(rt_hash_destroy(hash));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_hash_destroy(RtHash **hash)
{
  PetscFunctionBegin;
  if (!*hash) PetscFunctionReturn(0);
  EVP_MD_CTX_free((*hash)->context);
  PetscCall(PetscFree(*hash));
  PetscFunctionReturn(0);
}

PetscErrorCode rt_hash_file(const char *path, char text[RT_HASH_TEXT])
{
  const size_t piece = 1 << 20;
  RtHash *hash = NULL;
  char *buffer = NULL;
  ssize_t got;
  int file;

  PetscFunctionBegin;
  file = open(path, O_RDONLY);
  RtCheck(file >= 0, "%s: cannot be read: %s", path, strerror(errno));
  PetscCall(rt_hash_create(&hash));
  PetscCall(PetscMalloc1(piece, &buffer));
  while ((got = read(file, buffer, piece)) > 0) PetscCall(rt_hash_add(hash, buffer, (size_t)got));
  close(file);
  PetscCall(PetscFree(buffer));
  if (got < 0) {
    PetscCall(rt_hash_destroy(&hash));
    RtFail("%s: cannot be read: %s", path, strerror(errno));
  }
  PetscCall(rt_hash_finish(&hash, text));
  PetscFunctionReturn(0);
}
