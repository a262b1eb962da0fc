/* Vector units without giving up the plain build: a function marked RT_SIMD is compiled several times, and the loader
   takes the version that fits the processor. All versions give the same bits, as the build forbids contraction to fused
   multiply-add and reordering of sums. Only for loops that the compiler vectorises, not for functions with static
   variables. */
#ifndef RT_CORE_SIMD_H
#define RT_CORE_SIMD_H

/* Needs the loader's indirect functions (glibc on x86-64) and gcc 12. The thread sanitizer is not ready when the loader
   chooses, so it gets the plain version. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__) && __GNUC__ >= 12 &&                          \
    !defined(__SANITIZE_THREAD__)
#define RT_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define RT_SIMD
#endif

/* A helper that must become part of each version of its caller. */
#define RT_SIMD_INLINE static inline __attribute__((always_inline))

#endif
