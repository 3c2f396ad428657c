#include "tools/token_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "log/file.h"
#include "serving/tokens.h"

namespace kappa::tools {
namespace {

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

std::unexpected<Error> failed(const std::filesystem::path& path) {
  return fail_errno(4018, "cannot change " + path.string(), errno);
}

// The file, locked, and still the one with this name: another change may have put a new one there while we waited.
Status lock(const std::filesystem::path& path, Descriptor& file) {
  for (;;) {
    Descriptor opened{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR)};
    if (opened.fd < 0) return failed(path);
    struct stat ours {}, named {};
    if (::flock(opened.fd, LOCK_EX) != 0 || ::fstat(opened.fd, &ours) != 0) return failed(path);
    if (::stat(path.c_str(), &named) == 0 && named.st_ino == ours.st_ino && named.st_dev == ours.st_dev) {
      std::swap(file.fd, opened.fd);
      return {};
    }
  }
}

Status write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno(4018, "cannot write the tokens", errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Status change_file(const std::filesystem::path& path, const std::function<Expected<std::string>(std::string)>& change) {
  Descriptor file;
  KAPPA_CHECK_OK(lock(path, file));
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return failed(path);
  std::string text;
  char piece[65'536];
  for (ssize_t got = 1; got > 0;) {
    got = ::read(file.fd, piece, sizeof piece);
    if (got < 0) return failed(path);
    text.append(piece, static_cast<std::size_t>(got));
    if (text.size() > serving::kTokensFileBytesMax)
      return fail(ErrorCode::kTooLarge, 4018, path.string() + " is too large for a file of tokens");
  }
  KAPPA_TRY(const std::string changed, change(text));
  if (changed == text) return {};
  const std::filesystem::path next = path.string() + ".new";
  Descriptor made{::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR)};
  if (made.fd < 0) return failed(next);
  if (::fchmod(made.fd, info.st_mode & 07777) != 0) return failed(next);
  KAPPA_CHECK_OK(write_all(made.fd, changed));
  if (::fsync(made.fd) != 0 || ::rename(next.c_str(), path.c_str()) != 0) return failed(path);
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  return log::real_file_system().sync_directory(folder);
}

}  // namespace kappa::tools
