// Tokens: who may do what. A file holds one JSON object a line; it holds hashes, never a secret.
//
// A token reads `kappa_<id>_<secret>`: 12 hex digits that name it and 64 that are 256 random bits. The file keeps SHA-256
// of the whole text: with so much randomness there is nothing to guess, so a slow hash would only slow the server. Hashes
// are compared in constant time. docs/security.md describes the file.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::serving {

inline constexpr std::size_t kTokensMax = 10'000;
inline constexpr std::size_t kTokensFileBytesMax = std::size_t{16} << 20;
inline constexpr std::size_t kTokenScopesMax = 1'024;

// What a token allows: `admin` everything; `append:TOPIC` appending to a topic; `read:NAME` reading a view or a topic. A
// name that ends in * stands for all that begin so.
struct Scope {
  enum class What : std::uint8_t { kAdmin, kAppend, kRead } what = What::kAdmin;
  std::string name;
  [[nodiscard]] std::string text() const;
  bool operator==(const Scope&) const = default;
};
// kInvalid 4018.
[[nodiscard]] Expected<Scope> parse_scope(std::string_view text);

struct Token {
  std::string id;
  std::array<std::uint8_t, 32> hash{};
  std::vector<Scope> scopes;
  std::optional<Timestamp> expires;
  Timestamp created;

  [[nodiscard]] bool admin() const;
  [[nodiscard]] bool may_append(std::string_view topic) const;
  [[nodiscard]] bool may_read(std::string_view name) const;
  [[nodiscard]] bool expired(Timestamp now) const { return expires && *expires <= now; }
};

// A new token and the only copy of its text. kIo 4018 when the system gives no random bytes.
struct NewToken {
  Token token;
  std::string text;
};
[[nodiscard]] Expected<NewToken> make_token(std::vector<Scope> scopes, std::optional<Timestamp> expires, Timestamp now);

// One line of the file, with its line feed.
[[nodiscard]] std::string format_token(const Token& token);
// The file's tokens. A line that cannot be read is left out and its number given: who holds it does not get in.
struct TokenLines {
  std::vector<Token> tokens;
  std::vector<std::size_t> bad_lines;
};
[[nodiscard]] TokenLines parse_tokens(std::string_view text);

// The tokens of a file that may change at any time. One thread.
class TokenStore {
 public:
  // kIo 4018 when the file cannot be read or is others' to write; kInvalid 4018 for a line that cannot be read.
  [[nodiscard]] static Expected<TokenStore> open(std::filesystem::path path);

  // Reads the file again if it is another than before. True if it was. A file that cannot be read holds no tokens.
  [[nodiscard]] bool refresh();
  // What is wrong with the file as it was last read; empty if nothing.
  [[nodiscard]] const std::string& problem() const { return problem_; }
  // The token with this text, if it is there and has not expired. kInvalid 4011; the message names no secret.
  [[nodiscard]] Expected<std::shared_ptr<const Token>> check(std::string_view text, Timestamp now) const;
  // The token with this id that still holds; null if there is none.
  [[nodiscard]] std::shared_ptr<const Token> find(std::string_view id, Timestamp now) const;
  [[nodiscard]] std::size_t size() const { return tokens_.size(); }

 private:
  struct Version {
    std::int64_t seconds = 0, nanoseconds = 0, change_seconds = 0, change_nanoseconds = 0;
    std::uint64_t inode = 0, size = 0;
    bool operator==(const Version&) const = default;
  };
  explicit TokenStore(std::filesystem::path path) : path_(std::move(path)) {}
  [[nodiscard]] Status read();

  std::filesystem::path path_;
  std::optional<Version> version_;
  std::vector<std::shared_ptr<const Token>> tokens_;  // By id.
  std::string problem_;
};

}  // namespace kappa::serving
