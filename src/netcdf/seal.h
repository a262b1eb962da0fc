/* A seal: a last line in a file with the CRC-32 and the number of all bytes before it. It shows damage to any byte
   before a library gets to see it; HDF5 crashes on some damaged files, or does not come back. NetCDF's and HDF5's
   readers do not look behind the end that a file states inside, so the line does not disturb them; a program that
   changes such a file cuts it off. Not collective.

   CRC-32 by zlib, as it is several times faster than SHA-256 in hardware; against damage, not against forgery. It finds
   every altered byte and every run of up to 32 altered bits for certain, and all else but one case in 2^32. */
#ifndef RT_NETCDF_SEAL_H
#define RT_NETCDF_SEAL_H

#include <retort/types.h>

typedef enum {
  RT_SEAL_NONE,   /* the file has none */
  RT_SEAL_WHOLE,  /* and all bytes are as they were when it was sealed */
  RT_SEAL_BROKEN, /* they are not, or cannot be read */
  RT_SEAL_UNKNOWN /* stop said so */
} RtSeal;

/* Seal a file that is written and closed. name: what messages call it. Errors: it cannot be written; it stays without a
   seal. */
PetscErrorCode rt_seal_add(const char *path, const char *name);
/* Read a file wholly. stop: NULL, or asked now and then. Errors: it cannot be opened. */
PetscErrorCode rt_seal_check(const char *path, bool (*stop)(void), RtSeal *seal);

#endif
