// Many point reads at once. One read is a chain of cache misses: pages of branches, then about six nodes of a leaf.
// Several reads take their steps in turn, so that the memory works on all of them: five times as many a second on
// a state that is larger than the processor's caches.
#include <algorithm>
#include <array>
#include <cstring>

#include "processor/state/page_tree.h"

namespace kappa::processor {
namespace {

constexpr std::size_t kPageHeader = 16;
constexpr std::size_t kAtOnce = 16;
constexpr std::size_t kLine = 64;

// One read under way: a binary search within the page at hand.
struct Search {
  std::string_view key;
  std::uint64_t number = 0;
  Pages::Page page;
  unsigned low = 0;
  unsigned high = 0;
  std::optional<std::string_view>* out = nullptr;
};

void prefetch_page(const std::byte* at) {
  // The header and the places of up to 88 nodes.
  for (std::size_t line = 0; line < 3; ++line) __builtin_prefetch(at + line * kLine);
}
void prefetch_node(const Pages::Page& page, unsigned i) {
  std::uint16_t at = 0;
  std::memcpy(&at, page.at + kPageHeader + 2 * std::size_t{i}, sizeof at);
  // Within the mapping whatever it says: a page is 4 KiB at least. A prefetch of nothing does nothing.
  __builtin_prefetch(page.at + at);
}

}  // namespace

Status Pages::get_many(std::span<const std::string_view> keys,
                       std::span<std::optional<std::string_view>> out) const {
  const PageTree& tree = image_.main;
  std::ranges::fill(out, std::nullopt);
  if (tree.root == PageTree::kNoRoot) return {};
  std::array<Search, kAtOnce> searches;
  for (std::size_t begin = 0; begin < keys.size(); begin += kAtOnce) {
    const std::size_t count = std::min(kAtOnce, keys.size() - begin);
    for (std::size_t i = 0; i < count; ++i)
      searches[i] = {.key = keys[begin + i], .number = tree.root, .page = {}, .low = 0, .high = 0, .out = &out[begin + i]};
    const std::span<Search> group(searches.data(), count);
    for (unsigned level = 1; level <= tree.depth; ++level) {
      const bool leaf = level == tree.depth;
      for (Search& search : group) {
        KAPPA_TRY(search.page, page(search.number));
        if (search.page.leaf != leaf)
          return damaged_state("page " + std::to_string(search.number) + " is at the wrong depth");
        search.low = leaf ? 0 : 1;  // Node 0 of a branch stands for everything below node 1.
        search.high = search.page.keys;
        if (search.low < search.high) prefetch_node(search.page, (search.low + search.high) / 2);
      }
      // Ends where the key is not below (leaf), or first below (branch): as lower_bound() and child_of().
      Node probe;
      for (bool any = true; any;) {
        any = false;
        for (Search& search : group) {
          if (search.low >= search.high) continue;
          const unsigned middle = (search.low + search.high) / 2;
          if (!node(search.page, middle, probe))
            return damaged_state("page " + std::to_string(search.number) + ", entry " + std::to_string(middle));
          if (leaf ? probe.key < search.key : probe.key <= search.key)
            search.low = middle + 1;
          else
            search.high = middle;
          if (search.low < search.high) {
            prefetch_node(search.page, (search.low + search.high) / 2);
            any = true;
          }
        }
      }
      for (Search& search : group) {
        const unsigned i = leaf ? search.low : search.low - 1;
        if (i == search.page.keys) continue;
        if (!node(search.page, i, probe))
          return damaged_state("page " + std::to_string(search.number) + ", entry " + std::to_string(i));
        if (leaf) {
          if (probe.key == search.key) *search.out = probe.value;
          continue;
        }
        search.number = probe.child;
        const std::uint64_t at = probe.child * image_.page_bytes;
        if (probe.child <= image_.last_page && at + image_.page_bytes <= map_->bytes()) prefetch_page(map_->data() + at);
      }
    }
  }
  return {};
}

}  // namespace kappa::processor
