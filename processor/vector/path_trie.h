// The members and array elements that any wanted column names, as a trie over path steps: what the
// JSON walk matches each member against.
//
// Immutable after construction. Node 0 is the event itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "processor/sql/plan.h"

namespace kappa::processor {

class PathTrie {
 public:
  struct Member {
    std::string name;
    std::uint32_t node = 0;
  };
  struct Element {
    std::uint32_t index = 0;
    std::uint32_t node = 0;
  };
  struct Node {
    std::vector<Member> members;         // Sorted by length, then bytes.
    std::vector<Element> elements;       // Sorted by index.
    std::vector<std::uint32_t> columns;  // Columns whose path ends here.
  };
  static constexpr std::uint32_t kNone = UINT32_MAX;

  explicit PathTrie(const std::vector<StreamColumn>& columns);
  [[nodiscard]] const Node& node(std::uint32_t id) const { return nodes_[id]; }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }

  // Child of `id` for a member name or an array index; kNone if nobody wants it.
  [[nodiscard]] std::uint32_t member(std::uint32_t id, std::string_view name) const {
    const std::vector<Member>& members = nodes_[id].members;
    if (members.size() > 8) return search_member(members, name);
    for (const Member& member : members) {
      if (member.name == name) return member.node;
    }
    return kNone;
  }
  [[nodiscard]] std::uint32_t element(std::uint32_t id, std::uint32_t index) const {
    for (const Element& element : nodes_[id].elements) {
      if (element.index == index) return element.node;
    }
    return kNone;
  }

 private:
  [[nodiscard]] static std::uint32_t search_member(const std::vector<Member>& members, std::string_view name);
  std::vector<Node> nodes_;
};

}  // namespace kappa::processor
