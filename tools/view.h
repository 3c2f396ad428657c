// The parts of `kappa view` that are files of their own.
#pragma once

#include <string>

#include "tools/command.h"

namespace kappa::tools {

struct ViewInfoFlags {
  ConnectionFlags connection;
  std::string output;
  std::string name;
};
// Exit status.
[[nodiscard]] int run_view_info(const ViewInfoFlags& flags);

struct ViewDiffFlags {
  ConnectionFlags connection;
  std::string output;
  std::string left;
  std::string right;
};
// 0: equal, 1: different or refused.
[[nodiscard]] int run_view_diff(const ViewDiffFlags& flags);

}  // namespace kappa::tools
