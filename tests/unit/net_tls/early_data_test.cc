// Early data (0-RTT): taken, refused, replayed.
#include "tests/unit/net_tls/tls_pair.h"

namespace culvert::net {
namespace {

// 0-RTT: what is written in `done` reaches the server's application half a round trip after TCP.
class TlsEarlyDataTest : public TlsPair {
 protected:
  TlsEarlyDataTest() {
    server_options.early_data = client_options.early_data = 16384;
    server_options.ticket_key = "tickets";
    pipe_options.capacity = 1 << 20;
  }
  void get_ticket() {
    shake();
    Talk here(std::move(near));
    Talk there(std::move(far));
    here.say("x");
    settle();
    EXPECT_EQ(there.heard, "x");
  }
  // Connects again, writes `text` in done; both sides go on as Talks.
  void again(const std::string& text) {
    here.reset(), there.reset();
    on_near = [this, text] {
      near_at = lone.now();
      here = std::make_unique<Talk>(std::move(near));
      here->say(text);
    };
    on_far = [this] { there = std::make_unique<Talk>(std::move(far)); };
    begin();
  }
  std::unique_ptr<Talk> here, there;
  Time near_at{0};
};

TEST_F(TlsEarlyDataTest, arrives_with_the_client_hello_and_is_answered_after_the_finished) {
  get_ticket();
  for (int i = 0; i < 3; ++i) {
    again("early bird");
    ASSERT_TRUE(until([&] { return there && there->heard == "early bird"; }));
    EXPECT_EQ(near_at, began);
    EXPECT_EQ(lone.now() - began, 10ms);
    there->say("worm");
    ASSERT_TRUE(until([&] { return here->heard == "worm"; }));
    EXPECT_EQ(lone.now() - began, 40ms);  // GnuTLS makes the keys to answer with so late
    EXPECT_EQ(answered->writes, 2u) << "the answer waits for the client's Finished";
    here->say("later");
    ASSERT_TRUE(until([&] { return there->heard == "early birdlater"; }));
    auto& info = dynamic_cast<TlsStream&>(here->stream()).info();
    EXPECT_TRUE(info.early_data);
    EXPECT_TRUE(info.resumed);
    EXPECT_TRUE(dynamic_cast<TlsStream&>(there->stream()).info().early_data);
    settle();
  }
}

TEST_F(TlsEarlyDataTest, more_than_the_ticket_allows_arrives_whole_and_in_order) {
  get_ticket();
  const std::string text = noise(300000);
  again(text);
  here.reset();
  ASSERT_TRUE(until([&] { return there && here && there->heard.size() == text.size(); }));
  EXPECT_TRUE(there->heard == text);
}

TEST_F(TlsEarlyDataTest, refused_by_a_server_that_forgot_its_key_the_data_are_sent_again) {
  get_ticket();
  lone.secret("tickets", "other sixteen bytes or more");
  server_context = *tls_server_context(lone.host, server_options);
  again("said twice, heard once");
  ASSERT_TRUE(until([&] { return there && there->heard == "said twice, heard once"; }));
  EXPECT_EQ(lone.now() - began, 30ms);
  EXPECT_FALSE(dynamic_cast<TlsStream&>(here->stream()).info().early_data);
  EXPECT_FALSE(dynamic_cast<TlsStream&>(here->stream()).info().resumed);
  settle();
  EXPECT_EQ(there->heard, "said twice, heard once");
}

TEST_F(TlsEarlyDataTest, refused_by_a_server_that_takes_none_the_data_are_sent_again) {
  get_ticket();
  server_options.early_data = 0;
  server_context = *tls_server_context(lone.host, server_options);
  again("said twice, heard once");
  ASSERT_TRUE(until([&] { return there && there->heard == "said twice, heard once"; }));
  EXPECT_FALSE(dynamic_cast<TlsStream&>(here->stream()).info().early_data);
}

// Records everything a client sends, to play it back.
TEST_F(TlsEarlyDataTest, a_replayed_client_hello_brings_its_data_only_once) {
  get_ticket();
  again("pay 100");
  ASSERT_TRUE(until([&] { return there && there->heard == "pay 100"; }));
  // The same bytes again: what the client wrote first is one flight, ClientHello and early data.
  auto recorded = std::make_shared<std::string>();
  class Recorder : public Stream {
   public:
    Recorder(std::unique_ptr<Stream> under, std::shared_ptr<std::string> into)
        : under_(std::move(under)), into_(std::move(into)) {}
    Endpoint local() const override { return under_->local(); }
    Endpoint remote() const override { return under_->remote(); }
    IoResult read(MutableBytes buffer) override { return under_->read(buffer); }
    IoResult write(Bytes data) override {
      into_->append(as_text(data));
      return under_->write(data);
    }
    void shutdown_write() override { under_->shutdown_write(); }
    void reset() override { under_->reset(); }
    void on_readable(std::function<void()> c) override { under_->on_readable(std::move(c)); }
    void on_writable(std::function<void()> c) override { under_->on_writable(std::move(c)); }
    Status set_no_delay(bool on) override { return under_->set_no_delay(on); }
    PathStats stats() const override { return under_->stats(); }

   private:
    std::unique_ptr<Stream> under_;
    std::shared_ptr<std::string> into_;
  };
  for (const bool replay : {false, true}) {
    auto [a, b] = make_pipe(lone.host, pipe_options);
    std::unique_ptr<Talk> server, client;
    auto accepted = tls_accept(lone.host, server_context, std::move(b), 5s, [&](auto stream) {
      if (stream) server = std::make_unique<Talk>(std::move(*stream));
    });
    std::unique_ptr<TlsHandshake> connect;
    std::unique_ptr<Stream> raw;
    if (replay) {
      raw = std::move(a);
      raw->write(as_bytes(*recorded));
    } else {
      connect =
          tls_connect(lone.host, client_context, std::make_unique<Recorder>(std::move(a), recorded),
                      "server.test", 5s, [&](auto stream) {
                        client = std::make_unique<Talk>(std::move(*stream));
                        client->say("pay 200");
                      });
      lone.run_for(15ms);  // before the client's second flight
    }
    settle();
    EXPECT_EQ(server ? server->heard : "", replay ? "" : "pay 200");
  }
}

TEST_F(TlsEarlyDataTest, a_client_that_must_show_who_it_is_has_its_data_taken_after_the_handshake) {
  server_options.peer = TlsPeer::required;
  server_options.trust = "ca.pem";
  client_options.certificate = "client.pem";
  client_options.key = "client.key";
  get_ticket();
  again("who am I");
  ASSERT_TRUE(until([&] { return there && there->heard == "who am I"; }));
  EXPECT_EQ(dynamic_cast<TlsStream&>(there->stream()).info().peer_common_name, "device-7");
}

TEST_F(TlsEarlyDataTest, nothing_written_early_is_an_ordinary_resumption) {
  get_ticket();
  on_near = {}, on_far = {};
  begin();
  ASSERT_TRUE(over());
  Talk here_now(std::move(near)), there_now(std::move(far));
  settle();
  here_now.say("late");
  there_now.say("answer");
  ASSERT_TRUE(until([&] { return there_now.heard == "late" && here_now.heard == "answer"; }));
}

TEST_F(TlsEarlyDataTest, a_connection_that_dies_meanwhile_is_told_by_the_stream) {
  get_ticket();
  again("lost");
  ASSERT_TRUE(until([&] { return here != nullptr; }));
  line->cut(Error::reset);
  ASSERT_TRUE(until([&] { return here->end != Error::none; }));
  EXPECT_EQ(here->end, Error::reset);
}

}  // namespace
}  // namespace culvert::net
