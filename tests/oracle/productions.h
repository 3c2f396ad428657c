// Which productions were compared, refused as not in this version, and must have been compared.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace kappa::oracle {

class Productions {
 public:
  struct Count {
    std::uint64_t compared = 0;
    std::uint64_t refused = 0;  // Queries that Kappa does not take in this version (2008).
  };
  void compared(const std::set<std::string>& used);
  void refused(const std::set<std::string>& used, const std::string& why);
  void add(const Productions& other);
  // Landed productions that were never compared.
  [[nodiscard]] std::vector<std::string> missing() const;
  [[nodiscard]] std::string table() const;

 private:
  std::map<std::string, Count> counts_;
  std::map<std::string, std::uint64_t> reasons_;
};

}  // namespace kappa::oracle
