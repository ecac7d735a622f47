// A fixture that makes connected streams between a and b.
#pragma once

#include "tests/contract/collect.h"

namespace culvert::contract {

class StreamFixture : public ContractBothFamilies {
 protected:
  std::unique_ptr<net::Listener> listen(net::Host& host, const Endpoint& local, bool share = false,
                                        size_t backlog = 128) {
    net::ListenOptions options;
    options.local = local;
    options.share_port = share;
    options.backlog = backlog;
    auto listener = host.listen(options);
    EXPECT_TRUE(listener) << listener.status().to_string();
    return listener ? std::move(*listener) : nullptr;
  }
  // Connects a to a listener on b's port 7000; fills `near` (a's) and `far` (b's) streams.
  void connect() {
    if (!listener) listener = listen(world->b(), {at().b, 7000});
    ASSERT_TRUE(listener);
    auto dialled = call(world->a(), to({at().b, 7000}));
    ASSERT_TRUE(until([&] {
      if (!far) far = listener->accept();
      return dialled->done && far;
    })) << dialled->status.to_string();
    ASSERT_TRUE(dialled->stream) << dialled->status.to_string();
    near = std::move(dialled->stream);
  }
  void talk() {
    connect();
    if (HasFatalFailure()) return;
    here = std::make_unique<Talk>(std::move(near));
    there = std::make_unique<Talk>(std::move(far));
  }
  void TearDown() override {  // handles go before their Hosts
    here.reset(), there.reset(), near.reset(), far.reset(), listener.reset();
  }
  std::unique_ptr<net::Listener> listener;
  std::unique_ptr<net::Stream> near, far;
  std::unique_ptr<Talk> here, there;
};

}  // namespace culvert::contract
