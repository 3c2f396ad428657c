#include "serving/tokens.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <simdjson.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "proto/value.h"
#include "serving/json_writer.h"

namespace kappa::serving {

namespace {

constexpr std::string_view kPrefix = "kappa_";
constexpr std::size_t kIdDigits = 12;
constexpr std::size_t kSecretDigits = 64;
constexpr std::size_t kTextBytes = kPrefix.size() + kIdDigits + 1 + kSecretDigits;

std::string hex_of(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::optional<std::array<std::uint8_t, 32>> bytes_of_hex(std::string_view text) {
  std::array<std::uint8_t, 32> bytes{};
  if (text.size() != 2 * bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) return std::nullopt;
    bytes[i / 2] = static_cast<std::uint8_t>(bytes[i / 2] << 4 | (digit ? c - '0' : c - 'a' + 10));
  }
  return bytes;
}

bool is_id(std::string_view id) {
  return id.size() == kIdDigits && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::array<std::uint8_t, 32> hash_of(std::string_view text) {
  std::array<std::uint8_t, 32> hash{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
  return hash;
}

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

std::optional<Token> parse_line(simdjson::dom::parser& parser, std::string_view line) {
  simdjson::dom::object object;
  if (parser.parse(line.data(), line.size()).get(object) != simdjson::SUCCESS) return std::nullopt;
  Token token;
  std::string_view id, hash, created, expires;
  simdjson::dom::array scopes;
  if (object["id"].get(id) != simdjson::SUCCESS || !is_id(id)) return std::nullopt;
  if (object["sha256"].get(hash) != simdjson::SUCCESS) return std::nullopt;
  if (object["created"].get(created) != simdjson::SUCCESS) return std::nullopt;
  if (object["scopes"].get(scopes) != simdjson::SUCCESS || scopes.size() > kTokenScopesMax) return std::nullopt;
  const auto bytes = bytes_of_hex(hash);
  const auto born = parse_timestamp(created, true);
  if (!bytes || !born) return std::nullopt;
  token.id = id;
  token.hash = *bytes;
  token.created = Timestamp(*born);
  // A member that is there and cannot be read is no token without an end.
  if (const auto member = object["expires"]; member.error() == simdjson::SUCCESS) {
    if (member.get(expires) != simdjson::SUCCESS) return std::nullopt;
    const auto time = parse_timestamp(expires, true);
    if (!time) return std::nullopt;
    token.expires = Timestamp(*time);
  }
  for (const simdjson::dom::element element : scopes) {
    std::string_view text;
    if (element.get(text) != simdjson::SUCCESS) return std::nullopt;
    auto scope = parse_scope(text);
    if (!scope) return std::nullopt;
    token.scopes.push_back(std::move(*scope));
  }
  return token;
}

std::unexpected<Error> refused(std::string why) {
  return fail(ErrorCode::kInvalid, 4011, std::move(why), "`kappa token add` makes one; --token or KAPPA_TOKEN gives it");
}

}  // namespace

// --- scopes ---

std::string Scope::text() const {
  switch (what) {
    case What::kAdmin: return "admin";
    case What::kAppend: return "append:" + name;
    case What::kRead: return "read:" + name;
  }
  return {};
}

Expected<Scope> parse_scope(std::string_view text) {
  if (text == "admin") return Scope{Scope::What::kAdmin, {}};
  for (const auto& [prefix, what] : {std::pair{std::string_view("append:"), Scope::What::kAppend},
                                     std::pair{std::string_view("read:"), Scope::What::kRead}}) {
    if (text.starts_with(prefix) && text.size() > prefix.size()) return Scope{what, std::string(text.substr(prefix.size()))};
  }
  return fail(ErrorCode::kInvalid, 4018, "\"" + std::string(text) + "\" is no scope",
              "append:TOPIC, read:VIEW, or admin; a name may end in *");
}

bool Token::admin() const {
  return std::ranges::any_of(scopes, [](const Scope& scope) { return scope.what == Scope::What::kAdmin; });
}

bool Token::may_append(std::string_view topic) const {
  return std::ranges::any_of(scopes, [topic](const Scope& scope) {
    return scope.what == Scope::What::kAdmin || (scope.what == Scope::What::kAppend && matches(scope.name, topic));
  });
}

bool Token::may_read(std::string_view name) const {
  return std::ranges::any_of(scopes, [name](const Scope& scope) {
    return scope.what == Scope::What::kAdmin || (scope.what == Scope::What::kRead && matches(scope.name, name));
  });
}

// --- making and writing ---

Expected<NewToken> make_token(std::vector<Scope> scopes, std::optional<Timestamp> expires, Timestamp now) {
  std::array<std::uint8_t, kIdDigits / 2> id{};
  std::array<std::uint8_t, kSecretDigits / 2> secret{};
  if (::RAND_bytes(id.data(), static_cast<int>(id.size())) != 1 ||
      ::RAND_bytes(secret.data(), static_cast<int>(secret.size())) != 1) {
    return fail(ErrorCode::kIo, 4018, "the system gives no random bytes");
  }
  NewToken made;
  made.token.id = hex_of(id);
  made.text = std::string(kPrefix) + made.token.id + "_" + hex_of(secret);
  made.token.hash = hash_of(made.text);
  made.token.scopes = std::move(scopes);
  made.token.expires = expires;
  made.token.created = now;
  return made;
}

std::string format_token(const Token& token) {
  JsonWriter json;
  json.begin_object();
  json.member("id", token.id);
  json.member("sha256", hex_of(token.hash));
  json.key("scopes");
  json.begin_array();
  for (const Scope& scope : token.scopes) json.text(scope.text());
  json.end_array();
  json.member("created", format_timestamp(token.created.value()));
  if (token.expires) json.member("expires", format_timestamp(token.expires->value()));
  json.end_object();
  return std::move(json).take() + "\n";
}

TokenLines parse_tokens(std::string_view text) {
  TokenLines lines;
  simdjson::dom::parser parser;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos || line.starts_with('#')) continue;
    auto token = lines.tokens.size() < kTokensMax ? parse_line(parser, line) : std::nullopt;
    if (token) {
      lines.tokens.push_back(std::move(*token));
    } else {
      lines.bad_lines.push_back(number);
    }
  }
  return lines;
}

// --- the file ---

Expected<TokenStore> TokenStore::open(std::filesystem::path path) {
  TokenStore store(std::move(path));
  KAPPA_CHECK_OK(store.read());
  if (!store.problem_.empty()) return fail(ErrorCode::kInvalid, 4018, store.problem_);
  return store;
}

Status TokenStore::read() {
  tokens_.clear();
  problem_.clear();
  version_.reset();
  const auto broken = [this](std::unexpected<Error> error) {
    problem_ = error.error().message;
    return error;
  };
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return broken(fail_errno(4018, "cannot read the tokens in " + path_.string(), errno));
  struct stat info {};
  std::string text;
  int failed = ::fstat(fd, &info) == 0 ? 0 : errno;
  while (failed == 0 && text.size() <= kTokensFileBytesMax) {
    char piece[65'536];
    const ssize_t got = ::read(fd, piece, sizeof piece);
    if (got < 0) failed = errno;
    if (got <= 0) break;
    text.append(piece, static_cast<std::size_t>(got));
  }
  ::close(fd);
  if (failed != 0) return broken(fail_errno(4018, "cannot read the tokens in " + path_.string(), failed));
  version_ = Version{info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec, info.st_ctim.tv_nsec,
                     info.st_ino, static_cast<std::uint64_t>(info.st_size)};
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return broken(fail(ErrorCode::kInvalid, 4018, "others may write the tokens in " + path_.string(),
                       "chmod 600 " + path_.string()));
  }
  if (text.size() > kTokensFileBytesMax)
    return broken(fail(ErrorCode::kTooLarge, 4018, path_.string() + " is too large for a file of tokens"));
  TokenLines lines = parse_tokens(text);
  if (!lines.bad_lines.empty()) {
    problem_ = path_.string() + ": no token in line " + std::to_string(lines.bad_lines.front());
    if (lines.bad_lines.size() > 1) problem_ += " and " + std::to_string(lines.bad_lines.size() - 1) + " more";
  }
  for (Token& token : lines.tokens) tokens_.push_back(std::make_shared<const Token>(std::move(token)));
  std::ranges::stable_sort(tokens_, {}, [](const auto& token) -> const std::string& { return token->id; });
  return {};
}

bool TokenStore::refresh() {
  struct stat info {};
  std::optional<Version> now;
  if (::stat(path_.c_str(), &info) == 0) {
    now = Version{info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec, info.st_ctim.tv_nsec,
                  info.st_ino, static_cast<std::uint64_t>(info.st_size)};
  }
  if (now == version_) return false;
  static_cast<void>(read());
  return true;
}

Expected<std::shared_ptr<const Token>> TokenStore::check(std::string_view text, Timestamp now) const {
  if (text.empty()) return refused("this server wants a token, and none was given");
  const bool shaped = text.size() == kTextBytes && text.starts_with(kPrefix);
  const std::string_view id = shaped ? text.substr(kPrefix.size(), kIdDigits) : std::string_view();
  const auto hash = hash_of(text);
  const auto found = std::ranges::lower_bound(tokens_, id, {}, [](const auto& token) -> std::string_view { return token->id; });
  if (!shaped || found == tokens_.end() || (*found)->id != id ||
      ::CRYPTO_memcmp((*found)->hash.data(), hash.data(), hash.size()) != 0) {
    return refused("the token is not one of this server's");
  }
  if ((*found)->expired(now)) return refused("the token has expired");
  return *found;
}

std::shared_ptr<const Token> TokenStore::find(std::string_view id, Timestamp now) const {
  const auto found = std::ranges::lower_bound(tokens_, id, {}, [](const auto& token) -> std::string_view { return token->id; });
  return found == tokens_.end() || (*found)->id != id || (*found)->expired(now) ? nullptr : *found;
}

}  // namespace kappa::serving
