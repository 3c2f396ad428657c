// See lmdb_map.h.
#include "processor/state/lmdb_map.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

namespace kappa::processor {

const void* find_mapping(int descriptor, std::size_t bytes, const void* other) {
  struct stat file{};
  if (::fstat(descriptor, &file) != 0) return nullptr;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t wanted = (bytes + page - 1) / page * page;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    // begin-end permissions offset major:minor inode path
    unsigned long long begin = 0;
    unsigned long long end = 0;
    unsigned long long offset = 0;
    unsigned long long inode = 0;
    unsigned major_number = 0;
    unsigned minor_number = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx %*s %llx %x:%x %llu", &begin, &end, &offset, &major_number,
                    &minor_number, &inode) != 6)
      continue;
    const void* const address = reinterpret_cast<const void*>(static_cast<std::uintptr_t>(begin));
    if (inode == file.st_ino && makedev(major_number, minor_number) == file.st_dev && offset == 0 &&
        end - begin == wanted && address != other)
      return address;
  }
  return nullptr;
}

}  // namespace kappa::processor
