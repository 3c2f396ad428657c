// Reading LMDB's file format (version 1, as LMDB 0.9 writes it) from bytes that may be anything: every
// number that comes from the file is checked before it is used, so damage is an error, never a crash.
//
// LMDB itself walks its pages without such checks. The engine therefore reads through this file only,
// and lets LMDB write only to a tree that check_pages() has walked whole (tree.h).
//
// A file is pages of `page_bytes`. Pages 0 and 1 are meta pages; transaction n writes page n % 2. The
// others belong to two B-trees, of entries and of free pages:
//   page  = u64 number, u16 pad, u16 flags, u16 lower, u16 upper (overflow: u32 pages), u16 offset*, nodes
//   node  = leaf:   u32 value bytes, u16 flags, u16 key bytes, key, value (or u64 first overflow page)
//           branch: u48 child page,             u16 key bytes, key (that of node 0 is not looked at)
// Thread-safe: values over borrowed bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "log/mapping_guard.h"
#include "proto/bytes.h"
#include "proto/error.h"

namespace kappa::processor {

// What counts of a meta page.
inline constexpr std::size_t kMetaPageBytes = 152;

// One of the two trees in one committed version.
struct PageTree {
  static constexpr std::uint64_t kNoRoot = UINT64_MAX;
  std::uint64_t root = kNoRoot;
  std::uint64_t entries = 0;
  unsigned depth = 0;
};

// One committed version of the file: what a meta page says.
struct PageImage {
  std::uint64_t transaction = 0;
  std::uint32_t page_bytes = 0;
  std::uint64_t last_page = 0;
  PageTree free;
  PageTree main;
  [[nodiscard]] std::uint64_t file_bytes() const { return (last_page + 1) * page_bytes; }
};

// A read-only mapping of a data file, with room for it to grow. Whoever maps compares the file's size with
// PageImage::file_bytes() first. A page that cannot be delivered all the same, because the disk fails or the
// file was cut, reads as zeros: no page header is zeros, and no value's checksum holds over them.
class PageMap {
 public:
  // `descriptor` is borrowed for the call. kIo 3302.
  [[nodiscard]] static Expected<std::shared_ptr<const PageMap>> map(int descriptor, std::uint64_t bytes);
  ~PageMap();
  PageMap(const PageMap&) = delete;
  PageMap& operator=(const PageMap&) = delete;
  [[nodiscard]] const std::byte* data() const { return data_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  PageMap(const std::byte* data, std::uint64_t bytes) : data_(data), bytes_(bytes), guard_(std::in_place, data, bytes) {}
  const std::byte* data_;
  std::uint64_t bytes_;
  std::optional<log::GuardedRange> guard_;  // Gone before the mapping is.
};

// The meta page of `number` (0 or 1), whose bytes begin at `page`. kCorrupt 3301 for anything that is
// not wholly possible.
[[nodiscard]] Expected<PageImage> read_meta_page(Bytes page, unsigned number);
// Looks at a data file before LMDB does: both meta pages, and whether the file is as long as its pages.
// nullopt for a file that is missing or empty (LMDB begins a new one). kCorrupt 3301, kIo 3302.
[[nodiscard]] Expected<std::optional<PageImage>> inspect_data_file(const std::filesystem::path& path);

// The pages of one version.
class Pages {
 public:
  Pages() = default;
  Pages(std::shared_ptr<const PageMap> map, const PageImage& image) : map_(std::move(map)), image_(image) {}

  struct Page {
    const std::byte* at = nullptr;
    unsigned keys = 0;
    unsigned lower = 0;
    unsigned upper = 0;
    bool leaf = false;
  };
  struct Node {
    std::string_view key;
    std::string_view value;            // Leaf.
    std::uint64_t child = 0;           // Branch.
    std::uint64_t overflow = 0;        // Leaf: first page of a big value, or 0.
    std::uint64_t overflow_pages = 0;
    std::size_t bytes = 0;             // That the node takes in its page.
  };

  [[nodiscard]] const PageImage& image() const { return image_; }
  // A page of a tree. kCorrupt 3301 if there is none with that number or its header is impossible.
  [[nodiscard]] Expected<Page> page(std::uint64_t number) const;
  // Node `i` < page.keys; false if it does not lie within its page, or its value not within its pages.
  [[nodiscard]] bool node(const Page& page, unsigned i, Node& out) const;
  // The first key that is not below `key`: page.keys if there is none. kCorrupt 3301.
  [[nodiscard]] Expected<unsigned> lower_bound(const Page& page, std::string_view key) const;
  // The child of a branch page under which `key` belongs.
  [[nodiscard]] Expected<unsigned> child_of(const Page& page, std::string_view key) const;
  // Value of a key of the main tree. The view lives as long as the map and the version.
  [[nodiscard]] Expected<std::optional<std::string_view>> get(std::string_view key) const;
  // The same for many keys at once, `out` as long as `keys`; several times as fast as one by one.
  [[nodiscard]] Status get_many(std::span<const std::string_view> keys,
                                std::span<std::optional<std::string_view>> out) const;
  // Asks the system to read a page soon.
  void prefetch(std::uint64_t number) const;

 private:
  std::shared_ptr<const PageMap> map_;
  PageImage image_;
};

[[nodiscard]] std::unexpected<Error> damaged_state(std::string what);

// Ordered iteration over the main tree. Not thread-safe. `pages` is borrowed.
class PageCursor {
 public:
  explicit PageCursor(const Pages& pages) : pages_(&pages) {}
  // Each moves and says whether it stands on an entry. kCorrupt 3301, after which it stands nowhere.
  [[nodiscard]] Expected<bool> seek(std::string_view key);  // First entry >= key.
  [[nodiscard]] Expected<bool> last();
  [[nodiscard]] Expected<bool> next();
  [[nodiscard]] Expected<bool> previous();
  [[nodiscard]] std::string_view key() const { return node_.key; }
  [[nodiscard]] std::string_view value() const { return node_.value; }

 private:
  static constexpr unsigned kDepthMax = 32;
  struct Level {
    Pages::Page page;
    unsigned at = 0;
  };
  [[nodiscard]] Expected<bool> root();
  // Goes down from the node of the innermost level to a leaf, at its first or last node.
  [[nodiscard]] Expected<bool> descend(bool to_last);
  [[nodiscard]] Status push(std::uint64_t page);
  [[nodiscard]] Expected<bool> stand();

  const Pages* pages_;
  std::array<Level, kDepthMax> levels_{};
  unsigned depth_ = 0;
  Pages::Node node_;
};

// Walks every page of both trees: structure, order of keys, that branch keys lead to what is below them,
// that no page is used twice or both used and free, and that the number of entries is the recorded one.
// `entry` gets every entry of the main tree in order; an error of it ends the walk, as does a false
// answer of `go_on`, which is asked once a page of branches (then kClosed 4007). kCorrupt 3301.
[[nodiscard]] Status check_pages(const Pages& pages,
                                 const std::function<Status(std::string_view key, std::string_view value)>& entry,
                                 const std::function<bool(std::uint64_t bytes)>& go_on);

}  // namespace kappa::processor
