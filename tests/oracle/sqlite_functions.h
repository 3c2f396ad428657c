// What SQLite lacks or does in another way, as functions of its own: checked integer arithmetic, exact sums,
// variance, rounding, texts of values. Each is a few plain lines, independent of Kappa's.
#pragma once

#include <sqlite3.h>

namespace kappa::oracle {

// iadd isub imul idiv imod: NULL on overflow and division by zero. finite(x): NULL for an infinite x.
// k_round, k_floor, k_ceil, k_to_int (half to even), k_int (text to integer), k_text (shortest text of a
// double), k_ts_text (RFC 3339), k_greatest, k_least (NULLs left out), k_split(text, delimiter, n).
// Aggregates: ksum (exact, digits beyond 64 bits), kavg, dsum, davg, kvar(x, 0 pop | 1 samp).
void register_functions(sqlite3* db);
// k_first, k_last, k_arg_min, k_arg_max (value, by, offset), k_string_agg(text, delimiter, by),
// k_array_agg(value, type, by, offset), k_quantile(value, share), p_disc,
// p_cont(x, p).
void register_ordered_functions(sqlite3* db);
// True if a list of this thread's queries since the last call had so many elements that Kappa's may be NULL.
[[nodiscard]] bool had_long_list();
// k_re_like, k_re_extract, k_re_count, k_re_replace.
void register_regexp_functions(sqlite3* db);

}  // namespace kappa::oracle
