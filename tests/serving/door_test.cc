// Goal: who has no token, a wrong one, an expired or revoked one, or one for something else gets nothing but the reason;
// nobody talks to a TLS port without TLS; the Unix socket is for the server's own user. Method: a server over the fakes,
// real sockets, certificates made here, a file of tokens that changes while the server runs.
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <thread>

#include "serving/names_read.h"
#include "serving/peers.h"
#include "serving/tokens.h"
#include "tests/serving/support/certificate.h"
#include "tests/serving/support/server_fixture.h"
#include "tests/support/seed.h"
#include "tests/support/temp_dir.h"
#include "tools/client/client.h"

namespace kappa::testing {
namespace {

using serving::Scope;
using std::chrono::milliseconds;
using std::chrono::seconds;

Timestamp after(std::chrono::microseconds time) {
  return Timestamp(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
                       .count() + time.count());
}

serving::NewToken token_for(std::vector<std::string> scopes, std::optional<Timestamp> expires = {}) {
  std::vector<Scope> parsed;
  for (const std::string& text : scopes) parsed.push_back(*serving::parse_scope(text));
  return *serving::make_token(std::move(parsed), expires, after({}));
}

// A file of tokens, written whole and renamed, as `kappa token` does.
class Tokens {
 public:
  explicit Tokens(std::filesystem::path path) : path_(std::move(path)) { write({}); }
  void write(const std::vector<serving::NewToken>& tokens) {
    const std::filesystem::path next = path_.string() + ".new";
    std::ofstream file(next);
    for (const serving::NewToken& token : tokens) file << serving::format_token(token.token);
    file.close();
    ::chmod(next.c_str(), 0600);
    std::filesystem::rename(next, path_);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct Door : ::testing::Test {
  test::TempDir directory;
  Tokens tokens{directory.path() / "tokens"};

  [[nodiscard]] serving::ServerOptions options() const {
    serving::ServerOptions options;
    options.tokens = tokens.path();
    return options;
  }
  [[nodiscard]] Expected<std::unique_ptr<Client>> connect(const std::string& address, const std::string& token) const {
    ClientOptions client;
    client.address = address;
    client.timeout = seconds(60);
    client.token = token;
    return Client::connect(client);
  }
  [[nodiscard]] Error refusal(const std::string& address, const std::string& token) const {
    const auto client = connect(address, token);
    EXPECT_FALSE(client);
    return client ? Error{} : client.error();
  }
};

TEST_F(Door, MissingWrongAndExpiredTokensGetTheReasonAndTheEnd) {
  const auto good = token_for({"admin"});
  const auto old = token_for({"admin"}, after(-seconds(1)));
  tokens.write({good, old});
  const Fixture fixture(FakeLog::Mode::kInline, options());
  EXPECT_TRUE(connect(fixture.address(), good.text));
  std::string wrong = good.text;
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  for (const std::string& text : {std::string(), wrong, token_for({"admin"}).text, std::string("kappa_"), good.text + "0",
                                  std::string(500, 'x'), old.text}) {
    const Error error = refusal(fixture.address(), text);
    EXPECT_EQ(error.number, 4011) << text;
    if (!text.empty()) { EXPECT_EQ(to_string(error).find(text), std::string::npos); }
  }
}

TEST_F(Door, NothingIsAnsweredBeforeTheLogin) {
  const Fixture fixture(FakeLog::Mode::kInline, options());
  Wire wire(fixture.address());
  std::string all;
  encode(HelloMessage{1, 1, 0, "test"}, 1, all);
  wire.send(all + append_frame(2, "t", body_of("{}")) + ping_frame(3));
  const auto frame = wire.frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->error().number, 4011);
  EXPECT_TRUE(wire.ended());
  EXPECT_EQ(fixture.log.submitted(), 0U);
}

TEST_F(Door, ScopesAreForWhatTheyName) {
  const auto writer = token_for({"append:t", "append:logs_*"});
  const auto reader = token_for({"read:v"});
  tokens.write({writer, reader});
  Fixture fixture(FakeLog::Mode::kInline, options());
  const auto append = connect(fixture.address(), writer.text);
  ASSERT_TRUE(append);
  const auto batch = [] {
    ClientBatch made;
    made.body = body_of("{}");
    made.count = 1;
    return made;
  };
  EXPECT_TRUE((*append)->append("t", batch()));
  EXPECT_TRUE((*append)->append("logs_a", batch()));
  const Error denied = (*append)->append("tt", batch()).error();
  EXPECT_EQ(denied.number, 4013);
  EXPECT_EQ(denied.message, "the token does not allow appending to \"tt\"");
  EXPECT_EQ(denied.hint, "it needs the scope append:tt");
  EXPECT_EQ((*append)->append("logs", batch()).error().number, 4013);
  EXPECT_TRUE((*append)->producer("t", ProducerId(1)));
  EXPECT_EQ((*append)->producer("u", ProducerId(1)).error().number, 4013);
  EXPECT_EQ((*append)->get("v", {Value::text("a")}, {}).error().number, 4013);
  EXPECT_EQ((*append)->status().error().number, 4013);
  EXPECT_EQ(fixture.log.submitted(), 2U);

  const auto read = connect(fixture.address(), reader.text);
  ASSERT_TRUE(read);
  EXPECT_TRUE((*read)->get("v", {Value::text("a")}, {}));
  EXPECT_EQ((*read)->get("w", {Value::text("a")}, {}).error().message, "the token does not allow reading \"w\"");
  EXPECT_EQ((*read)->append("t", batch()).error().number, 4013);
  EXPECT_EQ((*read)->read("t", {}, 1, {}, [](const ClientEvent&) { return true; }).error().number, 4013);
  Client::Scan scan;
  scan.view = "w";
  EXPECT_EQ((*read)->scan(scan, {}, {}, {}).error().number, 4013);
  scan.view = "v@2";  // Allowed; the fake has no such version.
  EXPECT_EQ((*read)->scan(scan, {}, {}, {}).error().number, 2003);
  EXPECT_EQ((*read)->sql("CREATE STREAM s (a BIGINT)", {}, {}, {}).error().number, 4013);
  EXPECT_EQ((*read)->sql("SELECT * FROM w", {}, {}, {}).error().number, 4013);
  EXPECT_EQ((*read)->sql("SELECT * FROM v", {}, {}, {}).error().number, 2001);  // Allowed; the fake cannot run it.
}

TEST_F(Door, RevokedAndExpiredTokensEndTheirConnections) {
  const auto kept = token_for({"admin"});
  const auto revoked = token_for({"admin"});
  auto ending = token_for({"admin"});
  tokens.write({kept, revoked, ending});
  Fixture fixture(FakeLog::Mode::kInline, options());
  const auto greeted = [&](const std::string& token) {
    auto wire = std::make_unique<Wire>(fixture.address());
    std::string hello;
    encode(HelloMessage{1, 1, 0, "test", token}, 1, hello);
    wire->send(hello);
    EXPECT_EQ(wire->frame()->header.type, FrameType::kHelloOk);
    return wire;
  };
  const auto stays = greeted(kept.text);
  const auto one = greeted(revoked.text);
  one->send(sql_frame(2, "hang"));
  const auto two = greeted(ending.text);
  ending.token.expires = after(-seconds(1));
  tokens.write({kept, ending});
  for (const auto& wire : {one.get(), two.get()}) {
    const auto frame = wire->frame();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->error().number, 4011);
    EXPECT_EQ(frame->header.request_id, 0U);
  }
  stays->send(ping_frame(2));
  EXPECT_EQ(stays->frame()->header.type, FrameType::kPong);
  while (fixture.engine.hanging != 0) std::this_thread::yield();
  EXPECT_EQ(refusal(fixture.address(), revoked.text).number, 4011);
}

TEST_F(Door, AFileThatIsGoneOrBrokenLetsNobodyIn) {
  const auto good = token_for({"admin"});
  tokens.write({good});
  Fixture fixture(FakeLog::Mode::kInline, options());
  EXPECT_TRUE(connect(fixture.address(), good.text));
  std::filesystem::remove(tokens.path());
  EXPECT_EQ(refusal(fixture.address(), good.text).number, 4011);
  // A line that cannot be read takes only itself away.
  std::ofstream(tokens.path()) << "{\"id\":\n" << serving::format_token(good.token);
  ::chmod(tokens.path().c_str(), 0600);
  EXPECT_TRUE(connect(fixture.address(), good.text));
  ::chmod(tokens.path().c_str(), 0666);
  EXPECT_EQ(refusal(fixture.address(), good.text).number, 4011);
}

TEST_F(Door, TooManyFailedLoginsLockAnAddressOut) {
  const auto good = token_for({"admin"});
  tokens.write({good});
  const Fixture fixture(FakeLog::Mode::kInline, options());
  std::size_t tries = 0;
  std::uint16_t number = 4011;
  for (; number == 4011 && tries < 100; ++tries) number = refusal(fixture.address(), "wrong").number;
  EXPECT_EQ(number, 4012);
  EXPECT_GE(tries, 10U);
  const Error error = refusal(fixture.address(), good.text);
  EXPECT_EQ(error.number, 4012);
  EXPECT_TRUE(error.retryable());
}

TEST_F(Door, OthersAreServedOnlyWithTlsAndTokens) {
  const Certificate certificate(directory.path(), "kappa");
  FakeLog log;
  FakeEngine engine;
  serving::ServerOptions wide;
  wide.listen = "0.0.0.0:0";
  EXPECT_EQ(serving::Server::start(wide, log, engine).error().number, 4003);
  wide.tokens = tokens.path();
  EXPECT_EQ(serving::Server::start(wide, log, engine).error().number, 4003);
  wide.tls_certificate = certificate.certificate;
  EXPECT_EQ(serving::Server::start(wide, log, engine).error().number, 4017);
  wide.tls_key = certificate.key;
  wide.tokens.clear();
  EXPECT_EQ(serving::Server::start(wide, log, engine).error().number, 4003);
  wide.tokens = tokens.path();
  EXPECT_TRUE(serving::Server::start(wide, log, engine));
}

TEST_F(Door, FilesThatAreNoneOrOthersCanUseAreRefused) {
  const Certificate one(directory.path(), "one"), two(directory.path(), "two");
  FakeLog log;
  FakeEngine engine;
  const auto start = [&](const std::filesystem::path& certificate, const std::filesystem::path& key) {
    serving::ServerOptions tls = options();
    tls.listen = "127.0.0.1:0";
    tls.tls_certificate = certificate;
    tls.tls_key = key;
    const auto server = serving::Server::start(tls, log, engine);
    return server ? 0 : int{server.error().number};
  };
  EXPECT_EQ(start(one.certificate, one.key), 0);
  EXPECT_EQ(start(one.certificate, two.key), 4017);
  EXPECT_EQ(start(one.key, one.key), 4017);
  EXPECT_EQ(start("/nowhere", one.key), 4017);
  ::chmod(one.key.c_str(), 0644);
  EXPECT_EQ(start(one.certificate, one.key), 4017);
  ::chmod(one.key.c_str(), 0600);
  ::chmod(tokens.path().c_str(), 0666);
  EXPECT_EQ(start(one.certificate, one.key), 4018);
}

struct Tls : Door {
  Certificate certificate{directory.path(), "server"};
  serving::NewToken token = token_for({"admin"});

