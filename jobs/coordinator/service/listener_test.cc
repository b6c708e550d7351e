#include "jobs/coordinator/service/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

class ListenerTest : public ::testing::Test {
 protected:
  ~ListenerTest() override {
    listener_ = nullptr;
    if (server_ != nullptr) server_->Shutdown();
  }

  void Start(const std::string& address, int most = 0) {
    auto listener = Listener::Open(address);
    ASSERT_OK(listener.status());
    listener_ = *std::move(listener);
    grpc::ServerBuilder builder;
    auto acceptor = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        grpc::InsecureServerCredentials());
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    listener_->Start(std::move(acceptor), most);
  }
  // Whether a call comes to the server, which knows none.
  bool CanCall(const std::string& address) {
    // Not the connection of another one.
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
    grpc::GenericStub stub(grpc::CreateCustomChannel(
        address, grpc::InsecureChannelCredentials(), arguments));
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(30));
    grpc::CompletionQueue queue;
    const auto call =
        stub.PrepareUnaryCall(&context, "/a/b", grpc::ByteBuffer(), &queue);
    call->StartCall();
    grpc::ByteBuffer response;
    grpc::Status status;
    call->Finish(&response, &status, this);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return status.error_code() == grpc::StatusCode::UNIMPLEMENTED;
  }
  // Names of sockets are short.
  static std::string ShortFolder() {
    std::string folder = "/tmp/caracal_XXXXXX";
    CARACAL_CHECK(mkdtemp(folder.data()) != nullptr) << folder;
    return folder;
  }
  Descriptor Socket() { return Descriptor(socket(AF_INET, SOCK_STREAM, 0)); }
  void Connect(const Descriptor& socket) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(listener_->port()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(
        connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  void AwaitHealth(bool good) {
    while (listener_->Health().ok() != good) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  grpc::CallbackGenericService service_;  // answers UNIMPLEMENTED
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Listener> listener_;
};

TEST_F(ListenerTest, CallsComeIn) {
  Start("127.0.0.1:0");
  EXPECT_TRUE(CanCall(absl::StrCat("127.0.0.1:", listener_->port())));
  EXPECT_OK(listener_->Health());
}

TEST_F(ListenerTest, AllAddressesAreThoseOfBothKinds) {
  Start("0.0.0.0:0");
  EXPECT_TRUE(CanCall(absl::StrCat("127.0.0.1:", listener_->port())));
}

TEST_F(ListenerTest, AUnixSocketGoesWithIt) {
  const std::string path = ShortFolder() + "/s";
  // One that was left there does not matter.
  ASSERT_OK(Listener::Open("unix:" + path).status());
  Start("unix:" + path);
  EXPECT_TRUE(CanCall("unix:" + path));
  listener_ = nullptr;
  EXPECT_NE(access(path.c_str(), F_OK), 0);
  EXPECT_EQ(rmdir(FolderOf(path).c_str()), 0);
}

TEST_F(ListenerTest, SaysWhyAnAddressCantBeHad) {
  Start("127.0.0.1:0");
  const auto open = [](const std::string& address) {
    return Listener::Open(address).status();
  };
  EXPECT_THAT(open(absl::StrCat("127.0.0.1:", listener_->port())),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("another caracald running")));
  EXPECT_THAT(open("192.0.2.1:0"),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("Cannot assign requested address")));
  EXPECT_THAT(open("unix:/nowhere/s"), StatusIs(StatusCode::kFailedPrecondition,
                                                HasSubstr("No such file")));
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:x", "[::1]:65536"}) {
    EXPECT_EQ(open(address).code(), StatusCode::kInvalidArgument) << address;
  }
}

TEST_F(ListenerTest, MoreConnectionsThanItMayHaveAreSentAway) {
  const int free = Socket().get();
  Start("127.0.0.1:0", free + 40);
  std::vector<Descriptor> flood;
  for (int i = 0; i < 40; ++i) {
    flood.push_back(Socket());
    Connect(flood.back());
  }
  AwaitHealth(false);
  EXPECT_THAT(listener_->Health(),
              StatusIs(StatusCode::kUnavailable, HasSubstr("sent away")));
  // The last of them hears so.
  char byte;
  EXPECT_EQ(recv(flood.back().get(), &byte, 1, 0), 0);
  flood.clear();
  EXPECT_TRUE(CanCall(absl::StrCat("127.0.0.1:", listener_->port())));
}

TEST_F(ListenerTest, ListensOnWhenThereWereNoFileDescriptors) {
  Start("127.0.0.1:0");
  Descriptor caller = Socket();
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<Descriptor> all;
  all.emplace_back(open("/dev/null", O_RDONLY));
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(all.back().get()) + 8;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  while (all.back().is_open()) all.emplace_back(dup(all.front().get()));
  Connect(caller);
  AwaitHealth(false);
  all.clear();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(CanCall(absl::StrCat("127.0.0.1:", listener_->port())));
}

}  // namespace
}  // namespace caracal
