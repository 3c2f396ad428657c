// The one error type, and Expected<T>, which every fallible function returns.
//
// A code says what the caller can do; the number (printed K1234) names the exact condition in the
// docs; message says what and where; hint says what to do next. No exception crosses a folder.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>

namespace kappa {

// What the caller does about it. Values are on the wire: never renumber.
enum class ErrorCode : std::uint16_t {
  kInvalid = 1,    // The request is wrong; repeating it unchanged fails again.
  kNotFound = 2,   // The named thing does not exist.
  kExists = 3,     // The named thing exists already.
  kBusy = 4,       // A bound was reached; try again later (retryable).
  kTornTail = 5,   // The log ends in a batch that was never acknowledged.
  kCorrupt = 6,    // Bytes that were durable are damaged; never guess, report.
  kIo = 7,         // The operating system refused; system_errno says why.
  kFull = 8,       // No space; retryable once space returns.
  kTimeout = 9,    // The deadline passed; the outcome of an append is unknown.
  kClosed = 10,    // Shutting down or disconnected; the outcome of an append is unknown.
  kUnsupported = 11,  // Understood, but not available in this version or mode.
  kTooLarge = 12,     // Over a documented limit.
  kSequence = 13,     // A producer's sequence leaves a gap or is from an old epoch.
  kReadOnly = 14,     // This server or log accepts no writes.
};

// A place in a text (SQL), 1-based; length in bytes of the offending piece.
struct SourcePlace {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::uint32_t length = 0;
  bool operator==(const SourcePlace&) const = default;
};

// Number ranges: 1xxx protocol and requests, 2xxx SQL and catalog, 3xxx log and disk,
// 4xxx server and limits, 5xxx events.
struct Error {
  ErrorCode code = ErrorCode::kInvalid;
  std::uint16_t number = 0;
  std::string message;
  std::string hint;
  int system_errno = 0;
  std::optional<SourcePlace> place;

  [[nodiscard]] bool retryable() const { return code == ErrorCode::kBusy || code == ErrorCode::kFull; }
};

template <class T>
using Expected = std::expected<T, Error>;
using Status = std::expected<void, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::uint16_t number,
                                                 std::string message, std::string hint = {}) {
  return std::unexpected(Error{code, number, std::move(message), std::move(hint), 0, {}});
}

// kIo (kFull for ENOSPC and EDQUOT) with strerror text appended to the message.
[[nodiscard]] std::unexpected<Error> fail_errno(std::uint16_t number, std::string what, int system_errno);

// "kCorrupt" -> "corrupt"; stable, used in JSON output.
[[nodiscard]] const char* name_of(ErrorCode code);

// "K2003: message" plus the hint on its own line when there is one.
[[nodiscard]] std::string to_string(const Error& error);

}  // namespace kappa

// Leaves the function with the error, or binds the value. `KAPPA_TRY(auto x, f());`
#define KAPPA_TRY_CONCAT_(a, b) a##b
#define KAPPA_TRY_NAME_(a, b) KAPPA_TRY_CONCAT_(a, b)
#define KAPPA_TRY(declaration, expression)                                          \
  auto KAPPA_TRY_NAME_(kappa_try_, __LINE__) = (expression);                        \
  if (!KAPPA_TRY_NAME_(kappa_try_, __LINE__))                                       \
    return std::unexpected(std::move(KAPPA_TRY_NAME_(kappa_try_, __LINE__)).error()); \
  declaration = std::move(*KAPPA_TRY_NAME_(kappa_try_, __LINE__))
// The same for a Status.
#define KAPPA_CHECK_OK(expression)                                                  \
  do {                                                                              \
    if (auto kappa_status_ = (expression); !kappa_status_)                          \
      return std::unexpected(std::move(kappa_status_).error());                     \
  } while (false)