  [[nodiscard]] serving::ServerOptions tls() {
    tokens.write({token});
    serving::ServerOptions tls = options();
    tls.tls_certificate = certificate.certificate;
    tls.tls_key = certificate.key;
    return tls;
  }
  [[nodiscard]] ClientOptions client(const std::string& address, const std::filesystem::path& authorities) const {
    ClientOptions client;
    client.address = address;
    client.timeout = seconds(60);
    client.tls = true;
    client.tls_authorities = authorities;
    client.token = token.text;
    return client;
  }
};

TEST_F(Tls, CarriesEverythingBothWays) {
  Fixture fixture(FakeLog::Mode::kThread, tls());
  const auto connected = Client::connect(client(fixture.address(), certificate.certificate));
  ASSERT_TRUE(connected) << to_string(connected.error());
  // Larger than a TLS record, a socket's buffer, and what is received into its final place.
  const std::string body = body_of(std::string(900'000, 'x'), 5);
  for (int i = 0; i < 20; ++i) {
    ClientBatch batch;
    batch.body = body;
    batch.count = 5;
    ASSERT_TRUE((*connected)->send_append("t", std::move(batch)));
  }
  while ((*connected)->in_flight() != 0) ASSERT_TRUE(*(*connected)->collect(true));
  const auto bodies = fixture.log.bodies("t");
  ASSERT_EQ(bodies.size(), 20U);
  for (const std::string& stored : bodies) EXPECT_EQ(stored, body);
  std::uint64_t rows = 0;
  const auto end = (*connected)->sql("rows 200000", {}, {}, [&](const std::vector<Row>& some) {
    rows += some.size();
    return true;
  });
  ASSERT_TRUE(end);
  EXPECT_EQ(rows, 200'000U);
}

TEST_F(Tls, AServerThatIsNotTrustedOrHasAnotherNameGetsNoToken) {
  const Certificate other(directory.path(), "other");
  const Fixture fixture(FakeLog::Mode::kInline, tls());
  EXPECT_EQ(Client::connect(client(fixture.address(), other.certificate)).error().number, 1018);
  EXPECT_EQ(Client::connect(client(fixture.address(), "")).error().number, 1018);
  const std::string port = fixture.address().substr(fixture.address().rfind(':'));
  EXPECT_TRUE(Client::connect(client("localhost" + port, certificate.certificate)));
  EXPECT_EQ(Client::connect(client("127.0.0.2" + port, certificate.certificate)).error().number, 1001);
}

TEST_F(Tls, PlainBytesToItsPortAreClosed) {
  const Fixture fixture(FakeLog::Mode::kInline, tls());
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(600, '\0'), std::string(600, '\xff')}) {
    Wire wire(fixture.address());
    wire.send(bytes);
    while (wire.frame_or_alert()) {
    }
  }
  ClientOptions plain = client(fixture.address(), "");
  plain.tls = false;
  EXPECT_FALSE(Client::connect(plain));
  EXPECT_TRUE(Client::connect(client(fixture.address(), certificate.certificate)));
}

TEST_F(Tls, AHandshakeThatDoesNotEndIsClosedInTime) {
  serving::ServerOptions impatient = tls();
  impatient.handshake_timeout = milliseconds(50);
  const Fixture fixture(FakeLog::Mode::kInline, impatient);
  for (const std::string& start : {std::string(), std::string("\x16\x03\x01", 3), std::string("\x16\x03\x01\x40\x00\x01", 6)}) {
    Wire wire(fixture.address());
    wire.send(start);
    EXPECT_TRUE(wire.ended());
  }
}

// A ClientHello as OpenSSL makes it.
std::string client_hello() {
  SSL_CTX* context = ::SSL_CTX_new(::TLS_client_method());
  SSL* ssl = ::SSL_new(context);
  ::SSL_set_bio(ssl, ::BIO_new(::BIO_s_mem()), ::BIO_new(::BIO_s_mem()));
  static_cast<void>(::SSL_connect(ssl));
  char bytes[4096];
  const int size = ::BIO_read(::SSL_get_wbio(ssl), bytes, sizeof bytes);
  ::SSL_free(ssl);
  ::SSL_CTX_free(context);
  return {bytes, static_cast<std::size_t>(std::max(size, 0))};
}

TEST_F(Tls, ChangedHandshakesHarmNobody) {
  const std::uint64_t seed = test::new_seed();
  std::mt19937_64 random(seed);
  serving::ServerOptions impatient = tls();
  impatient.handshake_timeout = milliseconds(2'000);
  const Fixture fixture(FakeLog::Mode::kInline, impatient);
  const std::string good = client_hello();
  ASSERT_GT(good.size(), 100U);
  for (int round = 0; round < 500; ++round) {
    std::string bytes = good;
    for (std::uint64_t changes = random() % 8; changes != 0; --changes) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 3 == 0) bytes.resize(random() % bytes.size());
    if (random() % 3 == 0) bytes.insert(random() % (bytes.size() + 1), std::string(random() % 700, static_cast<char>(random())));
    if (random() % 4 == 0) bytes += bytes;
    Wire wire(fixture.address());
    wire.send(bytes);
    wire.half_close();
    while (wire.frame_or_alert()) {
    }
  }
  EXPECT_TRUE(Client::connect(client(fixture.address(), certificate.certificate)));
}

TEST_F(Door, TheUnixSocketNeedsNoTokenAndIsForItsUser) {
  serving::ServerOptions local = options();
  local.socket = directory.path() / "kappa.sock";
  {
    const Fixture fixture(FakeLog::Mode::kInline, local);
    struct stat info {};
    ASSERT_EQ(::stat(local.socket.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U);
    const auto client = connect(local.socket.string(), "");
    ASSERT_TRUE(client) << to_string(client.error());
    EXPECT_TRUE((*client)->status());
    FakeLog log;
    FakeEngine engine;
    serving::ServerOptions second = local;
    second.listen = "127.0.0.1:0";
    EXPECT_EQ(serving::Server::start(second, log, engine).error().number, 4002);
  }
  EXPECT_FALSE(std::filesystem::exists(local.socket));
}

TEST_F(Door, AddressesHaveABound) {
  serving::ServerOptions few;
  few.connections_per_address_max = 2;
  const Fixture fixture(FakeLog::Mode::kInline, few);
  Wire one(fixture.address()), two(fixture.address());
  one.greet();
  two.greet();
  Wire three(fixture.address());
  const auto frame = three.frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->error().number, 4015);
  EXPECT_TRUE(frame->error().retryable());
}

TEST(Access, KnowsWhatAStatementReads) {
  const auto names = [](const std::string& sql) {
    const auto read = serving::names_read(sql);
    std::string text;
    if (!read) return "K" + std::to_string(read.error().number);
    for (const std::string& name : *read) text += name + " ";
    return text;
  };
  EXPECT_EQ(names("SELECT * FROM v"), "v ");
  EXPECT_EQ(names("EXPLAIN SELECT * FROM V JOIN w ON v.a = w.a"), "v w ");
  EXPECT_EQ(names("SELECT a FROM (SELECT a FROM x) AS y"), "x ");
  EXPECT_EQ(names("SELECT a FROM v UNION ALL SELECT a FROM w"), "v w ");
  // A name of WITH is no view, but only where it is in sight.
  EXPECT_EQ(names("WITH c AS (SELECT a FROM v) SELECT a FROM c"), "v ");
  EXPECT_EQ(names("WITH v AS (SELECT a FROM v) SELECT a FROM v"), "v ");
  EXPECT_EQ(names("SELECT a FROM (WITH c AS (SELECT a FROM v) SELECT a FROM c) AS d JOIN c ON d.a = c.a"), "v c ");
  EXPECT_EQ(names("DESCRIBE v"), "v ");
  for (const char* sql : {"DROP VIEW v", "SHOW VIEWS", "CREATE VIEW w AS SELECT a FROM v"}) EXPECT_EQ(names(sql), "K4013") << sql;
}

TEST(Peers, AddressesAreForgottenAndBounded) {
  serving::Peers peers;
  serving::Peers::Time now{std::chrono::hours(1)};
  for (std::uint64_t address = 1; address < 2 * serving::Peers::kAddressesMax; ++address) {
    const serving::Peer peer{"x", address};
    peers.came(peer, now);
    EXPECT_TRUE(peers.login_failed(peer, now));
    peers.left(peer, now);
    ASSERT_LE(peers.addresses(), serving::Peers::kAddressesMax);
  }
  const serving::Peer peer{"x", 7};
  peers.came(peer, now);
  EXPECT_EQ(peers.connections(peer), 1U);
  for (int i = 0; i < 10; ++i) static_cast<void>(peers.login_failed(peer, now));
  EXPECT_TRUE(peers.locked_out(peer, now));
  now += 2 * serving::Peers::kLoginInterval;
  EXPECT_FALSE(peers.locked_out(peer, now));
  now += 10 * serving::Peers::kLoginInterval;
  EXPECT_TRUE(peers.login_failed(peer, now));
}

}  // namespace
}  // namespace kappa::testing
