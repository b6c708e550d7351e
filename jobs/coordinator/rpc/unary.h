// What the services' unary calls share.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_UNARY_H_
#define CARACAL_JOBS_COORDINATOR_RPC_UNARY_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caracal {

// Of a call that needs no waiting for.
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                 const absl::Status& status);

// Which page of a list is asked for.
struct PageAsked {
  uint64_t from = 0;  // its first id; 0: the newest there is
  int64_t limit = 0;  // at most so many: 100 where none is asked for, 1,000
};

// From a request's page_size and page_token, which names the page's first id.
// kInvalidArgument naming the field.
absl::StatusOr<PageAsked> ReadPage(int32_t page_size,
                                   const std::string& page_token);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_UNARY_H_
