#include "serving/server.h"

#include <pthread.h>

#include <boost/system/system_error.hpp>
#include <future>
#include <system_error>
#include <thread>

#include "serving/core.h"

namespace kappa::serving {

namespace {

class ServerImpl final : public Server {
 public:
  ServerImpl(ServerOptions options, log::Log& log, processor::Engine& engine)
      : core_(std::make_unique<Core>(std::move(options), log, engine)) {}
  ~ServerImpl() override { stop(std::chrono::milliseconds(0)); }

  [[nodiscard]] Status start() {
    KAPPA_CHECK_OK(core_->listen());
    address_ = core_->address();
    network_ = std::thread([this] {
      ::pthread_setname_np(::pthread_self(), "kappa-net");
      core_->run();
    });
    return {};
  }

  [[nodiscard]] std::string address() const override { return address_; }
  void drain(std::chrono::milliseconds deadline) override { stop(deadline); }

 private:
  void stop(std::chrono::milliseconds deadline) {
    if (!network_.joinable()) return;
    core_->drain(deadline, [] {});
    network_.join();
    core_.reset();
  }

  std::unique_ptr<Core> core_;
  std::string address_;
  std::thread network_;
};

}  // namespace

Expected<std::unique_ptr<Server>> Server::start(ServerOptions options, log::Log& log, processor::Engine& engine) {
  // The event loop and the threads say with an exception that the system has none left for them.
  const auto refused = [](const std::exception& error) {
    return fail(ErrorCode::kIo, 4009, std::string("cannot begin to serve: ") + error.what(),
                "raise the limits of open files and of threads (ulimit -n, ulimit -u)");
  };
  try {
    auto server = std::make_unique<ServerImpl>(std::move(options), log, engine);
    KAPPA_CHECK_OK(server->start());
    return server;
  } catch (const boost::system::system_error& error) {
    return refused(error);
  } catch (const std::system_error& error) {
    return refused(error);
  }
}

}  // namespace kappa::serving
