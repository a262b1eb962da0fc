/* A seal: one line behind the end of a file, with the number of bytes before it and their CRC-32. A file that lacks a
   byte, has one too many, or in which any one was altered does not fit its seal. Readers of NetCDF-4 do not look behind
   the end that HDF5 knows of, so a sealed file is still an ordinary one.

   CRC-32 by zlib, as it is several times faster than SHA-256 in hardware; against damage, not against forgery. It finds
   every altered byte and every run of up to 32 altered bits for certain, and all else but one case in 2^32. */
#ifndef RT_DATA_SEAL_H
#define RT_DATA_SEAL_H

#include <retort/types.h>

typedef enum { RT_SEAL_ABSENT, RT_SEAL_BROKEN, RT_SEAL_WHOLE } RtSealState;

/* Seal a closed file. name: what messages call it. Not collective. Errors: as for writing; the file is then of no use.
 */
PetscErrorCode rt_seal_put(const char *path, const char *name);
/* Compare a file with its seal. One that was cut off has none. Errors: it cannot be read. */
PetscErrorCode rt_seal_check(const char *path, RtSealState *state);

#endif
