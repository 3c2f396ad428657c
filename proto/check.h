// Invariants of our own code. Never for bytes from disk or network: those return errors.
#pragma once

#include <cstdio>
#include <cstdlib>

// Always on. Prints the condition and the place, then aborts.
#define KAPPA_CHECK(condition, message)                                                        \
  do {                                                                                         \
    if (!(condition)) [[unlikely]] {                                                           \
      std::fprintf(stderr, "kappa: invariant broken at %s:%d: %s (%s)\n", __FILE__, __LINE__,  \
                   #condition, message);                                                       \
      std::abort();                                                                            \
    }                                                                                          \
  } while (false)

// Only where a profile shows that the check costs; compiled out with NDEBUG.
#ifdef NDEBUG
#define KAPPA_DCHECK(condition, message) static_cast<void>(0)
#else
#define KAPPA_DCHECK(condition, message) KAPPA_CHECK(condition, message)
#endif
