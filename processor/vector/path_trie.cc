// See path_trie.h.
#include "processor/vector/path_trie.h"

#include <algorithm>

namespace kappa::processor {
namespace {

bool name_less(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

}  // namespace

PathTrie::PathTrie(const std::vector<StreamColumn>& columns) : nodes_(1) {
  for (std::uint32_t column = 0; column < columns.size(); ++column) {
    std::uint32_t at = 0;
    for (const StreamColumn::Step& step : columns[column].path) {
      std::uint32_t child = kNone;
      if (step.member) {
        for (const Member& member : nodes_[at].members) {
          if (member.name == *step.member) child = member.node;
        }
      } else {
        child = element(at, step.index);
      }
      if (child == kNone) {
        child = static_cast<std::uint32_t>(nodes_.size());
        if (step.member)
          nodes_[at].members.push_back({*step.member, child});
        else
          nodes_[at].elements.push_back({step.index, child});
        nodes_.emplace_back();
      }
      at = child;
    }
    nodes_[at].columns.push_back(column);
  }
  for (Node& node : nodes_) {
    std::ranges::sort(node.members, name_less, &Member::name);
    std::ranges::sort(node.elements, {}, &Element::index);
  }
}

std::uint32_t PathTrie::search_member(const std::vector<Member>& members, std::string_view name) {
  const auto found = std::ranges::lower_bound(members, name, name_less, &Member::name);
  return found != members.end() && found->name == name ? found->node : kNone;
}

}  // namespace kappa::processor
