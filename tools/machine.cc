#include "tools/machine.h"

#include <sys/utsname.h>

#include <algorithm>
#include <fstream>
#include <thread>

namespace kappa::tools {

std::string machine() {
  utsname names{};
  ::uname(&names);
  std::ifstream cpu("/proc/cpuinfo");
  std::string model = names.machine;
  for (std::string line; std::getline(cpu, line);) {
    if (line.starts_with("model name")) {
      model = line.substr(std::min(line.size(), line.find(':') + 2));
      break;
    }
  }
  return model + ", " + std::to_string(std::thread::hardware_concurrency()) + " threads, " + names.sysname +
         " " + names.release;
}

}  // namespace kappa::tools
