// Which productions were compared, and must have been.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace kappa::oracle {

class Productions {
 public:
  void compared(const std::set<std::string>& used);
  void add(const Productions& other);
  // Landed productions that were never compared.
  [[nodiscard]] std::vector<std::string> missing() const;
  [[nodiscard]] std::string table() const;

 private:
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace kappa::oracle
