// Changes to a file of tokens, while servers read it: whole or not at all, one at a time, and durable.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "proto/error.h"

namespace kappa::tools {

// `change` gets the text of the file (empty if there is none) and gives the new one. The file is made with mode 600, and
// keeps its mode otherwise. kIo 4018; what `change` fails with.
[[nodiscard]] Status change_file(const std::filesystem::path& path,
                                 const std::function<Expected<std::string>(std::string)>& change);

}  // namespace kappa::tools
