// A catalog that never changes: two streams and two views with columns of every type, for targets that
// need names to mean something. Made once; a snapshot as CatalogReader asks.
#pragma once

#include "processor/sql/compile.h"

namespace kappa::fuzz {

[[nodiscard]] const processor::CatalogReader& fixed_catalog();

}  // namespace kappa::fuzz
