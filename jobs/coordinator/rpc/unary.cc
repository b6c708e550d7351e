#include "jobs/coordinator/rpc/unary.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "jobs/coordinator/rpc/wire.h"

namespace caracal {
namespace {

constexpr int64_t kPage = 100, kLongestPage = 1000;

}  // namespace

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                 const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

absl::StatusOr<PageAsked> ReadPage(int32_t page_size,
                                   const std::string& page_token) {
  if (page_size < 0) {
    return absl::InvalidArgumentError("page_size: is negative");
  }
  PageAsked page;
  if (!page_token.empty() &&
      (!absl::SimpleAtoi(page_token, &page.from) || page.from == 0)) {
    return absl::InvalidArgumentError("page_token: is not that of a page");
  }
  page.limit =
      page_size == 0 ? kPage : std::min<int64_t>(page_size, kLongestPage);
  return page;
}

}  // namespace caracal
